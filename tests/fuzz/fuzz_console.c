/* Fuzzes the output of a machine's console. As text, any bytes become UTF-8, which a second,
 * simpler check here accepts, and no valid character is lost. As lines, the bytes give the same
 * result in whatever pieces they come, and each line is taken once.
 */
#include "base/text.h"
#include "console/lines.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
	if (!condition)
		abort();
}

static size_t encode(uint32_t code, char *out)
{
	if (code < 0x80) {
		out[0] = (char)code;
		return 1;
	}
	if (code < 0x800) {
		out[0] = (char)(0xc0 | code >> 6);
		out[1] = (char)(0x80 | (code & 63));
		return 2;
	}
	if (code < 0x10000) {
		out[0] = (char)(0xe0 | code >> 12);
		out[1] = (char)(0x80 | (code >> 6 & 63));
		out[2] = (char)(0x80 | (code & 63));
		return 3;
	}
	out[0] = (char)(0xf0 | code >> 18);
	out[1] = (char)(0x80 | (code >> 12 & 63));
	out[2] = (char)(0x80 | (code >> 6 & 63));
	out[3] = (char)(0x80 | (code & 63));
	return 4;
}

/* Returns the length of the valid UTF-8 character at `bytes`, 0 if there is none. */
static size_t character(const char *bytes, size_t len)
{
	static const unsigned char masks[] = {0x7f, 0x1f, 0x0f, 0x07};

	for (size_t need = 1; need <= 4 && need <= len; need++) {
		uint32_t code = (unsigned char)bytes[0] & masks[need - 1];
		char again[4];

		for (size_t i = 1; i < need; i++)
			code = code << 6 | ((unsigned char)bytes[i] & 63);
		if (code <= 0x10ffff && (code < 0xd800 || code > 0xdfff) &&
		    encode(code, again) == need && !memcmp(again, bytes, need))
			return need;
	}
	return 0;
}

/* Writes the expected text, before white space at its end is removed. */
static size_t expect(const char *bytes, size_t len, char *out)
{
	size_t used = 0;

	for (size_t i = 0; i < len;) {
		size_t step = character(bytes + i, len - i);

		require(ntd_utf8_sequence(bytes + i, len - i) == step);
		if (step && bytes[i] != '\r') {
			memcpy(out + used, bytes + i, step);
			used += step;
		}
		i += step ? step : 1;
	}
	return used;
}

static void check_repr(const char *bytes, size_t len)
{
	_cleanup_free_ char *repr = ntd_bytes_repr(bytes, len);
	size_t end = strlen(repr);

	require(end >= 3 + len && end <= 3 + 4 * len);
	require(repr[0] == 'b' && (repr[1] == '\'' || repr[1] == '"') && repr[end - 1] == repr[1]);
	for (const char *c = repr; *c; c++)
		require(*c >= ' ' && *c <= '~');
}

static void check_text(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *bytes = ntd_malloc(size), *expected = ntd_malloc(size);
	_cleanup_free_ char *text = NULL, *again = NULL;
	size_t len, expected_len, again_len;

	if (size)
		memcpy(bytes, data, size);
	expected_len = expect(bytes, size, expected);
	text = ntd_console_text(bytes, size, &len);
	require(len <= expected_len && text[len] == '\0' && !memcmp(text, expected, len));
	for (size_t i = len; i < expected_len; i++)
		require(expected[i] && strchr(" \t\n\v\f", expected[i]));
	require(!len || !text[len - 1] || !strchr(" \t\n\v\f", text[len - 1]));
	again = ntd_console_text(text, len, &again_len);
	require(again_len == len && !memcmp(text, again, len));
	check_repr(bytes, size);
}

/* ---- lines */

static void keep(void *owner, const char *text, size_t len, bool panic)
{
	ntd_buf_append(owner, text, len);
	ntd_buf_append(owner, "\n", 1);
}

/* Writes the expected lines, by splitting the whole input. Returns where the last line begins. */
static size_t expect_lines(const char *bytes, size_t size, struct ntd_buf *lines)
{
	const char *at = bytes, *end;

	while ((end = memchr(at, '\n', size - (size_t)(at - bytes)))) {
		size_t len;
		_cleanup_free_ char *text = ntd_console_text(at, (size_t)(end - at), &len);

		ntd_buf_append(lines, text, len);
		ntd_buf_append(lines, "\n", 1);
		at = end + 1;
	}
	return (size_t)(at - bytes);
}

static void require_equal(const struct ntd_buf *a, const struct ntd_buf *b)
{
	require(a->len == b->len && !memcmp(ntd_buf_bytes(a), ntd_buf_bytes(b), a->len));
}

/* An unfinished line becomes text, too, and differs only in white space at its end from its
 * beginning once it is complete. */
static void check_partial(const struct ntd_lines *lines, const char *begun, size_t len)
{
	_cleanup_buf_ struct ntd_buf partial = {0};
	_cleanup_free_ char *whole = ntd_console_text(begun, len, &len);

	ntd_lines_copy_partial(lines, 0, &partial);
	while (partial.len && ntd_buf_bytes(&partial)[partial.len - 1] == ' ')
		partial.len--;
	require(partial.len <= len && !memcmp(ntd_buf_bytes(&partial), whole, partial.len));
}

static void check_tails(const struct ntd_lines *lines)
{
	for (int count = 0; count < 4; count++) {
		_cleanup_free_ char *tail = ntd_lines_tail(lines, count);
		_cleanup_buf_ struct ntd_buf copy = {0};

		ntd_lines_copy_tail(lines, count, &copy);
		require(!*tail || !strncmp(tail, "    ", 4));
	}
}

/* Adds the bytes in pieces, whose sizes depend on the bytes, and takes complete lines in between.
 */
static void check_lines(const char *bytes, size_t size)
{
	_cleanup_buf_ struct ntd_buf told = {0}, taken = {0}, expected = {0};
	struct ntd_lines lines = {.limit = 1 << 30, .complete = keep, .owner = &told};
	size_t begun = expect_lines(bytes, size, &expected);

	for (size_t at = 0; at < size;) {
		size_t piece = 1 + (unsigned char)bytes[at] % 29;

		piece = piece < size - at ? piece : size - at;
		ntd_lines_add(&lines, bytes + at, piece);
		at += piece;
		if (piece % 3 == 0)
			ntd_lines_take(&lines, piece, &taken);
	}
	require_equal(&told, &expected);
	require_equal(&lines.log, &expected);
	check_partial(&lines, bytes + begun, size - begun);
	check_tails(&lines);
	while (ntd_lines_unread(&lines))
		require(ntd_lines_take(&lines, 7, &taken));
	require(!ntd_lines_take(&lines, 7, &taken));
	require_equal(&taken, &expected);
	ntd_lines_free(&lines);
}

/* Checks a store with a limit, which drops its oldest lines, while waits use the beginnings of
 * lines and give lines back, and everything goes back to marks. */
static void check_limited(const char *bytes, size_t size)
{
	_cleanup_buf_ struct ntd_buf told = {0}, taken = {0};
	struct ntd_lines lines = {.limit = 40, .complete = keep, .owner = &told}, mark = {0};

	for (size_t at = 0; at < size; at++) {
		unsigned line = lines.line;
		size_t seen = lines.partial.len;
		_cleanup_buf_ struct ntd_buf shown = {0};

		ntd_lines_copy_partial(&lines, lines.partial_used, &shown);
		ntd_lines_add(&lines, bytes + at, 1);
		if (bytes[at] % 5 == 0)
			ntd_lines_take_partial(&lines, line, seen, shown.len);
		if (bytes[at] % 7 == 0)
			ntd_lines_take(&lines, 1, &taken);
		if (bytes[at] % 11 == 0)
			ntd_lines_give_back(&lines, (unsigned char)bytes[at]);
		if (bytes[at] % 13 == 0)
			ntd_lines_mark(&lines, &mark);
		if (bytes[at] % 17 == 0) {
			ntd_lines_go_back(&lines, &mark);
			require(lines.line != line);
			require_equal(&lines.log, &mark.log);
			require_equal(&lines.partial, &mark.partial);
		}
		/* the last line stays whole, however long it is */
		require(lines.log.len <= lines.limit + size && lines.unread <= lines.log.len);
	}
	check_tails(&lines);
	ntd_lines_end(&lines);
	require(!lines.partial.len);
	ntd_lines_forget(&lines);
	require(!lines.log.len && !lines.unread && !lines.partial_used && !lines.panic);
	ntd_lines_free(&lines);
	ntd_lines_free(&mark);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_text(data, size);
	check_lines((const char *)data, size);
	check_limited((const char *)data, size);
	return 0;
}
