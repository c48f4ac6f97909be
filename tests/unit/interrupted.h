/* A waiter whose sleep a signal ends at once, because the signal is already pending when the wait
 * begins.
 */
#pragma once

#include "loop/request.h"

#include <signal.h>

struct interrupted {
	struct ntd_waiter waiter;
	sigset_t before;
};

static inline void interrupted_ignore(int number)
{
}

static inline bool interrupted_always(struct ntd_waiter *waiter)
{
	return true;
}

/* Makes the signal pending for one wait; raise(SIGUSR1) does so again for another one. */
static inline void interrupted_begin(struct interrupted *interrupted)
{
	sigset_t blocked;

	sigaction(SIGUSR1, &(struct sigaction){.sa_handler = interrupted_ignore}, NULL);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	sigprocmask(SIG_BLOCK, &blocked, &interrupted->before);
	interrupted->waiter = (struct ntd_waiter){.interrupted = interrupted_always,
						  .signals = &interrupted->before};
	raise(SIGUSR1);
}

static inline void interrupted_end(struct interrupted *interrupted)
{
	sigprocmask(SIG_SETMASK, &interrupted->before, NULL);
}
