/* Whole reads and writes, which block the calling thread. */
#include "base/fd.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

enum { READ_SIZE = 64 << 10 };

/* read() that a signal does not end. */
static ssize_t read_some(int fd, void *bytes, size_t len)
{
	ssize_t got;

	do
		got = read(fd, bytes, len);
	while (got < 0 && errno == EINTR);
	return got;
}

ssize_t ntd_fd_read(int fd, void *bytes, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t got = read_some(fd, (char *)bytes + done, len - done);

		if (got < 0)
			return -1;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	return (ssize_t)done;
}

ssize_t ntd_fd_receive(int fd, void *bytes, size_t len)
{
	ssize_t got;

	do
		got = recv(fd, bytes, len, MSG_DONTWAIT);
	while (got < 0 && errno == EINTR);
	if (got < 0 && errno == EAGAIN)
		return 0;
	return got > 0 ? got : -1;
}

int ntd_fd_read_all(int fd, struct ntd_buf *bytes, size_t limit)
{
	size_t before = bytes->len;

	while (bytes->len - before <= limit) {
		ssize_t got = read_some(fd, ntd_buf_reserve(bytes, READ_SIZE), READ_SIZE);

		if (got <= 0)
			return (int)got;
		ntd_buf_added(bytes, (size_t)got);
	}
	errno = EFBIG;
	return -1;
}

int ntd_fd_write_all(int fd, const void *bytes, size_t len)
{
	const char *next = bytes;

	while (len) {
		ssize_t written = write(fd, next, len);

		if (written < 0 && errno != EINTR)
			return -1;
		if (written > 0) {
			next += written;
			len -= (size_t)written;
		}
	}
	return 0;
}

DIR *ntd_fd_entries(int fd)
{
	DIR *entries = fd < 0 ? NULL : fdopendir(fd);
	int failed = errno;

	if (!entries && fd >= 0)
		close(fd);
	errno = failed;
	return entries;
}

struct dirent *ntd_fd_next_entry(DIR *entries)
{
	struct dirent *entry;

	do
		entry = readdir(entries);
	while (entry && (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")));
	return entry;
}
