/* Every event as one JSON object a line, for programs. Keys:
 *
 *   monotonic   seconds on CLOCK_MONOTONIC, nine decimals
 *   wall        the same moment in UTC, ISO 8601 with microseconds and Z
 *   kind        message, nest-begin, nest-end, subtest-begin, subtest-end, serial, test-error or
 *               run-end
 *   level       debug, info, warning, error or always; of messages only
 *   machine     a name, or null for the run as a whole
 *   text        the message, step, bare subtest title or console line, without NULs; "exit status
 * N" seconds     how long a step, or the run, took; of nest-end, subtest-end and run-end only
 *   failed      whether an exception passed, or the exit status is not 0; likewise
 *   attributes  an object of strings; only when there are some
 *
 * Each write() is of whole lines. Only one that a signal kills the driver in may end within a line;
 * the keeper cuts off such a beginning (loop/aftermath.h).
 */
#include "report/outfile.h"
#include "report/sinks.h"

#include "base/buf.h"

#include <assert.h>
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct events {
	struct ntd_sink sink;
	struct ntd_outfile file;
	struct ntd_buf pending;
};

enum { WRITE_SIZE = 64 << 10 };

static const char *const kinds[] = {
	[NTD_EVENT_MESSAGE] = "message",         [NTD_EVENT_NEST_BEGIN] = "nest-begin",
	[NTD_EVENT_NEST_END] = "nest-end",       [NTD_EVENT_SUBTEST_BEGIN] = "subtest-begin",
	[NTD_EVENT_SUBTEST_END] = "subtest-end", [NTD_EVENT_SERIAL] = "serial",
	[NTD_EVENT_TEST_ERROR] = "test-error",   [NTD_EVENT_RUN_END] = "run-end",
};
static_assert(sizeof kinds / sizeof *kinds == NTD_EVENT_KIND_COUNT, "every kind has a name");

static const char *const levels[] = {
	[NTD_LEVEL_DEBUG] = "debug", [NTD_LEVEL_INFO] = "info",     [NTD_LEVEL_WARNING] = "warning",
	[NTD_LEVEL_ERROR] = "error", [NTD_LEVEL_ALWAYS] = "always",
};
static_assert(sizeof levels / sizeof *levels == NTD_LEVEL_COUNT, "every level has a name");

static void add_text(cJSON *object, const char *key, const char *bytes, size_t len)
{
	_cleanup_free_ char *text = ntd_outfile_text(bytes, len, NTD_CONTROLS_ALL);

	cJSON_AddStringToObject(object, key, text);
}

/* As text, since a double cannot hold nanoseconds after some months of uptime. */
static void add_times(cJSON *object, const struct ntd_event *event)
{
	time_t second = (time_t)(event->wall / NTD_SECOND);
	char text[64];
	struct tm utc;
	size_t len;

	snprintf(text, sizeof text, "%" PRId64 ".%09" PRId64, event->monotonic / NTD_SECOND,
		 event->monotonic % NTD_SECOND);
	cJSON_AddRawToObject(object, "monotonic", text);
	gmtime_r(&second, &utc);
	len = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
	snprintf(text + len, sizeof text - len, ".%06" PRId64 "Z", event->wall % NTD_SECOND / 1000);
	cJSON_AddStringToObject(object, "wall", text);
}

static void add_attributes(cJSON *object, char **attributes)
{
	cJSON *values;

	if (!attributes || !attributes[0])
		return;
	values = cJSON_AddObjectToObject(object, "attributes");
	for (size_t i = 0; attributes[i] && attributes[i + 1]; i += 2) {
		_cleanup_free_ char *name =
			ntd_outfile_text(attributes[i], strlen(attributes[i]), NTD_CONTROLS_ALL);

		cJSON_DeleteItemFromObjectCaseSensitive(values, name);
		add_text(values, name, attributes[i + 1], strlen(attributes[i + 1]));
	}
}

static cJSON *event_object(const struct ntd_event *event)
{
	cJSON *object = cJSON_CreateObject();

	add_times(object, event);
	cJSON_AddStringToObject(object, "kind", kinds[event->kind]);
	if (event->kind == NTD_EVENT_MESSAGE)
		cJSON_AddStringToObject(object, "level", levels[event->level]);
	if (event->machine)
		add_text(object, "machine", event->machine, strlen(event->machine));
	else
		cJSON_AddNullToObject(object, "machine");
	add_text(object, "text", event->text, event->text_len);
	if (event->kind == NTD_EVENT_NEST_END || event->kind == NTD_EVENT_SUBTEST_END ||
	    event->kind == NTD_EVENT_RUN_END) {
		cJSON_AddNumberToObject(object, "seconds", event->seconds);
		cJSON_AddBoolToObject(object, "failed", event->failed);
	}
	add_attributes(object, event->attributes);
	return object;
}

static void events_flush(struct ntd_sink *sink)
{
	struct events *events = ntd_container_of(sink, struct events, sink);

	ntd_outfile_write(&events->file, ntd_buf_bytes(&events->pending), events->pending.len);
	ntd_buf_clear(&events->pending);
}

static void events_event(struct ntd_sink *sink, const struct ntd_event *event)
{
	struct events *events = ntd_container_of(sink, struct events, sink);
	cJSON *object = event_object(event);
	_cleanup_free_ char *line = cJSON_PrintUnformatted(object);

	cJSON_Delete(object);
	if (!line)
		abort(); /* out of memory */
	ntd_buf_puts(&events->pending, line);
	ntd_buf_puts(&events->pending, "\n");
	if (events->pending.len >= WRITE_SIZE)
		events_flush(sink);
}

static void events_close(struct ntd_sink *sink)
{
	struct events *events = ntd_container_of(sink, struct events, sink);
	struct ntd_error *error = NULL;

	events_flush(sink);
	ntd_outfile_close(&events->file, &error);
	ntd_outfile_complain(error);
	ntd_buf_free(&events->pending);
	free(events);
}

struct ntd_sink *ntd_events_sink(const char *path, struct ntd_error **err)
{
	struct events *events = ntd_calloc(1, sizeof *events);

	if (ntd_outfile_open(&events->file, path, err) < 0) {
		free(events);
		return NULL;
	}
	events->sink = (struct ntd_sink){
		.event = events_event, .flush = events_flush, .close = events_close};
	return &events->sink;
}
