/* Tests of the readers of a console: what they keep and forget, how waits look for patterns, and
 * what becomes of control sequences.
 */
#include "console_fixture.h"

#include "console/expect.h"
#include "console/plain.h"

/* ---- control sequences */

static void assert_plain(const char *bytes, size_t len, const char *expected)
{
	for (size_t piece = 1; piece <= len; piece++) {
		struct ntd_plain plain = {0};
		struct ntd_buf out = {0};
		_cleanup_free_ char *text = NULL;

		for (size_t at = 0; at < len; at += piece)
			ntd_plain_add(&plain, bytes + at, piece < len - at ? piece : len - at,
				      &out);
		text = ntd_buf_take_string(&out);
		assert_string_equal(text, expected);
	}
}

#define assert_plain_of(bytes, expected) assert_plain(bytes, sizeof(bytes) - 1, expected)

static void control_sequences_are_removed(void **state)
{
	assert_plain_of("\033[1;31mred\033[0m\r\n", "red\n");
	assert_plain_of("\033]0;title\007a\033]0;title\033\\b\033Pq#0\033\\c", "abc");
	assert_plain_of("\033(Ba\033)0b\0337c\033=d", "abcd");
	assert_plain_of("\033[?2004h$ \033[6n", "$ ");
	assert_plain_of("a\0b\007\b\177\tc", "ab\tc");
	/* what is broken ends with its line */
	assert_plain_of("\033]never ends\nnext", "\nnext");
	assert_plain_of("\033[1;\nnext\033", "\nnext");
	assert_plain_of("\033[1\033[32mgreen", "green");
}

static void characters_stay_whole(void **state)
{
	assert_plain_of("\xe2\x82\xac \xf0\x9f\x90\xa7!", "\xe2\x82\xac \xf0\x9f\x90\xa7!");
	assert_plain_of("\xff\xe2\x82"
			"a\x82"
			"b\xc3\xc3\xa4\xf0\x9f\n",
			"ab\xc3\xa4\n");
}

/* ---- readers */

#define LIMIT 4000

struct words {
	const char *word;
	int looked; /* how often it was looked for */
	size_t len; /* in how much text, at last */
};

static int find_word(void *arg, const char *text, size_t len, size_t *end,
		     struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct words *words = arg;
	const char *at = len ? memmem(text, len, words->word, strlen(words->word)) : NULL;

	words->looked++;
	words->len = len;
	if (at)
		*end = (size_t)(at - text) + strlen(words->word);
	return at != NULL;
}

static int expect_word(struct ntd_expect *expect, const char *word, int64_t patience,
		       struct ntd_error **err)
{
	struct words words = {.word = word};

	return ntd_expect_wait(expect, find_word, &words, ntd_after(patience), NULL, err);
}

static void assert_word(struct ntd_expect *expect, const char *word)
{
	struct ntd_error *err = NULL;

	expect_word(expect, word, PATIENCE, &err);
	assert_no_error(err);
}

static void nothing_is_lost_before_the_first_read(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_expect *expect = ntd_expect_new(fixture->console, LIMIT);

	print(fixture, "\033[1mfirst\033[0m\nsecond\nlog");
	assert_taken(fixture, 1000, "\033[1mfirst\033[0m\nsecond\n");
	assert_word(expect, "first\nsec");
	assert_word(expect, "\nlog");
	print(fixture, "in: ");
	assert_word(expect, "in: ");
	ntd_expect_free(expect);
}

static void the_cursor_stays_behind_a_match(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_expect *expect = ntd_expect_new(fixture->console, LIMIT);

	print(fixture, "one two one three\n");
	assert_word(expect, "one");
	assert_word(expect, "one");
	assert_fails(expect_word(expect, "one", 20 * NTD_MS, &err), NTD_E_TIMEOUT,
		     "has shown since then:\n three\n");
	assert_word(expect, "three");
	assert_word(expect, "\n");
	assert_fails(expect_word(expect, "one", 20 * NTD_MS, &err), NTD_E_TIMEOUT,
		     "has shown nothing since then");
	/* waits for lines see everything, too */
	assert_taken(fixture, 1000, "one two one three\n");
	ntd_expect_free(expect);
}

static void readers_do_not_take_from_each_other(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_expect *a = ntd_expect_new(fixture->console, LIMIT);
	struct ntd_expect *b = ntd_expect_new(fixture->console, LIMIT);

	print(fixture, "text\n");
	assert_word(a, "text\n");
	assert_word(b, "text\n");
	print(fixture, "line\nprompt");
	assert_word(a, "prompt");
	ntd_expect_skip(b);
	assert_fails(expect_word(b, "line", 20 * NTD_MS, &err), NTD_E_TIMEOUT,
		     "since then:\nprompt");
	ntd_expect_free(a);
	ntd_expect_free(b);
}

static void old_text_is_dropped_and_counted(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_expect *expect = ntd_expect_new(fixture->console, LIMIT);
	struct words words = {.word = "end of it"};
	struct ntd_error *err = NULL;

	print(fixture, "begin\n");
	assert_word(expect, "begin\n");
	for (int i = 0; i < 3000; i++)
		print(fixture, "\xe2\x82\xac");
	print(fixture, "end");
	assert_true(expect_word(expect, "never", 300 * NTD_MS, &err) < 0);
	assert_non_null(strstr(err->message, "(older text, "));
	assert_non_null(strstr(err->message, "\xe2\x82\xac"
					     "end"));
	ntd_error_free(err);
	print(fixture, " of it");
	assert_int_equal(
		ntd_expect_wait(expect, find_word, &words, ntd_after(PATIENCE), NULL, NULL), 0);
	assert_in_range(words.len, LIMIT / 2, LIMIT);
	ntd_expect_free(expect);
}

static void only_new_text_wakes_a_wait(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_expect *expect = ntd_expect_new(fixture->console, LIMIT);
	struct words words = {.word = "never"};

	print(fixture, "some text");
	assert_word(expect, "some");
	assert_true(ntd_expect_wait(expect, find_word, &words, ntd_after(100 * NTD_MS), NULL,
				    NULL) < 0);
	assert_int_equal(words.looked, 1);
	ntd_expect_free(expect);
}

/* ---- the end of the machine */

static void the_rest_is_read_and_then_the_end_is_told(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_expect *expect = ntd_expect_new(fixture->console, LIMIT);

	print(fixture, "before\n");
	assert_word(expect, "before\n");
	print(fixture, "last words");
	end(fixture);
	assert_word(expect, "last");
	assert_fails(expect_word(expect, "never", PATIENCE, &err), NTD_E_DEAD, "QEMU has ended");
	assert_fails(expect_word(expect, "never", PATIENCE, &err), NTD_E_DEAD, "QEMU has ended");
	begin(fixture);
	print(fixture, "again\n");
	assert_word(expect, "again\n");
	ntd_expect_free(expect);
}

struct background {
	struct ntd_expect *expect;
	struct ntd_error *error;
};

static void *wait_in_background(void *arg)
{
	struct background *background = arg;

	expect_word(background->expect, "never", PATIENCE, &background->error);
	return NULL;
}

static void a_wait_ends_with_the_machine(void **state)
{
	struct fixture *fixture = *state;
	struct background background = {.expect = ntd_expect_new(fixture->console, LIMIT)};
	pthread_t thread;

	pthread_create(&thread, NULL, wait_in_background, &background);
	end(fixture);
	pthread_join(thread, NULL);
	/* the wait may have come after the end, which it is told of as well */
	assert_error(background.error, NTD_E_DEAD, "");
	ntd_expect_free(background.expect);
}

/* ---- going back */

static void text_and_cursor_are_as_at_the_mark(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_expect *expect = ntd_expect_new(fixture->console, LIMIT);
	struct ntd_expect *unread = ntd_expect_new(fixture->console, LIMIT);
	struct ntd_console_mark *mark;

	print(fixture, "one two\n\033[1mthree");
	assert_word(expect, "one");
	print(fixture, "\033[1"); /* the mark is within a sequence */
	mark = marked(fixture);
	for (int i = 0; i < 3; i++) {
		print(fixture, ";2mfour\nfive\n");
		assert_word(expect, " two\nthreefour");
		assert_word(expect, "five");
		assert_word(unread, "one two\n");
		print(fixture, "\033");
		if (i == 1) {
			end(fixture);
			begin(fixture);
			print(fixture, "new");
			assert_word(expect, "new");
		}
		go_back(fixture, mark);
	}
	assert_fails(expect_word(expect, "four", 20 * NTD_MS, &err), NTD_E_TIMEOUT,
		     "since then:\n two\nthree");
	ntd_expect_free(expect);
	ntd_expect_free(unread);
	ntd_console_mark_free(mark);
}

/* Readers come and go after the mark. */
static void a_later_reader_begins_again(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_expect *first = ntd_expect_new(fixture->console, LIMIT), *second;
	struct ntd_console_mark *mark;

	print(fixture, "one\ntwo\n");
	assert_word(first, "two");
	mark = marked(fixture);
	ntd_expect_free(first); /* the next may have its memory */
	second = ntd_expect_new(fixture->console, LIMIT);
	print(fixture, "later");
	assert_word(second, "later");
	go_back(fixture, mark);
	assert_word(second, "one\ntwo\n");
	print(fixture, "after\n");
	assert_word(second, "after");
	go_back(fixture, mark);
	assert_fails(expect_word(second, "after", 20 * NTD_MS, &err), NTD_E_TIMEOUT,
		     "since then:\none\ntwo\n");
	ntd_expect_free(second);
	ntd_console_mark_free(mark);
}

struct look_and_go_back {
	struct going_back back;
	int looked;
	bool finds;
};

/* What a thread looks at is given up meanwhile. */
static int look_and_go_back(void *arg, const char *text, size_t len, size_t *end,
			    struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct look_and_go_back *look = arg;

	if (!look->looked++)
		go_back(look->back.fixture, look->back.mark);
	*end = len;
	return look->finds;
}

static void a_thread_that_looks_meanwhile_moves_no_cursor(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_expect *expect = ntd_expect_new(fixture->console, LIMIT);
	struct look_and_go_back look = {.back = {.fixture = fixture}};

	print(fixture, "one\n");
	assert_word(expect, "on");
	look.back.mark = marked(fixture);
	print(fixture, "two\n");
	assert_fails(
		ntd_expect_wait(expect, look_and_go_back, &look, ntd_after(PATIENCE), NULL, &err),
		NTD_E_MACHINE, "it was restored");
	assert_int_equal(look.looked, 1);
	look = (struct look_and_go_back){.back = look.back, .finds = true};
	assert_int_equal(
		ntd_expect_wait(expect, look_and_go_back, &look, ntd_after(PATIENCE), NULL, NULL),
		0);
	assert_word(expect, "e\n");
	ntd_expect_free(expect);
	ntd_console_mark_free(look.back.mark);
}

static void a_wait_ends_with_going_back(void **state)
{
	struct fixture *fixture = *state;
	struct background background = {.expect = ntd_expect_new(fixture->console, LIMIT)};
	struct ntd_console_mark *mark = marked(fixture);
	pthread_t thread;

	print(fixture, "some text");
	assert_word(background.expect, "text");
	pthread_create(&thread, NULL, wait_in_background, &background);
	do /* until the wait is there */
		go_back(fixture, mark);
	while (pthread_tryjoin_np(thread, NULL) != 0);
	assert_error(background.error, NTD_E_MACHINE, "it was restored");
	ntd_expect_free(background.expect);
	ntd_console_mark_free(mark);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(control_sequences_are_removed),
		cmocka_unit_test(characters_stay_whole),
		console_test(nothing_is_lost_before_the_first_read),
		console_test(the_cursor_stays_behind_a_match),
		console_test(readers_do_not_take_from_each_other),
		console_test(old_text_is_dropped_and_counted),
		console_test(only_new_text_wakes_a_wait),
		console_test(the_rest_is_read_and_then_the_end_is_told),
		console_test(a_wait_ends_with_the_machine),
		console_test(text_and_cursor_are_as_at_the_mark),
		console_test(a_later_reader_begins_again),
		console_test(a_thread_that_looks_meanwhile_moves_no_cursor),
		console_test(a_wait_ends_with_going_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
