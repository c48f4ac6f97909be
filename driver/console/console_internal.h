/* The inside of a console, for the files that make it up. The loop thread alone uses the fields. */
#pragma once

#include "base/list.h"
#include "console/console.h"
#include "console/lines.h"
#include "console/plain.h"

struct ntd_console {
	struct ntd_loop *loop;
	struct ntd_report *report;
	char *machine;
	struct ntd_source output, input; /* fd -1: closed */
	struct ntd_background_file *raw;
	struct ntd_lines lines;
	struct ntd_buf pending_input; /* for the guest, not written yet */
	int64_t heard_at;             /* when the last bytes came; 0: never */
	struct ntd_timer quiet;       /* expires when a line that has begun may be shown */
	void (*panicked)(void *owner);
	void *owner;
	struct ntd_list waits;   /* of struct ntd_console_wait, the oldest first */
	struct ntd_list readers; /* of struct ntd_expect */
};

/* Completes the waits for which there are lines, or a line that has begun. */
void ntd_console_serve(struct ntd_console *console);
/* The timer `quiet` has expired. */
void ntd_console_quiet(struct ntd_timer *timer);

/* ---- expect.c */
/* The readers get bytes of the guest. */
void ntd_expect_feed(struct ntd_console *console, const char *bytes, size_t len);
/* The machine is started again: readers forget what it printed. */
void ntd_expect_begin(struct ntd_console *console);
/* No more bytes come: what waits for them, and who reads all the text, gets a copy of `why`. */
void ntd_expect_end(struct ntd_console *console, const struct ntd_error *why);
