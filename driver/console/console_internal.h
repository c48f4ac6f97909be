/* The inside of a console, for the files that make it up. The loop thread alone uses the fields. */
#pragma once

#include "base/list.h"
#include "base/vec.h"
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
	unsigned reader_count;   /* that were ever made */
	unsigned era;            /* how often the console has gone back, plus one */
	struct ntd_error *back;  /* why it last did; NULL: never */
	bool abandoned;          /* what comes now is only for the log */
};

/* Reads what is in the pipe, but no more than a pipe holds. */
void ntd_console_read_rest(struct ntd_console *console);
/* Drops the input that QEMU has not read. */
void ntd_console_discard_input(struct ntd_console *console);

/* Completes the waits for which there are lines, or a line that has begun. */
void ntd_console_serve(struct ntd_console *console);
/* The timer `quiet` has expired. */
void ntd_console_quiet(struct ntd_timer *timer);

/* The waits fail with a copy of `why`, whatever there is for them. */
void ntd_console_fail_waits(struct ntd_console *console, const struct ntd_error *why);

/* ---- expect.c */
/* The readers get bytes of the guest. */
void ntd_expect_feed(struct ntd_console *console, const char *bytes, size_t len);
/* The machine is started again: readers forget what it printed. */
void ntd_expect_begin(struct ntd_console *console);
/* No more bytes come: what waits for them, and who reads all the text, gets a copy of `why`. */
void ntd_expect_end(struct ntd_console *console, const struct ntd_error *why);
/* The reads that wait fail with a copy of `why`. */
void ntd_expect_fail_waits(struct ntd_console *console, const struct ntd_error *why);

/* What a reader has at a mark. */
struct ntd_expect_mark {
	unsigned reader;
	bool reads;
	struct ntd_plain plain;
	struct ntd_buf text;
	uint64_t dropped;
};
struct ntd_expect_marks ntd_vec_members(struct ntd_expect_mark);

/* Appends what each reader has to `marks`. */
void ntd_expect_mark(const struct ntd_console *console, struct ntd_expect_marks *marks);
/* Makes readers as they were, or as new if they are not among the marks. */
void ntd_expect_go_back(struct ntd_console *console, const struct ntd_expect_marks *marks);
