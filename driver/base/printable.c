/* Removing control sequences. Any thread. The sequences are those of ECMA-48, as terminals take
 * them:
 *
 *   ESC [ parameters intermediates final      control sequence; SGR when the final byte is m
 *   ESC ] P X ^ _ k ... BEL or ESC \          control string: title, clipboard, keys; it ends at
 *                                             the next newline at the latest (k: of screen)
 *   ESC intermediates final                   the rest
 *
 * U+0080 to U+009F are the same introducers as one character. Of a sequence without an end only the
 * introducer is removed, and the rest is plain text. The output has no escape character except in
 * whole SGR sequences, so its parts cannot join to a new sequence.
 *
 * Embeddings, overrides and isolates (UAX #9) are removed, too: terminals that know about writing
 * directions would show the rest of the line in another order than it is in, or what stands before
 * it. Letters have their direction without them, and marks (U+200E, U+200F, U+061C) stay, since
 * their effect ends at the next letter.
 */
#include "base/printable.h"

#include "base/text.h"

#include <string.h>

enum { ESCAPE = 0x1b, C1_FIRST = 0x80, C1_LAST = 0x9f, C1_SHIFT = 0x40 };

struct scan {
	const char *at, *end;
	const char *endless; /* no control string that begins before this place has an end */
	bool colours, coloured;
	struct ntd_buf *out;
};

static bool within(unsigned char c, unsigned char first, unsigned char last)
{
	return c >= first && c <= last;
}

static const char *skip(const char *at, const char *end, unsigned char first, unsigned char last)
{
	while (at < end && within((unsigned char)*at, first, last))
		at++;
	return at;
}

/* The end of a control string that begins at `at`; `at` when there is none in this line. */
static const char *string_end(struct scan *scan, const char *at)
{
	const char *c;

	if (at < scan->endless)
		return at;
	for (c = at; c < scan->end && *c != '\n'; c++) {
		bool two = scan->end - c > 1;

		if (*c == '\a')
			return c + 1;
		if (two && (!memcmp(c, "\033\\", 2) || !memcmp(c, "\xc2\x9c", 2)))
			return c + 2;
	}
	scan->endless = c;
	return at;
}

/* The end of the sequence of which ESC and `kind`, or the one character for both, stand before
 * `at`. */
static const char *sequence_end(struct scan *scan, char kind, const char *at)
{
	if (kind == '[') {
		at = skip(skip(at, scan->end, 0x30, 0x3f), scan->end, 0x20, 0x2f);
		return skip(at, at + (at < scan->end), 0x40, 0x7e);
	}
	return strchr("]PX^_k", kind) ? string_end(scan, at) : at;
}

/* Keeps the control sequence from scan->at to `after` if it only sets colours: ESC [ numbers m. */
static void keep_colour(struct scan *scan, const char *after)
{
	const char *numbers = scan->at + 2, *last = after - 1;

	if (!scan->colours || after - scan->at < 3 || *last != 'm' ||
	    skip(numbers, last, '0', ';') != last)
		return;
	ntd_buf_append(scan->out, scan->at, (size_t)(after - scan->at));
	scan->coloured = skip(numbers, last, '0', '0') != last;
}

static const char *after_escape(struct scan *scan)
{
	const char *kind = skip(scan->at + 1, scan->end, 0x20, 0x2f), *after;

	if (kind == scan->end || !within((unsigned char)*kind, 0x30, 0x7e))
		return kind;
	if (kind > scan->at + 1)
		return kind + 1;
	after = sequence_end(scan, *kind, kind + 1);
	if (*kind == '[')
		keep_colour(scan, after);
	return after;
}

static void reset(struct scan *scan)
{
	if (scan->coloured)
		ntd_buf_puts(scan->out, "\033[0m");
	scan->coloured = false;
}

static bool is_layout(const struct scan *scan)
{
	return *scan->at == '\n' || *scan->at == '\t' ||
	       (*scan->at == '\r' && scan->end - scan->at > 1 && scan->at[1] == '\n');
}

/* U+202A to U+202E and U+2066 to U+206F. */
static bool changes_direction(const char *at, size_t len)
{
	return len == 3 &&
	       ((!memcmp(at, "\xe2\x80", 2) && within((unsigned char)at[2], 0xaa, 0xae)) ||
		(!memcmp(at, "\xe2\x81", 2) && within((unsigned char)at[2], 0xa6, 0xaf)));
}

/* Appends what is kept of the character at scan->at, which is not plain ASCII, and of the sequence
 * that it introduces; returns the place after them. */
static const char *after_special(struct scan *scan)
{
	size_t len = ntd_utf8_sequence(scan->at, (size_t)(scan->end - scan->at));
	unsigned char second = len == 2 && *scan->at == '\xc2' ? (unsigned char)scan->at[1] : 0;

	if (*scan->at == ESCAPE)
		return after_escape(scan);
	if (within(second, C1_FIRST, C1_LAST))
		return sequence_end(scan, (char)(second - C1_SHIFT), scan->at + 2);
	if (is_layout(scan) && *scan->at != '\t')
		reset(scan);
	if (!len)
		ntd_buf_puts(scan->out, "\xef\xbf\xbd");
	else if (len > 1 ? !changes_direction(scan->at, len) : is_layout(scan))
		ntd_buf_append(scan->out, scan->at, len);
	return scan->at + (len ? len : 1);
}

void ntd_printable(struct ntd_buf *out, const char *text, size_t len, bool colours)
{
	struct scan scan = {
		.at = text, .end = text + len, .endless = text, .colours = colours, .out = out};

	while (scan.at < scan.end) {
		const char *plain = skip(scan.at, scan.end, 0x20, 0x7e);

		ntd_buf_append(out, scan.at, (size_t)(plain - scan.at));
		scan.at = plain;
		if (plain < scan.end)
			scan.at = after_special(&scan);
	}
	reset(&scan);
}

char *ntd_printable_text(const char *text)
{
	struct ntd_buf out = {0};

	ntd_printable(&out, text, strlen(text), false);
	return ntd_buf_take_string(&out);
}

/* Appends the words of a text with single spaces between them. */
static void join_words(struct ntd_buf *out, const char *text)
{
	static const char spaces[] = " \t\r\n";

	for (text += strspn(text, spaces); *text; text += strspn(text, spaces)) {
		size_t word = strcspn(text, spaces);

		ntd_buf_puts(out, out->len ? " " : "");
		ntd_buf_append(out, text, word);
		text += word;
	}
}

char *ntd_printable_line(const char *text, size_t most)
{
	_cleanup_free_ char *plain = ntd_printable_text(text);
	struct ntd_buf line = {0};
	const char *bytes;

	join_words(&line, plain);
	if (line.len > most) {
		bytes = ntd_buf_bytes(&line);
		line.len = most > 3 ? most - 3 : 0;
		while (line.len && (bytes[line.len] & 0xc0) == 0x80)
			line.len--;
		ntd_buf_puts(&line, "...");
	}
	return ntd_buf_take_string(&line);
}
