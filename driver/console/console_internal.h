/* The inside of a console, for the files that make it up. All of it belongs to the loop thread. */
#pragma once

#include "base/list.h"
#include "console/console.h"

struct ntd_console {
	struct ntd_loop *loop;
	struct ntd_report *report;
	char *machine;
	struct ntd_source output, input; /* fd -1: closed */
	struct ntd_background_file *raw;
	struct ntd_buf partial, log, pending_input;
	size_t unread;       /* offset in the log */
	size_t partial_used; /* bytes of the partial line that a wait has used up */
	int64_t partial_at;  /* when the last of the partial line came */
	unsigned line;       /* number of the partial line */
	struct ntd_timer quiet;
	char *panic;
	void (*panicked)(void *owner);
	void *owner;
	struct ntd_list waits; /* of console_wait.c */
};

/* The partial line from its byte `from` on, as text. */
void ntd_console_append_partial(const struct ntd_console *console, size_t from,
				struct ntd_buf *out);
/* Gives those who wait what there is for them. */
void ntd_console_serve(struct ntd_console *console);
/* The timer `quiet` has expired. */
void ntd_console_quiet(struct ntd_timer *timer);
