/* Tests of the store of a console's lines: bytes come in pieces of any size, and lines and copies
 * of them come out.
 */
#include "unit.h"

#include "console/lines.h"

struct fixture {
	struct ntd_lines lines;
	struct ntd_buf complete; /* complete lines so far, "|" after each, "!" for a panic */
};

static void complete(void *owner, const char *text, size_t len, bool panic)
{
	struct fixture *fixture = owner;

	ntd_buf_append(&fixture->complete, text, len);
	ntd_buf_puts(&fixture->complete, panic ? "!" : "|");
}

static int set_up(void **state)
{
	struct fixture *fixture = ntd_calloc(1, sizeof *fixture);

	fixture->lines =
		(struct ntd_lines){.limit = 1 << 20, .complete = complete, .owner = fixture};
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	ntd_lines_free(&fixture->lines);
	ntd_buf_free(&fixture->complete);
	free(fixture);
	return 0;
}

static void add(struct fixture *fixture, const char *text)
{
	ntd_lines_add(&fixture->lines, text, strlen(text));
}

/* Asserts that `out` holds `expected`, and empties `out`. */
static void assert_text(struct ntd_buf *out, const char *expected)
{
	_cleanup_free_ char *text = ntd_buf_take_string(out);

	assert_string_equal(text, expected);
}

static void assert_taken(struct fixture *fixture, size_t limit, const char *expected)
{
	struct ntd_buf out = {0};

	assert_int_equal(ntd_lines_take(&fixture->lines, limit, &out), *expected != '\0');
	assert_text(&out, expected);
}

static void assert_partial(struct fixture *fixture, size_t from, const char *expected)
{
	struct ntd_buf out = {0};

	ntd_lines_copy_partial(&fixture->lines, from, &out);
	assert_text(&out, expected);
}

static void assert_all(struct fixture *fixture, const char *expected)
{
	struct ntd_buf out = {0};

	ntd_lines_copy(&fixture->lines, &out);
	assert_text(&out, expected);
}

/* ---- */

static void a_line_is_complete_with_its_newline(void **state)
{
	struct fixture *fixture = *state;

	add(fixture, "on");
	assert_taken(fixture, 100, "");
	add(fixture, "e\n\ntwo \t\r\nth");
	assert_text(&fixture->complete, "one||two|");
	assert_int_equal(ntd_lines_unread(&fixture->lines), 3);
	assert_all(fixture, "one\n\ntwo\nth");
	assert_taken(fixture, 100, "one\n\ntwo\n");
	assert_int_equal(ntd_lines_unread(&fixture->lines), 0);
	ntd_lines_end(&fixture->lines);
	ntd_lines_end(&fixture->lines);
	assert_text(&fixture->complete, "th|");
	assert_all(fixture, "one\n\ntwo\nth");
	assert_taken(fixture, 100, "th\n");
}

static void characters_are_not_cut(void **state)
{
	struct fixture *fixture = *state;

	add(fixture, "a\xe2\x82");
	assert_partial(fixture, 0, "a");
	add(fixture, "\xac\xff");
	assert_partial(fixture, 0, "a\xe2\x82\xac");
	add(fixture, "\xf0\x9f\n");
	assert_taken(fixture, 100, "a\xe2\x82\xac\n");
}

/* The line is split before the character that would pass the limit of 64 KiB. */
static void a_very_long_line_is_split_between_characters(void **state)
{
	struct fixture *fixture = *state;

	for (int i = 0; i < 1 << 16; i++)
		add(fixture, i % 2 ? "\xa4" : "\xc3");
	assert_int_equal(fixture->complete.len, 0);
	add(fixture, "\xc3");
	assert_int_equal(fixture->complete.len, (1 << 16) + 1);
	add(fixture, "\xa4\n");
	assert_int_equal(fixture->complete.len, (1 << 16) + 4);
	assert_int_equal(ntd_lines_unread(&fixture->lines), 2);
}

static void takes_are_limited(void **state)
{
	struct fixture *fixture = *state;

	add(fixture, "1\n22\nlong line\n4\n");
	assert_taken(fixture, 5, "1\n22\n");
	assert_taken(fixture, 1, "long line\n");
	ntd_lines_give_back(&fixture->lines, 5);
	assert_taken(fixture, SIZE_MAX, "line\n4\n");
	ntd_lines_give_back(&fixture->lines, SIZE_MAX);
	assert_taken(fixture, SIZE_MAX, "1\n22\nlong line\n4\n");
}

static void what_a_wait_used_of_a_line_is_skipped(void **state)
{
	struct fixture *fixture = *state;

	add(fixture, "first\nlog\xffin:  ");
	assert_partial(fixture, 0, "login:  ");
	assert_partial(fixture, 4, "in:  ");
	assert_partial(fixture, 9, "");
	assert_taken(fixture, 100, "first\n");
	ntd_lines_take_partial(&fixture->lines, fixture->lines.line, 8, 7);
	add(fixture, "root\nafter\n");
	assert_taken(fixture, 100, "  root\nafter\n");
	/* the line is complete before its beginning is taken */
	add(fixture, "password: x\nafter\n");
	ntd_lines_take_partial(&fixture->lines, fixture->lines.line - 2, 10, 10);
	assert_taken(fixture, 100, "x\nafter\n");
	/* never more than the line */
	add(fixture, "a\nb\n");
	ntd_lines_take_partial(&fixture->lines, fixture->lines.line - 2, 10, 10);
	assert_taken(fixture, 100, "\nb\n");
}

/* Untaken lines come first, so the new line is taken whole when its turn comes. */
static void a_line_behind_others_is_not_cut(void **state)
{
	struct fixture *fixture = *state;

	add(fixture, "one\npro");
	ntd_lines_take_partial(&fixture->lines, fixture->lines.line, 3, 3);
	add(fixture, "mpt\n");
	assert_taken(fixture, 100, "one\nprompt\n");
}

static void the_oldest_half_goes(void **state)
{
	struct fixture *fixture = *state;

	fixture->lines.limit = 20;
	add(fixture, "11111\n22222\n33333\n");
	assert_taken(fixture, 6, "11111\n");
	add(fixture, "4\n");
	assert_all(fixture, "11111\n22222\n33333\n4");
	add(fixture, "5\n");
	assert_all(fixture, "33333\n4\n5");
	assert_taken(fixture, 100, "33333\n4\n5\n");
	add(fixture, "a line that is longer than the limit\n");
	assert_all(fixture, "");
	assert_taken(fixture, 100, "");
	add(fixture, "6\n");
	assert_taken(fixture, 100, "6\n");
}

static void tails_count_the_line_that_has_begun(void **state)
{
	static const struct {
		int count;
		const char *tail, *copy;
	} cases[] = {
		{0, "", "$ "},
		{1, "    $ \n", "$ "},
		{2, "    three\n    $ \n", "three\n$ "},
		{3, "    \n    three\n    $ \n", "\nthree\n$ "},
		{100, "    one\n    \n    three\n    $ \n", "one\n\nthree\n$ "},
	};
	struct fixture *fixture = *state;
	_cleanup_free_ char *empty = ntd_lines_tail(&fixture->lines, 5);

	assert_string_equal(empty, "");
	add(fixture, "one\n\nthree\n$ ");
	for (size_t i = 0; i < unit_count(cases); i++) {
		_cleanup_free_ char *tail = ntd_lines_tail(&fixture->lines, cases[i].count);
		struct ntd_buf copy = {0};

		assert_string_equal(tail, cases[i].tail);
		ntd_lines_copy_tail(&fixture->lines, cases[i].count, &copy);
		assert_text(&copy, cases[i].copy);
	}
}

static void only_the_kernel_panics(void **state)
{
	static const struct {
		const char *line;
		bool panic;
	} cases[] = {
		{"Kernel panic - not syncing: x", true},
		{"[    1.5] Kernel panic - not syncing: x", true},
		{"firmware [    1.5] Kernel panic - not syncing: x", true},
		{"Kernel panic is not likely", false},
		{"systemd[1]: Kernel panic - not syncing: x", false},
		{"log: [1.5] said Kernel panic - not syncing: x", false},
		{"[x] Kernel panic - not syncing: x", false},
		{"[1.5]Kernel panic - not syncing: x", false},
		{"[1.5", false},
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < unit_count(cases); i++) {
		_cleanup_free_ char *told =
			ntd_asprintf("%s%s", cases[i].line, cases[i].panic ? "!" : "|");

		ntd_lines_forget(&fixture->lines);
		add(fixture, cases[i].line);
		assert_null(fixture->lines.panic);
		add(fixture, "\r\n");
		assert_text(&fixture->complete, told);
		if (cases[i].panic)
			assert_string_equal(fixture->lines.panic, cases[i].line);
		else
			assert_null(fixture->lines.panic);
	}
}

static void nothing_is_left_of_an_earlier_start(void **state)
{
	struct fixture *fixture = *state;
	unsigned line;

	add(fixture, "old\nKernel panic - not syncing\nolder");
	line = fixture->lines.line;
	ntd_lines_take_partial(&fixture->lines, line, 3, 3);
	ntd_lines_forget(&fixture->lines);
	assert_null(fixture->lines.panic);
	assert_all(fixture, "");
	add(fixture, "new\n");
	ntd_lines_take_partial(&fixture->lines, line + 1, 0, 0);
	assert_taken(fixture, 100, "new\n");
	assert_true(fixture->lines.line != line);
}

static void everything_is_as_it_was_at_a_mark(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_lines mark = {0};
	unsigned line;

	add(fixture, "one\nKernel panic - not syncing\ntwo\nlogin: ");
	assert_taken(fixture, 4, "one\n");
	ntd_lines_mark(&fixture->lines, &mark);
	for (int i = 0; i < 3; i++) {
		line = fixture->lines.line;
		assert_int_equal(ntd_lines_unread(&fixture->lines), 2);
		assert_string_equal(fixture->lines.panic, "Kernel panic - not syncing");
		assert_all(fixture, "one\nKernel panic - not syncing\ntwo\nlogin: ");
		assert_partial(fixture, 0, "login: ");
		assert_taken(fixture, 1000, "Kernel panic - not syncing\ntwo\n");
		add(fixture, "root\n[    2.0] Kernel panic - not syncing: again\nlater");
		if (i == 1)
			ntd_lines_forget(&fixture->lines);
		ntd_lines_go_back(&fixture->lines, &mark);
		assert_true(fixture->lines.line > line);
	}
	add(fixture, "guest\n");
	assert_taken(fixture, 1000, "Kernel panic - not syncing\ntwo\nlogin: guest\n");
	ntd_lines_free(&mark);
}

static void what_was_used_of_a_line_is_as_it_was(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_lines mark = {0}, empty = {0};

	ntd_lines_mark(&fixture->lines, &empty);
	add(fixture, "login: ");
	ntd_lines_take_partial(&fixture->lines, fixture->lines.line, 3, 3);
	ntd_lines_mark(&fixture->lines, &mark);
	ntd_lines_take_partial(&fixture->lines, fixture->lines.line, 6, 6);
	ntd_lines_go_back(&fixture->lines, &mark);
	add(fixture, "root\n");
	assert_taken(fixture, 100, "in: root\n");
	ntd_lines_go_back(&fixture->lines, &empty);
	assert_all(fixture, "");
	assert_null(fixture->lines.panic);
	add(fixture, "login: \n");
	assert_taken(fixture, 100, "login:\n");
	ntd_lines_free(&mark);
	ntd_lines_free(&empty);
}

#define lines_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		lines_test(a_line_is_complete_with_its_newline),
		lines_test(characters_are_not_cut),
		lines_test(a_very_long_line_is_split_between_characters),
		lines_test(takes_are_limited),
		lines_test(what_a_wait_used_of_a_line_is_skipped),
		lines_test(a_line_behind_others_is_not_cut),
		lines_test(the_oldest_half_goes),
		lines_test(tails_count_the_line_that_has_begun),
		lines_test(only_the_kernel_panics),
		lines_test(nothing_is_left_of_an_earlier_start),
		lines_test(everything_is_as_it_was_at_a_mark),
		lines_test(what_was_used_of_a_line_is_as_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
