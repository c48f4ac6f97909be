/* Readers of a console: each has the plain text of what the guest has printed (console/plain.h),
 * and a cursor in it. Readers do not take anything from each other, nor from ntd_console_take().
 *
 * A reader begins with what the console has when it is first read, so that nothing is lost that
 * came before. A reader keeps a bounded amount of text behind its cursor: when more comes, the
 * oldest goes, and the cursor with it. The loop thread feeds readers as bytes arrive; script
 * threads look for patterns, so no pattern can keep the loop busy.
 *
 * Functions marked "Loop" are called on the loop thread; all others on any other thread.
 */
#pragma once

#include "console/console.h"

struct ntd_expect;

/* Makes a reader of a console that lives longer. It keeps at most `limit` bytes of text. */
struct ntd_expect *ntd_expect_new(struct ntd_console *console, size_t limit);
/* Frees a reader that no thread reads; NULL is allowed. */
void ntd_expect_free(struct ntd_expect *expect);

/* A thread's copy of the text behind the cursor. Begin with zeros. */
struct ntd_expect_text {
	struct ntd_buf bytes; /* UTF-8 */
	uint64_t begin;       /* the number of the first byte, counted from the reader's first */
	bool known;           /* the copy has been made */
};

/* Brings the copy up to date. If it was so already, waits for more text. Fails with NTD_E_TIMEOUT,
 * NTD_E_CANCELLED, the reason given to ntd_console_close() when there is no more text, NTD_E_DEAD
 * when the machine has not been started, or the reason given to ntd_console_go_back() when that was
 * called since the copy was made. */
int ntd_expect_read(struct ntd_expect *expect, struct ntd_expect_text *text, int64_t deadline,
		    struct ntd_waiter *waiter, struct ntd_error **err);
/* Moves the cursor behind the first `count` bytes of the copy, and takes them from the copy. (The
 * cursor stays when the console has gone back since the copy was made.) */
void ntd_expect_advance(struct ntd_expect *expect, struct ntd_expect_text *text, size_t count);
/* Moves the cursor to the beginning of the line that the guest has begun. */
void ntd_expect_skip(struct ntd_expect *expect);

/* Loop: the reads that wait now, or else the next that would wait, fail with a copy of `why`;
 * ntd_expect_skip() forgets that. */
void ntd_expect_interrupt(struct ntd_expect *expect, const struct ntd_error *why);

/* Looks for a pattern in `len` bytes of text. Returns 1, with the end of what it found in *end, 0
 * when it found nothing, or -1 with an error. */
typedef int ntd_expect_match(void *arg, const char *text, size_t len, size_t *end,
			     struct ntd_waiter *waiter, struct ntd_error **err);

/* Waits until `match` finds something in the text behind the cursor, and moves the cursor behind
 * it. `match` is called on this thread, each time with all the text. At the deadline, NTD_E_TIMEOUT
 * with the end of that text, and how much of it was dropped. */
int ntd_expect_wait(struct ntd_expect *expect, ntd_expect_match *match, void *arg, int64_t deadline,
		    struct ntd_waiter *waiter, struct ntd_error **err);
