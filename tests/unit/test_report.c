/* The queue between emitters and sinks, and the terminal sink. See test_sinks.c for the others. */
#include "unit.h"

#include "report/sinks.h"

#include "base/buf.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>

struct fixture {
	struct ntd_report *report;
	int read_fd, write_fd; /* of a pipe, for a terminal sink */
};

static int set_up(void **state)
{
	static struct fixture fixture;
	int fds[2];

	signal(SIGPIPE, SIG_IGN); /* as CPython does */
	fixture.report = ntd_report_new(NULL);
	if (!fixture.report || pipe2(fds, O_CLOEXEC) < 0)
		return -1;
	fixture.read_fd = fds[0];
	fixture.write_fd = fds[1];
	*state = &fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	ntd_report_free(ntd_steal(&fixture->report));
	ntd_close_fd(&fixture->read_fd);
	ntd_close_fd(&fixture->write_fd);
	return 0;
}

/* Ends the report; what the terminal got, as a string. */
static char *terminal_output(struct fixture *fixture)
{
	struct ntd_buf output = {0};
	ssize_t count;

	ntd_report_free(ntd_steal(&fixture->report));
	ntd_close_fd(&fixture->write_fd);
	while ((count = read(fixture->read_fd, ntd_buf_reserve(&output, 4096), 4096)) > 0)
		ntd_buf_added(&output, (size_t)count);
	return ntd_buf_take_string(&output);
}

static void emit(struct fixture *fixture, struct ntd_event event)
{
	event.text_len = event.text_len ? event.text_len : strlen(event.text);
	ntd_report_emit(fixture->report, &event);
	ntd_report_settle(fixture->report);
}

/* ---- the terminal */

static void emit_one_of_each(struct fixture *fixture)
{
	emit(fixture, (struct ntd_event){.kind = NTD_EVENT_MESSAGE, .text = "plain"});
	emit(fixture, (struct ntd_event){.machine = "server", .text = "with \xff\ttwo\nlines"});
	emit(fixture, (struct ntd_event){.kind = NTD_EVENT_NEST_BEGIN, .text = "start all VMs"});
	emit(fixture, (struct ntd_event){.kind = NTD_EVENT_NEST_BEGIN,
					 .machine = "server",
					 .text = "must succeed: true"});
	emit(fixture, (struct ntd_event){.kind = NTD_EVENT_NEST_END,
					 .machine = "server",
					 .text = "must succeed: true",
					 .seconds = 0.125});
	emit(fixture, (struct ntd_event){.kind = NTD_EVENT_NEST_END,
					 .text = "start all VMs",
					 .seconds = 61.239});
	emit(fixture, (struct ntd_event){.kind = NTD_EVENT_SUBTEST_BEGIN, .text = "can log in"});
	emit(fixture,
	     (struct ntd_event){.kind = NTD_EVENT_SUBTEST_END, .text = "can log in", .seconds = 2});
	emit(fixture, (struct ntd_event){.kind = NTD_EVENT_SUBTEST_BEGIN, .text = "fails"});
	emit(fixture,
	     (struct ntd_event){.kind = NTD_EVENT_SUBTEST_END, .text = "fails", .failed = true});
	emit(fixture,
	     (struct ntd_event){
		     .kind = NTD_EVENT_SERIAL, .machine = "client", .text = "a\0b", .text_len = 3});
}

static void the_terminal_format_is_upstreams(void **state)
{
	static const char expected[] = "plain\n"
				       "server: with \xef\xbf\xbd\ttwo\nlines\n"
				       "\033[1m\033[32mstart all VMs\033[0m\n"
				       "server: \033[1m\033[32mmust succeed: true\033[0m\n"
				       "(finished: must succeed: true, in 0.12 seconds)\n"
				       "(finished: start all VMs, in 61.24 seconds)\n"
				       "\033[1m\033[32msubtest: can log in\033[0m\n"
				       "(finished: subtest: can log in, in 2.00 seconds)\n"
				       "\033[1m\033[32msubtest: fails\033[0m\n"
				       "\033[2mclient # ab\033[0m\n"
				       "\033[31m!!! \033[0mTraceback:\n"
				       "\033[31m!!! \033[0m\n"
				       "\033[31m!!! \033[0mRequestedAssertionFailed: no\n";
	struct fixture *fixture = *state;
	_cleanup_free_ char *output = NULL;

	ntd_report_add(fixture->report, ntd_terminal_sink(fixture->write_fd, NTD_LEVEL_DEBUG));
	emit_one_of_each(fixture);
	ntd_log_test_error(fixture->report, "Traceback:\n\nRequestedAssertionFailed: no");
	output = terminal_output(fixture);
	assert_memory_equal(output, expected, sizeof expected);
}

static void nests_say_how_long_they_took(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_free_ char *output = NULL;
	struct ntd_nest nest;
	double seconds;

	ntd_report_add(fixture->report, ntd_terminal_sink(fixture->write_fd, NTD_LEVEL_DEBUG));
	nest = ntd_nest_begin(fixture->report, NTD_STEP_WAIT, "server", "step %d", 1);
	nest.began -= 3 * NTD_SECOND;
	ntd_nest_end(&nest, false);
	ntd_nest_end(&nest, false); /* has ended: nothing */
	output = terminal_output(fixture);
	assert_int_equal(sscanf(output,
				"server: \033[1m\033[32mstep 1\033[0m\n"
				"(finished: step 1, in %lf seconds)",
				&seconds),
			 1);
	assert_true(seconds >= 3 && seconds < 30);
	assert_null(strstr(strchr(output, '(') + 2, "finished"));
}

static void log_all_levels(struct ntd_report *report, const char *text)
{
	for (enum ntd_level level = 0; level < NTD_LEVEL_COUNT; level++)
		ntd_log(report, level, NULL, "%s %u", text, level);
	ntd_report_settle(report);
}

static void the_terminal_hides_what_is_below_its_level(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_sink *terminal = ntd_terminal_sink(fixture->write_fd, NTD_LEVEL_WARNING);
	_cleanup_free_ char *output = NULL;

	ntd_report_add(fixture->report, terminal);
	log_all_levels(fixture->report, "a");
	ntd_terminal_set_level(terminal, NTD_LEVEL_INFO);
	log_all_levels(fixture->report, "b");
	output = terminal_output(fixture);
	assert_string_equal(output, "a 2\na 3\na 4\nb 1\nb 2\nb 3\nb 4\n");
}

static void console_lines_can_be_hidden(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_sink *terminal = ntd_terminal_sink(fixture->write_fd, NTD_LEVEL_DEBUG);
	struct ntd_event line = {.kind = NTD_EVENT_SERIAL, .machine = "m"};
	_cleanup_free_ char *output = NULL;

	ntd_report_add(fixture->report, terminal);
	for (int i = 0; i < 3; i++) {
		ntd_terminal_show_serial(terminal, i != 1);
		line.text = (const char *[]){"one", "two", "three"}[i];
		emit(fixture, line);
	}
	output = terminal_output(fixture);
	assert_string_equal(output, "\033[2mm # one\033[0m\n\033[2mm # three\033[0m\n");
}

static void a_quiet_terminal_shows_steps_and_why_one_failed(void **state)
{
	static const char expected[] = "\033[1m\033[32mgood\033[0m\n"
				       "(finished: good, in 1.00 seconds)\n"
				       "a 2\na 3\n"
				       "\033[1m\033[32mbad\033[0m\n"
				       "m: its output\n"
				       "\033[31m!!! \033[0mno\n";
	struct fixture *fixture = *state;
	struct ntd_sink *terminal = ntd_terminal_sink(fixture->write_fd, NTD_LEVEL_DEBUG);
	_cleanup_free_ char *output = NULL;

	ntd_terminal_be_quiet(terminal);
	ntd_report_add(fixture->report, terminal);
	emit(fixture, (struct ntd_event){.kind = NTD_EVENT_NEST_BEGIN, .text = "good"});
	ntd_log(fixture->report, NTD_LEVEL_ALWAYS, NULL, "of no interest");
	emit(fixture, (struct ntd_event){.kind = NTD_EVENT_NEST_END, .text = "good", .seconds = 1});
	log_all_levels(fixture->report, "a");
	emit(fixture, (struct ntd_event){.kind = NTD_EVENT_NEST_BEGIN, .text = "bad"});
	ntd_log(fixture->report, NTD_LEVEL_ALWAYS, "m", "its output");
	emit(fixture,
	     (struct ntd_event){.kind = NTD_EVENT_NEST_END, .text = "bad", .failed = true});
	ntd_log_test_error(fixture->report, "no");
	output = terminal_output(fixture);
	assert_string_equal(output, expected);
}

/* What a quiet terminal gets of a hundred lines of two machines. */
static char *quiet_console(struct fixture *fixture, int status)
{
	struct ntd_sink *terminal = ntd_terminal_sink(fixture->write_fd, NTD_LEVEL_DEBUG);

	ntd_terminal_be_quiet(terminal);
	ntd_terminal_show_serial(terminal, true); /* the script's wish counts for less */
	ntd_report_add(fixture->report, terminal);
	for (int i = 1; i <= 100; i++) {
		_cleanup_free_ char *text = ntd_asprintf("%d", i);

		emit(fixture, (struct ntd_event){.kind = NTD_EVENT_SERIAL,
						 .machine = i % 50 ? "a" : "b",
						 .text = text});
	}
	ntd_report_run_end(fixture->report, status);
	return terminal_output(fixture);
}

static void a_quiet_terminal_ends_a_failed_run_with_console_lines(void **state)
{
	static const char first[] = "a: last console lines:\n\033[2ma # 80\033[0m\n";
	static const char last[] = "\033[2ma # 99\033[0m\nb: last console lines:\n"
				   "\033[2mb # 50\033[0m\n\033[2mb # 100\033[0m\n";
	_cleanup_free_ char *output = quiet_console(*state, 1);

	assert_memory_equal(output, first, sizeof first - 1);
	assert_non_null(strstr(output, last));
}

static void a_quiet_terminal_shows_no_console_lines_of_a_good_run(void **state)
{
	_cleanup_free_ char *output = quiet_console(*state, 0);

	assert_string_equal(output, "");
}

static void a_reader_that_goes_away_does_no_harm(void **state)
{
	struct fixture *fixture = *state;

	ntd_report_add(fixture->report, ntd_terminal_sink(fixture->write_fd, NTD_LEVEL_DEBUG));
	ntd_close_fd(&fixture->read_fd);
	log_all_levels(fixture->report, "to nobody");
	assert_true(ntd_report_flush(fixture->report, ntd_after(NTD_SECOND)));
}

static void levels_have_names(void **state)
{
	assert_int_equal(ntd_level_parse("debug"), NTD_LEVEL_DEBUG);
	assert_int_equal(ntd_level_parse("info"), NTD_LEVEL_INFO);
	assert_int_equal(ntd_level_parse("warning"), NTD_LEVEL_WARNING);
	assert_int_equal(ntd_level_parse("error"), NTD_LEVEL_ERROR);
	assert_int_equal(ntd_level_parse("ERROR"), -1);
	assert_int_equal(ntd_level_parse(""), -1);
}

/* ---- the queue */

enum { EMITTERS = 3, EVENTS = 1000 };

/* A sink that checks what it gets: texts are "EMITTER NUMBER". */
struct checker {
	struct ntd_sink sink;
	atomic_int inside;
	atomic_bool overlapped;
	bool disordered;
	int next[EMITTERS];
	int64_t delay; /* of each event */
};

static void check_event(struct ntd_sink *sink, const struct ntd_event *event)
{
	struct checker *checker = ntd_container_of(sink, struct checker, sink);
	int emitter = 0, number = -1;

	if (atomic_fetch_add(&checker->inside, 1))
		checker->overlapped = true;
	if (sscanf(event->text, "%d %d", &emitter, &number) != 2 ||
	    checker->next[emitter]++ != number)
		checker->disordered = true;
	atomic_fetch_sub(&checker->inside, 1);
}

static void check_close(struct ntd_sink *sink)
{
	(void)sink; /* on the test's stack */
}

struct emitter {
	struct ntd_report *report;
	struct checker *checker;
	bool settles;
	int number;
	bool late; /* an event was not there when a thread that settles went on */
};

static void *emit_many(void *arg)
{
	struct emitter *emitter = arg;

	for (int i = 0; i < EVENTS; i++) {
		ntd_log(emitter->report, NTD_LEVEL_INFO, NULL, "%d %d", emitter->number, i);
		if (!emitter->settles)
			continue;
		ntd_report_settle(emitter->report);
		emitter->late |= emitter->checker->next[emitter->number] != i + 1;
	}
	return NULL;
}

static void events_keep_their_order_from_any_thread(void **state)
{
	struct fixture *fixture = *state;
	struct checker checker = {.sink = {.event = check_event, .close = check_close}};
	struct emitter emitters[EMITTERS];
	pthread_t threads[EMITTERS];

	ntd_report_add(fixture->report, &checker.sink);
	for (int i = 0; i < EMITTERS; i++) {
		emitters[i] = (struct emitter){fixture->report, &checker, i > 0, i, false};
		pthread_create(&threads[i], NULL, emit_many, &emitters[i]);
	}
	for (int i = 0; i < EMITTERS; i++)
		pthread_join(threads[i], NULL);
	ntd_report_free(ntd_steal(&fixture->report));
	assert_false(checker.overlapped);
	assert_false(checker.disordered);
	for (int i = 0; i < EMITTERS; i++) {
		assert_int_equal(checker.next[i], EVENTS);
		assert_false(emitters[i].late);
	}
}

/* A thread that emits console lines, as the loop's does, and must not be held up. */
struct console {
	struct ntd_report *report;
	size_t lines;
	sem_t done;
};

static void *flood(void *arg)
{
	struct console *console = arg;
	char text[101];

	for (size_t i = 0; i < console->lines; i++) {
		snprintf(text, sizeof text, "%-100zu", i);
		ntd_report_emit(console->report, &(struct ntd_event){.kind = NTD_EVENT_SERIAL,
								     .machine = "m",
								     .text = text,
								     .text_len = 100});
	}
	sem_post(&console->done);
	return NULL;
}

/* Emits `lines` lines to a terminal that nobody reads; whether the thread got through. */
static bool flood_full_pipe(struct fixture *fixture, size_t lines)
{
	struct console console = {.report = fixture->report, .lines = lines};
	struct timespec deadline;
	pthread_t thread;
	bool done;

	sem_init(&console.done, 0, 0);
	ntd_report_add(fixture->report, ntd_terminal_sink(fixture->write_fd, NTD_LEVEL_DEBUG));
	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += 20;
	pthread_create(&thread, NULL, flood, &console);
	done = sem_timedwait(&console.done, &deadline) == 0;
	if (!done) /* for the thread to end */
		ntd_close_fd(&fixture->read_fd);
	pthread_join(thread, NULL);
	sem_destroy(&console.done);
	return done;
}

struct reader {
	int fd;
	struct ntd_buf got;
};

static void *read_all(void *arg)
{
	struct reader *reader = arg;
	ssize_t count;

	while ((count = read(reader->fd, ntd_buf_reserve(&reader->got, 65536), 65536)) > 0)
		ntd_buf_added(&reader->got, (size_t)count);
	return NULL;
}

/* Ends the report while another thread reads the terminal. */
static char *drain_terminal(struct fixture *fixture)
{
	struct reader reader = {.fd = fixture->read_fd};
	pthread_t thread;

	pthread_create(&thread, NULL, read_all, &reader);
	ntd_report_free(ntd_steal(&fixture->report));
	ntd_close_fd(&fixture->write_fd);
	pthread_join(thread, NULL);
	return ntd_buf_take_string(&reader.got);
}

/* Console lines are numbered without a gap, except where a notice counts what is missing. Returns
 * how many there were in all; *dropped, how many of them were only counted. */
static size_t count_lines(const char *output, size_t *dropped)
{
	size_t next = 0, number;

	*dropped = 0;
	for (const char *at = output; *at; at = strchr(at, '\n') + 1) {
		if (sscanf(at, "\033[2mm # %zu", &number) == 1) {
			assert_int_equal(number, next++);
		} else {
			assert_int_equal(sscanf(at, "%zu console lines are not shown", &number), 1);
			next += number;
			*dropped += number;
		}
	}
	return next;
}

static void a_full_terminal_does_not_stop_who_logs(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_free_ char *output = NULL;
	size_t dropped;

	assert_true(flood_full_pipe(fixture, 5000)); /* a pipe holds some 600 of them */
	/* They are written without anybody's help. */
	assert_int_equal(poll(&(struct pollfd){fixture->read_fd, POLLIN, 0}, 1, 20000), 1);
	output = drain_terminal(fixture);
	assert_int_equal(count_lines(output, &dropped), 5000);
	assert_int_equal(dropped, 0);
}

static void a_notice_counts_what_is_not_shown(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_free_ char *output = NULL;
	size_t dropped;

	ntd_report_limit(fixture->report, 100000);
	assert_true(flood_full_pipe(fixture, 5000));
	output = drain_terminal(fixture);
	assert_int_equal(count_lines(output, &dropped), 5000);
	assert_true(dropped > 0);
}

static void a_flush_waits_for_what_is_only_queued(void **state)
{
	struct fixture *fixture = *state;
	struct checker checker = {.sink = {.event = check_event, .close = check_close}};

	ntd_report_add(fixture->report, &checker.sink);
	for (int i = 0; i < EVENTS; i++)
		ntd_log(fixture->report, NTD_LEVEL_INFO, NULL, "0 %d", i);
	assert_true(ntd_report_flush(fixture->report, ntd_after(20 * NTD_SECOND)));
	assert_int_equal(checker.next[0], EVENTS);
	ntd_report_free(ntd_steal(&fixture->report));
}

static void what_is_settled_has_been_written(void **state)
{
	struct fixture *fixture = *state;
	struct checker checker = {.sink = {.event = check_event, .close = check_close}};

	ntd_report_add(fixture->report, &checker.sink);
	assert_true(ntd_report_is_settled(fixture->report));
	for (int i = 0; i < EVENTS; i++) {
		ntd_log(fixture->report, NTD_LEVEL_INFO, NULL, "0 %d", i);
		ntd_report_settle(fixture->report);
		assert_true(ntd_report_is_settled(fixture->report));
		assert_int_equal(checker.next[0], i + 1);
	}
	ntd_report_free(ntd_steal(&fixture->report));
}

/* A message that nobody can read is not settled, and a sink can be added while one is stuck. */
static void a_stuck_terminal_is_not_waited_for(void **state)
{
	struct fixture *fixture = *state;
	struct checker checker = {.sink = {.event = check_event, .close = check_close}};
	_cleanup_free_ char *output = NULL;

	assert_true(flood_full_pipe(fixture, 5000));
	assert_false(ntd_report_is_settled(fixture->report));
	ntd_report_add(fixture->report, &checker.sink);
	output = drain_terminal(fixture);
}

static void a_flush_gives_up_on_a_stuck_terminal(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_free_ char *output = NULL;
	size_t dropped;
	int64_t began;

	assert_true(flood_full_pipe(fixture, 5000));
	began = ntd_now();
	assert_false(ntd_report_flush(fixture->report, began + 50 * NTD_MS));
	assert_true(ntd_now() >= began + 50 * NTD_MS);
	output = drain_terminal(fixture);
	assert_int_equal(count_lines(output, &dropped), 5000);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(the_terminal_format_is_upstreams),
		test(nests_say_how_long_they_took),
		test(the_terminal_hides_what_is_below_its_level),
		test(console_lines_can_be_hidden),
		test(a_quiet_terminal_shows_steps_and_why_one_failed),
		test(a_quiet_terminal_ends_a_failed_run_with_console_lines),
		test(a_quiet_terminal_shows_no_console_lines_of_a_good_run),
		test(a_reader_that_goes_away_does_no_harm),
		test(levels_have_names),
		test(events_keep_their_order_from_any_thread),
		test(a_full_terminal_does_not_stop_who_logs),
		test(a_notice_counts_what_is_not_shown),
		test(a_flush_waits_for_what_is_only_queued),
		test(what_is_settled_has_been_written),
		test(a_stuck_terminal_is_not_waited_for),
		test(a_flush_gives_up_on_a_stuck_terminal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
