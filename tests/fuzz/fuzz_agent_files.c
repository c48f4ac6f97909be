/* Fuzzes what a driver, or a program in the guest that writes to its port, may send to the agent's
 * server of copies. The server works in a directory of its own. Paths in the input may lead
 * anywhere, so what would lead out of the directory becomes letters. The input is a list of
 * requests:
 *
 *	byte 0: the direction
 *	then:   TYPE LENGTH BYTES    a request with these bytes behind its number
 *	        255 LENGTH BYTES     the bytes as they are
 */
#include "agent/files.h"
#include "base/tree.h"
#include "sftp/packet.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RAW = 255 };

static void require(bool condition)
{
	if (!condition)
		abort();
}

/* Each slash becomes a letter, and each pair of dots: the paths are names in the directory. */
static void make_harmless(char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (bytes[i] == '/' || (i && bytes[i] == '.' && bytes[i - 1] == '.'))
			bytes[i] = 'a';
}

static uint8_t take(const uint8_t **data, size_t *size)
{
	if (!*size)
		return 0;
	--*size;
	return *(*data)++;
}

/* Answers must be whole packets. */
static void check_answers(struct ntd_buf *output)
{
	struct ntd_sftp_reader packet;
	struct ntd_sftp_answer answer;
	ssize_t len;

	while ((len = ntd_sftp_first_packet(ntd_buf_bytes(output), output->len, &packet)) > 0) {
		if (*packet.at != NTD_SFTP_VERSION)
			require(ntd_sftp_read_answer(packet, &answer) == 0);
		ntd_buf_consume(output, (size_t)len);
	}
	require(len == 0 && output->len == 0);
}

static int feed(struct ntd_files *files, const struct ntd_buf *bytes)
{
	int more = 1;

	ntd_files_input(files, ntd_buf_bytes(bytes), bytes->len);
	while (more > 0) {
		more = ntd_files_answer(files);
		check_answers(ntd_files_output(files));
	}
	return more;
}

static int step(struct ntd_files *files, const uint8_t **data, size_t *size)
{
	_cleanup_buf_ struct ntd_buf request = {0}, bytes = {0};
	uint8_t type = take(data, size), len = take(data, size);
	size_t begun;

	len = len < *size ? len : (uint8_t)*size;
	ntd_buf_append(&bytes, *data, len);
	make_harmless(ntd_buf_bytes(&bytes), len);
	*data += len;
	*size -= len;
	if (type == RAW)
		return feed(files, &bytes);
	begun = ntd_sftp_put_begin(&request, type, 7);
	ntd_buf_append(&request, ntd_buf_bytes(&bytes), len);
	ntd_sftp_put_end(&request, begun);
	return feed(files, &request);
}

static void make_file(const char *name)
{
	FILE *file = fopen(name, "w");

	require(file);
	fputs("some text", file);
	fclose(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *tmp = getenv("TMPDIR");
	_cleanup_free_ char *base = ntd_asprintf("%s/ntd-fuzz-XXXXXX", tmp ? tmp : "/tmp");
	struct ntd_files *files;

	if (!size)
		return 0;
	require(mkdtemp(base) && chdir(base) == 0 && mkdir("d", 0700) == 0);
	make_file("a");
	require(symlink("a", "l") == 0);
	files = ntd_files_new();
	data++;
	size--;
	while (size && step(files, &data, &size) == 0)
		;
	ntd_files_free(files);
	require(chdir("/") == 0 && ntd_tree_remove(base, NULL) == 0);
	return 0;
}
