/* The event loop: one thread, one epoll, all descriptors of the driver.
 *
 * Sources, timers and everything reached from their callbacks belong to the loop thread. Other
 * threads come in through ntd_loop_post() and ntd_loop_call() only; loop/request.h builds waits on
 * top of them. Callbacks must not block: the loop never stops reading what a guest sends. In a
 * process that the script has forked (base/forked.h) there is no loop: tasks are not run, and
 * requests fail.
 */
#pragma once

#include "base/clock.h"
#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

struct ntd_loop;

/* A descriptor that the loop watches. The structure that embeds the source fills in `fd` and
 * `ready`, adds the source, and still owns the descriptor. `ready` gets the EPOLL* bits; it may
 * remove or free its own source, or any other. */
struct ntd_source {
	int fd;
	void (*ready)(struct ntd_source *source, uint32_t events);
	struct ntd_loop *loop; /* NULL: not watched */
	uint32_t slot;
};

/* A point in time. `expired` runs once, when the time has come; it may set the timer again. */
struct ntd_timer {
	void (*expired)(struct ntd_timer *timer);
	int64_t at;            /* as deadlines are (base/clock.h) */
	struct ntd_loop *loop; /* NULL: not set */
	size_t index;
};

/* A piece of work for the loop thread. The task may be freed by `run`. */
struct ntd_task {
	void (*run)(struct ntd_task *task);
	struct ntd_task *next;
};

/* Makes the loop and starts its thread. NULL with NTD_E_SYS. */
struct ntd_loop *ntd_loop_new(struct ntd_error **err);
/* Ends the thread and frees the loop; NULL is allowed. Sources and timers must have been removed;
 * tasks that are still queued do run. Not on the loop thread. */
void ntd_loop_free(struct ntd_loop *loop);
/* Whether the calling thread is the loop thread. */
bool ntd_loop_is_current(const struct ntd_loop *loop);

/* Any thread: hands a task to the loop thread; tasks run in the order of their posting. */
void ntd_loop_post(struct ntd_loop *loop, struct ntd_task *task);
/* Any thread: runs fn(arg) on the loop thread and returns when it has returned. */
void ntd_loop_call(struct ntd_loop *loop, void (*fn)(void *arg), void *arg);

/* Loop thread only, from here on. */

/* Watches the source for `events` (EPOLLIN and the like; 0: for errors only). Returns 0, or -1 with
 * NTD_E_SYS. */
int ntd_source_add(struct ntd_loop *loop, struct ntd_source *source, uint32_t events,
		   struct ntd_error **err);
/* Watches it for other events from now on; nothing happens to a source that is not watched. */
void ntd_source_modify(struct ntd_source *source, uint32_t events);
/* Ends the watching, before the descriptor is closed; nothing happens when there is none. */
void ntd_source_remove(struct ntd_source *source);
/* Sets the timer, or sets it anew; NTD_FOREVER: never. */
void ntd_timer_set(struct ntd_loop *loop, struct ntd_timer *timer, int64_t at);
/* Nothing happens to a timer that is not set. */
void ntd_timer_cancel(struct ntd_timer *timer);
