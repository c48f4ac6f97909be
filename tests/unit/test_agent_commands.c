/* Tests of commands that an agent runs, agent/command: status, output, and when they end. */
#include "agent_command_fixture.h"

#include <errno.h>
#include <signal.h>

static void assert_command(struct agent *agent, const char *text, uint32_t status,
			   const char *output)
{
	static uint32_t stream = 1000;
	_cleanup_heard_ struct heard heard = {0};

	ask_text(agent, ++stream, text);
	heard = hear_out(agent, stream);
	assert_output(&heard, output);
	assert_ended(&heard, status);
}

static void test_statuses(void **state)
{
	struct agent agent = start_agent();

	assert_command(&agent, "true", 0, "");
	assert_command(&agent, "exit 3", 3, "");
	assert_command(&agent, "kill -KILL $$", 128 + SIGKILL, "");
	assert_command(&agent, "kill -TERM $$", 128 + SIGTERM, "");
	assert_command(&agent, "echo hello", 0, "hello\n");
	stop_agent(&agent);
}

static void test_options_of_bash(void **state)
{
	struct agent agent = start_agent();

	assert_command(&agent, "false; echo no", 1, "");
	assert_command(&agent, "false | true; echo no", 1, "");
	assert_command(&agent, "echo $unset_variable", 1, "");
	assert_command(&agent, "echo $0", 0, "bash\n");
	stop_agent(&agent);
}

/* The environment and the directory are the agent's. */
static void test_environment(void **state)
{
	_cleanup_free_ char *directory = getcwd(NULL, 0), *line = NULL;
	struct agent agent;

	setenv("AGENT_TEST", "a value", 1);
	agent = start_agent();
	line = ntd_asprintf("%s\n", directory);
	assert_command(&agent, "echo \"$AGENT_TEST\"", 0, "a value\n");
	assert_command(&agent, "pwd", 0, line);
	assert_command(&agent, "tr '\\0' '\\n' < /proc/$$/environ | grep -c '^_=/.*/bash$'", 0,
		       "1\n");
	stop_agent(&agent);
}

/* What a command prints when a shell of the test's own runs it; a new string. */
static char *shell_output(const char *text)
{
	_cleanup_free_ char *line = ntd_asprintf("bash -c '%s'", text);
	char output[256];
	FILE *shell = popen(line, "re");
	size_t len = fread(output, 1, sizeof output, shell);

	pclose(shell);
	return ntd_strndup(output, len);
}

/* The command has no descriptors of the agent's. */
static void test_descriptors(void **state)
{
	const char count[] = "ls /proc/self/fd | wc -l";
	_cleanup_free_ char *expected = shell_output(count);
	struct agent agent = start_agent();

	assert_command(&agent, count, 0, expected);
	stop_agent(&agent);
}

/* Signals are as for a shell's command, though the agent ignores and blocks some, and though a
 * shell has its background processes ignore some. */
static void test_signals(void **state)
{
	const char signals[] = "grep -e SigBlk -e SigIgn /proc/self/status";
	_cleanup_free_ char *expected = shell_output(signals), *without_pipe = NULL;
	struct agent agent;

	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	agent = start_agent();
	signal(SIGINT, SIG_DFL);
	signal(SIGQUIT, SIG_DFL);
	assert_command(&agent, signals, 0, expected);
	stop_agent(&agent);

	signal(SIGPIPE, SIG_IGN);
	without_pipe = shell_output(signals);
	assert_string_not_equal(without_pipe, expected);
	agent = start_agent();
	signal(SIGPIPE, SIG_DFL);
	assert_command(&agent, signals, 0, without_pipe);
	stop_agent(&agent);
}

static void test_any_bytes(void **state)
{
	_cleanup_heard_ struct heard heard = {0};
	struct agent agent = start_agent();

	ask_text(&agent, 1, "printf 'a\\0b\\377\\n'");
	heard = hear_out(&agent, 1);
	assert_ended(&heard, 0);
	assert_int_equal(heard.output.len, 5);
	assert_memory_equal(ntd_buf_bytes(&heard.output), "a\0b\377\n", 5);
	stop_agent(&agent);
}

enum { LONG_OUTPUT = 20000000, LINE = 100 };

static void test_long_output(void **state)
{
	_cleanup_heard_ struct heard heard = {0};
	struct agent agent = start_agent();

	ask_text(&agent, 1, "seq -f '%099.0f' 200000");
	heard = hear_out(&agent, 1);
	assert_ended(&heard, 0);
	assert_int_equal(heard.output.len, LONG_OUTPUT);
	for (size_t i = 0; i < LONG_OUTPUT / LINE; i++) {
		const char *line = ntd_buf_bytes(&heard.output) + i * LINE;

		if (strtoul(line, NULL, 10) != i + 1)
			fail_msg("line %zu is %.*s", i, LINE, line);
	}
	stop_agent(&agent);
}

/* The output is complete when its last holder has closed it. */
static void test_background_output(void **state)
{
	struct agent agent = start_agent();

	assert_command(&agent, "(sleep 0.2; echo late) & echo early", 0, "early\nlate\n");
	stop_agent(&agent);
}

static void test_closed_output(void **state)
{
	struct agent agent = start_agent();

	assert_command(&agent, "exec >&-; sleep 0.2; exit 7", 7, "");
	stop_agent(&agent);
}

/* One that writes without end does not keep others waiting. */
static void test_flood(void **state)
{
	struct agent agent = start_agent();
	struct ntd_frame frame;

	ask_text(&agent, 1, "cat /dev/zero");
	hear_kind(&agent, NTD_FRAME_DATA, 1);
	for (uint32_t stream = 2; stream < 7; stream++) {
		ask_text(&agent, stream, "echo here");
		do
			frame = hear(&agent);
		while (frame.stream != stream || frame.kind != NTD_FRAME_DONE);
	}
	tell(&agent, NTD_FRAME_CANCEL, 1, NULL);
	do
		frame = hear(&agent);
	while (frame.kind == NTD_FRAME_DATA);
	assert_int_equal(frame.kind, NTD_FRAME_FAILED);
	stop_agent(&agent);
}

enum { MANY = 100 };

static void test_many_at_once(void **state)
{
	struct heard heard[MANY + 1] = {0};
	struct agent agent = start_agent();

	for (uint32_t i = 1; i <= MANY; i++) {
		_cleanup_free_ char *text = ntd_asprintf("sleep 0.1; echo %u; exit %u", i, i);

		ask_text(&agent, i, text);
	}
	for (int left = MANY; left;) {
		struct ntd_frame frame = hear(&agent);

		assert_true(frame.stream && frame.stream <= MANY);
		left -= take_heard(&heard[frame.stream], &frame);
	}
	for (uint32_t i = 1; i <= MANY; i++) {
		_cleanup_free_ char *line = ntd_asprintf("%u\n", i);

		assert_output(&heard[i], line);
		assert_ended(&heard[i], i);
		free_heard(&heard[i]);
	}
	stop_agent(&agent);
}

/* Commands go on when the port has ended, and the agent leaves at once. */
static void test_end_of_port(void **state)
{
	_cleanup_free_ char *text = NULL;
	struct agent agent = start_agent();
	int pipes[2];
	char byte;

	assert_int_equal(pipe(pipes), 0);
	text = ntd_asprintf("echo; sleep 0.3; echo > /proc/%d/fd/%d", getpid(), pipes[1]);
	ask_text(&agent, 1, text);
	hear_kind(&agent, NTD_FRAME_DATA, 1);
	stop_agent(&agent);
	assert_int_equal(read(pipes[0], &byte, 1), 1);
	close(pipes[0]);
	close(pipes[1]);
}

/* ---- standard error */

static void test_errors_apart(void **state)
{
	_cleanup_heard_ struct heard heard = {0};
	struct agent agent = start_agent();

	ask_text(&agent, 1, "echo out; echo wrong >&2; exit 4", .errors = true);
	heard = hear_out(&agent, 1);
	assert_output(&heard, "out\n");
	assert_ended(&heard, 4);
	assert_int_equal(heard.errors.len, 6);
	assert_memory_equal(ntd_buf_bytes(&heard.errors), "wrong\n", 6);
	stop_agent(&agent);
}

/* Starts an agent whose standard error is a pipe; returns the end to read. */
static int start_with_errors(struct agent *agent)
{
	int saved = dup(STDERR_FILENO), pipes[2];

	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	dup2(pipes[1], STDERR_FILENO);
	*agent = start_agent();
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(pipes[1]);
	return pipes[0];
}

static void assert_reads(int fd, const char *text)
{
	char bytes[64] = {0};
	size_t len = 0;

	while (len < strlen(text)) {
		ssize_t step = read(fd, bytes + len, strlen(text) - len);

		assert_true(step > 0);
		len += (size_t)step;
	}
	assert_string_equal(bytes, text);
}

/* Standard error is the agent's, even if it is wanted apart, and after the command's end. */
static void test_errors_on_console(void **state)
{
	for (int apart = 0; apart < 2; apart++) {
		_cleanup_heard_ struct heard heard = {0};
		struct agent agent;
		int console = start_with_errors(&agent);

		ask_text(
			&agent, 1,
			"echo one >&2; { read -r -t 0.2 < <(sleep 9) || :; echo two >&2; } > /dev/null &",
			.errors = apart);
		heard = hear_out(&agent, 1);
		assert_ended(&heard, 0);
		assert_reads(console, "one\ntwo\n");
		stop_agent(&agent);
		close(console);
	}
}

/* A console that nobody reads stops only those that write to it. */
static void test_stuck_console(void **state)
{
	struct agent agent;
	int console = start_with_errors(&agent);
	struct ntd_frame frame;

	ask_text(&agent, 1, "yes >&2", .errors = true);
	hear_kind(&agent, NTD_FRAME_ERROR_DATA, 1);
	ask_text(&agent, 2, "echo here");
	do
		frame = hear(&agent);
	while (frame.stream != 2 || frame.kind != NTD_FRAME_DONE);
	tell(&agent, NTD_FRAME_CANCEL, 1, NULL);
	do
		frame = hear(&agent);
	while (frame.kind == NTD_FRAME_ERROR_DATA);
	assert_int_equal(frame.kind, NTD_FRAME_FAILED);
	stop_agent(&agent);
	close(console);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_statuses),      cmocka_unit_test(test_options_of_bash),
		cmocka_unit_test(test_environment),   cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_signals),       cmocka_unit_test(test_any_bytes),
		cmocka_unit_test(test_long_output),   cmocka_unit_test(test_background_output),
		cmocka_unit_test(test_closed_output), cmocka_unit_test(test_flood),
		cmocka_unit_test(test_many_at_once),  cmocka_unit_test(test_end_of_port),
		cmocka_unit_test(test_errors_apart),  cmocka_unit_test(test_errors_on_console),
		cmocka_unit_test(test_stuck_console),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
