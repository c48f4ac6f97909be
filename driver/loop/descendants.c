/* The end of what is below this process, which is the keeper or a guard: a subreaper of one thread
 * that blocks all signals. See keeper.c for who ends what, and when.
 *
 * /proc shows who the direct children are. They are killed again and again: a killed child's own
 * children become children of this process, so the loop ends only when nothing is left.
 */
#include "loop/keeper_internal.h"

#include "base/clock.h"
#include "base/parent.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

/* ---- killing */

static void kill_children(int signal)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;

	while (proc && (entry = readdir(proc))) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10); /* 0: no process */

		if (pid > 0 && ntd_parent_of(pid) == getpid())
			kill(pid, signal);
	}
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
