/* Tests of the serial console: bytes that the guest writes into a pipe become raw bytes, events of
 * the log, lines for waits, and text for messages.
 */
#include "console_fixture.h"

/* ---- lines */

static void lines_go_everywhere(void **state)
{
	struct fixture *fixture = *state;

	print(fixture, "one\n\ntwo words \t\r\nth");
	assert_taken(fixture, 1000, "one\n\ntwo words\n");
	print(fixture, "re");
	assert_nothing_to_take(fixture, NTD_E_TIMEOUT);
	print(fixture, "e\n");
	assert_taken(fixture, 1000, "three\n");
	assert_log(fixture, "one\n\ntwo words\nthree");
	assert_recorded(fixture, "one||two words|three|");
	assert_raw(fixture, "one\n\ntwo words \t\r\nthree\n", 24);
}

static void bytes_are_decoded_a_line_at_a_time(void **state)
{
	static const char bytes[] =
		"a\rb\r\r\n\xc3\xa4\xff\xe2\x82\xac\xf0\x9f\nx\0y\n\xc3\n\xa4\nend\n";
	struct fixture *fixture = *state;
	_cleanup_buf_ struct ntd_buf lines = {0};

	for (size_t i = 0; i < sizeof bytes - 1; i++) {
		print_bytes(fixture, bytes + i, 1);
		let_the_loop_run(fixture);
	}
	take_until(fixture, "end\n", &lines);
	assert_int_equal(lines.len, 19);
	assert_memory_equal(ntd_buf_bytes(&lines), "ab\n\xc3\xa4\xe2\x82\xac\nx\0y\n\n\nend\n", 19);
	assert_raw(fixture, bytes, sizeof bytes - 1);
}

/* A very long line is cut between characters. */
static void a_very_long_line_loses_nothing(void **state)
{
	static const char euro[] = "\xe2\x82\xac";
	struct fixture *fixture = *state;
	_cleanup_buf_ struct ntd_buf text = {0}, lines = {0};
	size_t found = 0, cuts = 0;

	for (int i = 0; i < 200000; i++)
		ntd_buf_puts(&text, euro);
	ntd_buf_puts(&text, "\nend\n");
	print_bytes(fixture, ntd_buf_bytes(&text), text.len);
	take_until(fixture, "end\n", &lines);
	for (const char *c = ntd_buf_bytes(&lines); lines.len; c = ntd_buf_bytes(&lines)) {
		bool whole = lines.len >= 3 && !memcmp(c, euro, 3);

		found += whole;
		cuts += *c == '\n';
		ntd_buf_consume(&lines, whole ? 3 : 1);
	}
	assert_int_equal(found, 200000);
	assert_in_range(cuts, 4, 20);
}

/* The guest prints much more than the pipe holds, while no wait takes lines. */
static void a_flood_loses_nothing(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_buf_ struct ntd_buf text = {0}, lines = {0};

	for (int i = 0; i < 100000; i++)
		ntd_buf_printf(&text, "line %d\n", i);
	print_bytes(fixture, ntd_buf_bytes(&text), text.len);
	take_until(fixture, "line 99999\n", &lines);
	assert_int_equal(lines.len, text.len);
	assert_memory_equal(ntd_buf_bytes(&lines), ntd_buf_bytes(&text), text.len);
	assert_raw(fixture, ntd_buf_bytes(&text), text.len);
}

/* The raw file is a pipe that nobody reads, in place of a disk that hangs. */
static void a_disk_that_hangs_stops_no_console(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_buf_ struct ntd_buf text = {0}, lines = {0};
	int raw[2];

	end(fixture);
	assert_int_equal(pipe2(raw, O_CLOEXEC), 0);
	begin_with(fixture, raw[1], raw[0]);
	for (int i = 0; i < 100000; i++)
		ntd_buf_printf(&text, "line %d\n", i);
	print_bytes(fixture, ntd_buf_bytes(&text), text.len);
	take_until(fixture, "line 99999\n", &lines);
	end(fixture); /* the machine can end, too */
	for (size_t len = 0; len < text.len;) {
		char bytes[4096];
		ssize_t got = read(fixture->raw_copy, bytes, sizeof bytes);

		assert_true(got > 0);
		assert_memory_equal(bytes, ntd_buf_bytes(&text) + len, got);
		len += (size_t)got;
	}
	begin(fixture);
}

/* ---- taking */

static void no_more_is_taken_than_the_limit(void **state)
{
	struct fixture *fixture = *state;

	print(fixture, "1\n22\n333\nlong line\n5\n6\n");
	assert_taken(fixture, 5, "1\n22\n");
	assert_taken(fixture, 1, "333\n"); /* at least one line, whatever the limit */
	assert_taken(fixture, 10, "long line\n");
	assert_taken(fixture, 4, "5\n6\n");
	assert_nothing_to_take(fixture, NTD_E_TIMEOUT);
}

static void what_is_given_back_is_taken_again(void **state)
{
	struct fixture *fixture = *state;

	print(fixture, "one\ntwo\nthree\n");
	assert_taken(fixture, 1000, "one\ntwo\nthree\n");
	give_back(fixture, 10);
	print(fixture, "four\n");
	assert_taken(fixture, 8, "two\n");
	give_back(fixture, 1000);
	assert_taken(fixture, 1000, "one\ntwo\nthree\nfour\n");
	assert_log(fixture, "one\ntwo\nthree\nfour");
}

static void *take_one(void *arg)
{
	struct fixture *fixture = arg;
	struct ntd_buf lines = {0};
	enum ntd_errc code;

	take(fixture, 1, PATIENCE, &lines, &code);
	return ntd_buf_take_string(&lines);
}

static void each_line_is_taken_once(void **state)
{
	struct fixture *fixture = *state;
	pthread_t threads[2];
	void *first, *second;

	for (size_t i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, take_one, fixture);
	print(fixture, "one\ntwo\n");
	pthread_join(threads[0], &first);
	pthread_join(threads[1], &second);
	assert_string_not_equal(first, second);
	assert_int_equal(strlen(first), 4);
	assert_int_equal(strlen(second), 4);
	free(first);
	free(second);
	assert_nothing_to_take(fixture, NTD_E_TIMEOUT);
}

/* ---- text for messages, panics */

static void the_tail_is_the_last_lines_indented(void **state)
{
	static const struct {
		int lines;
		const char *tail;
	} cases[] = {
		{0, ""},
		{1, "    not yet a li\n"},
		{2, "    three\n    not yet a li\n"},
		{20, "    one\n    two\n    \n    three\n    not yet a li\n"},
	};
	struct fixture *fixture = *state;
	_cleanup_free_ char *empty = ntd_console_tail_now(fixture->console, 20);

	assert_string_equal(empty, "");
	print(fixture, "one\ntwo\n\nthree\nnot yet a li");
	assert_taken(fixture, 1000, "one\ntwo\n\nthree\n");
	for (size_t i = 0; i < unit_count(cases); i++) {
		_cleanup_free_ char *tail = ntd_console_tail_now(fixture->console, cases[i].lines);

		assert_string_equal(tail, cases[i].tail);
	}
}

static void the_last_line_is_one_that_can_be_read(void **state)
{
	static const struct {
		const char *printed, *line;
	} cases[] = {
		{"", ""},
		{"\n \t\r\n", ""},
		{"one\n", "one"},
		{"\x1b[1;32m<<< Stage 1 >>>\x1b[0m\n\n\x1b[0m\n", "<<< Stage 1 >>>"},
		{"two\n\n  login:  ", "login:"},
		{"\na longer line than that\n\n", "a longer line..."},
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < unit_count(cases); i++) {
		int64_t deadline = ntd_after(10 * NTD_SECOND);
		char *line = NULL;

		print(fixture, cases[i].printed);
		do {
			free(line);
			line = ntd_console_last_line_now(fixture->console, 16);
		} while (strcmp(line, cases[i].line) != 0 && ntd_now() < deadline);
		assert_string_equal(line, cases[i].line);
		free(line);
	}
}

/* Returns the text of an unfinished line that a wait is shown; "" if nothing new comes in time. */
static char *shown(struct fixture *fixture, struct ntd_console_news *news, int64_t patience)
{
	ntd_buf_clear(&news->partial);
	ntd_console_take(fixture->console, news, 1000, ntd_after(patience), NULL, NULL);
	return ntd_strndup(ntd_buf_bytes(&news->partial), news->partial.len);
}

static void assert_shown(struct fixture *fixture, struct ntd_console_news *news,
			 const char *expected)
{
	_cleanup_free_ char *text =
		shown(fixture, news, *expected ? 10 * NTD_SECOND : 200 * NTD_MS);

	assert_string_equal(text, expected);
}

/* A wait is shown an unfinished line once, and again when the line has grown; the line stays until
 * it is taken. */
static void a_line_that_has_begun_is_shown(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_console_news news = {0}, other = {0};

	print(fixture, "log\xc3");
	assert_shown(fixture, &news, "log");
	assert_shown(fixture, &news, "");
	print(fixture, "\xa9in: ");
	assert_shown(fixture, &news, "logéin: ");
	assert_shown(fixture, &other, "logéin: ");
	print(fixture, "root\n");
	assert_taken(fixture, 1000, "logéin: root\n");
	ntd_buf_free(&news.partial);
	ntd_buf_free(&other.partial);
}

static void the_rest_of_a_line_comes_after_what_was_taken_of_it(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_console_news news = {0};

	print(fixture, "before\nlogin: ");
	assert_taken(fixture, 1000, "before\n");
	assert_shown(fixture, &news, "login: ");
	ntd_console_take_partial(fixture->console, &news);
	news.seen = 0;
	assert_shown(fixture, &news, "");
	print(fixture, "root\nafter\n");
	assert_taken(fixture, 1000, " root\nafter\n");
	/* the line is complete before its shown beginning is taken */
	print(fixture, "password: ");
	news.seen = 0;
	assert_shown(fixture, &news, "password: ");
	print(fixture, "x\n");
	while (true) {
		_cleanup_free_ char *tail = ntd_console_tail_now(fixture->console, 1);

		if (!strcmp(tail, "    password: x\n"))
			break;
	}
	ntd_console_take_partial(fixture->console, &news);
	assert_taken(fixture, 1000, "x\n");
	ntd_buf_free(&news.partial);
}

static void a_panic_is_told_and_kept(void **state)
{
	struct fixture *fixture = *state;

	print(fixture, "Kernel panic is not likely\n");
	print(fixture, "[    1.5] Kernel panic - not synci");
	assert_taken(fixture, 1000, "Kernel panic is not likely\n");
	assert_int_equal(sem_trywait(&fixture->panics), -1);
	assert_null(ntd_console_panic(fixture->console));
	print(fixture, "ng: VFS: Unable to mount root fs\r\nmore\n");
	assert_int_equal(sem_wait(&fixture->panics), 0);
	end(fixture);
	assert_string_equal(ntd_console_panic(fixture->console),
			    "[    1.5] Kernel panic - not syncing: VFS: Unable to mount root fs");
	begin(fixture);
	assert_null(ntd_console_panic(fixture->console));
}

/* ---- ends and beginnings */

static void closing_reads_what_is_there(void **state)
{
	struct fixture *fixture = *state;
	enum ntd_errc code = NTD_E_COUNT;
	_cleanup_buf_ struct ntd_buf lines = {0};

	for (int i = 0; i < 500; i++)
		print(fixture, "a line that is in the pipe\n");
	print(fixture, "the last one has no newline");
	end(fixture);
	assert_int_equal(take(fixture, SIZE_MAX, 0, &lines, &code), 0);
	assert_int_equal(lines.len, 500 * 27 + 28);
	assert_nothing_to_take(fixture, NTD_E_DEAD);
}

static void waits_end_when_it_closes(void **state)
{
	struct fixture *fixture = *state;
	pthread_t thread;
	void *text;

	pthread_create(&thread, NULL, take_one, fixture);
	print(fixture, "");
	ntd_close_fd(&fixture->guest_out); /* a guest may close the console and live on */
	let_the_loop_run(fixture);
	end(fixture);
	pthread_join(thread, &text);
	assert_string_equal(text, "");
	free(text);
}

static void a_new_start_forgets_the_last_one(void **state)
{
	struct fixture *fixture = *state;

	print(fixture, "old\nolder");
	assert_taken(fixture, 1000, "old\n");
	give_back(fixture, 4);
	end(fixture);
	begin(fixture);
	assert_log(fixture, "");
	print(fixture, "new\n");
	assert_taken(fixture, 1000, "new\n");
	assert_log(fixture, "new");
	assert_raw(fixture, "new\n", 4);
	assert_recorded(fixture, "old|older|new|");
}

/* ---- input */

static void input_reaches_the_guest(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_free_ char *bytes = ntd_malloc(1 << 20), *read_back = ntd_malloc(1 << 20);
	size_t len = 0;

	for (size_t i = 0; i < 1 << 20; i++)
		bytes[i] = (char)(i * i >> 5);
	assert_int_equal(ntd_console_write(fixture->console, bytes, 1 << 20, NULL), 0);
	while (len < 1 << 20) {
		ssize_t got = read(fixture->guest_in, read_back + len, (1 << 20) - len);

		assert_true(got > 0);
		len += (size_t)got;
	}
	assert_memory_equal(bytes, read_back, 1 << 20);
}

static void input_that_nobody_reads_is_refused(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_free_ char *bytes = ntd_calloc(1, 1 << 20);
	int written = 0;

	while (written < 100 && ntd_console_write(fixture->console, bytes, 1 << 20, NULL) == 0)
		written++;
	assert_in_range(written, 1, 99);
	assert_fails(ntd_console_write(fixture->console, bytes, 1 << 20, &err), NTD_E_MACHINE,
		     "machine 'server' does not read its serial console");
	end(fixture);
	assert_fails(ntd_console_write(fixture->console, "x", 1, &err), NTD_E_DEAD,
		     "machine 'server' is not running");
}

static void a_guest_that_closed_its_input_does_no_harm(void **state)
{
	struct fixture *fixture = *state;

	ntd_close_fd(&fixture->guest_in);
	ntd_console_write(fixture->console, "x", 1, NULL);
	ntd_console_write(fixture->console, "y", 1, NULL);
	print(fixture, "still here\n");
	assert_taken(fixture, 1000, "still here\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		console_test(lines_go_everywhere),
		console_test(bytes_are_decoded_a_line_at_a_time),
		console_test(a_very_long_line_loses_nothing),
		console_test(a_flood_loses_nothing),
		console_test(a_disk_that_hangs_stops_no_console),
		console_test(no_more_is_taken_than_the_limit),
		console_test(what_is_given_back_is_taken_again),
		console_test(each_line_is_taken_once),
		console_test(the_tail_is_the_last_lines_indented),
		console_test(the_last_line_is_one_that_can_be_read),
		console_test(a_line_that_has_begun_is_shown),
		console_test(the_rest_of_a_line_comes_after_what_was_taken_of_it),
		console_test(a_panic_is_told_and_kept),
		console_test(closing_reads_what_is_there),
		console_test(waits_end_when_it_closes),
		console_test(a_new_start_forgets_the_last_one),
		console_test(input_reaches_the_guest),
		console_test(input_that_nobody_reads_is_refused),
		console_test(a_guest_that_closed_its_input_does_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
