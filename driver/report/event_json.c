/* An event as one JSON object, a line of the file that --events names. The schema
 * events.schema.json, which is in this folder and is installed, describes the lines; the tests
 * validate whole runs against it.
 *
 * The first line says the format of the file and its version. A change that a reader of the present
 * version would misunderstand raises the version; new kinds and new keys do not.
 *
 *   monotonic   seconds on CLOCK_MONOTONIC, nine decimals
 *   wall        the same moment in UTC, ISO 8601 with microseconds and Z
 *   kind        format, message, nest-begin, nest-end, subtest-begin, subtest-end, serial,
 *               test-error, run-end, state, command-end, output or detail
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
 *               wait, file, screen, keys, snapshot, stop or cleanup; see enum ntd_step
 *   level       of a message: debug, info, warning, error or always
 *   machine     a name, or null: the event is about the whole run
 *   text        the message, step, bare title of a subtest or console line, without NULs; of
 *               run-end "exit status N"; of state the machine's new state; of command-end the
 *               first 4000 bytes of the command; of output a piece of a command's output; of
 *               detail what the key `detail` says
 *   seconds     of nest-end, subtest-end, run-end and command-end: how long it took
 *   failed      of nest-end, subtest-end and run-end: whether an exception ended the step, or the
 *               exit status is not 0
 *   from, to    of state: down, starting, up, connected, stopping or dead
 *   status      of command-end: the exit status of the command; null: unknown
 *   bytes       of command-end: the length of the command's output
 *   source      the number of the file of the test's sources that the thread was in, and
 *   line        the line in it, from 1; both keys are missing when nothing is known
 *   detail      of detail: run, source, step-error, failure, picture, screen-text, network,
 *               observation or seed; see enum ntd_detail
 *   attributes  an object of strings, only when there are some
 *
 * Pure.
 */
#include "report/event_json.h"

#include "report/outfile.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

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

static void add_line(cJSON *object, const struct ntd_event *event)
{
	if (!event->source)
		return;
	add_count(object, "source", event->source);
	add_count(object, "line", event->line);
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

cJSON *ntd_event_object(const struct ntd_event *event)
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
	if (event->kind == NTD_EVENT_DETAIL)
		add(object, "detail", cJSON_CreateStringReference(ntd_detail_name(event->detail)));
	add_line(object, event);
	add_results(object, event);
	add_attributes(object, event->attributes);
	return object;
}

cJSON *ntd_event_format(void)
{
	cJSON *object = cJSON_CreateObject();
	struct timespec wall;

	clock_gettime(CLOCK_REALTIME, &wall);
	add_times(object,
		  &(struct ntd_event){.monotonic = ntd_now(),
				      .wall = (int64_t)wall.tv_sec * NTD_SECOND + wall.tv_nsec});
	add(object, "kind", cJSON_CreateString("format"));
	add(object, "format", cJSON_CreateString(NTD_EVENTS_FORMAT));
	add_count(object, "version", NTD_EVENTS_VERSION);
	return object;
}
