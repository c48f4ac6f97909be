/* Descriptors of files. Any process. */
#include "agent/descriptors.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

void ntd_agent_close_from(int first)
{
	if (syscall(SYS_close_range, first, ~0U, 0) == 0)
		return;
	for (int fd = first; fd < 1024; fd++)
		close(fd);
}

int ntd_agent_read_all(int fd, size_t most, struct ntd_buf *text)
{
	enum { PIECE = 4096 };
	ssize_t got = fd < 0 ? -1 : 1;

	while (got > 0 && text->len < most) {
		got = read(fd, ntd_buf_reserve(text, PIECE), PIECE);
		ntd_buf_added(text, got > 0 ? (size_t)got : 0);
	}
	return got == 0 ? 0 : -1;
}

int ntd_agent_write_at(int fd, const char *bytes, size_t len, uint64_t offset)
{
	while (len) {
		ssize_t put = pwrite(fd, bytes, len, (off_t)offset);

		if (put < 0 && errno != EINTR)
			return -1;
		bytes += put < 0 ? 0 : put;
		len -= put < 0 ? 0 : (size_t)put;
		offset += put < 0 ? 0 : (uint64_t)put;
	}
	return 0;
}
