/* Tests of the relations between events: ids, parents, threads and kinds of steps. */
#include "unit.h"

#include "base/error.h"
#include "report/report.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum { THREADS = 4, ROUNDS = 200, MOST = 4 * THREADS * ROUNDS + 100 };

/* A sink that keeps all events, without their texts. */
struct recorder {
	struct ntd_sink sink;
	struct ntd_event events[MOST];
	size_t count;
};

struct fixture {
	struct ntd_report *report;
	struct recorder recorder;
};

static void record(struct ntd_sink *sink, const struct ntd_event *event)
{
	struct recorder *recorder = ntd_container_of(sink, struct recorder, sink);

	if (recorder->count < MOST)
		recorder->events[recorder->count] = *event;
	recorder->count++;
}

static void close_recorder(struct ntd_sink *sink)
{
	(void)sink; /* in the fixture */
}

static int set_up(void **state)
{
	static struct fixture fixture;

	fixture = (struct fixture){.report = ntd_report_new(NULL)};
	fixture.recorder.sink = (struct ntd_sink){.event = record, .close = close_recorder};
	ntd_report_add(fixture.report, &fixture.recorder.sink);
	*state = &fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	ntd_report_free(ntd_steal(&fixture->report));
	return 0;
}

/* Ends the report and returns its events. */
static const struct ntd_event *events_of(struct fixture *fixture, size_t count)
{
	ntd_report_free(ntd_steal(&fixture->report));
	assert_int_equal(fixture->recorder.count, count);
	return fixture->recorder.events;
}

static struct ntd_nest begin(struct fixture *fixture, enum ntd_step step, const char *text)
{
	return ntd_nest_begin(fixture->report, step, "m", "%s", text);
}

static void assert_place(const struct ntd_event *event, uint64_t id, uint64_t parent,
			 enum ntd_step step)
{
	assert_int_equal(event->id, id);
	assert_int_equal(event->parent, parent);
	assert_int_equal(event->step, step);
}

static void steps_contain_what_their_thread_does(void **state)
{
	struct fixture *fixture = *state;
	const struct ntd_event *events;
	struct ntd_nest outer, inner;

	ntd_log(fixture->report, NTD_LEVEL_INFO, NULL, "before");
	outer = begin(fixture, NTD_STEP_WAIT, "outer");
	inner = begin(fixture, NTD_STEP_COMMAND, "inner");
	ntd_log(fixture->report, NTD_LEVEL_INFO, NULL, "within");
	ntd_report_emit(fixture->report, &(struct ntd_event){.kind = NTD_EVENT_SERIAL, .text = ""});
	ntd_nest_end(&inner, true);
	ntd_log_test_error(fixture->report, "of outer");
	ntd_nest_end(&outer, false);
	ntd_report_run_end(fixture->report, 0);
	events = events_of(fixture, 9);
	assert_place(&events[0], 1, 0, NTD_STEP_NONE);
	assert_place(&events[1], 2, 0, NTD_STEP_WAIT);
	assert_place(&events[2], 3, 2, NTD_STEP_COMMAND);
	assert_place(&events[3], 4, 3, NTD_STEP_NONE);
	assert_place(&events[4], 5, 0, NTD_STEP_NONE);
	assert_place(&events[5], 3, 2, NTD_STEP_COMMAND);
	assert_place(&events[6], 6, 2, NTD_STEP_NONE);
	assert_place(&events[7], 2, 0, NTD_STEP_WAIT);
	assert_place(&events[8], 7, 0, NTD_STEP_NONE);
	for (size_t i = 1; i < 9; i++)
		assert_int_equal(events[i].thread, events[0].thread);
}

/* ---- threads */

static void *do_steps(void *arg)
{
	struct fixture *fixture = arg;

	for (int i = 0; i < ROUNDS; i++) {
		struct ntd_nest outer = begin(fixture, NTD_STEP_SCRIPT, "the same text");
		struct ntd_nest inner = begin(fixture, NTD_STEP_CHECK, "the same text");

		ntd_nest_end(&inner, false);
		ntd_nest_end(&outer, false);
	}
	return NULL;
}

/* Asserts that four successive events of a thread are steps inside each other. */
static void assert_round(const struct ntd_event *const round[4], uint64_t parent)
{
	uint64_t outer = round[0]->id, inner = round[1]->id;

	assert_place(round[0], outer, parent, NTD_STEP_SCRIPT);
	assert_place(round[1], inner, outer, NTD_STEP_CHECK);
	assert_place(round[2], inner, outer, NTD_STEP_CHECK);
	assert_place(round[3], outer, parent, NTD_STEP_SCRIPT);
}

static void assert_rounds_of(const struct ntd_event *events, unsigned thread)
{
	const struct ntd_event *round[4];
	size_t count = 0;

	for (size_t i = 0; i < 4 * THREADS * ROUNDS; i++) {
		if (events[i].thread != thread)
			continue;
		round[count++ % 4] = &events[i];
		if (count % 4 == 0)
			assert_round(round, 0);
	}
	assert_int_equal(count, 4 * ROUNDS);
}

static void threads_have_steps_of_their_own(void **state)
{
	struct fixture *fixture = *state;
	const struct ntd_event *events;
	pthread_t threads[THREADS];
	uint64_t last = 0;

	for (size_t i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, do_steps, fixture);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	events = events_of(fixture, (size_t)4 * THREADS * ROUNDS);
	for (size_t i = 0; i < 4 * THREADS * ROUNDS; i++) {
		if (events[i].kind == NTD_EVENT_NEST_END)
			continue;
		assert_int_equal(events[i].id, last + 1);
		last++;
	}
	for (size_t i = 0; i < 4 * THREADS * ROUNDS; i++)
		assert_rounds_of(events, events[i].thread);
}

static void *end_step(void *arg)
{
	ntd_nest_end(arg, false);
	return NULL;
}

static void another_thread_may_end_a_step(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_nest outer = begin(fixture, NTD_STEP_SCRIPT, "outer");
	struct ntd_nest inner = begin(fixture, NTD_STEP_SCRIPT, "inner");
	const struct ntd_event *events;
	pthread_t thread;

	pthread_create(&thread, NULL, end_step, &outer);
	pthread_join(thread, NULL);
	ntd_log(fixture->report, NTD_LEVEL_INFO, NULL, "in inner");
	ntd_nest_end(&inner, false);
	ntd_log(fixture->report, NTD_LEVEL_INFO, NULL, "in nothing");
	events = events_of(fixture, 6);
	assert_place(&events[2], 1, 0, NTD_STEP_SCRIPT);
	assert_int_not_equal(events[2].thread, events[0].thread);
	assert_place(&events[3], 3, 2, NTD_STEP_NONE);
	assert_place(&events[4], 2, 1, NTD_STEP_SCRIPT);
	assert_place(&events[5], 4, 0, NTD_STEP_NONE);
}

/* ---- several reports */

static void a_step_is_of_its_report_only(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_report *other = ntd_report_new(NULL);
	struct ntd_nest of_other = ntd_nest_begin(other, NTD_STEP_SCRIPT, NULL, "of the other");
	struct ntd_nest nest = begin(fixture, NTD_STEP_WAIT, "ours");
	const struct ntd_event *events;

	ntd_log(fixture->report, NTD_LEVEL_INFO, NULL, "in ours");
	ntd_nest_end(&nest, false);
	ntd_nest_end(&of_other, false);
	ntd_report_free(other);
	events = events_of(fixture, 3);
	assert_place(&events[0], 1, 0, NTD_STEP_WAIT);
	assert_place(&events[1], 2, 1, NTD_STEP_NONE);
	assert_place(&events[2], 1, 0, NTD_STEP_WAIT);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(steps_contain_what_their_thread_does),
		test(threads_have_steps_of_their_own),
		test(another_thread_may_end_a_step),
		test(a_step_is_of_its_report_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
