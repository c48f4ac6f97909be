/* Steps are known by their texts, which scripts and CI systems match on and which therefore stay. A
 * boot that a wait had to begin with counts as boot.
 */
#include "report/times.h"

#include <pthread.h>
#include <string.h>

#define BOOT "waiting for the VM to finish booting"
#define WAIT "waiting for "

struct times {
	struct ntd_sink sink;
	pthread_mutex_t mutex; /* guards the sums */
	double boot, waiting;
	double boot_in_wait; /* of the present wait */
	int depth;           /* waits that are open */
};

static bool begins(const struct ntd_event *event, const char *words)
{
	return !strncmp(event->text, words, strlen(words));
}

static void step_end(struct times *times, const struct ntd_event *event)
{
	if (begins(event, BOOT)) {
		times->boot += event->seconds;
		times->boot_in_wait += times->depth ? event->seconds : 0;
	} else if (begins(event, WAIT) && times->depth && !--times->depth) {
		times->waiting += event->seconds - times->boot_in_wait;
		times->boot_in_wait = 0;
	}
}

static void times_event(struct ntd_sink *sink, const struct ntd_event *event)
{
	struct times *times = ntd_container_of(sink, struct times, sink);

	if (event->kind != NTD_EVENT_NEST_BEGIN && event->kind != NTD_EVENT_NEST_END)
		return;
	pthread_mutex_lock(&times->mutex);
	if (event->kind == NTD_EVENT_NEST_END)
		step_end(times, event);
	else if (begins(event, WAIT) && !begins(event, BOOT))
		times->depth++;
	pthread_mutex_unlock(&times->mutex);
}

static void times_close(struct ntd_sink *sink)
{
	struct times *times = ntd_container_of(sink, struct times, sink);

	pthread_mutex_destroy(&times->mutex);
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
	*boot = times->boot;
	*waiting = times->waiting;
	pthread_mutex_unlock(&times->mutex);
}
