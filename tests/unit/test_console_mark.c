/* Tests of marks of a console: after going back, lines, waits and text for messages are as they
 * were at the mark, and the raw bytes and the log have everything.
 */
#include "console_fixture.h"

#include <sys/ioctl.h>

static void lines_and_cursor_are_as_at_the_mark(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_console_mark *mark;

	print(fixture, "one\ntwo\nthree\nlog");
	assert_taken(fixture, 4, "one\n");
	print(fixture, "in: "); /* may be in the pipe at the mark, to which it belongs */
	mark = marked(fixture);
	for (int i = 0; i < 3; i++) {
		print(fixture, "root\nlater\n");
		assert_taken(fixture, 10, "two\nthree\n");
		assert_taken(fixture, 6, "login: root\n");
		print(fixture, "in the pipe\nbegun");
		go_back(fixture, mark);
		assert_log(fixture, "one\ntwo\nthree\nlogin: ");
		assert_int_equal(ntd_console_unread(fixture->console), 2);
	}
	print(fixture, "guest\n");
	assert_taken(fixture, 10, "two\nthree\n");
	assert_taken(fixture, 1000, "login: guest\n");
	assert_recorded(fixture, "one|two|three|"
				 "login: root|later|in the pipe|begun|"
				 "login: root|later|in the pipe|begun|"
				 "login: root|later|in the pipe|begun|"
				 "login: guest|");
	assert_raw(fixture,
		   "one\ntwo\nthree\nlogin: "
		   "root\nlater\nin the pipe\nbegun"
		   "root\nlater\nin the pipe\nbegun"
		   "root\nlater\nin the pipe\nbegun"
		   "guest\n",
		   21 + 3 * 28 + 6);
	ntd_console_mark_free(mark);
}

static void a_new_start_can_go_back(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_console_mark *mark;
	_cleanup_free_ char *tail = NULL;

	print(fixture, "first\nstart\n");
	assert_taken(fixture, 6, "first\n");
	mark = marked(fixture);
	end(fixture);
	go_back(fixture, mark); /* also when it is closed */
	assert_log(fixture, "first\nstart");
	begin(fixture);
	print(fixture, "second\n");
	assert_taken(fixture, 100, "second\n");
	go_back(fixture, mark);
	print(fixture, "goes on\n");
	assert_taken(fixture, 6, "start\n");
	assert_taken(fixture, 100, "goes on\n");
	tail = ntd_console_tail_now(fixture->console, 2);
	assert_string_equal(tail, "    start\n    goes on\n");
	ntd_console_mark_free(mark);
}

/* A panic that is in the pipe at going back is not told. */
static void a_panic_is_that_of_the_mark(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_console_mark *before = marked(fixture), *mark;

	print(fixture, "Kernel panic - not syncing: first\n");
	assert_taken(fixture, 1000, "Kernel panic - not syncing: first\n");
	mark = marked(fixture);
	print(fixture, "Kernel panic - not syncing: second\n");
	assert_taken(fixture, 1000, "Kernel panic - not syncing: second\n");
	assert_string_equal(ntd_console_panic(fixture->console),
			    "Kernel panic - not syncing: second");
	assert_int_equal(sem_trywait(&fixture->panics) | sem_trywait(&fixture->panics), 0);
	go_back(fixture, mark);
	assert_string_equal(ntd_console_panic(fixture->console),
			    "Kernel panic - not syncing: first");
	print(fixture, "Kernel panic - not syncing: no newline");
	go_back(fixture, before);
	assert_null(ntd_console_panic(fixture->console));
	assert_int_equal(sem_trywait(&fixture->panics), -1);
	ntd_console_mark_free(before);
	ntd_console_mark_free(mark);
}

/* ---- waits */

struct background {
	struct fixture *fixture;
	struct ntd_error *error;
};

static void *wait_in_background(void *arg)
{
	struct background *background = arg;
	struct ntd_console_news news = {0};

	ntd_console_take(background->fixture->console, &news, 100, ntd_after(PATIENCE), NULL,
			 &background->error);
	ntd_buf_free(&news.lines);
	ntd_buf_free(&news.partial);
	return NULL;
}

static void a_wait_ends_with_going_back(void **state)
{
	struct background background = {.fixture = *state};
	struct ntd_console_mark *mark = marked(*state);
	pthread_t thread;

	pthread_create(&thread, NULL, wait_in_background, &background);
	do /* until the wait is there */
		go_back(*state, mark);
	while (pthread_tryjoin_np(thread, NULL) != 0);
	assert_error(background.error, NTD_E_MACHINE, "it was restored");
	ntd_console_mark_free(mark);
}

static int take_more(struct fixture *fixture, struct ntd_console_news *news, struct ntd_error **err)
{
	return ntd_console_take(fixture->console, news, 1000, ntd_after(PATIENCE), NULL, err);
}

/* A wait that looks at lines of the future that is given up neither goes on nor gives them back. */
static void lines_of_before_are_not_given_back(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_console_news news = {0};
	struct ntd_console_mark *mark;

	print(fixture, "one\ntwo\n");
	assert_taken(fixture, 4, "one\n");
	mark = marked(fixture);
	assert_int_equal(take_more(fixture, &news, NULL), 0);
	assert_int_equal(news.lines.len, 4);
	go_back(fixture, mark);
	ntd_console_give_back(fixture->console, &news, 4);
	assert_fails(take_more(fixture, &news, &err), NTD_E_MACHINE, "it was restored");
	assert_taken(fixture, 1000, "two\n");
	ntd_buf_free(&news.lines);
	ntd_buf_free(&news.partial);
	ntd_console_mark_free(mark);
}

/* What a wait was shown of a line that has begun is neither taken from the line of the mark, nor
 * from the next. */
static void a_beginning_of_before_is_not_taken(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_console_news news = {0};
	struct ntd_console_mark *mark;

	print(fixture, "login: ");
	mark = marked(fixture);
	assert_int_equal(take_more(fixture, &news, NULL), 0);
	assert_int_equal(news.partial.len, 7);
	go_back(fixture, mark);
	ntd_console_take_partial(fixture->console, &news);
	print(fixture, "root\n");
	assert_taken(fixture, 1000, "login: root\n");
	go_back(fixture, mark);
	print(fixture, "root\n");
	while (!ntd_console_unread(fixture->console))
		;
	ntd_console_take_partial(fixture->console, &news);
	assert_taken(fixture, 1000, "login: root\n");
	ntd_buf_free(&news.lines);
	ntd_buf_free(&news.partial);
	ntd_console_mark_free(mark);
}

/* The line that has begun at the mark is shown again, and can be taken. */
static void a_beginning_at_the_mark_is_shown_again(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_console_mark *mark;

	print(fixture, "login: ");
	mark = marked(fixture);
	for (int i = 0; i < 2; i++) {
		struct ntd_console_news news = {0};

		assert_int_equal(take_more(fixture, &news, NULL), 0);
		assert_int_equal(news.partial.len, 7);
		ntd_console_take_partial(fixture->console, &news);
		print(fixture, "root\n");
		assert_taken(fixture, 1000, " root\n");
		ntd_buf_free(&news.partial);
		go_back(fixture, mark);
	}
	ntd_console_mark_free(mark);
}

/* ---- input */

static void input_that_was_not_read_is_dropped(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_console_mark *mark = marked(fixture);
	_cleanup_free_ char *much = ntd_calloc(1, 1 << 20);
	char got[10];
	int left = 0;

	/* more than the pipe holds */
	assert_int_equal(ntd_console_write(fixture->console, much, 1 << 20, NULL), 0);
	go_back(fixture, mark);
	assert_int_equal(ioctl(fixture->guest_in, FIONREAD, &left), 0);
	assert_int_equal(left, 0);
	assert_int_equal(ntd_console_write(fixture->console, "new\n", 4, NULL), 0);
	assert_int_equal(read(fixture->guest_in, got, sizeof got), 4);
	assert_memory_equal(got, "new\n", 4);
	ntd_console_mark_free(mark);
}

static void a_guest_that_closed_its_input_does_no_harm(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_console_mark *mark = marked(fixture);

	print(fixture, "text\n");
	ntd_close_fd(&fixture->guest_in);
	ntd_close_fd(&fixture->guest_out);
	go_back(fixture, mark);
	assert_log(fixture, "");
	ntd_console_mark_free(mark);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		console_test(lines_and_cursor_are_as_at_the_mark),
		console_test(a_new_start_can_go_back),
		console_test(a_panic_is_that_of_the_mark),
		console_test(a_wait_ends_with_going_back),
		console_test(lines_of_before_are_not_given_back),
		console_test(a_beginning_of_before_is_not_taken),
		console_test(a_beginning_at_the_mark_is_shown_again),
		console_test(input_that_was_not_read_is_dropped),
		console_test(a_guest_that_closed_its_input_does_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
