/* A line of a machine's console as text: any bytes become UTF-8 that is valid by another reckoning
 * than the one under test, and nothing that is fine is lost.
 */
#include "base/text.h"

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

/* The length of the character at `bytes`: the one whose encoding stands there. 0: none. */
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

/* What the text has to be, before white space at its end is removed. */
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
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
	return 0;
}
