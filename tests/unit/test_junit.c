/* Tests of the sink that writes a JUnit report. */
#include "sink_fixture.h"

#include <fcntl.h>

#define CASE(title) "/testsuites/testsuite/testcase[@name='" title "']"

static uint64_t begin(struct fixture *fixture, const char *title)
{
	return emit(fixture, (struct ntd_event){.kind = NTD_EVENT_SUBTEST_BEGIN, .text = title});
}

static void finish(struct fixture *fixture, uint64_t id, const char *title, double seconds,
		   bool failed)
{
	emit(fixture, (struct ntd_event){.kind = NTD_EVENT_SUBTEST_END,
					 .id = id,
					 .text = title,
					 .seconds = seconds,
					 .failed = failed});
}

static void subtest(struct fixture *fixture, const char *title, double seconds, bool failed)
{
	uint64_t id = begin(fixture, title);

	emit(fixture, (struct ntd_event){.text = title, .machine = "m"});
	if (failed)
		ntd_log_test_error(fixture->report, "Test \"it\" failed\nwith <error>");
	finish(fixture, id, title, seconds, failed);
}

static void junit_has_one_case_a_subtest(void **state)
{
	struct fixture *fixture = *state;
	xmlDocPtr report;

	add(fixture, ntd_junit_sink);
	emit(fixture, (struct ntd_event){.text = "before"});
	subtest(fixture, "first & <best>", 1.25, false);
	emit(fixture, (struct ntd_event){.kind = NTD_EVENT_SERIAL, .text = "line", .machine = "m"});
	subtest(fixture, "second", 0.5, true);
	subtest(fixture, "first & <best>", 2, false);
	emit(fixture, (struct ntd_event){.kind = NTD_EVENT_NEST_BEGIN, .text = "step"});
	emit(fixture, (struct ntd_event){.kind = NTD_EVENT_NEST_END, .text = "step", .seconds = 3});
	end(fixture);
	report = parse(fixture);
	expect(report, "/testsuites/testsuite/@name", "NixOS integration test");
	expect(report, "count(//testcase)", "2");
	expect(report, "/testsuites/testsuite/@tests", "2");
	expect(report, "/testsuites/@tests", "2");
	expect(report, "/testsuites/testsuite/@failures", "1");
	expect(report, "//testcase[1]/@name", "first & <best>");
	expect(report, "//testcase[1]/@time", "3.250");
	expect(report, "//testcase[1]/system-out", "m: first & <best>\nm: first & <best>\n");
	expect(report, "count(//testcase[1]/failure)", "0");
	expect(report, CASE("second") "/failure/@message", "test case failed");
	expect(report, CASE("second") "/failure", "Test \"it\" failed\nwith <error>\n");
	expect(report, CASE("second") "/system-err", "Test \"it\" failed\nwith <error>\n");
	expect(report, CASE("second") "/system-out", "m: second\n");
	expect(report, "//testsuite/system-out",
	       "before\nm: first & <best>\nm # line\nm: second\nm: first & <best>\n"
	       "step\n(finished: step, in 3.00 seconds)\n");
	expect(report, "//testsuite/system-err", "Test \"it\" failed\nwith <error>\n");
	xmlFreeDoc(report);
}

static void junit_without_subtests_has_the_case_main(void **state)
{
	struct fixture *fixture = *state;
	xmlDocPtr report;

	add(fixture, ntd_junit_sink);
	emit(fixture, (struct ntd_event){.text = "text"});
	end(fixture);
	report = parse(fixture);
	expect(report, "count(//testcase)", "1");
	expect(report, "count(" CASE("main") "[not(*)])", "1");
	expect(report, "//testsuite/system-out", "text\n");
	xmlFreeDoc(report);
}

static void junit_times_a_case_without_those_in_it(void **state)
{
	struct fixture *fixture = *state;
	xmlDocPtr report;
	uint64_t outer;

	add(fixture, ntd_junit_sink);
	outer = begin(fixture, "outer");
	subtest(fixture, "first", 2, false);
	subtest(fixture, "second", 3, false);
	finish(fixture, outer, "outer", 5.5, false);
	end(fixture);
	report = parse(fixture);
	expect(report, CASE("outer") "/@time", "0.500");
	expect(report, CASE("second") "/@time", "3.000");
	xmlFreeDoc(report);
}

static void junit_fails_main_after_an_error_outside_subtests(void **state)
{
	struct fixture *fixture = *state;
	xmlDocPtr report;

	add(fixture, ntd_junit_sink);
	subtest(fixture, "good", 0, false);
	ntd_log_test_error(fixture->report, "MachineError: it is gone");
	end(fixture);
	report = parse(fixture);
	expect(report, CASE("main") "/failure[@message='test case failed']",
	       "MachineError: it is gone\n");
	expect(report, "count(" CASE("good") "/failure)", "0");
	expect(report, "//testsuite/@failures", "1");
	xmlFreeDoc(report);
}

static void junit_fails_a_subtest_that_gives_no_reason(void **state)
{
	struct fixture *fixture = *state;
	xmlDocPtr report;

	add(fixture, ntd_junit_sink);
	finish(fixture, begin(fixture, "s"), "s", 0, true);
	end(fixture);
	report = parse(fixture);
	expect(report, CASE("s") "/failure/@message", "test case failed");
	expect(report, "count(//failure)", "1");
	xmlFreeDoc(report);
}

/* sys.exit(3) and SIGTERM end a run without an event for the test's failure. */
static void junit_fails_main_when_only_the_exit_status_tells(void **state)
{
	struct fixture *fixture = *state;
	xmlDocPtr report;

	add(fixture, ntd_junit_sink);
	subtest(fixture, "good", 0, false);
	ntd_report_run_end(fixture->report, 3);
	end(fixture);
	report = parse(fixture);
	expect(report, CASE("main") "/failure", "The run ended with exit status 3.\n");
	expect(report, "//testsuite/@failures", "1");
	xmlFreeDoc(report);
}

static void junit_fails_main_no_more_than_needed(void **state)
{
	struct fixture *fixture = *state;
	xmlDocPtr report;

	add(fixture, ntd_junit_sink);
	subtest(fixture, "bad", 0, true);
	ntd_report_run_end(fixture->report, 1);
	end(fixture);
	report = parse(fixture);
	expect(report, "count(" CASE("bad") "/failure)", "1");
	expect(report, "//testsuite/@failures", "1");
	xmlFreeDoc(report);
}

static void junit_times_a_subtest_that_was_cut_off(void **state)
{
	struct fixture *fixture = *state;
	xmlDocPtr report;

	add(fixture, ntd_junit_sink);
	emit(fixture, (struct ntd_event){.kind = NTD_EVENT_SUBTEST_BEGIN,
					 .text = "s",
					 .monotonic = ntd_now() - 5 * NTD_SECOND});
	end(fixture);
	report = parse(fixture);
	expect(report, "count(" CASE("s") "/failure)", "1");
	expect(report, CASE("s") "/@time >= 5", "true");
	xmlFreeDoc(report);
}

/* Asserts the number of cases in the report of a run without tests. */
static void expect_cases(struct fixture *fixture, int status, const char *cases, const char *mains)
{
	struct ntd_sink *sink = ntd_junit_sink(fixture->path, NULL);
	xmlDocPtr report;

	ntd_report_add(fixture->report, sink);
	ntd_junit_tests_only(sink);
	ntd_report_run_end(fixture->report, status);
	end(fixture);
	report = parse(fixture);
	expect(report, "//testsuite/@tests", cases);
	expect(report, "count(" CASE("main") ")", mains);
	xmlFreeDoc(report);
}

static void junit_of_tests_only_has_no_other_case(void **state)
{
	expect_cases(*state, 0, "0", "0");
}

static void junit_of_tests_only_shows_what_failed_outside(void **state)
{
	expect_cases(*state, 143, "1", "1");
}

static void junit_is_whole_without_any_event(void **state)
{
	struct fixture *fixture = *state;
	xmlDocPtr report;

	add(fixture, ntd_junit_sink);
	report = parse(fixture); /* the file of a driver that is killed at once */
	expect(report, "//testcase[@name='main']/failure", "The run ended before this did.");
	xmlFreeDoc(report);
	end(fixture);
	report = parse(fixture);
	expect(report, "count(//testcase)", "1");
	expect(report, "count(//failure)", "0");
	xmlFreeDoc(report);
}

/* The file of a driver that is killed inside the second of two subtests, after an error. */
static void junit_is_true_at_any_moment(void **state)
{
	struct fixture *fixture = *state;
	xmlDocPtr report;

	add(fixture, ntd_junit_sink);
	subtest(fixture, "done", 1, false);
	begin(fixture, "outer");
	begin(fixture, "inner");
	ntd_log_test_error(fixture->report, "time is up");
	ntd_report_settle(fixture->report);
	report = parse(fixture);
	expect(report, "count(" CASE("done") "/failure)", "0");
	expect(report, CASE("outer") "/failure", "The run ended before this did.");
	expect(report, CASE("inner") "/failure", "time is up\nThe run ended before this did.");
	expect(report, CASE("main") "/failure", "The run ended before this did.");
	expect(report, "//testsuite/@failures", "3");
	xmlFreeDoc(report);
}

static void step_with(struct fixture *fixture, enum ntd_step step, const char *title,
		      char **attributes)
{
	uint64_t id = emit(
		fixture,
		(struct ntd_event){.kind = NTD_EVENT_SUBTEST_BEGIN, .step = step, .text = title});

	emit(fixture, (struct ntd_event){.kind = NTD_EVENT_SUBTEST_END,
					 .step = step,
					 .id = id,
					 .text = title,
					 .attributes = attributes});
}

/* Attributes of the end of a test and of the run; those that a script gives its steps are none. */
static void junit_properties(void **state)
{
	struct fixture *fixture = *state;
	char *verdict[] = {"rerun", "some & more", NULL}, *count[] = {"restores", "3", NULL};
	xmlDocPtr report;

	add(fixture, ntd_junit_sink);
	step_with(fixture, NTD_STEP_TEST, "a", verdict);
	step_with(fixture, NTD_STEP_SCRIPT, "b", verdict);
	emit(fixture, (struct ntd_event){.kind = NTD_EVENT_NEST_END,
					 .step = NTD_STEP_RUN,
					 .text = "run",
					 .attributes = count});
	end(fixture);
	report = parse(fixture);
	expect(report, CASE("a") "/properties/property[@name='rerun']/@value", "some & more");
	expect(report, "count(" CASE("b") "/properties)", "0");
	expect(report, "//testsuite/properties/property[@name='restores']/@value", "3");
	xmlFreeDoc(report);
}

static void junit_subtests_may_end_in_any_order(void **state)
{
	struct fixture *fixture = *state;
	xmlDocPtr report;
	uint64_t a, b;

	add(fixture, ntd_junit_sink);
	a = begin(fixture, "a");
	b = begin(fixture, "b");
	finish(fixture, a, "a", 1, false);
	emit(fixture, (struct ntd_event){.text = "in b"});
	finish(fixture, b, "b", 2, false);
	finish(fixture, b + 9, "never begun", 0, false);
	emit(fixture, (struct ntd_event){.text = "in main"});
	end(fixture);
	report = parse(fixture);
	expect(report, CASE("b") "/system-out", "in b\n");
	expect(report, CASE("a") "/@time", "1.000");
	expect(report, "//testsuite/system-out", "in b\nin main\n");
	expect(report, "count(//testcase)", "2");
	expect(report, "count(//failure)", "0");
	xmlFreeDoc(report);
}

/* Two nested subtests have the same title; the outer one ends first, and the inner one goes on. */
static void junit_tells_subtests_of_one_title_apart(void **state)
{
	struct fixture *fixture = *state;
	xmlDocPtr report;
	uint64_t first, other, second;

	add(fixture, ntd_junit_sink);
	first = begin(fixture, "same");
	other = begin(fixture, "other");
	second = begin(fixture, "same");
	finish(fixture, first, "same", 4, false);
	finish(fixture, other, "other", 3, false);
	emit(fixture, (struct ntd_event){.text = "in the second"});
	finish(fixture, second, "same", 1, false);
	end(fixture);
	report = parse(fixture);
	expect(report, CASE("same") "/system-out", "in the second\n");
	expect(report, CASE("other") "/@time", "3.000");
	xmlFreeDoc(report);
}

static void junit_keeps_the_end_of_long_output(void **state)
{
	struct fixture *fixture = *state;
	xmlDocPtr report;
	char line[1000];

	add(fixture, ntd_junit_sink);
	memset(line, 'x', sizeof line);
	for (int i = 0; i < 3000; i++)
		emit(fixture, (struct ntd_event){.text = line, .text_len = sizeof line});
	emit(fixture, (struct ntd_event){.text = "the end"});
	end(fixture);
	report = parse(fixture);
	/* 1 MiB, in whole lines: 1047 of 1001 bytes and the last; 1953 are cut. */
	expect(report, "substring-before(//system-out, ']')",
	       "[1954953 bytes before this left out");
	expect(report, "string-length(substring-after(//system-out, ']\n'))", "1048055");
	expect(report, "substring-after(//system-out, 'x\nthe')", " end\n");
	xmlFreeDoc(report);
}

static void junit_stays_where_it_was_put(void **state)
{
	struct fixture *fixture = *state;
	int before = open(".", O_PATH | O_CLOEXEC);
	xmlDocPtr report;

	assert_int_equal(chdir(fixture->directory), 0);
	ntd_report_add(fixture->report, ntd_junit_sink("report", NULL));
	assert_int_equal(fchdir(before), 0); /* as a script may */
	close(before);
	subtest(fixture, "elsewhere", 0, false);
	end(fixture);
	report = parse(fixture);
	expect(report, "count(//testcase)", "1");
	xmlFreeDoc(report);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(junit_has_one_case_a_subtest),
		test(junit_without_subtests_has_the_case_main),
		test(junit_times_a_case_without_those_in_it),
		test(junit_fails_main_after_an_error_outside_subtests),
		test(junit_fails_a_subtest_that_gives_no_reason),
		test(junit_fails_main_when_only_the_exit_status_tells),
		test(junit_fails_main_no_more_than_needed),
		test(junit_times_a_subtest_that_was_cut_off),
		test(junit_of_tests_only_has_no_other_case),
		test(junit_of_tests_only_shows_what_failed_outside),
		test(junit_is_whole_without_any_event),
		test(junit_is_true_at_any_moment),
		test(junit_properties),
		test(junit_subtests_may_end_in_any_order),
		test(junit_tells_subtests_of_one_title_apart),
		test(junit_keeps_the_end_of_long_output),
		test(junit_stays_where_it_was_put),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	xmlCleanupParser();
	return failed;
}
