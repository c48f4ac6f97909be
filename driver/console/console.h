/* A machine's serial console: the output of the QEMU process, and its input.
 *
 * The raw bytes go to a file, in the background. Each line is logged, kept for get_console_log(),
 * and handed once to whoever waits for console text.
 */
#pragma once

#include "base/buf.h"
#include "loop/request.h"
#include "report/report.h"

struct ntd_console;

struct ntd_console *ntd_console_new(struct ntd_loop *loop, struct ntd_report *report,
				    const char *machine);
void ntd_console_set_report(struct ntd_console *console, struct ntd_report *report); /* loop */
void ntd_console_free(struct ntd_console *console); /* closed before */

/* Loop: a new start of the machine. Takes the descriptors: the pipe from the process, the pipe to
 * it, and the file for the raw bytes. What earlier starts printed is forgotten. `panicked` runs
 * when a line tells of a kernel panic. */
int ntd_console_open(struct ntd_console *console, int output_fd, int input_fd, int raw_fd,
		     void (*panicked)(void *owner), void *owner, struct ntd_error **err);
/* Loop: reads what is there: the process has ended. */
void ntd_console_drain(struct ntd_console *console);
/* Loop: the same, and closes. Waits fail with a copy of `why` when they run out of lines. */
void ntd_console_close(struct ntd_console *console, const struct ntd_error *why);
/* Loop: waits that have run out of lines fail with a copy of `why`. */
void ntd_console_fail_pending(struct ntd_console *console, const struct ntd_error *why);
/* Loop: a new string with the last `lines` lines, one that has just begun included, each indented
 * by four spaces; "" when there are none. */
char *ntd_console_tail(const struct ntd_console *console, int lines);
/* The same from any other thread. */
char *ntd_console_tail_now(struct ntd_console *console, int lines);
/* Any other thread: appends the last `lines` lines, each with its newline, and what has come of the
 * next: a prompt, maybe. */
void ntd_console_copy_tail(struct ntd_console *console, int lines, struct ntd_buf *tail);
/* Loop: when something was last read, at this start or an earlier one; 0: never. */
int64_t ntd_console_heard(const struct ntd_console *console);
/* Loop: the guest's last kernel panic line, or NULL. */
const char *ntd_console_panic(const struct ntd_console *console);

/* What one who waits for console text is given, and what of it he has seen. */
struct ntd_console_news {
	struct ntd_buf lines; /* taken: nobody else gets them */
	/* only shown: a line that has begun, when there are no whole ones */
	struct ntd_buf partial;
	unsigned line; /* the partial line's number */
	size_t seen;   /* how much of it has been shown */
};

/* Waits until there are lines that nobody has taken yet, and takes them, each with its newline: at
 * least one, and no more than `limit` bytes unless the first is longer. Without any, a line that
 * has begun is shown once nothing has followed for a tenth of a second: it may be a prompt. */
int ntd_console_take(struct ntd_console *console, struct ntd_console_news *news, size_t limit,
		     int64_t deadline, struct ntd_waiter *waiter, struct ntd_error **err);
/* How many lines there are that nobody has taken yet. */
size_t ntd_console_unread(struct ntd_console *console);
/* Gives back the last `count` bytes that were taken, for the next one who takes. */
void ntd_console_give_back(struct ntd_console *console, size_t count);
/* Takes what was shown of a partial line: the next one who takes gets the rest of it. */
void ntd_console_take_partial(struct ntd_console *console, const struct ntd_console_news *news);
/* A copy of all lines since the start, joined by newlines; the last may have just begun. */
void ntd_console_copy_log(struct ntd_console *console, struct ntd_buf *log);
/* Queues bytes for the guest's serial port. */
int ntd_console_write(struct ntd_console *console, const char *bytes, size_t len,
		      struct ntd_error **err);
