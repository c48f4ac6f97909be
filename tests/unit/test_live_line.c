/* Tests of the last line of a terminal, on a pseudo-terminal. */
#include "unit.h"

#include "base/buf.h"
#include "report/sinks.h"

#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <termios.h>

#define LINE "\r\033[36mm: waiting for x (3s)\033[0m\033[J\r"
#define REMOVAL "\r\033[J"

struct fixture {
	struct ntd_report *report;
	struct ntd_sink *sink;
	int screen, terminal; /* the two ends */
	struct ntd_buf seen;
};

static int set_up(void **state)
{
	static struct fixture fixture;
	struct winsize size = {.ws_row = 24, .ws_col = 80};
	struct termios mode;

	setenv("TERM", "xterm", true);
	fixture = (struct fixture){.report = ntd_report_new(NULL)};
	if (!fixture.report || openpty(&fixture.screen, &fixture.terminal, NULL, NULL, &size) < 0 ||
	    tcgetattr(fixture.terminal, &mode) < 0)
		return -1;
	mode.c_oflag &= ~(tcflag_t)OPOST;
	tcsetattr(fixture.terminal, TCSANOW, &mode);
	*state = &fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	ntd_report_free(fixture->report);
	ntd_buf_free(&fixture->seen);
	ntd_close_fd(&fixture->screen);
	ntd_close_fd(&fixture->terminal);
	return 0;
}

static void open_sink(struct fixture *fixture)
{
	fixture->sink = ntd_terminal_sink(fixture->terminal, NTD_LEVEL_DEBUG);
	ntd_report_add(fixture->report, fixture->sink);
}

static uint64_t emit(struct fixture *fixture, struct ntd_event event)
{
	uint64_t id;

	event.text_len = strlen(event.text);
	id = ntd_report_emit(fixture->report, &event);
	ntd_report_settle(fixture->report);
	return id;
}

/* Begins a wait three seconds ago. */
static uint64_t begin_wait(struct fixture *fixture)
{
	return emit(fixture, (struct ntd_event){.kind = NTD_EVENT_NEST_BEGIN,
						.step = NTD_STEP_WAIT,
						.machine = "m",
						.text = "waiting for x",
						.monotonic = ntd_now() - 3 * NTD_SECOND});
}

static void end_wait(struct fixture *fixture, uint64_t id)
{
	emit(fixture, (struct ntd_event){.kind = NTD_EVENT_NEST_END, .id = id, .text = "wait"});
}

/* Adds what has been written to the terminal to `seen`. */
static bool look(struct fixture *fixture, int patience_ms)
{
	struct pollfd fd = {.fd = fixture->screen, .events = POLLIN};
	ssize_t count;

	if (poll(&fd, 1, patience_ms) <= 0)
		return false;
	count = read(fixture->screen, ntd_buf_reserve(&fixture->seen, 4096), 4096);
	if (count > 0)
		ntd_buf_added(&fixture->seen, (size_t)count);
	return count > 0;
}

/* What has been written to the terminal since the last look; the caller frees it. */
static char *taken(struct fixture *fixture)
{
	while (look(fixture, 0))
		;
	return ntd_buf_take_string(&fixture->seen);
}

/* Waits until the terminal has got the text, and takes all that it has got. */
static void wait_for(struct fixture *fixture, const char *text)
{
	_cleanup_free_ char *seen = NULL;

	do {
		ntd_buf_append(&fixture->seen, "", 1);
		if (strstr(ntd_buf_bytes(&fixture->seen), text))
			break;
		fixture->seen.len--;
	} while (look(fixture, 10000));
	seen = taken(fixture);
	if (!strstr(seen, text))
		fail_msg("%s is missing in %s", text, seen);
}

static void assert_gets(struct fixture *fixture, const char *expected)
{
	_cleanup_free_ char *seen = taken(fixture);

	assert_string_equal(seen, expected);
}

static void the_line_is_below_the_log(void **state)
{
	struct fixture *fixture = *state;
	uint64_t id;

	open_sink(fixture);
	assert_true(ntd_terminal_has_live_line(fixture->sink));
	id = begin_wait(fixture);
	assert_gets(fixture, "m: \033[1m\033[32mwaiting for x\033[0m\n" LINE);
	end_wait(fixture, id);
	assert_gets(fixture, REMOVAL "(finished: wait, in 0.00 seconds)\n");
}

static void a_log_that_goes_on_has_the_line(void **state)
{
	struct fixture *fixture = *state;

	open_sink(fixture);
	begin_wait(fixture);
	assert_gets(fixture, "m: \033[1m\033[32mwaiting for x\033[0m\n" LINE);
	emit(fixture, (struct ntd_event){.text = "a"});
	emit(fixture, (struct ntd_event){.text = "b"}); /* at once: not drawn again for a moment */
	wait_for(fixture, REMOVAL "a\n");
	wait_for(fixture, "waiting for x (");
}

static void the_line_is_kept_up(void **state)
{
	struct fixture *fixture = *state;

	open_sink(fixture);
	begin_wait(fixture);
	wait_for(fixture, "waiting for x (3s)");
	wait_for(fixture, "waiting for x (4s)");
	ntd_report_free(ntd_steal(&fixture->report)); /* in the middle of a wait */
	wait_for(fixture, REMOVAL);
}

static void the_line_appears_without_an_event(void **state)
{
	struct fixture *fixture = *state;

	open_sink(fixture);
	emit(fixture, (struct ntd_event){.kind = NTD_EVENT_NEST_BEGIN,
					 .step = NTD_STEP_WAIT,
					 .machine = "m",
					 .text = "waiting for x"});
	assert_gets(fixture, "m: \033[1m\033[32mwaiting for x\033[0m\n");
	wait_for(fixture, "waiting for x (1s)");
	ntd_report_settle(fixture->report);
}

static void a_script_that_prints_has_the_terminal(void **state)
{
	struct fixture *fixture = *state;

	open_sink(fixture);
	begin_wait(fixture);
	wait_for(fixture, LINE);
	ntd_terminal_make_way(fixture->sink, false);
	assert_gets(fixture, REMOVAL);
	assert_int_equal(write(fixture->terminal, "50%", 3), 3);
	wait_for(fixture, "50%");
	assert_false(look(fixture, 1500)); /* the line of the script has not ended */
	ntd_terminal_make_way(fixture->sink, true);
	wait_for(fixture, "waiting for x (");
}

static void a_prompt_has_the_terminal(void **state)
{
	struct fixture *fixture = *state;

	open_sink(fixture);
	begin_wait(fixture);
	wait_for(fixture, LINE);
	assert_false(ntd_terminal_hide_live_line(fixture->sink, true));
	assert_gets(fixture, REMOVAL);
	emit(fixture, (struct ntd_event){.text = "a message"});
	assert_gets(fixture, "a message\n");
	assert_true(ntd_terminal_hide_live_line(fixture->sink, false));
	emit(fixture, (struct ntd_event){.text = "another"});
	wait_for(fixture, "waiting for x (");
}

static void a_program_that_reads_keys_has_the_terminal(void **state)
{
	struct fixture *fixture = *state;
	struct termios mode;

	tcgetattr(fixture->terminal, &mode);
	mode.c_lflag &= ~(tcflag_t)ICANON;
	tcsetattr(fixture->terminal, TCSANOW, &mode);
	open_sink(fixture);
	begin_wait(fixture);
	assert_gets(fixture, "m: \033[1m\033[32mwaiting for x\033[0m\n");
}

/* As after Ctrl-S. */
static void a_stopped_terminal_is_not_waited_for(void **state)
{
	struct fixture *fixture = *state;

	open_sink(fixture);
	begin_wait(fixture);
	wait_for(fixture, LINE);
	assert_int_equal(tcflow(fixture->terminal, TCOOFF), 0);
	assert_false(look(fixture, 1500)); /* the line is due */
	ntd_log_busy(fixture->report, "m", "something", 9, 0);
	assert_true(ntd_report_flush(fixture->report, ntd_after(10 * NTD_SECOND)));
	assert_int_equal(tcflow(fixture->terminal, TCOON), 0);
	wait_for(fixture, "waiting for x (");
}

static void the_width_is_that_of_the_moment(void **state)
{
	struct fixture *fixture = *state;
	struct winsize narrow = {.ws_row = 24, .ws_col = 20};

	open_sink(fixture);
	begin_wait(fixture);
	wait_for(fixture, LINE);
	ioctl(fixture->screen, TIOCSWINSZ, &narrow);
	emit(fixture, (struct ntd_event){.text = "a"});
	wait_for(fixture, "m: waiting...");
}

static void progress_is_in_the_line_alone(void **state)
{
	struct ntd_event progress = {
		.machine = "m", .text = "copying", .done = 1 << 20, .total = 2 << 20};
	struct fixture *fixture = *state;

	open_sink(fixture);
	emit(fixture, progress); /* there is no line yet: the log has it */
	assert_gets(fixture, "m: copying\n");
	begin_wait(fixture);
	wait_for(fixture, LINE);
	emit(fixture, progress);
	wait_for(fixture, "m: waiting for x: 50% of 2.0 MiB (");
}

static void others_have_no_line(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_sink *sinks[3];
	int fds[2];

	setenv("TERM", "dumb", true);
	sinks[0] = ntd_terminal_sink(fixture->terminal, NTD_LEVEL_DEBUG);
	setenv("TERM", "xterm", true);
	sinks[1] = ntd_terminal_sink(fixture->terminal, NTD_LEVEL_DEBUG);
	ntd_terminal_be_quiet(sinks[1]);
	assert_int_equal(pipe(fds), 0);
	sinks[2] = ntd_terminal_sink(fds[1], NTD_LEVEL_DEBUG);
	for (int i = 0; i < 3; i++) {
		assert_false(ntd_terminal_has_live_line(sinks[i]));
		assert_false(sinks[i]->live);
		ntd_report_add(fixture->report, sinks[i]);
	}
	begin_wait(fixture);
	ntd_report_free(ntd_steal(&fixture->report));
	close(fds[0]);
	close(fds[1]);
	wait_for(fixture, "waiting for x");
	assert_false(look(fixture, 0));
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(the_line_is_below_the_log),
		test(a_log_that_goes_on_has_the_line),
		test(the_line_is_kept_up),
		test(the_line_appears_without_an_event),
		test(a_script_that_prints_has_the_terminal),
		test(a_prompt_has_the_terminal),
		test(a_program_that_reads_keys_has_the_terminal),
		test(a_stopped_terminal_is_not_waited_for),
		test(the_width_is_that_of_the_moment),
		test(progress_is_in_the_line_alone),
		test(others_have_no_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
