/* Waits that a machine's channel makes by itself, in the guest, without a command for each look.
 * They are attempts of a wait (guest/retry.h), so that hooks, interruptions and time-outs are what
 * they are for commands. On script threads.
 */
#pragma once

#include "agent/condition.h"
#include "guest/retry.h"

/* What is waited for. A condition without a subject and a port is none. */
struct ntd_awaited {
	struct ntd_condition condition; /* `first` and `limit` are set by each attempt */
	/* The condition is not seen now and then, as while systemd executes itself again. Else a
	 * channel that does not see it is not asked again. */
	bool fickle;
	bool given_up; /* the channel is not asked any more */
	int64_t began; /* when the first attempt began */
	char *mark;    /* of ntd_machine_await_change(), which the caller frees; NULL: none yet */
};

/* Makes an attempt of `wait`, which lasts a second at most. Returns what the channel has seen, an
 * enum ntd_sight, or -1: the wait has to end. NTD_UNSEEN: the attempt is to be made by a command,
 * and so is the last attempt of all waits, whose error tells what the command saw. Sets the pace of
 * the wait: no pause follows when the channel has waited;
 * and `waited`. */
int ntd_machine_await(struct ntd_wait *wait, struct ntd_awaited *awaited, bool last,
		      struct ntd_finding *finding, struct ntd_waiter *waiter,
		      struct ntd_error **err);
/* The same for a thing that is to change, a terminal. The first attempt does not wait; others wait
 * for another text than that which the last one has found. */
int ntd_machine_await_change(struct ntd_wait *wait, struct ntd_awaited *awaited, bool last,
			     struct ntd_waiter *waiter, struct ntd_error **err);
/* The verdict, an enum ntd_verdict, on what an attempt without a command found. */
int ntd_await_verdict(enum ntd_sight sight);
