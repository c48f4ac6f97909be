/* Texts of commands. One thread. */
#include "agent/command_text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

enum {
	ARGUMENT_MOST = 120 << 10, /* below MAX_ARG_STRLEN, 128 KiB, with room for the prologue */
	/* Bash's own descriptors begin here, and people's are below. */
	FIRST_DESCRIPTOR = 10,
};

/* A file without a name, in memory where the kernel can. */
static int open_file(void)
{
	static const char *const directories[] = {"/dev/shm", "/run", "/tmp"};
	int fd = memfd_create("command", MFD_CLOEXEC);

	for (size_t i = 0; fd < 0 && i < sizeof directories / sizeof *directories; i++)
		fd = open(directories[i], O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	return fd;
}

int ntd_agent_text_open(struct ntd_agent_text *text, uint64_t len)
{
	_cleanup_fd_ int fd = -1;

	*text = (struct ntd_agent_text){.missing = len, .fd = -1};
	if (len <= ARGUMENT_MOST)
		return 0;
	fd = open_file();
	if (fd < 0)
		return errno;
	text->fd = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_DESCRIPTOR);
	return text->fd < 0 ? errno : 0;
}

ssize_t ntd_agent_text_take(struct ntd_agent_text *text, const char *bytes, size_t len)
{
	size_t taken = len < text->missing ? len : (size_t)text->missing;

	text->missing -= taken;
	if (text->fd < 0)
		ntd_buf_append(&text->bytes, bytes, taken);
	for (size_t written = 0; text->fd >= 0 && written < taken;) {
		ssize_t step = write(text->fd, bytes + written, taken - written);

		if (step < 0)
			return -errno;
		written += (size_t)step;
	}
	return (ssize_t)taken;
}

/* The text in the file is the same to bash, with the same numbers of lines: an eval of what a
 * process of bash's has read. The command itself does not have the descriptor. */
char *ntd_agent_text_argument(const struct ntd_agent_text *text, const char *prologue)
{
	if (text->fd >= 0) {
		lseek(text->fd, 0, SEEK_SET);
		return ntd_asprintf("%seval \"exec %d<&-; $(cat <&%d)\"", prologue, text->fd,
				    text->fd);
	}
	if (memchr(ntd_buf_bytes(&text->bytes), '\0', text->bytes.len))
		return NULL;
	return ntd_asprintf("%s%.*s", prologue, (int)text->bytes.len, ntd_buf_bytes(&text->bytes));
}

void ntd_agent_text_free(struct ntd_agent_text *text)
{
	ntd_buf_free(&text->bytes);
	ntd_close_fd(&text->fd);
}
