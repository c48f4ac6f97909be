#include "base/memfd.h"

#include "base/mem.h"

#include <errno.h>
#include <sys/mman.h>

int ntd_memory_file(const char *bytes, size_t len, struct ntd_error **err)
{
	_cleanup_fd_ int fd = memfd_create("ntd-bytes", MFD_CLOEXEC);
	size_t done = 0;

	while (fd >= 0 && done < len) {
		ssize_t written = write(fd, bytes + done, len - done);

		if (written < 0 && errno != EINTR)
			return ntd_error_sys(err, errno, "cannot write a file in memory");
		done += written > 0 ? (size_t)written : 0;
	}
	if (fd < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return ntd_error_sys(err, errno, "cannot make a file in memory");
	return ntd_steal_fd(&fd);
}
