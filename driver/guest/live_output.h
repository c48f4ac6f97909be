/* The output of a command while it runs. The loop thread gets it, in pieces, and wakes the script's
 * thread that waits for the command, which takes what has come and goes on waiting. The loop never
 * waits for the script: what the script does not take stays in memory.
 */
#pragma once

#include "machine/machine.h"

#include <pthread.h>

/* One use, for one command. The caller fills in the first three members. */
struct ntd_live_output {
	struct ntd_machine *machine;
	/* Called on the script's thread with the bytes that have come and have not been taken; with
	 * `last`, no more follow. Returns how many of them are taken; -1 with *err: the call that
	 * runs the command fails, and the command is ended. */
	int (*take)(void *owner, const char *bytes, size_t len, bool last,
		    struct ntd_waiter *waiter, struct ntd_error **err);
	void *owner;

	struct ntd_errand errand; /* of the script's thread; fd: an eventfd */
	pthread_mutex_t mutex;
	struct ntd_buf arrived; /* under the mutex */
	struct ntd_buf left;    /* what `take` has left */
};

/* Has the command that is run next, with this waiter, hand its output over. */
int ntd_live_output_begin(struct ntd_live_output *live, struct ntd_command *command,
			  struct ntd_waiter *waiter, struct ntd_error **err);
/* Hands over the rest, unless the thread was interrupted. `result` is that of the command, and *err
 * its error; returns the result of both. Follows every begin that returned 0. */
int ntd_live_output_end(struct ntd_live_output *live, int result, struct ntd_waiter *waiter,
			struct ntd_error **err);
