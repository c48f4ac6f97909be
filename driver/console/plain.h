/* The plain text of what a terminal gets: UTF-8 without control sequences, carriage returns and
 * other control characters than newline and tab. For text that is searched; ntd_printable() is for
 * text that people read.
 *
 * A filter takes bytes in any pieces and gives the same text. It is pure and keeps a few bytes at
 * most. A sequence that never ends cannot swallow what follows: all of them end at a newline.
 */
#pragma once

#include "base/buf.h"

/* Begin with zeros. */
struct ntd_plain {
	enum {
		NTD_PLAIN_TEXT,
		NTD_PLAIN_ESCAPE,   /* after ESC */
		NTD_PLAIN_CONTROL,  /* in ESC [ ... */
		NTD_PLAIN_STRING,   /* in ESC ] ... and the like, which ends with BEL or ESC \ */
		NTD_PLAIN_SELECTION /* in ESC ( ... and the like, one more byte */
	} state;
	char character[4]; /* the bytes that have come of a UTF-8 character */
	unsigned have;
};

/* Appends the text of the bytes to `out`. The beginning of a character waits for its rest. */
void ntd_plain_add(struct ntd_plain *plain, const char *bytes, size_t len, struct ntd_buf *out);
