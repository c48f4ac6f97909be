/* The error that ends a run passes through the steps around it, and each of them ends as failed: so
 * the innermost of those that ended in a row is the one that failed. A thread that begins another
 * step, or ends one well, has caught the error. The report calls the sink on one thread at a time,
 * but another may ask: hence the mutex.
 */
#include "report/failed_step.h"

struct failed_sink {
	struct ntd_sink sink;
	struct ntd_failed_step *failed;
};

void ntd_failed_step_init(struct ntd_failed_step *failed)
{
	*failed = (struct ntd_failed_step){0};
	pthread_mutex_init(&failed->mutex, NULL);
}

void ntd_failed_step_free(struct ntd_failed_step *failed)
{
	for (size_t i = 0; i < failed->open.count; i++)
		free(failed->open.items[i].machine);
	ntd_vec_free(&failed->open);
	free(failed->machine);
	pthread_mutex_destroy(&failed->mutex);
}

static void forget(struct ntd_failed_step *failed)
{
	free(ntd_steal(&failed->machine));
	failed->around = 0;
}

static void open_step(struct ntd_failed_step *failed, const struct ntd_event *event)
{
	if (event->machine)
		ntd_vec_push(&failed->open,
			     (struct ntd_machine_step_open){.id = event->id,
							    .machine = ntd_strdup(event->machine)});
}

static void close_step(struct ntd_failed_step *failed, uint64_t id)
{
	for (size_t i = failed->open.count; i--;)
		if (failed->open.items[i].id == id) {
			free(failed->open.items[i].machine);
			ntd_vec_remove(&failed->open, i);
			return;
		}
}

/* `ends`: the event is the end of a step, else its beginning. */
static void take_note(struct ntd_failed_step *failed, const struct ntd_event *event, bool ends)
{
	if (ends && event->failed) {
		if (event->id != failed->around)
			forget(failed);
		if (!failed->machine && event->machine)
			failed->machine = ntd_strdup(event->machine);
		failed->thread = event->thread;
		failed->around = event->parent;
	} else if (event->thread == failed->thread) {
		forget(failed);
	}
}

static void failed_event(struct ntd_sink *sink, const struct ntd_event *event)
{
	struct ntd_failed_step *failed = ntd_container_of(sink, struct failed_sink, sink)->failed;
	bool ends = ntd_event_ends_step(event->kind);

	if (!ends && !ntd_event_begins_step(event->kind))
		return;
	pthread_mutex_lock(&failed->mutex);
	if (ends)
		close_step(failed, event->id);
	else
		open_step(failed, event);
	take_note(failed, event, ends);
	pthread_mutex_unlock(&failed->mutex);
}

static void failed_close(struct ntd_sink *sink)
{
	free(ntd_container_of(sink, struct failed_sink, sink));
}

struct ntd_sink *ntd_failed_step_sink(struct ntd_failed_step *failed)
{
	struct failed_sink *self = ntd_calloc(1, sizeof *self);

	self->sink = (struct ntd_sink){.event = failed_event, .close = failed_close};
	self->failed = failed;
	return &self->sink;
}

static char *copy_of(const char *machine)
{
	return machine ? ntd_strdup(machine) : NULL;
}

char *ntd_failed_step_machine(struct ntd_failed_step *failed)
{
	char *machine;

	pthread_mutex_lock(&failed->mutex);
	machine = copy_of(failed->machine);
	pthread_mutex_unlock(&failed->mutex);
	return machine;
}

char *ntd_open_step_machine(struct ntd_failed_step *failed)
{
	char *machine;
	size_t count;

	pthread_mutex_lock(&failed->mutex);
	count = failed->open.count;
	machine = copy_of(count ? failed->open.items[count - 1].machine : NULL);
	pthread_mutex_unlock(&failed->mutex);
	return machine;
}
