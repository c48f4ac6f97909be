/* Requests: how a script's thread asks the loop thread for something and waits for it.
 *
 * A request is embedded in the structure that carries its arguments and results, on the waiting
 * thread's stack or heap. `begin` runs on the loop thread and leaves the request with the part of
 * the driver that will call ntd_request_complete() on it. When the waiter gives up (deadline,
 * interruption), `abandon` runs on the loop thread and must make sure that no part of the driver
 * completes or touches the request any more. So when ntd_request_wait() returns, the request
 * belongs to the caller alone again, whatever happened.
 */
#pragma once

#include "loop/loop.h"

#include <signal.h>

struct ntd_waiter;

/* Something that a thread does while it waits, whenever `fd` is readable: `run` is called on that
 * thread, and makes `fd` unreadable; true means: stop waiting. */
struct ntd_errand {
	int fd;
	bool (*run)(struct ntd_errand *errand, struct ntd_waiter *waiter);
};

/* The waiting thread's side. `interrupted` is called on that thread when a signal has ended its
 * sleep; true means: stop waiting. `signals` is the mask to sleep with; the caller has the signals
 * blocked otherwise, so that no signal can slip between a check and the sleep. NULL for threads
 * without signals. Every wait of the thread times out at `deadline`, and is cancelled when
 * `cancel_fd` becomes readable. */
struct ntd_waiter {
	bool (*interrupted)(struct ntd_waiter *waiter); /* NULL: never */
	const sigset_t *signals;
	int64_t deadline; /* 0: none */
	int cancel_fd;    /* 0: none */
	/* Checks something while the thread waits, such as conditions that must keep holding. It is
	 * called on that thread when `look_at` has come, which it sets anew; true means: stop
	 * waiting. Only in ntd_wait_until() and in requests that allow it. NULL: nothing. */
	bool (*look)(struct ntd_waiter *waiter);
	int64_t look_at;
	struct ntd_errand *errand; /* NULL: none */
	/* For embed/. NULL: the thread is not a script's, and has nothing to do with Python. */
	void *owner;
};

struct ntd_request {
	void (*begin)(struct ntd_request *request);
	void (*abandon)(struct ntd_request *request);
	struct ntd_loop *loop;
	struct ntd_task task;
	struct ntd_error *error; /* set by completion; NULL: success */
	int done_fd;             /* eventfd; readable when complete */
	bool done;               /* loop thread only */
	bool looks;              /* the waiter's `look` may be called meanwhile */
};

/* Hands the request to the loop. Every begun request must be waited for. */
void ntd_request_begin(struct ntd_loop *loop, struct ntd_request *request);
/* Waits for the completion until `deadline`. `waiter` may be NULL. Returns 0, or -1 with the
 * request's error, NTD_E_TIMEOUT ("timed out") or NTD_E_CANCELLED ("interrupted"). */
int ntd_request_wait(struct ntd_request *request, int64_t deadline, struct ntd_waiter *waiter,
		     struct ntd_error **err);
/* Begins the request and waits for it. */
int ntd_request_run(struct ntd_loop *loop, struct ntd_request *request, int64_t deadline,
		    struct ntd_waiter *waiter, struct ntd_error **err);

/* Loop thread: ends the request; takes `error` (NULL: success). The waiter may free the request at
 * once. Nothing happens to a request that has been completed. */
void ntd_request_complete(struct ntd_request *request, struct ntd_error *error);

/* Sleeps until `deadline` on the calling thread; -1 with NTD_E_CANCELLED when interrupted. */
int ntd_wait_until(int64_t deadline, struct ntd_waiter *waiter, struct ntd_error **err);
