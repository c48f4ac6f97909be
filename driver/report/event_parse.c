/* Lines of the file that --events has written, back to events. Such a file may have been changed by
 * anybody, so nothing in it is believed: a line that is not what event_json.c writes is no event.
 * The fuzz target of the report reads such lines. Pure.
 */
#include "report/event_json.h"

#include "base/text.h"

#include <string.h>

/* Longer ones are no names of machines. */
enum { NAME_MOST = 255 };

static const char *text_member(const cJSON *object, const char *key)
{
	const cJSON *member = ntd_json_member(object, key);

	return cJSON_IsString(member) ? member->valuestring : NULL;
}

/* A number from 0 to `most`; false when there is no such member. */
static bool number_member(const cJSON *object, const char *key, double most, double *value)
{
	const cJSON *member = ntd_json_member(object, key);

	if (!cJSON_IsNumber(member) || !(member->valuedouble >= 0) || member->valuedouble > most)
		return false;
	*value = member->valuedouble;
	return true;
}

static bool count_member(const cJSON *object, const char *key, uint64_t most, uint64_t *value)
{
	double number;

	if (!number_member(object, key, (double)most, &number))
		return false;
	*value = (uint64_t)number;
	return true;
}

/* The largest whole number that a double, which cJSON has, holds exactly. */
#define EXACT ((uint64_t)1 << 53)
/* As long as any uptime: 300 years. */
#define SECONDS_MOST 9e9

/* ---- parts of an event */

static bool parse_place(struct ntd_event *event, const cJSON *tree)
{
	uint64_t thread, source = 0, line = 0;

	if (!count_member(tree, "id", EXACT, &event->id) ||
	    !count_member(tree, "thread", UINT32_MAX, &thread))
		return false;
	if (!count_member(tree, "parent", EXACT, &event->parent))
		event->parent = 0;
	if (count_member(tree, "source", UINT16_MAX, &source) &&
	    count_member(tree, "line", UINT32_MAX, &line)) {
		event->source = (uint16_t)source;
		event->line = (uint32_t)line;
	}
	event->thread = (unsigned)thread;
	return true;
}

static bool parse_texts(struct ntd_event *event, const cJSON *tree)
{
	double monotonic;

	event->text = text_member(tree, "text");
	event->machine = text_member(tree, "machine");
	if (!event->text || (event->machine && strlen(event->machine) > NAME_MOST) ||
	    !number_member(tree, "monotonic", SECONDS_MOST, &monotonic))
		return false;
	event->text_len = strlen(event->text);
	event->monotonic = (int64_t)(monotonic * (double)NTD_SECOND);
	return true;
}

static bool parse_step(struct ntd_event *event, const cJSON *tree)
{
	const char *name = text_member(tree, "step");
	int step = name ? ntd_step_parse(name) : -1;

	if (!ntd_event_begins_step(event->kind) && !ntd_event_ends_step(event->kind))
		return true;
	event->step = step < 0 ? NTD_STEP_NONE : (enum ntd_step)step;
	return step >= 0;
}

static bool parse_end(struct ntd_event *event, const cJSON *tree)
{
	const cJSON *failed = ntd_json_member(tree, "failed");

	event->failed = cJSON_IsTrue(failed);
	return cJSON_IsBool(failed) &&
	       number_member(tree, "seconds", SECONDS_MOST, &event->seconds);
}

static bool parse_command_end(struct ntd_event *event, const cJSON *tree)
{
	uint64_t status, bytes;

	if (!number_member(tree, "seconds", SECONDS_MOST, &event->seconds) ||
	    !count_member(tree, "bytes", EXACT, &bytes))
		return false;
	event->bytes = bytes;
	event->status = count_member(tree, "status", INT32_MAX, &status) ? (int)status : -1;
	return true;
}

static bool parse_named(const cJSON *tree, const char *key, int (*parse)(const char *name),
			int *value)
{
	const char *name = text_member(tree, key);

	*value = name ? parse(name) : -1;
	return *value >= 0;
}

static bool parse_rest(struct ntd_event *event, const cJSON *tree)
{
	int value;

	switch (event->kind) {
	case NTD_EVENT_MESSAGE:
		if (!parse_named(tree, "level", ntd_event_level_parse, &value))
			return false;
		event->level = (enum ntd_level)value;
		return true;
	case NTD_EVENT_NEST_END:
	case NTD_EVENT_SUBTEST_END:
	case NTD_EVENT_RUN_END:
		return parse_end(event, tree);
	case NTD_EVENT_STATE:
		event->from = text_member(tree, "from");
		event->to = text_member(tree, "to");
		return event->machine && event->from && event->to;
	case NTD_EVENT_COMMAND_END:
		return parse_command_end(event, tree);
	case NTD_EVENT_DETAIL:
		if (!parse_named(tree, "detail", ntd_detail_parse, &value))
			return false;
		event->detail = (enum ntd_detail)value;
		return true;
	case NTD_EVENT_SERIAL:
		return event->machine != NULL;
	case NTD_EVENT_NEST_BEGIN:
	case NTD_EVENT_SUBTEST_BEGIN:
	case NTD_EVENT_TEST_ERROR:
	case NTD_EVENT_OUTPUT:
		return true;
	case NTD_EVENT_BUSY:
	case NTD_EVENT_IDLE:
	case NTD_EVENT_KIND_COUNT:
	default:
		return false;
	}
}

static char **attributes_of(const cJSON *tree)
{
	const cJSON *values = ntd_json_member(tree, "attributes"), *value;
	char **attributes = NULL;

	if (!cJSON_IsObject(values))
		return NULL;
	cJSON_ArrayForEach (value, values)
		if (cJSON_IsString(value)) {
			ntd_strv_add(&attributes, value->string);
			ntd_strv_add(&attributes, value->valuestring);
		}
	return attributes;
}

/* ---- lines */

/* Whether all of the bytes are UTF-8, which cJSON does not ask. */
static bool is_text(const char *bytes, size_t len)
{
	for (size_t i = 0, step; i < len; i += step) {
		step = (unsigned char)bytes[i] < 0x80 ? 1 : ntd_utf8_sequence(bytes + i, len - i);
		if (!step)
			return false;
	}
	return true;
}

/* The object of a line; NULL: it is none. */
static cJSON *parse_object(const char *line, size_t len)
{
	cJSON *tree = is_text(line, len) ? cJSON_ParseWithLength(line, len) : NULL;

	if (cJSON_IsObject(tree))
		return tree;
	cJSON_Delete(tree);
	return NULL;
}

int ntd_event_check_format(const char *line, size_t len, struct ntd_error **err)
{
	_cleanup_cjson_ cJSON *tree = parse_object(line, len);
	const char *format = text_member(tree, "format");
	const cJSON *version = ntd_json_member(tree, "version");

	if (!format || strcmp(format, NTD_EVENTS_FORMAT) != 0 || !cJSON_IsNumber(version))
		return ntd_error_set(err, NTD_E_USAGE,
				     "its first line does not say that --events has written it");
	if (version->valuedouble != NTD_EVENTS_VERSION)
		return ntd_error_set(err, NTD_E_USAGE,
				     "its format has the version %g, and this program reads %d",
				     version->valuedouble, NTD_EVENTS_VERSION);
	return 0;
}

bool ntd_event_parse(struct ntd_parsed_event *parsed, const char *line, size_t len)
{
	struct ntd_event *event = &parsed->event;
	int kind;

	*parsed = (struct ntd_parsed_event){.tree = parse_object(line, len)};
	if (!parsed->tree || !parse_named(parsed->tree, "kind", ntd_event_kind_parse, &kind))
		return false;
	event->kind = (enum ntd_event_kind)kind;
	parsed->attributes = event->attributes = attributes_of(parsed->tree);
	return parse_texts(event, parsed->tree) && parse_place(event, parsed->tree) &&
	       parse_step(event, parsed->tree) && parse_rest(event, parsed->tree);
}

void ntd_parsed_event_free(struct ntd_parsed_event *parsed)
{
	cJSON_Delete(ntd_steal(&parsed->tree));
	ntd_strv_free(ntd_steal(&parsed->attributes));
}
