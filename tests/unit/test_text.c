/* Tests of text: quoting, names and UTF-8. */
#include "unit.h"

#include "base/text.h"

#include <stdlib.h>

/* Texts, and the results of Python's shlex.quote. */
static const struct {
	const char *text, *quoted;
} quotes[] = {
	{"", "''"},
	{"a", "a"},
	{"azAZ09_", "azAZ09_"},
	{"a b", "'a b'"},
	{" ", "' '"},
	{"'", "''\"'\"''"},
	{"''", "''\"'\"''\"'\"''"},
	{"a'b", "'a'\"'\"'b'"},
	{"'starts", "''\"'\"'starts'"},
	{"ends'", "'ends'\"'\"''"},
	{"it's 'so'", "'it'\"'\"'s '\"'\"'so'\"'\"''"},
	{"$HOME", "'$HOME'"},
	{"`x`", "'`x`'"},
	{"\\", "'\\'"},
	{"\"", "'\"'"},
	{"a\nb", "'a\nb'"},
	{"\t", "'\t'"},
	{"~", "'~'"},
	{"a~b", "'a~b'"},
	{"-", "-"},
	{"--x=y", "--x=y"},
	{"a=b", "a=b"},
	{"@%_-+=:,./", "@%_-+=:,./"},
	{"a;b", "'a;b'"},
	{"a&b", "'a&b'"},
	{"a|b", "'a|b'"},
	{"*", "'*'"},
	{"?", "'?'"},
	{"[x]", "'[x]'"},
	{"{a,b}", "'{a,b}'"},
	{"!", "'!'"},
	{"#", "'#'"},
	{"(x)", "'(x)'"},
	{"<", "'<'"},
	{">", "'>'"},
	{"^", "'^'"},
	{"\001", "'\001'"},
	{"\177", "'\177'"},
	{"\303\251", "'\303\251'"},
	{"\360\237\230\200", "'\360\237\230\200'"},
	{"set -euo pipefail; echo 'x' | cat", "'set -euo pipefail; echo '\"'\"'x'\"'\"' | cat'"},
};

static void test_shell_quote(void **state)
{
	for (size_t i = 0; i < unit_count(quotes); i++) {
		_cleanup_free_ char *quoted = ntd_shell_quoted(quotes[i].text);

		assert_string_equal(quoted, quotes[i].quoted);
	}
}

/* Every byte but NUL, quoted, comes back from a real shell. */
static void test_shell_quote_round_trip(void **state)
{
	_cleanup_buf_ struct ntd_buf command = {0};
	_cleanup_free_ char *line = NULL;
	char bytes[255], output[300];
	FILE *shell;
	size_t count;

	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (char)(i + 1);
	ntd_buf_puts(&command, "printf %s ");
	ntd_shell_quote(&command, bytes, sizeof bytes);
	line = ntd_buf_take_string(&command);
	shell = popen(line, "r"); /* NOLINT: the shell is what is tested */
	assert_non_null(shell);
	count = fread(output, 1, sizeof output, shell);
	assert_int_equal(pclose(shell), 0);
	assert_int_equal(count, sizeof bytes);
	assert_memory_equal(output, bytes, sizeof bytes);
}

static void test_shell_quote_appends(void **state)
{
	_cleanup_buf_ struct ntd_buf out = {0};

	ntd_buf_puts(&out, "x=");
	ntd_shell_quote(&out, "a b", 1);
	ntd_shell_quote(&out, "c\0d", 3);
	assert_int_equal(out.len, 8);
	assert_memory_equal(ntd_buf_bytes(&out), "x=a'c\0d'", 8);
}

static void test_python_name(void **state)
{
	static const struct {
		const char *name, *python;
	} table[] = {
		{"machine", "machine"}, {"a-b", "a_b"}, {"a.b", "a_b"},
		{"1a", "_a"},           {"12", "_2"},   {"_x", "_x"},
		{"A_9", "A_9"},         {"", ""},       {"-", "_"},
		{"\303\251", "__"},     {"a b", "a_b"},
	};

	for (size_t i = 0; i < unit_count(table); i++) {
		_cleanup_free_ char *name = ntd_python_name(table[i].name);

		assert_string_equal(name, table[i].python);
	}
}

static void test_utf8_sequence(void **state)
{
	static const struct {
		const char *bytes;
		size_t len, sequence;
	} table[] = {
		{"", 0, 0},
		{"\0", 1, 1},
		{"a", 1, 1},
		{"\x7f", 1, 1},
		{"\x80", 1, 0},     /* a continuation byte alone */
		{"\xc0\x80", 2, 0}, /* overlong NUL */
		{"\xc1\xbf", 2, 0}, /* overlong */
		{"\xc2\x80", 2, 2}, /* U+0080, the first of two bytes */
		{"\xc2", 1, 0},     /* split */
		{"\xc2\x41", 2, 0},
		{"\xdf\xbf", 2, 2},     /* U+07FF */
		{"\xe0\x9f\xbf", 3, 0}, /* overlong */
		{"\xe0\xa0\x80", 3, 3}, /* U+0800 */
		{"\xe2\x82\xac", 3, 3}, /* U+20AC */
		{"\xe2\x82", 2, 0},     /* split */
		{"\xe2\x82\x41", 3, 0},
		{"\xed\x9f\xbf", 3, 3},     /* U+D7FF */
		{"\xed\xa0\x80", 3, 0},     /* U+D800, a surrogate */
		{"\xed\xbf\xbf", 3, 0},     /* U+DFFF */
		{"\xee\x80\x80", 3, 3},     /* U+E000 */
		{"\xef\xbf\xbf", 3, 3},     /* U+FFFF */
		{"\xf0\x8f\xbf\xbf", 4, 0}, /* overlong */
		{"\xf0\x90\x80\x80", 4, 4}, /* U+10000 */
		{"\xf0\x9f\x98\x80", 4, 4}, /* U+1F600 */
		{"\xf0\x9f\x98", 3, 0},     /* split */
		{"\xf0\x9f\x98\x41", 4, 0},
		{"\xf4\x8f\xbf\xbf", 4, 4}, /* U+10FFFF, the last */
		{"\xf4\x90\x80\x80", 4, 0}, /* beyond */
		{"\xf5\x80\x80\x80", 4, 0},
		{"\xff", 1, 0},
		{"\xc2\x80xyz", 5, 2}, /* only the first sequence counts */
	};

	for (size_t i = 0; i < unit_count(table); i++)
		if (ntd_utf8_sequence(table[i].bytes, table[i].len) != table[i].sequence)
			fail_msg("row %zu", i);
}

static void assert_console(const char *bytes, size_t len, const char *text, size_t text_len)
{
	size_t got_len;
	_cleanup_free_ char *got = ntd_console_text(bytes, len, &got_len);

	assert_int_equal(got_len, text_len);
	assert_memory_equal(got, text, text_len + 1);
}

#define assert_console_text(bytes, text)                                                           \
	assert_console(bytes, sizeof(bytes) - 1, text, sizeof(text) - 1)

static void test_console_text(void **state)
{
	assert_console_text("", "");
	assert_console_text("plain", "plain");
	assert_console_text("line\r\n", "line");
	assert_console_text("a\rb\r\r", "ab");
	assert_console_text("  x \t\v\f\n ", "  x");
	assert_console_text(" \r\n", "");
	assert_console_text("a\0b\0", "a\0b\0");
	assert_console_text("\x1b[1mbold\x1b[0m", "\x1b[1mbold\x1b[0m");
	assert_console_text("gr\xc3\xbc\xc3\x9f"
			    "e",
			    "gr\xc3\xbc\xc3\x9f"
			    "e");
	assert_console_text("bad\xff\xfe.", "bad.");
	assert_console_text("split\xe2\x82", "split");
	assert_console_text("\xe2\x82"
			    "A",
			    "A");
	assert_console_text("\xed\xa0\x80x", "x");
	/* A character is not cut whose last byte is a space in Latin-1. */
	assert_console_text("\xc3\xa0", "\xc3\xa0");
}

static void test_shown(void **state)
{
	_cleanup_free_ char *plain = ntd_shown("text\n", 5), *empty = ntd_shown("", 0);
	_cleanup_free_ char *nuls = ntd_shown("\0a\0\0b\0", 6);

	assert_string_equal(plain, "text\n");
	assert_string_equal(empty, "");
	assert_string_equal(nuls, "\\0a\\0\\0b\\0");
}

static void test_searches(void **state)
{
	assert_true(ntd_has_prefix("abc", "ab") && ntd_has_prefix("abc", ""));
	assert_false(ntd_has_prefix("a", "ab") || ntd_has_prefix("xab", "ab"));
	assert_true(ntd_has_suffix("abc", "bc") && ntd_has_suffix("abc", "abc"));
	assert_true(ntd_has_suffix("abc", ""));
	assert_false(ntd_has_suffix("c", "bc") || ntd_has_suffix("bcx", "bc"));
	assert_string_equal(ntd_find("a\0needle.", 9, "needle"), "needle.");
	assert_null(ntd_find("a\0needle.", 7, "needle"));
	assert_null(ntd_find("", 0, "x"));
}

static void test_file_name(void **state)
{
	assert_string_equal(ntd_file_name("/a/b.c"), "b.c");
	assert_string_equal(ntd_file_name("b"), "b");
	assert_string_equal(ntd_file_name("a/"), "");
	assert_string_equal(ntd_file_name(""), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shell_quote),
		cmocka_unit_test(test_shell_quote_round_trip),
		cmocka_unit_test(test_shell_quote_appends),
		cmocka_unit_test(test_python_name),
		cmocka_unit_test(test_utf8_sequence),
		cmocka_unit_test(test_console_text),
		cmocka_unit_test(test_shown),
		cmocka_unit_test(test_searches),
		cmocka_unit_test(test_file_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
