/* Steps of some kinds are counted. The time of a counted step is its own, without the time of the
 * counted steps in it: a wait that begins with a boot counts as boot and as wait, and no second
 * counts twice. A step is in another one when the same thread has begun both. The report calls the
 * sink on one thread at a time, but another thread may ask for the sums: hence the mutex.
 */
#include "report/times.h"

#include "base/vec.h"

#include <pthread.h>

enum total { BOOT, WAITING, TOTAL_COUNT, UNCOUNTED = TOTAL_COUNT };

/* What the time of a kind of step counts as. */
static const enum total totals[] = {
	[NTD_STEP_NONE] = UNCOUNTED,     [NTD_STEP_RUN] = UNCOUNTED,
	[NTD_STEP_TEST] = UNCOUNTED,     [NTD_STEP_SCRIPT] = UNCOUNTED,
	[NTD_STEP_START] = UNCOUNTED,    [NTD_STEP_BOOT] = BOOT,
	[NTD_STEP_COMMAND] = UNCOUNTED,  [NTD_STEP_CHECK] = UNCOUNTED,
	[NTD_STEP_WAIT] = WAITING,       [NTD_STEP_FILE] = UNCOUNTED,
	[NTD_STEP_SCREEN] = UNCOUNTED,   [NTD_STEP_KEYS] = UNCOUNTED,
	[NTD_STEP_SNAPSHOT] = UNCOUNTED, [NTD_STEP_STOP] = WAITING,
	[NTD_STEP_CLEANUP] = UNCOUNTED,
};
static_assert(sizeof totals / sizeof *totals == NTD_STEP_COUNT, "every kind of step is judged");

/* A counted step that has begun and not ended. */
struct open_step {
	uint64_t id;
	unsigned thread;
	double inner; /* seconds of the ended steps in it */
};

struct times {
	struct ntd_sink sink;
	ntd_vec(struct open_step) open; /* in the order of their beginnings */
	pthread_mutex_t mutex;          /* guards the sums */
	double seconds[TOTAL_COUNT];
};

static void begin_step(struct times *times, const struct ntd_event *event)
{
	ntd_vec_push(&times->open, (struct open_step){.id = event->id, .thread = event->thread});
}

/* The innermost open step that contains the one at `index`; NULL: none. */
static struct open_step *around(struct times *times, size_t index)
{
	unsigned thread = times->open.items[index].thread;

	while (index--)
		if (times->open.items[index].thread == thread)
			return &times->open.items[index];
	return NULL;
}

static void end_step(struct times *times, const struct ntd_event *event)
{
	size_t i = times->open.count;
	struct open_step *outer;

	while (i && times->open.items[i - 1].id != event->id)
		i--;
	if (!i--) /* the step began before the sink was added */
		return;
	outer = around(times, i);
	if (outer)
		outer->inner += event->seconds;
	pthread_mutex_lock(&times->mutex);
	times->seconds[totals[event->step]] += event->seconds - times->open.items[i].inner;
	pthread_mutex_unlock(&times->mutex);
	ntd_vec_remove(&times->open, i);
}

static void times_event(struct ntd_sink *sink, const struct ntd_event *event)
{
	struct times *times = ntd_container_of(sink, struct times, sink);

	if (totals[event->step] == UNCOUNTED)
		return;
	if (ntd_event_begins_step(event->kind))
		begin_step(times, event);
	else if (ntd_event_ends_step(event->kind))
		end_step(times, event);
}

static void times_close(struct ntd_sink *sink)
{
	struct times *times = ntd_container_of(sink, struct times, sink);

	pthread_mutex_destroy(&times->mutex);
	ntd_vec_free(&times->open);
	free(times);
}

struct ntd_sink *ntd_times_sink(void)
{
	struct times *times = ntd_calloc(1, sizeof *times);

	times->sink = (struct ntd_sink){.event = times_event, .close = times_close};
	pthread_mutex_init(&times->mutex, NULL);
	return &times->sink;
}

void ntd_times(struct ntd_sink *sink, double *boot, double *waiting)
{
	struct times *times = ntd_container_of(sink, struct times, sink);

	pthread_mutex_lock(&times->mutex);
	*boot = times->seconds[BOOT];
	*waiting = times->seconds[WAITING];
	pthread_mutex_unlock(&times->mutex);
}
