/* A machine's serial console: the output of the QEMU process, and its input.
 *
 * The raw bytes go to a file, in the background. Each line is logged, kept for get_console_log(),
 * and handed to one of the waits for console text.
 *
 * A machine that is restored from a snapshot has not printed what came after the snapshot. A mark
 * remembers what a console had printed, and what of it was taken, so that it can be as it was.
 *
 * Functions marked "Loop" are called on the loop thread; all others on any other thread, where they
 * wait for the loop thread to do the work.
 */
#pragma once

#include "base/buf.h"
#include "loop/request.h"
#include "report/report.h"

struct ntd_console;
struct ntd_console_mark;

/* A closed console; `machine` is the name for events and messages. The loop and the report must
 * outlive it. */
struct ntd_console *ntd_console_new(struct ntd_loop *loop, struct ntd_report *report,
				    const char *machine);
/* Loop: lines are logged in another report from now on. */
void ntd_console_set_report(struct ntd_console *console, struct ntd_report *report);
/* Frees a console that is closed; NULL is allowed. */
void ntd_console_free(struct ntd_console *console);

/* Loop: the machine is started. Takes the descriptors of the pipe from the process, of the pipe to
 * the process and of the file for the raw bytes; after an error ntd_console_close() closes them.
 * Forgets what earlier starts printed. `panicked` is called on the loop thread for each line that
 * tells of a kernel panic. */
int ntd_console_open(struct ntd_console *console, int output_fd, int input_fd, int raw_fd,
		     void (*panicked)(void *owner), void *owner, struct ntd_error **err);
/* Loop: reads the rest of the pipe after the process has ended. */
void ntd_console_drain(struct ntd_console *console);
/* Loop: reads the rest and closes. Waits take the lines that are left, and fail with a copy of
 * `why` when there are no more. A closed console stays so. */
void ntd_console_close(struct ntd_console *console, const struct ntd_error *why);
/* Loop: waits that have run out of lines fail with a copy of `why`. */
void ntd_console_fail_pending(struct ntd_console *console, const struct ntd_error *why);
/* Loop: the last `lines` lines as a new string, the line that has begun included, each indented by
 * four spaces; "" when there are none. */
char *ntd_console_tail(const struct ntd_console *console, int lines);
/* Loop: the time on CLOCK_MONOTONIC at which bytes last came, at this start or an earlier one; 0:
 * never. */
int64_t ntd_console_heard(const struct ntd_console *console);
/* Loop: the text of the guest's last kernel panic line since the start, or NULL. It is valid until
 * the next line comes. */
const char *ntd_console_panic(const struct ntd_console *console);
/* Loop: the guest boots again: what it said of a panic is of an earlier boot. */
void ntd_console_forget_panic(struct ntd_console *console);

/* ntd_console_tail() for other threads. */
char *ntd_console_tail_now(struct ntd_console *console, int lines);
/* The last line with anything to read in it, as one of at most `most` bytes for people to read, a
 * new string; "" when the last lines are all blank. */
char *ntd_console_last_line_now(struct ntd_console *console, size_t most);
/* Appends the last `lines` lines to `tail`, each with its newline, and the text of the line that
 * has begun, which may be a prompt. */
void ntd_console_copy_tail(struct ntd_console *console, int lines, struct ntd_buf *tail);
/* Puts all lines since the start into `log`, joined by newlines; the last may have just begun. */
void ntd_console_copy_log(struct ntd_console *console, struct ntd_buf *log);

/* What ntd_console_take() gives a wait for text, and how much of the line that has begun the wait
 * has seen. Begin with zeros. */
struct ntd_console_news {
	struct ntd_buf lines;   /* lines are appended here; no other wait gets them */
	struct ntd_buf partial; /* the text of the line that has begun, shown to all waits */
	unsigned line;          /* the number of that line */
	size_t seen;            /* how many of its bytes have been shown */
	unsigned era;           /* how often the console has gone back, plus one; 0: not known */
};

/* Waits until there are lines that nobody has taken yet, and takes them, each with its newline: at
 * least one, and no more than `limit` bytes unless the first is longer. When there are none, the
 * line that has begun is shown once no byte has followed for a tenth of a second, for it may be a
 * prompt; it is shown again when it has grown. Fails with NTD_E_TIMEOUT, NTD_E_CANCELLED, the
 * reason given to ntd_console_close(), NTD_E_DEAD when the console is closed already, or the reason
 * given to ntd_console_go_back() when that was called since `news` was first used. */
int ntd_console_take(struct ntd_console *console, struct ntd_console_news *news, size_t limit,
		     int64_t deadline, struct ntd_waiter *waiter, struct ntd_error **err);
/* The number of lines that nobody has taken yet. */
size_t ntd_console_unread(struct ntd_console *console);
/* Gives the last `count` bytes that `news` got back, for the next ntd_console_take(). Nothing
 * happens when the console has gone back since then, here and below. */
void ntd_console_give_back(struct ntd_console *console, const struct ntd_console_news *news,
			   size_t count);
/* Takes the part of a line that `news` shows: the next ntd_console_take() gets the rest of it. */
void ntd_console_take_partial(struct ntd_console *console, const struct ntd_console_news *news);

/* Queues bytes for the guest's serial port. Fails with NTD_E_DEAD when the console is closed, and
 * with NTD_E_MACHINE when 16 MiB are queued that the guest has not read. */
int ntd_console_write(struct ntd_console *console, const char *bytes, size_t len,
		      struct ntd_error **err);

/* Loop, while QEMU prints nothing: reads the rest of the pipe and remembers what the console has
 * printed, how much of that was taken, the last panic, and what the readers have (expect.h). (Lines
 * that a wait is looking at are taken.) The line that has begun goes on, so ntd_console_drain(),
 * which ends it, is not for this moment. A mark is a copy, as large as what is remembered. */
struct ntd_console_mark *ntd_console_mark(struct ntd_console *console);
/* Loop, while QEMU prints nothing, after the machine's state has been restored: everything is as it
 * was at the mark, also when the machine was started anew since then. The mark can be used again.
 *
 * What came later, and what is in the pipe, is only in the raw file and in the log. Waits fail with
 * a copy of `why`: those of now, and those that have lines or text of before and ask for more. What
 * they have no longer moves a cursor. Readers that were made after the mark begin again with what
 * the console has. Input that the guest has not read is dropped; that of the moment of the mark
 * does not come back. */
void ntd_console_go_back(struct ntd_console *console, const struct ntd_console_mark *mark,
			 const struct ntd_error *why);
/* Any thread, also when the console has been freed; NULL is allowed. */
void ntd_console_mark_free(struct ntd_console_mark *mark);
/* A mark of another run's: the console has printed `text`, lines that are joined by newlines, of
 * which nobody has taken the last `unread`. Any thread. */
struct ntd_console_mark *ntd_console_mark_of(const char *text, size_t len, size_t unread);
