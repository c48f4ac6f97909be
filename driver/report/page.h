/* The file of a report that people look at: one HTML document, to which is only added. For files of
 * this room only; one thread at a time.
 *
 *   the head        page.html with its style and program (driver/report/page/), a constant
 *   pieces          <script type="text/x-ntd-lines">, the base64 of gzipped lines; then the same
 *                   steps and messages as a plain list in <noscript>, for browsers without scripts
 *   pictures        <script type="text/x-ntd-picture">, the name as JSON, a newline, base64
 *   the tail        <noscript class="tail"><ul class="plain">, then in turn lines, within a
 *                   comment, and the items of the plain list that belong to them
 *   the end         <script type="text/x-ntd-end">; if the driver was killed and the keeper was
 *                   not, "text/x-ntd-killed"; after a failed write, as on a full disk,
 *                   "text/x-ntd-unwritten"
 *
 * A line is one JSON value, what the program of the page reads: an object as event_json.c makes it,
 * or ["c", T, MACHINE, TEXT] for a console line, T being microseconds on CLOCK_MONOTONIC; or
 * ["d", N]: so many console lines before that were left out of the page. In all JSON the characters
 * <, > and & are escapes, so no text of a guest can end an element, whatever the browser does.
 *
 * Whatever has been flushed is in the file, so that a killed driver leaves it: it stands in the
 * tail, which needs no end, since browsers close open elements at the end of the file. When the
 * tail has grown, its lines become a piece, which is written over it. That takes a moment in which
 * the file has the piece and the rest of the tail; the rest is then in an element that shows
 * nothing.
 */
#pragma once

#include "base/buf.h"
#include "report/outfile.h"

#include <stdbool.h>

/* What every page ends with. */
#define NTD_PAGE_LAST "</body></html>\n"
/* An end that is added to a page as it is: it closes whatever is open, also where a write() has
 * been cut off. `kind` is "killed" or "unwritten", `text` says it. */
#define NTD_PAGE_BROKEN(kind, text)                                                                \
	"\n<!-- --></ul></noscript></script><noscript><p class=\"verdict bad\">" text              \
	"</noscript>"                                                                              \
	"<script type=\"text/x-ntd-" kind "\"></script>\n" NTD_PAGE_LAST

struct ntd_page {
	struct ntd_outfile file;
	bool can_seek;       /* without that there is no tail: lines wait in memory */
	struct ntd_buf body; /* what is written when it is flushed: complete elements */
	struct ntd_buf lines, list;
	size_t in_tail, listed; /* how many bytes of `lines` and `list` are in the file already */
	off_t tail_at;          /* where the tail begins, or would */
	off_t written;          /* how much of the file is as it should be */
	bool has_tail;
};

/* Creates the file and writes the head. */
int ntd_page_open(struct ntd_page *page, const char *path, struct ntd_error **err);
/* Adds a line, which has no newline; the bytes are valid JSON in UTF-8. */
void ntd_page_line(struct ntd_page *page, const char *json, size_t len);
/* Adds an item to the plain list; `css_class` is a constant, `text` any bytes. */
void ntd_page_item(struct ntd_page *page, const char *css_class, const char *text, size_t len);
/* Adds a picture, a PNG file. */
void ntd_page_picture(struct ntd_page *page, const char *name, const struct ntd_buf *png);
/* Adds how the run has ended, in words, for browsers without scripts. */
void ntd_page_verdict(struct ntd_page *page, bool failed, const char *text);
/* Writes what has been added. */
void ntd_page_flush(struct ntd_page *page);
/* Writes the end, with a JSON value of its own, and closes the file. */
int ntd_page_close(struct ntd_page *page, const char *end, struct ntd_error **err);

/* ---- page_text.c; pure */

/* Appends the line of a console line, with its newline, quicker than cJSON does. `us`: microseconds
 * on CLOCK_MONOTONIC. */
void ntd_page_console(struct ntd_buf *lines, int64_t us, const char *machine, const char *text,
		      size_t len);

/* Appends bytes as a JSON string, with the quotes. */
void ntd_page_json_string(struct ntd_buf *out, const char *bytes, size_t len);
/* Appends bytes as HTML text, which may have newlines. */
void ntd_page_html(struct ntd_buf *out, const char *bytes, size_t len);
void ntd_page_base64(struct ntd_buf *out, const void *bytes, size_t len);

/* ---- build/page_head.c: the head, which the Makefile makes of driver/report/page/ */
extern const char ntd_page_head[];
extern const size_t ntd_page_head_len;
