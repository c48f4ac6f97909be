/* The queue between the threads that emit events and the sinks.
 *
 * There are two locks. `queue_mutex` guards the queue, and is held for a few instructions only;
 * emitting an event takes no other lock. `sink_mutex` is held while sinks write: the thread that
 * holds it, which is the writer or one that settles, takes the whole queue and delivers it. A
 * thread that needs both takes sink_mutex first.
 *
 * A terminal that is stopped keeps the queue from being delivered, so the queue is bounded: beyond
 * `limit` bytes, console lines are counted instead of queued, and a message says how many there
 * were. The machine's raw console file has them all.
 */
#include "report/report.h"

#include "base/forked.h"
#include "base/thread.h"
#include "report/places.h"

#include <assert.h>
#include <stdatomic.h>
#include <string.h>

enum { DEFAULT_LIMIT = 256 << 20 };

#define FILE_PATIENCE (10 * NTD_SECOND)

/* An event in the queue; it owns what the event points to. The writer frees entries that other
 * threads have allocated, millions in a flood of console lines. glibc does that quickly for up to
 * 120 bytes; with entries of 160 bytes, a command beside a flood of 20 MB waited for 3 s. */
struct entry {
	struct ntd_event event;
	struct entry *next;
};
static_assert(sizeof(struct entry) <= 120, "entries are freed quickly");

struct ntd_report {
	pthread_mutex_t queue_mutex;
	pthread_cond_t queued, written;
	struct entry *first, **last;
	size_t queued_bytes, limit;
	size_t dropped;                       /* console lines, since the queue was last taken */
	uint64_t queued_count, written_count; /* of events, since the beginning */
	struct ntd_places places;
	bool closing, closed; /* the writer is to end; it has closed the sinks */
	int64_t wake;         /* when a sink wants to be flushed without an event */
	int64_t began;        /* of the run */

	pthread_mutex_t sink_mutex;
	_Atomic(struct ntd_sink *) sinks; /* added without the mutex, at the head */
	atomic_bool timeline;             /* a sink wants the events of the timeline */
	atomic_bool live;                 /* a sink wants BUSY and IDLE */
	pthread_t writer;
	struct ntd_background *background;
};

/* ---- entries */

static struct entry *entry_new(const struct ntd_event *event)
{
	struct entry *entry = ntd_calloc(1, sizeof *entry);
	struct timespec wall;
	char *text;

	entry->event = *event;
	text = ntd_malloc(event->text_len + 1);
	memcpy(text, event->text, event->text_len);
	text[event->text_len] = '\0';
	entry->event.text = text;
	if (event->machine)
		entry->event.machine = ntd_strdup(event->machine);
	entry->event.attributes = ntd_strv_copy(event->attributes);
	if (!event->monotonic) {
		clock_gettime(CLOCK_REALTIME, &wall);
		entry->event.monotonic = ntd_now();
		entry->event.wall = (int64_t)wall.tv_sec * NTD_SECOND + wall.tv_nsec;
	}
	return entry;
}

static void entry_free(struct entry *entry)
{
	free((char *)entry->event.machine);
	free((char *)entry->event.text);
	ntd_strv_free(entry->event.attributes);
	free(entry);
}

/* ---- the queue */

/* Returns the event's id; 0: it was dropped. */
static uint64_t append(struct ntd_report *report, struct entry *entry)
{
	size_t cost = sizeof *entry + entry->event.text_len;

	report->queued_count++;
	if (report->queued_bytes + cost > report->limit && entry->event.kind == NTD_EVENT_SERIAL) {
		report->dropped++;
		entry_free(entry);
		return 0;
	}
	ntd_places_assign(&report->places, &entry->event);
	report->queued_bytes += cost;
	*report->last = entry;
	report->last = &entry->next;
	return entry->event.id;
}

/* A queue that was taken. */
struct batch {
	struct entry *first;
	size_t dropped;
	struct ntd_event notice; /* the message about dropped lines; without its text */
	uint64_t count;          /* queued_count when the queue was taken */
};

static struct batch take_all(struct ntd_report *report)
{
	struct batch batch;

	pthread_mutex_lock(&report->queue_mutex);
	batch = (struct batch){
		.first = report->first, .dropped = report->dropped, .count = report->queued_count};
	if (batch.dropped) {
		batch.notice =
			(struct ntd_event){.kind = NTD_EVENT_MESSAGE, .level = NTD_LEVEL_WARNING};
		ntd_places_assign(&report->places, &batch.notice);
		batch.notice.parent = 0; /* the steps of this thread did not drop the lines */
	}
	report->first = NULL;
	report->last = &report->first;
	report->queued_bytes = 0;
	report->dropped = 0;
	pthread_mutex_unlock(&report->queue_mutex);
	return batch;
}

static bool is_of_timeline(enum ntd_event_kind kind)
{
	return kind == NTD_EVENT_STATE || kind == NTD_EVENT_COMMAND_END ||
	       kind == NTD_EVENT_OUTPUT || kind == NTD_EVENT_DETAIL;
}

static bool is_live(enum ntd_event_kind kind)
{
	return kind == NTD_EVENT_BUSY || kind == NTD_EVENT_IDLE;
}

/* Whether something that wants these kinds of events wants that event. */
static bool wants(bool timeline, bool live, const struct ntd_event *event)
{
	return (timeline || !is_of_timeline(event->kind)) && (live || !is_live(event->kind));
}

static void deliver(struct ntd_report *report, const struct ntd_event *event)
{
	for (struct ntd_sink *sink = report->sinks; sink; sink = sink->next)
		if (wants(sink->timeline, sink->live, event))
			sink->event(sink, event);
}

static void deliver_dropped(struct ntd_report *report, struct batch *batch)
{
	_cleanup_free_ char *text = ntd_asprintf(
		"%zu console lines are not shown here: this log was not read fast enough",
		batch->dropped);
	struct entry *notice;

	batch->notice.text = text;
	batch->notice.text_len = strlen(text);
	notice = entry_new(&batch->notice);
	deliver(report, &notice->event);
	entry_free(notice);
}

/* Flushes all sinks; returns the first time at which one wants it again. */
static int64_t flush_sinks(struct ntd_report *report)
{
	int64_t wake = NTD_FOREVER;

	for (struct ntd_sink *sink = report->sinks; sink; sink = sink->next) {
		if (sink->flush)
			sink->flush(sink);
		if (sink->wake)
			wake = ntd_earlier(wake, sink->wake);
	}
	return wake;
}

/* Delivers the queue. The caller holds sink_mutex. */
static void drain(struct ntd_report *report)
{
	struct batch batch = take_all(report);
	struct entry *entry = batch.first;
	int64_t wake;

	while (entry) {
		struct entry *next = entry->next;

		deliver(report, &entry->event);
		entry_free(entry);
		entry = next;
	}
	if (batch.dropped)
		deliver_dropped(report, &batch);
	wake = flush_sinks(report);
	pthread_mutex_lock(&report->queue_mutex);
	report->written_count = batch.count;
	pthread_cond_broadcast(&report->written);
	if (wake < report->wake) /* the writer may sleep for longer */
		pthread_cond_signal(&report->queued);
	report->wake = wake;
	pthread_mutex_unlock(&report->queue_mutex);
}

static void close_sinks(struct ntd_report *report)
{
	struct ntd_sink *sink = atomic_exchange(&report->sinks, NULL);

	while (sink) {
		struct ntd_sink *next = sink->next;

		sink->close(sink);
		sink = next;
	}
}

/* Waits until there is something to do for the writer. The caller holds queue_mutex. */
static void wait_for_work(struct ntd_report *report)
{
	while (!report->first && !report->closing && ntd_now() < report->wake) {
		struct timespec at = {.tv_sec = report->wake / NTD_SECOND,
				      .tv_nsec = report->wake % NTD_SECOND};

		if (report->wake == NTD_FOREVER)
			pthread_cond_wait(&report->queued, &report->queue_mutex);
		else
			pthread_cond_clockwait(&report->queued, &report->queue_mutex,
					       CLOCK_MONOTONIC, &at);
	}
}

static void *writer_main(void *arg)
{
	struct ntd_report *report = arg;
	bool closing;

	do {
		pthread_mutex_lock(&report->queue_mutex);
		wait_for_work(report);
		closing = report->closing;
		pthread_mutex_unlock(&report->queue_mutex);
		pthread_mutex_lock(&report->sink_mutex);
		drain(report);
		pthread_mutex_unlock(&report->sink_mutex);
	} while (!closing);
	pthread_mutex_lock(&report->sink_mutex);
	close_sinks(report);
	pthread_mutex_unlock(&report->sink_mutex);
	pthread_mutex_lock(&report->queue_mutex);
	report->closed = true;
	pthread_cond_broadcast(&report->written);
	pthread_mutex_unlock(&report->queue_mutex);
	return NULL;
}

/* ---- public */

struct ntd_report *ntd_report_new(struct ntd_error **err)
{
	struct ntd_report *report = ntd_calloc(1, sizeof *report);

	report->last = &report->first;
	report->limit = DEFAULT_LIMIT;
	report->began = ntd_now();
	report->wake = NTD_FOREVER;
	pthread_mutex_init(&report->queue_mutex, NULL);
	pthread_mutex_init(&report->sink_mutex, NULL);
	pthread_cond_init(&report->queued, NULL);
	pthread_cond_init(&report->written, NULL);
	if (ntd_thread_start(&report->writer, "report", writer_main, report, err) < 0) {
		free(report);
		return NULL;
	}
	report->background = ntd_background_new(DEFAULT_LIMIT);
	return report;
}

struct ntd_background *ntd_report_background(struct ntd_report *report)
{
	return report->background;
}

void ntd_report_add(struct ntd_report *report, struct ntd_sink *sink)
{
	if (sink->timeline)
		report->timeline = true;
	if (sink->live)
		report->live = true;
	sink->next = report->sinks;
	while (!atomic_compare_exchange_weak(&report->sinks, &sink->next, sink))
		;
}

bool ntd_report_has_timeline(struct ntd_report *report)
{
	return report->timeline;
}

void ntd_report_limit(struct ntd_report *report, size_t bytes)
{
	pthread_mutex_lock(&report->queue_mutex);
	report->limit = bytes;
	pthread_mutex_unlock(&report->queue_mutex);
}

/* Asks the writer to close the sinks. The caller holds queue_mutex. */
static void begin_end(struct ntd_report *report)
{
	report->closing = true;
	pthread_cond_signal(&report->queued);
}

bool ntd_report_end(struct ntd_report *report, int64_t deadline)
{
	struct timespec at = {.tv_sec = deadline / NTD_SECOND, .tv_nsec = deadline % NTD_SECOND};
	int late = 0;

	pthread_mutex_lock(&report->queue_mutex);
	begin_end(report);
	while (!report->closed && !late)
		late = pthread_cond_clockwait(&report->written, &report->queue_mutex,
					      CLOCK_MONOTONIC, &at);
	pthread_mutex_unlock(&report->queue_mutex);
	return ntd_background_flush(report->background, deadline) && !late;
}

void ntd_report_free(struct ntd_report *report)
{
	if (!report)
		return;
	pthread_mutex_lock(&report->queue_mutex);
	begin_end(report);
	pthread_mutex_unlock(&report->queue_mutex);
	pthread_join(report->writer, NULL);
	ntd_background_free(report->background, ntd_after(FILE_PATIENCE));
	pthread_cond_destroy(&report->queued);
	pthread_cond_destroy(&report->written);
	pthread_mutex_destroy(&report->queue_mutex);
	pthread_mutex_destroy(&report->sink_mutex);
	ntd_places_free(&report->places);
	free(report);
}

/* The calling thread delivers nothing itself, since a sink may be stuck. */
bool ntd_report_flush(struct ntd_report *report, int64_t deadline)
{
	struct timespec at = {.tv_sec = deadline / NTD_SECOND, .tv_nsec = deadline % NTD_SECOND};
	uint64_t wanted;
	int late = 0;

	if (ntd_is_forked())
		return true;
	pthread_mutex_lock(&report->queue_mutex);
	wanted = report->queued_count;
	pthread_cond_signal(&report->queued);
	while (report->written_count < wanted && !late)
		late = pthread_cond_clockwait(&report->written, &report->queue_mutex,
					      CLOCK_MONOTONIC, &at);
	pthread_mutex_unlock(&report->queue_mutex);
	return !late;
}

bool ntd_report_is_settled(struct ntd_report *report)
{
	bool settled;

	if (ntd_is_forked())
		return true;
	pthread_mutex_lock(&report->queue_mutex);
	settled = report->written_count == report->queued_count;
	pthread_mutex_unlock(&report->queue_mutex);
	return settled;
}

/* Delivering on this thread is quicker than waking the writer and waiting for it. */
void ntd_report_settle(struct ntd_report *report)
{
	if (ntd_is_forked()) /* a forked process has no writer and no background thread */
		return;
	if (!ntd_report_is_settled(report)) {
		pthread_mutex_lock(&report->sink_mutex);
		drain(report);
		pthread_mutex_unlock(&report->sink_mutex);
	}
	ntd_background_settle(report->background);
}

uint64_t ntd_report_emit(struct ntd_report *report, const struct ntd_event *event)
{
	struct entry *entry;
	uint64_t id;

	if (ntd_is_forked() || !wants(report->timeline, report->live, event))
		return 0;
	entry = entry_new(event);
	pthread_mutex_lock(&report->queue_mutex);
	id = append(report, entry);
	pthread_cond_signal(&report->queued);
	pthread_mutex_unlock(&report->queue_mutex);
	return id;
}

void ntd_report_run_end(struct ntd_report *report, int status)
{
	_cleanup_free_ char *text = ntd_asprintf("exit status %d", status);

	ntd_report_emit(report,
			&(struct ntd_event){.kind = NTD_EVENT_RUN_END,
					    .level = NTD_LEVEL_ALWAYS,
					    .text = text,
					    .text_len = strlen(text),
					    .seconds = ntd_seconds(ntd_now() - report->began),
					    .failed = status != 0});
}
