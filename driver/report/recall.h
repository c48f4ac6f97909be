/* A sink that keeps the last events in memory as text. The report of a failed test repeats what was
 * logged while the test ran.
 */
#pragma once

#include "base/buf.h"
#include "report/report.h"

/* What an event takes beside its text. */
enum { NTD_RECALL_OVERHEAD = 128 };

/* `limit`: how many bytes the sink keeps, each event with its overhead. */
struct ntd_sink *ntd_recall_sink(size_t limit);
/* Any thread: the place that the next event will have, for ntd_recall(). */
size_t ntd_recall_position(struct ntd_sink *sink);
/* Any thread: appends the events from the place `from` on that the sink still has, one a line: the
 * console lines of the machine with the name `console`, or (NULL) messages and steps. */
void ntd_recall(struct ntd_sink *sink, size_t from, const char *console, struct ntd_buf *out);
