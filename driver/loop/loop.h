/* The event loop: one thread, one epoll, all descriptors of the driver.
 *
 * Sources, timers and everything reached from their callbacks belong to the loop thread. Other
 * threads come in through ntd_loop_post() and ntd_loop_call() only; loop/request.h builds waits on
 * top of them. Callbacks must not block: the loop never stops draining a guest. In a process that
 * the script has forked (base/forked.h) there is no loop: nothing is run, and requests fail.
 */
#pragma once

#include "base/clock.h"
#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

struct ntd_loop;

/* A descriptor that is watched. Embed it, fill in fd and ready, add it; the descriptor stays the
 * embedder's. `ready` gets the EPOLL* bits; it may remove or free its own source, or any other. */
struct ntd_source {
	int fd;
	void (*ready)(struct ntd_source *source, uint32_t events);
	struct ntd_loop *loop; /* NULL: not watched */
	uint32_t slot;
};

/* A point in time. `expired` runs once, when it has passed; it may set the timer again. */
struct ntd_timer {
	void (*expired)(struct ntd_timer *timer);
	int64_t at;
	struct ntd_loop *loop; /* NULL: not set */
	size_t index;
};

/* A piece of work for the loop thread. The task may be freed by `run`. */
struct ntd_task {
	void (*run)(struct ntd_task *task);
	struct ntd_task *next;
};

/* Makes the loop and starts its thread (all signals blocked in it). */
struct ntd_loop *ntd_loop_new(struct ntd_error **err);
/* Ends the thread and frees the loop. Sources and timers must be gone; tasks still queued do
 * run. */
void ntd_loop_free(struct ntd_loop *loop);
bool ntd_loop_is_current(const struct ntd_loop *loop);

/* Any thread: hands over a task; tasks run in the order of their posting. */
void ntd_loop_post(struct ntd_loop *loop, struct ntd_task *task);
/* Any thread: runs fn(arg) on the loop thread and returns when it has returned. */
void ntd_loop_call(struct ntd_loop *loop, void (*fn)(void *arg), void *arg);

/* Loop thread only, from here on. */
int ntd_source_add(struct ntd_loop *loop, struct ntd_source *source, uint32_t events,
		   struct ntd_error **err);
void ntd_source_modify(struct ntd_source *source, uint32_t events);
void ntd_source_remove(struct ntd_source *source); /* no-op when not watched */
void ntd_timer_set(struct ntd_loop *loop, struct ntd_timer *timer, int64_t at); /* replaces */
void ntd_timer_cancel(struct ntd_timer *timer); /* no-op when not set */
