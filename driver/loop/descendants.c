/* The end of what is below this process, which is the keeper or a guard: a subreaper of one thread
 * that blocks all signals. See keeper.c for who ends what, and when.
 *
 * /proc shows who the direct children are. They are killed again and again: a killed child's own
 * children become children of this process, so the loop ends only when nothing is left.
 */
#include "loop/keeper_internal.h"

#include "base/clock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

/* ---- killing */

static pid_t parent_of(const char *pid)
{
	char path[sizeof "/proc//stat" + NAME_MAX], stat[512], *end;
	int fd, parent = -1;
	ssize_t len;

	snprintf(path, sizeof path, "/proc/%s/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	len = read(fd, stat, sizeof stat - 1);
	close(fd);
	if (len <= 0)
		return -1;
	stat[len] = '\0';
	end = strrchr(stat, ')'); /* the name may hold anything, parentheses too */
	if (!end || sscanf(end + 1, " %*c %d", &parent) != 1)
		return -1;
	return parent;
}

static void kill_children(int signal)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;

	while (proc && (entry = readdir(proc)))
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
		    parent_of(entry->d_name) == getpid())
			kill((pid_t)strtol(entry->d_name, NULL, 10), signal);
	if (proc)
		closedir(proc);
}

/* Reaps, and returns whether this process has no children any more: most processes leave none,
 * which is known without a look at all of /proc. */
static bool nothing_below(void)
{
	pid_t reaped;

	do
		reaped = waitpid(-1, NULL, WNOHANG);
	while (reaped > 0);
	return reaped < 0 && errno == ECHILD;
}

void ntd_descendants_kill(void)
{
	while (!nothing_below()) {
		kill_children(SIGKILL);
		if (waitpid(-1, NULL, 0) < 0 && errno == ECHILD)
			return;
	}
}

/* ---- telling it to end */

int ntd_descendants_signals(void)
{
	sigset_t watched, all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	sigemptyset(&watched);
	sigaddset(&watched, SIGCHLD);
	sigaddset(&watched, SIGTERM);
	sigaddset(&watched, SIGHUP);
	return signalfd(-1, &watched, SFD_CLOEXEC);
}

uint32_t ntd_descendants_await(int signals, int64_t deadline)
{
	struct pollfd polled = {.fd = signals, .events = POLLIN};
	struct signalfd_siginfo info;
	struct timespec left;
	int ready;

	do
		ready = ppoll(&polled, 1, ntd_remaining(deadline, &left), NULL);
	while (ready < 0 && errno == EINTR);
	return ready > 0 && read(signals, &info, sizeof info) == sizeof info ? info.ssi_signo : 0;
}

bool ntd_descendants_is_the_end(uint32_t signal, uint32_t grace)
{
	return !signal || signal == SIGTERM || (signal == SIGHUP && !grace);
}

void ntd_descendants_end(int signal, int signals, int64_t deadline, uint32_t grace)
{
	while (!nothing_below()) {
		kill_children(signal);
		if (nothing_below() ||
		    ntd_descendants_is_the_end(ntd_descendants_await(signals, deadline), grace))
			return;
	}
}
