/* The loop thread runs everything here, except where other threads come in: the functions on tasks,
 * and those that make and free the loop.
 *
 * Theory of operation
 *
 * Each watched descriptor has a slot; epoll carries the slot's number and its generation, not a
 * pointer. Removing a source frees the slot and moves its generation on, so an event that epoll had
 * already returned for it in the same batch finds a stale generation and is dropped: callbacks may
 * remove and free any source at any time.
 *
 * Timers are a binary heap ordered by time; each knows its index, so cancelling is logarithmic. The
 * heap's top is the time-out of epoll_pwait2(), with nanoseconds.
 *
 * Other threads append tasks to a list under a mutex and write to an eventfd when the list was
 * empty.
 */
#include "loop/loop.h"

#include "base/forked.h"
#include "base/thread.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>

struct slot {
	struct ntd_source *source; /* NULL: free */
	uint32_t generation;
};

struct ntd_loop {
	int epoll_fd;
	pthread_t thread;
	bool stop;
	struct slot *slots;
	uint32_t slot_count;
	struct ntd_timer **heap;
	size_t timer_count, timer_capacity;

	pthread_mutex_t mutex; /* guards the task list */
	struct ntd_task *first, **last;
	struct ntd_source wake;
};

enum { BATCH = 64 };

/* ---- sources */

static uint32_t free_slot(struct ntd_loop *loop)
{
	uint32_t i = 0;

	while (i < loop->slot_count && loop->slots[i].source)
		i++;
	if (i == loop->slot_count) {
		uint32_t count = loop->slot_count ? loop->slot_count * 2 : 32;

		loop->slots = ntd_realloc(loop->slots, count * sizeof *loop->slots);
		memset(loop->slots + loop->slot_count, 0,
		       (count - loop->slot_count) * sizeof *loop->slots);
		loop->slot_count = count;
	}
	return i;
}

static struct epoll_event event_for(const struct ntd_source *source, uint32_t events)
{
	uint64_t generation = source->loop->slots[source->slot].generation;

	return (struct epoll_event){.events = events, .data.u64 = generation << 32 | source->slot};
}

int ntd_source_add(struct ntd_loop *loop, struct ntd_source *source, uint32_t events,
		   struct ntd_error **err)
{
	struct epoll_event event;

	source->slot = free_slot(loop);
	source->loop = loop;
	event = event_for(source, events);
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, source->fd, &event) < 0) {
		source->loop = NULL;
		return ntd_error_sys(err, errno, "cannot watch descriptor %d", source->fd);
	}
	loop->slots[source->slot].source = source;
	ntd_forked_withhold(source->fd);
	return 0;
}

void ntd_source_modify(struct ntd_source *source, uint32_t events)
{
	struct epoll_event event;

	if (!source->loop)
		return;
	event = event_for(source, events);
	epoll_ctl(source->loop->epoll_fd, EPOLL_CTL_MOD, source->fd, &event);
}

void ntd_source_remove(struct ntd_source *source)
{
	struct ntd_loop *loop = source->loop;

	if (!loop)
		return;
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
	loop->slots[source->slot].source = NULL;
	loop->slots[source->slot].generation++;
	ntd_forked_release(source->fd);
	source->loop = NULL;
}

/* ---- timers */

static void heap_put(struct ntd_loop *loop, struct ntd_timer *timer, size_t index)
{
	loop->heap[index] = timer;
	timer->index = index;
}

static void heap_up(struct ntd_loop *loop, struct ntd_timer *timer, size_t index)
{
	while (index && loop->heap[(index - 1) / 2]->at > timer->at) {
		heap_put(loop, loop->heap[(index - 1) / 2], index);
		index = (index - 1) / 2;
	}
	heap_put(loop, timer, index);
}

static void heap_down(struct ntd_loop *loop, struct ntd_timer *timer, size_t index)
{
	for (;;) {
		size_t child = 2 * index + 1;

		if (child + 1 < loop->timer_count &&
		    loop->heap[child + 1]->at < loop->heap[child]->at)
			child++;
		if (child >= loop->timer_count || loop->heap[child]->at >= timer->at)
			break;
		heap_put(loop, loop->heap[child], index);
		index = child;
	}
	heap_put(loop, timer, index);
}

void ntd_timer_cancel(struct ntd_timer *timer)
{
	struct ntd_loop *loop = timer->loop;
	struct ntd_timer *last;

	if (!loop)
		return;
	timer->loop = NULL;
	last = loop->heap[--loop->timer_count];
	if (last == timer)
		return;
	if (timer->index && loop->heap[(timer->index - 1) / 2]->at > last->at)
		heap_up(loop, last, timer->index);
	else
		heap_down(loop, last, timer->index);
}

void ntd_timer_set(struct ntd_loop *loop, struct ntd_timer *timer, int64_t at)
{
	ntd_timer_cancel(timer);
	if (at == NTD_FOREVER)
		return;
	if (loop->timer_count == loop->timer_capacity) {
		loop->timer_capacity = loop->timer_capacity ? loop->timer_capacity * 2 : 16;
		loop->heap = ntd_realloc(loop->heap, loop->timer_capacity * sizeof *loop->heap);
	}
	timer->loop = loop;
	timer->at = at;
	heap_up(loop, timer, loop->timer_count++);
}

static void run_timers(struct ntd_loop *loop)
{
	int64_t now = ntd_now();

	while (loop->timer_count && loop->heap[0]->at <= now) {
		struct ntd_timer *timer = loop->heap[0];

		ntd_timer_cancel(timer);
		timer->expired(timer);
	}
}

/* ---- tasks from other threads */

void ntd_loop_post(struct ntd_loop *loop, struct ntd_task *task)
{
	bool was_empty;

	if (ntd_is_forked())
		return;
	task->next = NULL;
	pthread_mutex_lock(&loop->mutex);
	was_empty = !loop->first;
	*loop->last = task;
	loop->last = &task->next;
	pthread_mutex_unlock(&loop->mutex);
	if (was_empty)
		eventfd_write(loop->wake.fd, 1);
}

/* Runs the tasks that have been posted; returns whether there were any. */
static bool run_queued(struct ntd_loop *loop)
{
	struct ntd_task *task;
	bool any;

	pthread_mutex_lock(&loop->mutex);
	task = loop->first;
	any = task;
	loop->first = NULL;
	loop->last = &loop->first;
	pthread_mutex_unlock(&loop->mutex);
	while (task) {
		struct ntd_task *next = task->next;

		task->run(task);
		task = next;
	}
	return any;
}

static void run_tasks(struct ntd_source *wake, uint32_t events)
{
	eventfd_t count;

	eventfd_read(wake->fd, &count);
	run_queued(wake->loop);
}

struct call {
	struct ntd_task task;
	void (*fn)(void *arg);
	void *arg;
	pthread_mutex_t mutex;
	pthread_cond_t returned;
	bool done;
};

static void run_call(struct ntd_task *task)
{
	struct call *call = ntd_container_of(task, struct call, task);

	call->fn(call->arg);
	pthread_mutex_lock(&call->mutex);
	call->done = true;
	pthread_cond_signal(&call->returned);
	pthread_mutex_unlock(&call->mutex);
}

void ntd_loop_call(struct ntd_loop *loop, void (*fn)(void *arg), void *arg)
{
	struct call call = {.task.run = run_call, .fn = fn, .arg = arg};

	if (ntd_is_forked())
		return;
	if (ntd_loop_is_current(loop)) {
		fn(arg);
		return;
	}
	pthread_mutex_init(&call.mutex, NULL);
	pthread_cond_init(&call.returned, NULL);
	ntd_loop_post(loop, &call.task);
	pthread_mutex_lock(&call.mutex);
	while (!call.done)
		pthread_cond_wait(&call.returned, &call.mutex);
	pthread_mutex_unlock(&call.mutex);
	pthread_cond_destroy(&call.returned);
	pthread_mutex_destroy(&call.mutex);
}

/* ---- the thread */

static void dispatch(struct ntd_loop *loop, const struct epoll_event *event)
{
	uint32_t number = (uint32_t)event->data.u64;
	struct slot *slot = number < loop->slot_count ? &loop->slots[number] : NULL;

	if (slot && slot->source && slot->generation == (uint32_t)(event->data.u64 >> 32))
		slot->source->ready(slot->source, event->events);
}

static void *loop_main(void *arg)
{
	struct ntd_loop *loop = arg;
	struct epoll_event events[BATCH];

	while (!loop->stop) {
		struct timespec storage;
		int64_t next = loop->timer_count ? loop->heap[0]->at : NTD_FOREVER;
		int count = epoll_pwait2(loop->epoll_fd, events, BATCH,
					 ntd_remaining(next, &storage), NULL);

		for (int i = 0; i < count; i++)
			dispatch(loop, &events[i]);
		run_timers(loop);
	}
	while (run_queued(loop))
		; /* the last tasks may have posted others */
	return NULL;
}

static void dispose(struct ntd_loop *loop)
{
	ntd_close_fd(&loop->wake.fd);
	ntd_close_fd(&loop->epoll_fd);
	pthread_mutex_destroy(&loop->mutex);
	free(loop->slots);
	free(loop->heap);
	free(loop);
}

struct ntd_loop *ntd_loop_new(struct ntd_error **err)
{
	struct ntd_loop *loop = ntd_calloc(1, sizeof *loop);

	pthread_mutex_init(&loop->mutex, NULL);
	loop->last = &loop->first;
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	loop->wake = (struct ntd_source){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
					 .ready = run_tasks};
	if (loop->epoll_fd < 0 || loop->wake.fd < 0) {
		ntd_error_sys(err, errno, "cannot make the event loop");
		dispose(loop);
		return NULL;
	}
	if (ntd_source_add(loop, &loop->wake, EPOLLIN, err) < 0 ||
	    ntd_thread_start(&loop->thread, "loop", loop_main, loop, err) < 0) {
		dispose(loop);
		return NULL;
	}
	return loop;
}

static void stop(void *arg)
{
	((struct ntd_loop *)arg)->stop = true;
}

void ntd_loop_free(struct ntd_loop *loop)
{
	if (!loop)
		return;
	ntd_loop_call(loop, stop, loop);
	pthread_join(loop->thread, NULL);
	dispose(loop);
}

bool ntd_loop_is_current(const struct ntd_loop *loop)
{
	return pthread_equal(pthread_self(), loop->thread);
}
