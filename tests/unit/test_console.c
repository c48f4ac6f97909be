/* The serial console: what goes into one end of a pipe comes out as raw bytes, as log events, as lines
 * for waits, and as text for messages.
 */
#include "unit.h"

#include "machine/console.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>

#define PATIENCE (10 * NTD_SECOND)

/* Keeps the texts of console lines, with "|" after each. */
struct recorder {
	struct ntd_sink sink;
	struct ntd_buf lines;
	bool wrong; /* an event was not a line of this console */
};

struct fixture {
	struct ntd_loop *loop;
	struct ntd_report *report;
	struct recorder recorder;
	struct ntd_console *console;
	int guest_out, guest_in; /* the guest's ends */
	int output, input, raw, raw_copy;
	sem_t panics;
};

static void record(struct ntd_sink *sink, const struct ntd_event *event)
{
	struct recorder *recorder = ntd_container_of(sink, struct recorder, sink);

	recorder->wrong |= event->kind != NTD_EVENT_SERIAL || strcmp(event->machine, "server") != 0;
	ntd_buf_append(&recorder->lines, event->text, event->text_len);
	ntd_buf_puts(&recorder->lines, "|");
}

static void stop_recording(struct ntd_sink *sink)
{
	(void)sink;
}

static void on_panic(void *owner)
{
	sem_post(&((struct fixture *)owner)->panics);
}

static void open_console(void *arg)
{
	struct fixture *fixture = arg;

	ntd_console_open(fixture->console, fixture->output, fixture->input, fixture->raw, on_panic,
			 fixture, NULL);
}

static void close_console(void *arg)
{
	_cleanup_error_ struct ntd_error *why = ntd_error_new(NTD_E_DEAD, "QEMU has ended");

	ntd_console_close(((struct fixture *)arg)->console, why);
}

static void begin(struct fixture *fixture)
{
	int out[2], in[2];

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	ntd_close_fd(&fixture->raw_copy);
	fixture->raw = memfd_create("raw", MFD_CLOEXEC);
	fixture->raw_copy = fcntl(fixture->raw, F_DUPFD_CLOEXEC, 3);
	fixture->output = out[0];
	fixture->guest_out = out[1];
	fixture->guest_in = in[0];
	fixture->input = in[1];
	ntd_loop_call(fixture->loop, open_console, fixture);
}

static void end(struct fixture *fixture)
{
	ntd_loop_call(fixture->loop, close_console, fixture);
	ntd_close_fd(&fixture->guest_out);
	ntd_close_fd(&fixture->guest_in);
}

static int set_up(void **state)
{
	struct fixture *fixture = ntd_calloc(1, sizeof *fixture);

	signal(SIGPIPE, SIG_IGN);
	fixture->loop = ntd_loop_new(NULL);
	fixture->report = ntd_report_new(NULL);
	fixture->recorder.sink = (struct ntd_sink){.event = record, .close = stop_recording};
	ntd_report_add(fixture->report, &fixture->recorder.sink);
	fixture->console = ntd_console_new(fixture->loop, fixture->report, "server");
	fixture->raw_copy = -1;
	sem_init(&fixture->panics, 0, 0);
	begin(fixture);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	end(fixture);
	ntd_console_free(fixture->console);
	ntd_loop_free(fixture->loop);
	ntd_report_free(fixture->report);
	ntd_buf_free(&fixture->recorder.lines);
	ntd_close_fd(&fixture->raw_copy);
	sem_destroy(&fixture->panics);
	free(fixture);
	return 0;
}

/* ---- both sides of it */

static void print_bytes(struct fixture *fixture, const char *bytes, size_t len)
{
	while (len) {
		ssize_t written = write(fixture->guest_out, bytes, len);

		assert_true(written > 0);
		bytes += written;
		len -= (size_t)written;
	}
}

static void print(struct fixture *fixture, const char *text)
{
	print_bytes(fixture, text, strlen(text));
}

/* Takes lines and appends them to `lines`; 0 or -1 with the error's code in *code. */
static int take(struct fixture *fixture, size_t limit, int64_t patience, struct ntd_buf *lines,
		enum ntd_errc *code)
{
	struct ntd_error *err = NULL;
	int result =
		ntd_console_take(fixture->console, lines, limit, ntd_after(patience), NULL, &err);

	if (err)
		*code = err->code;
	ntd_error_free(err);
	return result;
}

static void assert_taken(struct fixture *fixture, size_t limit, const char *expected)
{
	enum ntd_errc code = NTD_E_COUNT;
	struct ntd_buf lines = {0};
	_cleanup_free_ char *text = NULL;

	assert_int_equal(take(fixture, limit, PATIENCE, &lines, &code), 0);
	text = ntd_buf_take_string(&lines);
	assert_string_equal(text, expected);
}

static void assert_nothing_to_take(struct fixture *fixture, enum ntd_errc expected)
{
	enum ntd_errc code = NTD_E_COUNT;
	_cleanup_buf_ struct ntd_buf lines = {0};

	assert_true(take(fixture, 1000, 20 * NTD_MS, &lines, &code) < 0);
	assert_string_equal(ntd_errc_name(code), ntd_errc_name(expected));
	assert_int_equal(lines.len, 0);
}

/* Waits until a line has come that reads `last`, and takes all up to it. */
static void take_until(struct fixture *fixture, const char *last, struct ntd_buf *lines)
{
	enum ntd_errc code;

	do
		assert_int_equal(take(fixture, SIZE_MAX, PATIENCE, lines, &code), 0);
	while (!memmem(ntd_buf_bytes(lines), lines->len, last, strlen(last)));
}

static void assert_log(struct fixture *fixture, const char *expected)
{
	struct ntd_buf log = {0};
	_cleanup_free_ char *text = NULL;

	ntd_console_copy_log(fixture->console, &log);
	text = ntd_buf_take_string(&log);
	assert_string_equal(text, expected);
}

static void assert_recorded(struct fixture *fixture, const char *expected)
{
	_cleanup_free_ char *text = NULL;

	assert_true(ntd_report_flush(fixture->report, ntd_after(PATIENCE)));
	text = ntd_buf_take_string(&fixture->recorder.lines);
	assert_string_equal(text, expected);
	assert_false(fixture->recorder.wrong);
}

static void assert_raw(struct fixture *fixture, const char *bytes, size_t len)
{
	_cleanup_free_ char *raw = ntd_malloc(len + 1);

	assert_int_equal(pread(fixture->raw_copy, raw, len + 1, 0), len);
	assert_memory_equal(raw, bytes, len);
}

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
		ntd_console_give_back(fixture->console, 0); /* the loop has been round */
	}
	take_until(fixture, "end\n", &lines);
	assert_int_equal(lines.len, 19);
	assert_memory_equal(ntd_buf_bytes(&lines), "ab\n\xc3\xa4\xe2\x82\xac\nx\0y\n\n\nend\n", 19);
	assert_raw(fixture, bytes, sizeof bytes - 1);
}

/* Wherever it is cut, no character is. */
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

/* Much more than the pipe holds, while nobody waits. */
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

/* ---- taking */

static void no_more_is_taken_than_the_limit(void **state)
{
	struct fixture *fixture = *state;

	print(fixture, "1\n22\n333\nlong line\n5\n6\n");
	assert_taken(fixture, 5, "1\n22\n");
	assert_taken(fixture, 1, "333\n"); /* but one line at least */
	assert_taken(fixture, 10, "long line\n");
	assert_taken(fixture, 4, "5\n6\n");
	assert_nothing_to_take(fixture, NTD_E_TIMEOUT);
}

static void what_is_given_back_is_taken_again(void **state)
{
	struct fixture *fixture = *state;

	print(fixture, "one\ntwo\nthree\n");
	assert_taken(fixture, 1000, "one\ntwo\nthree\n");
	ntd_console_give_back(fixture->console, 10);
	print(fixture, "four\n");
	assert_taken(fixture, 8, "two\n");
	ntd_console_give_back(fixture->console, 1000);
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
		{1, "    three\n"},
		{2, "    \n    three\n"},
		{20, "    one\n    two\n    \n    three\n"},
	};
	struct fixture *fixture = *state;
	_cleanup_free_ char *empty = ntd_console_tail_now(fixture->console, 20);

	assert_string_equal(empty, "");
	print(fixture, "one\ntwo\n\nthree\nnot yet a line");
	assert_taken(fixture, 1000, "one\ntwo\n\nthree\n");
	for (size_t i = 0; i < unit_count(cases); i++) {
		_cleanup_free_ char *tail = ntd_console_tail_now(fixture->console, cases[i].lines);

		assert_string_equal(tail, cases[i].tail);
	}
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
	ntd_close_fd(&fixture->guest_out); /* a guest that has closed it may live on */
	ntd_console_give_back(fixture->console, 0);
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
	ntd_console_give_back(fixture->console, 4);
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
#define console_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		console_test(lines_go_everywhere),
		console_test(bytes_are_decoded_a_line_at_a_time),
		console_test(a_very_long_line_loses_nothing),
		console_test(a_flood_loses_nothing),
		console_test(no_more_is_taken_than_the_limit),
		console_test(what_is_given_back_is_taken_again),
		console_test(each_line_is_taken_once),
		console_test(the_tail_is_the_last_lines_indented),
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
