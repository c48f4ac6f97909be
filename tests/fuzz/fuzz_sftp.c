/* Fuzzes what an SFTP server may send, to a client that copies a tree to or from it. The input is a
 * script for the server: each part answers one of the requests that the client has made, with the
 * number of the request, so that the bytes reach what is behind the checks of packets; or it is
 * bytes as they are. The copy has a directory of its own, beside which nothing may be made.
 *
 *	byte 0: the direction
 *	then:   WHICH TYPE LENGTH BYTES  answers the request WHICH of those that are left
 *	        255 LENGTH BYTES         the bytes as they are
 *	        254                      the copy is cancelled
 */
#include "base/tree.h"
#include "sftp/packet.h"
#include "sftp/sftp.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RAW = 255, CANCEL = 254, REQUESTS = 256 };

struct fuzzed {
	struct ntd_sftp *sftp;
	struct ntd_buf requests;
	uint32_t ids[REQUESTS]; /* of requests that have no answer */
	unsigned count;
	bool done;
};

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void done(void *owner, struct ntd_error *error)
{
	struct fuzzed *fuzzed = owner;

	require(!fuzzed->done);
	fuzzed->done = true;
	require(!error || error->message[0]);
	ntd_error_free(error);
}

/* Takes the numbers of the requests, which must be whole packets. */
static void output(void *owner)
{
	struct fuzzed *fuzzed = owner;
	struct ntd_buf *bytes = ntd_sftp_output(fuzzed->sftp);
	struct ntd_sftp_reader packet;
	ssize_t len;

	while ((len = ntd_sftp_first_packet(ntd_buf_bytes(bytes), bytes->len, &packet)) > 0) {
		require(packet.left >= 5);
		packet.at++;
		packet.left--;
		/* Bytes as they are may have answered requests that are still in the array. */
		if (fuzzed->count < REQUESTS)
			fuzzed->ids[fuzzed->count++] = ntd_sftp_get_u32(&packet);
		ntd_buf_consume(bytes, (size_t)len);
	}
	require(len == 0 && bytes->len == 0);
	ntd_sftp_sent(fuzzed->sftp);
}

/* Feeds an exact copy on the heap, so that the sanitizer notices reads past its end. */
static void feed(struct fuzzed *fuzzed, const void *bytes, size_t len)
{
	_cleanup_free_ char *piece = ntd_malloc(len + 1);
	char *at = piece + 1;

	if (len)
		memcpy(at, bytes, len);
	ntd_sftp_input(fuzzed->sftp, at, len);
}

static uint8_t take(const uint8_t **data, size_t *size)
{
	if (!*size)
		return 0;
	--*size;
	return *(*data)++;
}

static void step(struct fuzzed *fuzzed, const uint8_t **data, size_t *size)
{
	_cleanup_buf_ struct ntd_buf answer = {0};
	uint8_t which = take(data, size), type, len;
	size_t begun;

	if (which == CANCEL) {
		ntd_sftp_cancel(fuzzed->sftp);
		return;
	}
	type = which == RAW ? 0 : take(data, size);
	len = take(data, size);
	len = len < *size ? len : (uint8_t)*size;
	if (which == RAW) {
		feed(fuzzed, *data, len);
	} else if (fuzzed->count) {
		unsigned place = which % fuzzed->count;

		begun = ntd_sftp_put_begin(&answer, type, fuzzed->ids[place]);
		ntd_buf_append(&answer, *data, len);
		ntd_sftp_put_end(&answer, begun);
		fuzzed->count--;
		memmove(fuzzed->ids + place, fuzzed->ids + place + 1,
			(fuzzed->count - place) * sizeof *fuzzed->ids);
		feed(fuzzed, ntd_buf_bytes(&answer), answer.len);
	}
	*data += len;
	*size -= len;
}

static void run(enum ntd_sftp_direction direction, const char *source, const char *target,
		const uint8_t *data, size_t size)
{
	struct fuzzed fuzzed = {0};
	struct ntd_sftp_wire wire = {output, done, &fuzzed};

	fuzzed.sftp = ntd_sftp_new(direction, source, target, &wire);
	ntd_sftp_begin(fuzzed.sftp);
	while (size && !fuzzed.done)
		step(&fuzzed, &data, &size);
	if (!fuzzed.done && fuzzed.count % 2)
		ntd_sftp_ended(fuzzed.sftp, NULL);
	ntd_sftp_free(fuzzed.sftp);
}

static void make_file(const char *path, const char *text)
{
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	require(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
}

/* Makes what is copied to the server: some files, a directory and a link. */
static void make_source(const char *base)
{
	_cleanup_free_ char *directory = ntd_asprintf("%s/from", base);
	_cleanup_free_ char *sub = ntd_asprintf("%s/sub", directory);
	_cleanup_free_ char *link = ntd_asprintf("%s/link", directory);

	require(mkdir(directory, 0700) == 0 && mkdir(sub, 0700) == 0 && symlink("a", link) == 0);
	for (const char *name = "abc"; *name; name++) {
		_cleanup_free_ char *path =
			ntd_asprintf("%s/%c", *name == 'c' ? sub : directory, *name);

		make_file(path, "some text");
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *tmp = getenv("TMPDIR");
	_cleanup_free_ char *base = ntd_asprintf("%s/ntd-fuzz-XXXXXX", tmp ? tmp : "/tmp");
	_cleanup_free_ char *inner = NULL, *target = NULL, *source = NULL;
	bool puts = size && data[0] % 2;

	if (!size)
		return 0;
	require(mkdtemp(base));
	inner = ntd_asprintf("%s/inner", base);
	target = ntd_asprintf("%s/to", inner);
	source = ntd_asprintf("%s/from", base);
	require(mkdir(inner, 0700) == 0);
	if (puts) {
		make_source(base);
		run(NTD_SFTP_PUT, source, "/guest/to", data + 1, size - 1);
	} else {
		run(NTD_SFTP_GET, "/guest/from", target, data + 1, size - 1);
		/* Only the copy may be there. */
		ntd_tree_remove(target, NULL);
		require(rmdir(inner) == 0 && rmdir(base) == 0);
	}
	ntd_tree_remove(base, NULL);
	return 0;
}
