/* Events as JSON, and back. For files of this room only. Pure. */
#pragma once

#include "base/json.h"
#include "report/report.h"

#define NTD_EVENTS_FORMAT "nixos-test-driver-events"
enum { NTD_EVENTS_VERSION = 1 };

/* ---- event_json.c */

/* The object of an event, and of the first line of a file; new trees. */
cJSON *ntd_event_object(const struct ntd_event *event);
cJSON *ntd_event_format(void);

/* ---- event_parse.c: the way back, from files that nobody vouches for */

/* An event that was read. It owns what the event points to. */
struct ntd_parsed_event {
	struct ntd_event event;
	cJSON *tree;
	char **attributes;
};

/* Reads the first line of a file. NTD_E_USAGE when it is no format, or one of another version. */
int ntd_event_check_format(const char *line, size_t len, struct ntd_error **err);
/* Reads a line. False when it is no event of a known kind with the keys that the kind has; such
 * lines are to be skipped. The caller frees `parsed` in both cases. */
bool ntd_event_parse(struct ntd_parsed_event *parsed, const char *line, size_t len);
void ntd_parsed_event_free(struct ntd_parsed_event *parsed);
