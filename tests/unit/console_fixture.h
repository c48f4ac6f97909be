/* A fixture for tests of the serial console. The test plays the guest: it writes into one end of a
 * pipe, and reads the raw bytes, events and lines that the console makes of the bytes.
 */
#pragma once

#include "unit.h"

#include "console/console.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>

#define PATIENCE (10 * NTD_SECOND)

/* A sink that keeps the texts of console lines, with "|" after each. */
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
	int guest_out, guest_in; /* the guest's ends of the pipes */
	int output, input, raw, raw_copy;
	sem_t panics;
};

static inline void record(struct ntd_sink *sink, const struct ntd_event *event)
{
	struct recorder *recorder = ntd_container_of(sink, struct recorder, sink);

	recorder->wrong |= event->kind != NTD_EVENT_SERIAL || strcmp(event->machine, "server") != 0;
	ntd_buf_append(&recorder->lines, event->text, event->text_len);
	ntd_buf_puts(&recorder->lines, "|");
}

static inline void stop_recording(struct ntd_sink *sink)
{
}

static inline void on_panic(void *owner)
{
	sem_post(&((struct fixture *)owner)->panics);
}

static inline void open_console(void *arg)
{
	struct fixture *fixture = arg;

	ntd_console_open(fixture->console, fixture->output, fixture->input, fixture->raw, on_panic,
			 fixture, NULL);
}

static inline void close_console(void *arg)
{
	_cleanup_error_ struct ntd_error *why = ntd_error_new(NTD_E_DEAD, "QEMU has ended");

	ntd_console_close(((struct fixture *)arg)->console, why);
}

/* Begins a fixture. raw: the descriptor of the file for raw bytes. raw_copy: the same file, to
 * read. */
static inline void begin_with(struct fixture *fixture, int raw, int raw_copy)
{
	int out[2], in[2];

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	ntd_close_fd(&fixture->raw_copy);
	fixture->raw = raw;
	fixture->raw_copy = raw_copy;
	fixture->output = out[0];
	fixture->guest_out = out[1];
	fixture->guest_in = in[0];
	fixture->input = in[1];
	ntd_loop_call(fixture->loop, open_console, fixture);
}

static inline void begin(struct fixture *fixture)
{
	int raw = memfd_create("raw", MFD_CLOEXEC);

	begin_with(fixture, raw, fcntl(raw, F_DUPFD_CLOEXEC, 3));
}

static inline void end(struct fixture *fixture)
{
	ntd_loop_call(fixture->loop, close_console, fixture);
	ntd_close_fd(&fixture->guest_out);
	ntd_close_fd(&fixture->guest_in);
}

static inline int set_up(void **state)
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

static inline int tear_down(void **state)
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

/* ---- the guest's and the driver's side */

static inline void print_bytes(struct fixture *fixture, const char *bytes, size_t len)
{
	while (len) {
		ssize_t written = write(fixture->guest_out, bytes, len);

		assert_true(written > 0);
		bytes += written;
		len -= (size_t)written;
	}
}

static inline void print(struct fixture *fixture, const char *text)
{
	print_bytes(fixture, text, strlen(text));
}

/* Takes lines and appends them to `lines`. Returns 0, or -1 with the error's code in *code. */
static inline int take(struct fixture *fixture, size_t limit, int64_t patience,
		       struct ntd_buf *lines, enum ntd_errc *code)
{
	struct ntd_error *err = NULL;
	struct ntd_console_news news = {.lines = *lines};
	int result;

	do { /* until there are complete lines */
		ntd_buf_clear(&news.partial);
		result = ntd_console_take(fixture->console, &news, limit, ntd_after(patience), NULL,
					  &err);
	} while (result == 0 && news.partial.len);
	*lines = news.lines;
	ntd_buf_free(&news.partial);
	if (err)
		*code = err->code;
	ntd_error_free(err);
	return result;
}

/* Gives bytes of what was taken last back. */
static inline void give_back(struct fixture *fixture, size_t count)
{
	ntd_console_give_back(fixture->console, &(struct ntd_console_news){0}, count);
}

/* Waits until the loop has made a round. */
static inline void let_the_loop_run(struct fixture *fixture)
{
	give_back(fixture, 0);
}

static inline void assert_taken(struct fixture *fixture, size_t limit, const char *expected)
{
	enum ntd_errc code = NTD_E_COUNT;
	struct ntd_buf lines = {0};
	_cleanup_free_ char *text = NULL;

	assert_int_equal(take(fixture, limit, PATIENCE, &lines, &code), 0);
	text = ntd_buf_take_string(&lines);
	assert_string_equal(text, expected);
}

static inline void assert_nothing_to_take(struct fixture *fixture, enum ntd_errc expected)
{
	enum ntd_errc code = NTD_E_COUNT;
	_cleanup_buf_ struct ntd_buf lines = {0};

	assert_true(take(fixture, 1000, 20 * NTD_MS, &lines, &code) < 0);
	assert_string_equal(ntd_errc_name(code), ntd_errc_name(expected));
	assert_int_equal(lines.len, 0);
}

/* Waits for a line with the text `last`, and takes all lines up to it. */
static inline void take_until(struct fixture *fixture, const char *last, struct ntd_buf *lines)
{
	enum ntd_errc code;

	do
		assert_int_equal(take(fixture, SIZE_MAX, PATIENCE, lines, &code), 0);
	while (!memmem(ntd_buf_bytes(lines), lines->len, last, strlen(last)));
}

static inline void assert_log(struct fixture *fixture, const char *expected)
{
	struct ntd_buf log = {0};
	_cleanup_free_ char *text = NULL;

	ntd_console_copy_log(fixture->console, &log);
	text = ntd_buf_take_string(&log);
	assert_string_equal(text, expected);
}

static inline void assert_recorded(struct fixture *fixture, const char *expected)
{
	_cleanup_free_ char *text = NULL;

	assert_true(ntd_report_flush(fixture->report, ntd_after(PATIENCE)));
	text = ntd_buf_take_string(&fixture->recorder.lines);
	assert_string_equal(text, expected);
	assert_false(fixture->recorder.wrong);
}

static inline void assert_raw(struct fixture *fixture, const char *bytes, size_t len)
{
	_cleanup_free_ char *raw = ntd_malloc(len + 1);

	assert_true(
		ntd_background_flush(ntd_report_background(fixture->report), ntd_after(PATIENCE)));
	assert_int_equal(pread(fixture->raw_copy, raw, len + 1, 0), len);
	assert_memory_equal(raw, bytes, len);
}

/* ---- marks */

struct going_back {
	struct fixture *fixture;
	struct ntd_console_mark *mark;
};

static inline void make_mark(void *arg)
{
	struct going_back *back = arg;

	back->mark = ntd_console_mark(back->fixture->console);
}

/* The caller frees the mark. */
static inline struct ntd_console_mark *marked(struct fixture *fixture)
{
	struct going_back back = {.fixture = fixture};

	ntd_loop_call(fixture->loop, make_mark, &back);
	return back.mark;
}

static inline void run_back(void *arg)
{
	const struct going_back *back = arg;
	_cleanup_error_ struct ntd_error *why = ntd_error_new(NTD_E_MACHINE, "it was restored");

	ntd_console_go_back(back->fixture->console, back->mark, why);
}

static inline void go_back(struct fixture *fixture, struct ntd_console_mark *mark)
{
	ntd_loop_call(fixture->loop, run_back,
		      &(struct going_back){.fixture = fixture, .mark = mark});
}

#define console_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
