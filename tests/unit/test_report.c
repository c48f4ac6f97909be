/* Tests of the report's queue between emitters and sinks, with a terminal sink, also one that is
 * stuck. */
#include "terminal_fixture.h"

#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

enum { EMITTERS = 3, EVENTS = 1000 };

/* A sink that checks the order of its events, whose texts are "EMITTER NUMBER". */
struct checker {
	struct ntd_sink sink;
	atomic_int inside;
	atomic_bool overlapped;
	bool disordered;
	int next[EMITTERS];
	int64_t delay; /* the time that the sink takes for an event */
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
	bool late; /* an event was not written when ntd_report_settle() returned */
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

/* A thread that emits console lines, as the loop thread does, and must not have to wait. */
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

/* Emits `lines` lines to a terminal that nobody reads. Returns whether the thread has finished. */
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
	if (!done) /* lets the thread end */
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

/* Ends the report while another thread reads the terminal. Returns the output. */
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

/* Asserts that console lines are numbered without a gap, except where a notice counts the missing
 * lines. Returns the number of all lines; *dropped is the number of lines that were only counted.
 */
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
	/* The sink writes the rest by itself. */
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

/* A message that nobody can read does not count as settled, and a sink can be added while another
 * is stuck. */
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

int main(void)
{
	const struct CMUnitTest tests[] = {
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
