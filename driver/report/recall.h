/* A sink that keeps the last events in memory, so that the report of a test can repeat what was
 * logged while it ran.
 */
#pragma once

#include "base/buf.h"
#include "report/report.h"

/* Keeps the last `limit` bytes of text. */
struct ntd_sink *ntd_recall_sink(size_t limit);
/* Where the next event will be. */
size_t ntd_recall_position(struct ntd_sink *sink);
/* Appends what came from `from` on and is still kept, a line an event: the lines of that machine's
 * console, or, when `console` is NULL, the messages and steps. */
void ntd_recall(struct ntd_sink *sink, size_t from, const char *console, struct ntd_buf *out);
