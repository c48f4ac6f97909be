/* Every event as one JSON object a line, for programs. The schema events.schema.json, which is in
 * this folder and is installed, describes the lines; the tests validate whole runs against it.
 *
 * The first line says the format of the file and its version. A change that a reader of the present
 * version would misunderstand raises the version; new kinds and new keys do not.
 *
 *   monotonic   seconds on CLOCK_MONOTONIC, nine decimals
 *   wall        the same moment in UTC, ISO 8601 with microseconds and Z
 *   kind        format, message, nest-begin, nest-end, subtest-begin, subtest-end, serial,
 *               test-error, run-end, state, command-end or output
 *
 * The first line, of the kind format, also has these keys:
 *
 *   format      nixos-test-driver-events
 *   version     1
 *
 * The other lines have these:
 *
 *   id          a number that counts the events; the end of a step has that of its beginning
 *   parent      the id of the step that contains the event; null: none
 *   thread      the number of the thread that emitted the event
 *   step        of a step's beginning and end: run, test, script, start, boot, command, check,
 *               wait, file, screen, keys, stop or cleanup; see enum ntd_step
 *   level       of a message: debug, info, warning, error or always
 *   machine     a name, or null: the event is about the whole run
 *   text        the message, step, bare title of a subtest or console line, without NULs; of
 *               run-end "exit status N"; of state the machine's new state; of command-end the
 *               first 200 bytes of the command; of output a piece of a command's output
 *   seconds     of nest-end, subtest-end, run-end and command-end: how long it took
 *   failed      of nest-end, subtest-end and run-end: whether an exception ended the step, or the
 *               exit status is not 0
 *   from, to    of state: down, starting, up, connected, stopping or dead
 *   status      of command-end: the exit status of the command; null: unknown
 *   bytes       of command-end: the length of the command's output
 *   attributes  an object of strings, only when there are some
 *
 * Each write() is of whole lines. A signal that kills the driver within a write() may leave the
 * beginning of a line; the keeper cuts it off (loop/aftermath.h).
 */
#include "report/outfile.h"
#include "report/sinks.h"

#include "base/buf.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct events {
	struct ntd_sink sink;
	struct ntd_outfile file;
	struct ntd_buf pending;
};

#define FORMAT "nixos-test-driver-events"
enum { VERSION = 1 };

enum { WRITE_SIZE = 64 << 10 };

/* Adds a value under a key that is a constant, which spares a copy of the key. */
static void add(cJSON *object, const char *key, cJSON *value)
{
	if (!cJSON_AddItemToObjectCS(object, key, value))
		abort(); /* out of memory */
}

/* Adds a whole number. cJSON's own numbers take longer to print, and there are three a line. */
static void add_count(cJSON *object, const char *key, uint64_t number)
{
	char text[24];

	snprintf(text, sizeof text, "%" PRIu64, number);
	add(object, key, cJSON_CreateRaw(text));
}

static cJSON *text_of(const char *bytes, size_t len)
{
	_cleanup_free_ char *text = ntd_outfile_text(bytes, len, NTD_CONTROLS_ALL);

	return cJSON_CreateString(text);
}

/* The clock is written as text, since a double cannot hold nanoseconds after some months of
 * uptime. */
static void add_times(cJSON *object, const struct ntd_event *event)
{
	time_t second = (time_t)(event->wall / NTD_SECOND);
	char text[64];
	struct tm utc;
	size_t len;

	snprintf(text, sizeof text, "%" PRId64 ".%09" PRId64, event->monotonic / NTD_SECOND,
		 event->monotonic % NTD_SECOND);
	add(object, "monotonic", cJSON_CreateRaw(text));
	gmtime_r(&second, &utc);
	len = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
	snprintf(text + len, sizeof text - len, ".%06" PRId64 "Z", event->wall % NTD_SECOND / 1000);
	add(object, "wall", cJSON_CreateString(text));
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
		cJSON_AddItemToObject(values, name,
				      text_of(attributes[i + 1], strlen(attributes[i + 1])));
	}
}

static void add_place(cJSON *object, const struct ntd_event *event)
{
	add_count(object, "id", event->id);
	if (event->parent)
		add_count(object, "parent", event->parent);
	else
		add(object, "parent", cJSON_CreateNull());
	add_count(object, "thread", event->thread);
	if (ntd_event_begins_step(event->kind) || ntd_event_ends_step(event->kind))
		add(object, "step", cJSON_CreateStringReference(ntd_step_name(event->step)));
}

/* The keys of some kinds of events only. */
static void add_results(cJSON *object, const struct ntd_event *event)
{
	bool ends = ntd_event_ends_step(event->kind) || event->kind == NTD_EVENT_RUN_END;

	if (ends || event->kind == NTD_EVENT_COMMAND_END)
		add(object, "seconds", cJSON_CreateNumber(event->seconds));
	if (ends)
		add(object, "failed", cJSON_CreateBool(event->failed));
	if (event->kind == NTD_EVENT_STATE) {
		add(object, "from", cJSON_CreateStringReference(event->from));
		add(object, "to", cJSON_CreateStringReference(event->to));
	}
	if (event->kind != NTD_EVENT_COMMAND_END)
		return;
	if (event->status >= 0)
		add_count(object, "status", (uint64_t)event->status);
	else
		add(object, "status", cJSON_CreateNull());
	add_count(object, "bytes", event->bytes);
}

static cJSON *event_object(const struct ntd_event *event)
{
	cJSON *object = cJSON_CreateObject();

	add_times(object, event);
	add(object, "kind", cJSON_CreateStringReference(ntd_event_kind_name(event->kind)));
	add_place(object, event);
	if (event->kind == NTD_EVENT_MESSAGE)
		add(object, "level", cJSON_CreateStringReference(ntd_level_name(event->level)));
	if (event->machine)
		add(object, "machine", text_of(event->machine, strlen(event->machine)));
	else
		add(object, "machine", cJSON_CreateNull());
	add(object, "text", text_of(event->text, event->text_len));
	add_results(object, event);
	add_attributes(object, event->attributes);
	return object;
}

static void events_flush(struct ntd_sink *sink)
{
	struct events *events = ntd_container_of(sink, struct events, sink);

	ntd_outfile_write(&events->file, ntd_buf_bytes(&events->pending), events->pending.len);
	ntd_buf_clear(&events->pending);
}

/* Frees the object. */
static void put_line(struct events *events, cJSON *object)
{
	_cleanup_free_ char *line = cJSON_PrintUnformatted(object);

	cJSON_Delete(object);
	if (!line)
		abort(); /* out of memory */
	ntd_buf_puts(&events->pending, line);
	ntd_buf_puts(&events->pending, "\n");
}

static void events_event(struct ntd_sink *sink, const struct ntd_event *event)
{
	struct events *events = ntd_container_of(sink, struct events, sink);

	put_line(events, event_object(event));
	if (events->pending.len >= WRITE_SIZE)
		events_flush(sink);
}

/* The first line. */
static cJSON *format_object(void)
{
	cJSON *object = cJSON_CreateObject();
	struct timespec wall;

	clock_gettime(CLOCK_REALTIME, &wall);
	add_times(object,
		  &(struct ntd_event){.monotonic = ntd_now(),
				      .wall = (int64_t)wall.tv_sec * NTD_SECOND + wall.tv_nsec});
	add(object, "kind", cJSON_CreateString("format"));
	add(object, "format", cJSON_CreateString(FORMAT));
	add_count(object, "version", VERSION);
	return object;
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
	events->sink = (struct ntd_sink){.timeline = true,
					 .event = events_event,
					 .flush = events_flush,
					 .close = events_close};
	put_line(events, format_object());
	events_flush(&events->sink);
	return &events->sink;
}
