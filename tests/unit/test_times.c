/* Tests of the sink that adds up a run's time by kinds of steps. */
#include "sink_fixture.h"

#include "report/times.h"

#include <pthread.h>

static uint64_t begin(struct fixture *fixture, enum ntd_step step)
{
	return emit(fixture,
		    (struct ntd_event){.kind = NTD_EVENT_NEST_BEGIN, .step = step, .text = "step"});
}

static void finish(struct fixture *fixture, uint64_t id, double seconds)
{
	emit(fixture,
	     (struct ntd_event){
		     .kind = NTD_EVENT_NEST_END, .id = id, .text = "", .seconds = seconds});
}

static void take(struct fixture *fixture, enum ntd_step step, double seconds)
{
	finish(fixture, begin(fixture, step), seconds);
}

static struct ntd_sink *add_times(struct fixture *fixture)
{
	struct ntd_sink *sink = ntd_times_sink();

	ntd_report_add(fixture->report, sink);
	return sink;
}

static void expect_times(struct fixture *fixture, struct ntd_sink *sink, double boot,
			 double waiting)
{
	double booted, waited;

	assert_true(ntd_report_flush(fixture->report, ntd_after(10 * NTD_SECOND)));
	ntd_times(sink, &booted, &waited);
	assert_float_equal(booted, boot, 1e-9);
	assert_float_equal(waited, waiting, 1e-9);
}

static void times_are_by_kind_of_step(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_sink *sink = add_times(fixture);

	for (enum ntd_step step = NTD_STEP_NONE; step < NTD_STEP_COUNT; step++)
		take(fixture, step, step == NTD_STEP_BOOT ? 8 : 1);
	expect_times(fixture, sink, 8, 2); /* WAIT and STOP */
}

static void a_step_has_its_own_time_only(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_sink *sink = add_times(fixture);
	uint64_t wait = begin(fixture, NTD_STEP_WAIT), inner;

	take(fixture, NTD_STEP_BOOT, 2); /* at the beginning of the wait */
	take(fixture, NTD_STEP_COMMAND, 1);
	inner = begin(fixture, NTD_STEP_WAIT);
	take(fixture, NTD_STEP_BOOT, 0.25);
	finish(fixture, inner, 0.5);
	finish(fixture, wait, 6);
	take(fixture, NTD_STEP_WAIT, 0.5);
	expect_times(fixture, sink, 2.25, 4.25);
}

struct other {
	struct fixture *fixture;
	enum ntd_step step;
	double seconds;
};

static void *take_in_thread(void *arg)
{
	const struct other *other = arg;

	take(other->fixture, other->step, other->seconds);
	return NULL;
}

static void steps_of_other_threads_are_not_in_it(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_sink *sink = add_times(fixture);
	uint64_t wait = begin(fixture, NTD_STEP_WAIT);
	struct other other = {fixture, NTD_STEP_BOOT, 5};
	pthread_t thread;

	pthread_create(&thread, NULL, take_in_thread, &other);
	pthread_join(thread, NULL);
	finish(fixture, wait, 6);
	expect_times(fixture, sink, 5, 6);
}

static void the_end_of_a_step_that_began_before_counts_nothing(void **state)
{
	struct fixture *fixture = *state;
	uint64_t before = begin(fixture, NTD_STEP_WAIT);
	struct ntd_sink *sink;

	assert_true(ntd_report_flush(fixture->report, ntd_after(10 * NTD_SECOND)));
	sink = add_times(fixture);
	finish(fixture, before, 6);
	expect_times(fixture, sink, 0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(times_are_by_kind_of_step),
		test(a_step_has_its_own_time_only),
		test(steps_of_other_threads_are_not_in_it),
		test(the_end_of_a_step_that_began_before_counts_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
