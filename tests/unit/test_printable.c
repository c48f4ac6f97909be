/* Tests of text that is made printable: control sequences are removed, colours may stay. */
#include "unit.h"

#include "base/printable.h"

static void assert_printable(const char *text, const char *plain, const char *coloured)
{
	_cleanup_free_ char *without = ntd_printable_text(text);
	_cleanup_buf_ struct ntd_buf with = {0};

	ntd_printable(&with, text, strlen(text), true);
	ntd_buf_append(&with, "", 1);
	assert_string_equal(without, plain);
	assert_string_equal(ntd_buf_bytes(&with), coloured);
}

static void assert_removed(const char *text, const char *left)
{
	assert_printable(text, left, left);
}

static void text_stays(void **state)
{
	assert_removed("", "");
	assert_removed("two\nlines\tgr\xc3\xbc\xc3\x9f"
		       "e \xe2\x82\xac \xf0\x9f\x98\x80\r\n",
		       "two\nlines\tgr\xc3\xbc\xc3\x9f"
		       "e \xe2\x82\xac \xf0\x9f\x98\x80\r\n");
	assert_removed("[31m ]0; (B", "[31m ]0; (B");
}

static void colours_end_with_their_line(void **state)
{
	assert_printable("a\033[31mb\033[0mc", "abc", "a\033[31mb\033[0mc");
	assert_printable("\033[1;38:2:1:2:3mb\033[mc", "bc", "\033[1;38:2:1:2:3mb\033[mc");
	assert_printable("\033[31mb\nc", "b\nc", "\033[31mb\033[0m\nc");
	assert_printable("\033[31mb\r\nc", "b\r\nc", "\033[31mb\033[0m\r\nc");
	assert_printable("\033[0;31mb", "b", "\033[0;31mb\033[0m");
}

static void sequences_are_removed(void **state)
{
	/* the first output of SeaBIOS */
	assert_printable("\033c\033[?7l\033[2J\033[0mSeaBIOS", "SeaBIOS", "\033[0mSeaBIOS");
	assert_removed("a\033[2Jb\033[10;20Hc\033[>4;1md\033[?1me\033[4 mf\033[31!pg", "abcdefg");
	assert_removed("a\033(Bb\033#8c\0337d\033=e\033 Ff", "abcdef");
	assert_removed("a\033]0;title\ab\033]52;c;cm0gLXJm\033\\c\033Pq#0\033\\d\033_k\xc2\x9c"
		       "e",
		       "abcde");
	assert_removed("a\xc2\x9b"
		       "2Jb\xc2\x9d"
		       "0;title\xc2\x9c"
		       "c\xc2\x85\xc2\x90q\ad",
		       "abcd");
	assert_removed("a\033ktitle\033\\b\033kopen", "abopen");
	assert_removed("a\a\b\f\v\r\016\177b\rc", "abc");
}

static void what_has_no_end_is_text(void **state)
{
	assert_removed("a\033", "a");
	assert_removed("a\033[", "a");
	assert_removed("a\033[12", "a");
	assert_removed("a\033[1\a;31mb", "a;31mb");
	assert_removed("a\033]0;open\nb\a", "a0;open\nb");
	assert_removed("a\033]0;\033]1;b\ac", "ac");
	assert_removed("a\033\033[2Jb", "ab");
	assert_removed("a\033(\nb\033\xc3\xa9", "a\nb\xc3\xa9");
}

static void bytes_that_are_not_utf8_are_replaced(void **state)
{
	assert_removed("a\x9b"
		       "2Jb\xff",
		       "a\xef\xbf\xbd"
		       "2Jb\xef\xbf\xbd");
	assert_removed("\xc2", "\xef\xbf\xbd");
	/* The texts around a removed sequence do not become a new sequence. */
	assert_removed("\xc2\033[K\x9b"
		       "31m",
		       "\xef\xbf\xbd\xef\xbf\xbd"
		       "31m");
}

static void no_character_changes_the_order_of_others(void **state)
{
	/* right-to-left override, its end, an isolate, its end */
	assert_removed("a\xe2\x80\xae"
		       "b\xe2\x80\xac"
		       "c\xe2\x81\xa7"
		       "d\xe2\x81\xa9"
		       "e",
		       "abcde");
	/* Hebrew with a right-to-left mark, and the neighbours of what is removed */
	assert_removed("\xd7\xa9\xd7\x9c\xe2\x80\x8f", "\xd7\xa9\xd7\x9c\xe2\x80\x8f");
	assert_removed("\xe2\x80\xa9\xe2\x80\xaf\xe2\x81\xa5\xe2\x81\xb0",
		       "\xe2\x80\xa9\xe2\x80\xaf\xe2\x81\xa5\xe2\x81\xb0");
}

/* A guest may print only beginnings of sequences; the time stays linear. */
static void time_is_linear(void **state)
{
	enum { COUNT = 1 << 20 };
	_cleanup_free_ char *text = ntd_malloc(2 * COUNT + 1), *left = NULL;

	for (int i = 0; i < COUNT; i++)
		memcpy(text + (size_t)2 * i, "\033]", 2);
	text[2 * COUNT] = '\0';
	left = ntd_printable_text(text);
	assert_string_equal(left, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_stays),
		cmocka_unit_test(colours_end_with_their_line),
		cmocka_unit_test(sequences_are_removed),
		cmocka_unit_test(what_has_no_end_is_text),
		cmocka_unit_test(bytes_that_are_not_utf8_are_replaced),
		cmocka_unit_test(no_character_changes_the_order_of_others),
		cmocka_unit_test(time_is_linear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
