/* Finds the processes that a test has started, wherever they are in the tree of processes, by a
 * variable in the environment that they were started with.
 */
#pragma once

#include "unit.h"

#include "loop/request.h"

#include <dirent.h>
#include <fcntl.h>

/* Returns how many processes have `mark`, NAME=VALUE, in their environment. Zombies have no
 * environment. */
static inline int count_marked(const char *mark)
{
	DIR *proc = opendir("/proc");
	const struct dirent *entry;
	int count = 0;

	while ((entry = readdir(proc))) {
		char path[300], environ[8192];
		ssize_t len;
		int fd;

		snprintf(path, sizeof path, "/proc/%s/environ", entry->d_name);
		fd = *entry->d_name >= '1' && *entry->d_name <= '9' ? open(path, O_RDONLY) : -1;
		len = fd < 0 ? 0 : read(fd, environ, sizeof environ);
		count += len > 0 && memmem(environ, (size_t)len, mark, strlen(mark));
		ntd_close_fd(&fd);
	}
	closedir(proc);
	return count;
}

/* Waits until there are `count` marked processes, for `patience` ns at most. A single matching
 * count ends the wait. A process in the middle of its exec has no environment, so a later count may
 * be higher. */
static inline bool await_marked(const char *mark, int count, int64_t patience)
{
	int64_t deadline = ntd_after(patience);
	int present;

	while ((present = count_marked(mark)) != count && ntd_now() < deadline)
		ntd_wait_until(ntd_after(10 * NTD_MS), NULL, NULL);
	return present == count;
}

/* A shell command that starts processes which a single kill() does not reach, as a start script
 * may: in sessions of their own, without a parent, ignoring signals. FAMILY_SIZE counts the shell,
 * too. */
#define FAMILY                                                                                     \
	"setsid sh -c 'sleep 1000 & exec sleep 1000' & (setsid -f sleep 1000); trap '' TERM HUP; " \
	"sh -c 'sleep 1000 & exec sleep 1000' & "
enum { FAMILY_SIZE = 6 };
