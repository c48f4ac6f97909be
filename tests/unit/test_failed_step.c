/* Tests of what is known of the step that failed. */
#include "unit.h"

#include "report/failed_step.h"

struct fixture {
	struct ntd_report *report;
	struct ntd_failed_step failed;
};

static int set_up(void **state)
{
	static struct fixture fixture;

	ntd_failed_step_init(&fixture.failed);
	fixture.report = ntd_report_new(NULL);
	ntd_report_add(fixture.report, ntd_failed_step_sink(&fixture.failed));
	*state = &fixture;
	return fixture.report ? 0 : -1;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	ntd_report_free(fixture->report);
	ntd_failed_step_free(&fixture->failed);
	return 0;
}

static struct ntd_nest begin(struct fixture *fixture, const char *machine)
{
	return ntd_nest_begin(fixture->report, NTD_STEP_WAIT, machine, "a step");
}

static void assert_machines(struct fixture *fixture, const char *failed, const char *open)
{
	_cleanup_free_ char *a = NULL, *b = NULL;

	ntd_report_settle(fixture->report);
	a = ntd_failed_step_machine(&fixture->failed);
	b = ntd_open_step_machine(&fixture->failed);
	assert_string_equal(a ? a : "none", failed);
	assert_string_equal(b ? b : "none", open);
}

static void the_innermost_of_the_failed_steps_counts(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_nest run = begin(fixture, NULL), outer = begin(fixture, "a");
	struct ntd_nest inner = begin(fixture, "b"), innermost = begin(fixture, NULL);

	assert_machines(fixture, "none", "b");
	ntd_nest_end(&innermost, true);
	ntd_nest_end(&inner, true);
	assert_machines(fixture, "b", "a");
	ntd_nest_end(&outer, true);
	ntd_nest_end(&run, true);
	assert_machines(fixture, "b", "none");
}

static void an_error_that_was_caught_does_not_count(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_nest run = begin(fixture, NULL), step = begin(fixture, "a");

	ntd_nest_end(&step, true);
	step = begin(fixture, "b");
	assert_machines(fixture, "none", "b");
	ntd_nest_end(&step, false);
	ntd_nest_end(&run, true); /* by an error of the script itself */
	assert_machines(fixture, "none", "none");
}

static void the_last_failure_counts(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_nest run = begin(fixture, NULL), a = begin(fixture, "a"),
			b = begin(fixture, "b");

	ntd_nest_end(&a, true); /* a step may end before one in it, on another thread */
	ntd_nest_end(&b, true);
	ntd_nest_end(&run, true);
	assert_machines(fixture, "none", "none");
	a = begin(fixture, "a");
	ntd_nest_end(&a, true);
	assert_machines(fixture, "a", "none");
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(the_innermost_of_the_failed_steps_counts),
		test(an_error_that_was_caught_does_not_count),
		test(the_last_failure_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
