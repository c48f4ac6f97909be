/* What a guest has printed on its console since it was started: text lines, and the line that has
 * begun.
 *
 * This is pure data: no descriptors, no clock and no locks. In a console the loop thread alone uses
 * it. All bytes come from the guest, so they may be anything; as text they are valid UTF-8 without
 * carriage returns and without white space at the end (ntd_console_text()), but may hold NUL bytes.
 */
#pragma once

#include "base/buf.h"

#include <stdbool.h>

struct ntd_lines {
	/* The most bytes of lines that are kept; when there are more, the oldest half goes. */
	size_t limit;
	/* Is called with the text of each line that is complete, before the line can be taken.
	 * `panic`: the kernel says in this line that it has panicked. */
	void (*complete)(void *owner, const char *text, size_t len, bool panic);
	void *owner;

	struct ntd_buf log;     /* text lines, each with its newline */
	size_t unread;          /* offset in `log` of the first byte that has not been taken */
	struct ntd_buf partial; /* the bytes of the line that has begun, as the guest sent them */
	size_t partial_used;    /* how many bytes of `partial` a wait has used up */
	unsigned line;          /* number of the line that has begun; no two lines have the same */
	char *panic;            /* text of the last line with a kernel panic, or NULL */
};

/* Forgets all lines: the machine is started again. The limit and `complete` stay. */
void ntd_lines_forget(struct ntd_lines *lines);
void ntd_lines_free(struct ntd_lines *lines);
/* Puts a copy of what was printed, and of what was taken of it, into `mark`, which begins with
 * zeros and is freed by ntd_lines_free(). Nothing can be added to a copy. */
void ntd_lines_mark(const struct ntd_lines *lines, struct ntd_lines *mark);
/* Makes everything as it was at the mark. The line that has begun gets a new number. */
void ntd_lines_go_back(struct ntd_lines *lines, const struct ntd_lines *mark);

/* Adds bytes from the guest. A line of more than 64 KiB is split, but no character is. */
void ntd_lines_add(struct ntd_lines *lines, const char *bytes, size_t len);
/* Makes a line of what has begun, if anything has: the guest will send no more. */
void ntd_lines_end(struct ntd_lines *lines);

/* Appends to `out` the lines that nobody has taken yet, each with its newline, and counts them as
 * taken: at least one, and no more than `limit` bytes unless the first line is longer. False when
 * there is none. */
bool ntd_lines_take(struct ntd_lines *lines, size_t limit, struct ntd_buf *out);
/* The number of lines that ntd_lines_take() would give without a limit. */
size_t ntd_lines_unread(const struct ntd_lines *lines);
/* Makes the last `count` bytes that were taken untaken again. */
void ntd_lines_give_back(struct ntd_lines *lines, size_t count);

/* Appends the text of the line that has begun to `out`, without its first `from` bytes (bytes as
 * the guest sent them). A character of which only a part has come is left out; spaces at the end,
 * which whole lines lose, are kept, since they belong to a prompt. */
void ntd_lines_copy_partial(const struct ntd_lines *lines, size_t from, struct ntd_buf *out);
/* Counts the beginning of a line as taken: of line number `line` the first `used` bytes, which are
 * `text_len` bytes of text. That line may be complete by now; then it is the first untaken one. */
void ntd_lines_take_partial(struct ntd_lines *lines, unsigned line, size_t used, size_t text_len);

/* Appends the last `count` lines to `out`, each with its newline, and the text of the line that has
 * begun; that one counts, too. */
void ntd_lines_copy_tail(const struct ntd_lines *lines, int count, struct ntd_buf *out);
/* The same lines for a message, as a new string: each is indented by four spaces and ends with a
 * newline. "" when there are none. */
char *ntd_lines_tail(const struct ntd_lines *lines, int count);
/* Appends all lines to `out`, joined by newlines, the line that has begun included. */
void ntd_lines_copy(const struct ntd_lines *lines, struct ntd_buf *out);
