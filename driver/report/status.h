/* What a run waits for, as one line for a terminal: which machine, for what, how long, and how long
 * at most. Pure data that is made from the events of a report; no clock, no terminal and no lock.
 */
#pragma once

#include "base/buf.h"
#include "base/vec.h"
#include "report/report.h"

/* What is under way shows up when it has lasted for so long. */
#define NTD_STATUS_PATIENCE (1 * NTD_SECOND)

struct ntd_status_item;

/* Memory of zeros is ready for the first event. */
struct ntd_status {
	ntd_vec(struct ntd_status_item) open; /* in the order of their beginnings */
};

/* Takes note of an event. True when the line tells of the event, which is a message about a copy
 * that the line shows: it needs no line of its own. */
bool ntd_status_event(struct ntd_status *status, const struct ntd_event *event);
/* The first moment at which something that is under way has lasted for NTD_STATUS_PATIENCE;
 * NTD_FOREVER: nothing is under way. */
int64_t ntd_status_due(const struct ntd_status *status);
/* Appends the line as it is at `now`, of `width` cells at most: printable, without a newline. Of
 * several waits each gets a part of the width, and those that find no room are counted. `console`:
 * a boot may be shown with the last line of its console. False when there is nothing to show. */
bool ntd_status_line(const struct ntd_status *status, int64_t now, size_t width, bool console,
		     struct ntd_buf *out);
void ntd_status_free(struct ntd_status *status);
