/* Text in the page: JSON, HTML and base64. Every byte may come from a guest. Pure. */
#include "report/page.h"

#include "base/text.h"

#include <inttypes.h>
#include <string.h>

/* ---- JSON */

/* Whether a byte stands for itself in a JSON string of the page. */
static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&';
}

/* Appends the character at `bytes`, which is not plain; returns its length. */
static size_t json_character(struct ntd_buf *out, const char *bytes, size_t len)
{
	unsigned char c = (unsigned char)*bytes;
	size_t step;

	if (c < 0x80) {
		ntd_buf_printf(out, "\\u%04x", c);
		return 1;
	}
	step = ntd_utf8_sequence(bytes, len);
	if (!step)
		ntd_buf_puts(out, "\\ufffd");
	else
		ntd_buf_append(out, bytes, step);
	return step ? step : 1;
}

void ntd_page_json_string(struct ntd_buf *out, const char *bytes, size_t len)
{
	ntd_buf_append(out, "\"", 1);
	for (size_t i = 0; i < len;) {
		size_t plain = i;

		while (plain < len && is_plain((unsigned char)bytes[plain]))
			plain++;
		ntd_buf_append(out, bytes + i, plain - i);
		i = plain;
		if (i < len)
			i += json_character(out, bytes + i, len - i);
	}
	ntd_buf_append(out, "\"", 1);
}

void ntd_page_console(struct ntd_buf *lines, int64_t us, const char *machine, const char *text,
		      size_t len)
{
	ntd_buf_printf(lines, "[\"c\",%" PRId64 ",", us);
	ntd_page_json_string(lines, machine, strlen(machine));
	ntd_buf_append(lines, ",", 1);
	ntd_page_json_string(lines, text, len);
	ntd_buf_append(lines, "]\n", 2);
}

/* ---- HTML */

static const char *entity_of(char c)
{
	switch (c) {
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '&':
		return "&amp;";
	case '"':
		return "&quot;";
	default:
		return NULL;
	}
}

/* Whether a UTF-8 sequence is a character that changes the direction of text: U+061C, U+200E,
 * U+200F, U+202A to U+202E, U+2066 to U+2069. */
static bool turns_text(const char *bytes, size_t len)
{
	unsigned char last = (unsigned char)bytes[len - 1];

	if (len == 2)
		return !memcmp(bytes, "\xd8\x9c", 2);
	if (len != 3 || bytes[0] != '\xe2')
		return false;
	if (bytes[1] == '\x80')
		return last == 0x8e || last == 0x8f || (last >= 0xaa && last <= 0xae);
	return bytes[1] == '\x81' && last >= 0xa6 && last <= 0xa9;
}

void ntd_page_html(struct ntd_buf *out, const char *bytes, size_t len)
{
	_cleanup_free_ char *text = ntd_outfile_text(bytes, len, NTD_CONTROLS_LAYOUT);

	for (size_t i = 0, total = strlen(text), step; i < total; i += step) {
		const char *entity = entity_of(text[i]);

		step = ntd_utf8_sequence(text + i, total - i);
		if (entity)
			ntd_buf_puts(out, entity);
		else if (turns_text(text + i, step))
			ntd_buf_puts(out, "\xef\xbf\xbd");
		else
			ntd_buf_append(out, text + i, step);
	}
}

/* ---- base64 */

void ntd_page_base64(struct ntd_buf *out, const void *bytes, size_t len)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *in = bytes;
	char *at = ntd_buf_reserve(out, (len + 2) / 3 * 4);
	const char *first = at;

	for (size_t i = 0; i < len; i += 3) {
		size_t left = len - i;
		unsigned group = (unsigned)in[i] << 16 | (left > 1 ? (unsigned)in[i + 1] << 8 : 0) |
				 (left > 2 ? in[i + 2] : 0U);

		*at++ = digits[group >> 18];
		*at++ = digits[group >> 12 & 63];
		*at++ = left > 1 ? digits[group >> 6 & 63] : '=';
		*at++ = left > 2 ? digits[group & 63] : '=';
	}
	ntd_buf_added(out, (size_t)(at - first));
}
