/* Files in memory. Any thread. */
#include "base/memfd.h"

#include "base/fd.h"

#include <errno.h>
#include <sys/mman.h>

int ntd_memory_file(const char *bytes, size_t len, struct ntd_error **err)
{
	_cleanup_fd_ int fd = memfd_create("ntd-bytes", MFD_CLOEXEC);

	if (fd >= 0 && ntd_fd_write_all(fd, bytes, len) < 0)
		return ntd_error_sys(err, errno, "cannot write a file in memory");
	if (fd < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return ntd_error_sys(err, errno, "cannot make a file in memory");
	return ntd_steal_fd(&fd);
}
