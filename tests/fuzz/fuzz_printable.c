/* Fuzzes the filter between what guests print and the user's terminal. Whatever the bytes are, the
 * result is UTF-8 whose only control characters are those of lines, and its only sequences set
 * colours, which end with the line; filtering it again changes nothing. Text without sequences
 * keeps every character that can be seen. A text as one line has the length that was asked for.
 */
#include "base/printable.h"
#include "base/text.h"
#include "pieces.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The length of the SGR sequence at `at`; 0: none. */
static size_t colour_sequence(const char *at, size_t left)
{
	size_t len = 2;

	if (left < 3 || at[0] != '\033' || at[1] != '[')
		return 0;
	while (len < left && at[len] >= '0' && at[len] <= ';')
		len++;
	return len < left && at[len] == 'm' ? len + 1 : 0;
}

static bool resets(const char *at, size_t len)
{
	for (size_t i = 2; i < len - 1; i++)
		if (at[i] != '0')
			return false;
	return true;
}

static void require_character(const char *at, size_t left, size_t len)
{
	unsigned char first = (unsigned char)at[0];

	require(len);
	if (len == 1)
		require((first >= ' ' && first != 0x7f) || first == '\n' || first == '\t' ||
			(first == '\r' && left > 1 && at[1] == '\n'));
	/* no C1 control, no change of direction */
	require(first != 0xc2 || (unsigned char)at[1] >= 0xa0);
	if (first == 0xe2 && at[1] == '\x80')
		require((unsigned char)at[2] < 0xaa || (unsigned char)at[2] > 0xae);
	if (first == 0xe2 && at[1] == '\x81')
		require((unsigned char)at[2] < 0xa6 || (unsigned char)at[2] > 0xaf);
}

static void require_harmless(const struct ntd_buf *text, bool colours)
{
	const char *bytes = ntd_buf_bytes(text);
	bool coloured = false;

	for (size_t i = 0; i < text->len;) {
		size_t len = colours ? colour_sequence(bytes + i, text->len - i) : 0;

		if (len) {
			coloured = !resets(bytes + i, len);
		} else {
			len = ntd_utf8_sequence(bytes + i, text->len - i);
			require_character(bytes + i, text->len - i, len);
			require(bytes[i] != '\n' || !coloured);
		}
		i += len;
	}
	require(!coloured);
}

static size_t visible(const char *bytes, size_t len)
{
	size_t count = 0;

	for (size_t i = 0; i < len; i++)
		count += bytes[i] >= ' ' && bytes[i] <= '~';
	return count;
}

/* Whether the bytes have no introducer of a sequence. */
static bool is_plain(const char *bytes, size_t len)
{
	return !memchr(bytes, '\033', len) && !memchr(bytes, '\xc2', len);
}

static void check(const char *bytes, size_t size, bool colours)
{
	_cleanup_buf_ struct ntd_buf once = {0}, twice = {0};

	ntd_printable(&once, bytes, size, colours);
	require_harmless(&once, colours);
	ntd_printable(&twice, ntd_buf_bytes(&once), once.len, colours);
	require(once.len == twice.len);
	require(!memcmp(ntd_buf_bytes(&once), ntd_buf_bytes(&twice), once.len));
	if (is_plain(bytes, size))
		require(visible(bytes, size) == visible(ntd_buf_bytes(&once), once.len));
}

/* One line: words with single spaces between them, of so many bytes at most. */
static void check_line(const char *text, size_t most)
{
	_cleanup_free_ char *line = ntd_printable_line(text, most);
	struct ntd_buf view = {.data = line, .len = strlen(line)};

	require(view.len <= (most > 3 ? most : 3));
	require(!strpbrk(line, "\t\r\n") && !strstr(line, "  ") && *line != ' ');
	require_harmless(&view, false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *bytes = ntd_malloc(size + 1);

	if (size)
		memcpy(bytes, data, size);
	bytes[size] = '\0';
	check(bytes, size, false);
	check(bytes, size, true);
	check_line(bytes, SIZE_MAX);
	check_line(bytes, size ? data[0] : 0);
	return 0;
}
