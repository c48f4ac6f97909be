/* The life of the agent's SFTP server: from bytes to requests. What each request does is in
 * files_calls.c. In a process of its own for each copy.
 */
#include "agent/files_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* ---- requests */

static void answer(struct ntd_files *files, struct ntd_sftp_reader packet)
{
	uint8_t type = *packet.at;
	ntd_files_call *call = ntd_files_call_of(type);
	uint32_t id;

	packet.at++;
	packet.left--;
	id = ntd_sftp_get_u32(&packet);
	if (call)
		call(files, id, &packet);
	else
		ntd_files_say_status(files, id, NTD_SFTP_UNSUPPORTED, "");
}

/* The extensions are pairs of a name and a version. */
static int greet(struct ntd_files *files, struct ntd_sftp_reader packet)
{
	static const char *const extensions[] = {"posix-rename@openssh.com", "limits@openssh.com",
						 NTD_SFTP_SEEK};
	size_t begun;

	if (*packet.at != NTD_SFTP_INIT)
		return -1;
	files->greeted = true;
	begun = ntd_sftp_put_begin(&files->output, NTD_SFTP_VERSION, 3);
	for (size_t i = 0; i < sizeof extensions / sizeof *extensions; i++) {
		ntd_sftp_put_string(&files->output, extensions[i], strlen(extensions[i]));
		ntd_sftp_put_string(&files->output, "1", 1);
	}
	ntd_sftp_put_end(&files->output, begun);
	return 0;
}

int ntd_files_answer(struct ntd_files *files)
{
	struct ntd_sftp_reader packet;
	ssize_t len = 0;

	while (files->output.len < FILES_OUTPUT_SIZE) {
		len = ntd_sftp_first_packet(ntd_buf_bytes(&files->input), files->input.len,
					    &packet);
		if (len <= 0)
			return (int)len;
		if (files->greeted)
			answer(files, packet);
		else if (greet(files, packet) < 0)
			return -1;
		ntd_buf_consume(&files->input, (size_t)len);
	}
	return 1;
}

/* ---- the server as a whole */

struct ntd_files *ntd_files_new(void)
{
	struct ntd_files *files = ntd_calloc(1, sizeof *files);

	files->mask = umask(0);
	umask(files->mask);
	return files;
}

void ntd_files_input(struct ntd_files *files, const char *bytes, size_t len)
{
	ntd_buf_append(&files->input, bytes, len);
}

struct ntd_buf *ntd_files_output(struct ntd_files *files)
{
	return &files->output;
}

void ntd_files_free(struct ntd_files *files)
{
	ntd_files_clean(files);
	ntd_buf_free(&files->input);
	ntd_buf_free(&files->output);
	free(files);
}

static int write_all(int fd, struct ntd_buf *bytes)
{
	while (bytes->len) {
		ssize_t put = write(fd, ntd_buf_bytes(bytes), bytes->len);

		if (put < 0 && errno != EINTR)
			return -1;
		ntd_buf_consume(bytes, put < 0 ? 0 : (size_t)put);
	}
	return 0;
}

void ntd_files_serve(int in, int out)
{
	enum { INPUT_SIZE = 64 << 10 };
	struct ntd_files *files = ntd_files_new();
	int more = 0;
	ssize_t got = 1;

	while (got > 0 && more >= 0) {
		if (!more) {
			got = read(in, ntd_buf_reserve(&files->input, INPUT_SIZE), INPUT_SIZE);
			if (got < 0 && errno == EINTR)
				got = 1;
			else if (got > 0)
				ntd_buf_added(&files->input, (size_t)got);
		}
		more = ntd_files_answer(files);
		if (write_all(out, &files->output) < 0)
			break;
	}
	ntd_files_free(files);
}
