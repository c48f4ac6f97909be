/* Tests of the terminal sink: formats, levels, hidden console lines, and quiet runs. */
#include "terminal_fixture.h"

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
	ntd_nest_end(&nest, false); /* does nothing: the step has ended */
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

/* Returns the output of a quiet terminal for a hundred console lines of two machines. */
static char *quiet_console(struct fixture *fixture, int status)
{
	struct ntd_sink *terminal = ntd_terminal_sink(fixture->write_fd, NTD_LEVEL_DEBUG);

	ntd_terminal_be_quiet(terminal);
	ntd_terminal_show_serial(terminal, true); /* --quiet takes precedence over the script */
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
