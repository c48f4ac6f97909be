/* What the keeper and its guards share. All of it runs in their processes, except ntd_pidfd(),
 * which is the driver's, too.
 */
#pragma once

#include "loop/keeper.h"

#include <sys/syscall.h>

/* How long processes that were told to end have for it. */
#define NTD_KEEPER_PATIENCE (1 * NTD_SECOND)

static inline int ntd_pidfd(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

/* ---- guard.c */

/* Becomes the guard of the process that is ordered, for a child that `keeper` has just forked. */
__attribute__((noreturn)) void ntd_guard_run(int socket, const struct ntd_keeper_order *order,
					     const int *fds, pid_t keeper);
/* Tells the driver. `value` and `pid` are as the event says; a guard reports the start. */
void ntd_guard_report(int socket, uint32_t id, enum ntd_keeper_event event, int value, pid_t pid);

/* ---- descendants.c */

/* Blocks all signals, and returns a descriptor that tells of SIGCHLD, SIGTERM and SIGHUP; -1 with
 * errno. */
int ntd_descendants_signals(void);
/* The next of these signals, or 0 when the deadline has passed. */
uint32_t ntd_descendants_await(int signals, int64_t deadline);
/* Whether `signal`, which ntd_descendants_await() returned, leaves nothing to do but to kill. */
bool ntd_descendants_is_the_end(uint32_t signal, uint32_t grace);
/* Sends `signal` to the children, and to the processes that become children when these end, until
 * there are none or time is up. */
void ntd_descendants_end(int signal, int signals, int64_t deadline, uint32_t grace);
/* Kills everything below, and returns when nothing is left. */
void ntd_descendants_kill(void);
