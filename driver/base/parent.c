/* The parent of a process, from /proc/PID/stat. */
#include "base/parent.h"

#include "base/fd.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

pid_t ntd_parent_of(pid_t pid)
{
	char path[32], stat[512];
	_cleanup_fd_ int fd = -1;
	const char *end;
	ssize_t len;
	pid_t parent;

	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	len = fd < 0 ? -1 : ntd_fd_read(fd, stat, sizeof stat - 1);
	if (len < 0)
		return 0;
	stat[len] = '\0';
	end = strrchr(stat, ')'); /* the name may hold anything, parentheses too */
	return end && sscanf(end, ") %*c %d", &parent) == 1 ? parent : 0;
}
