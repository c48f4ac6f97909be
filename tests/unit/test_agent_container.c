/* Tests of commands that an agent runs as nsenter(1) would in a container, agent/manner.h. This
 * host stands in for the container.
 */
#include "agent_command_fixture.h"

#include <signal.h>

enum { SHORT = 200, LONG = 60000 }; /* milliseconds */

static struct agent start_in_container(void)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct agent agent = start_agent_in(&ntd_agent_as_nsenter, null, null);

	close(null);
	return agent;
}

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

/* Waits until the command of the stream has printed that line, and nothing else. */
static void await_line(struct agent *agent, uint32_t stream, const char *line)
{
	struct ntd_frame frame = hear_kind(agent, NTD_FRAME_DATA, stream);

	assert_int_equal(frame.len, strlen(line));
	assert_memory_equal(frame.bytes, line, frame.len);
}

static void test_the_shell_and_what_is_set_up(void **state)
{
	struct agent agent = start_in_container();

	assert_command(&agent, "echo $0 $# $USER $HOME $DISPLAY", 0,
		       "/bin/bash 0 root /root :0.0\n");
	assert_command(&agent, "false; echo no", 1, "");
	assert_command(&agent, "false | true; echo no", 1, "");
	assert_command(&agent, "echo $unset_variable", 1, "");
	assert_command(&agent, "kill -TERM $$", 128 + SIGTERM, "");
	assert_command(&agent, "readlink /proc/self/fd/0", 0, "/dev/null\n");
	stop_agent(&agent);
}

/* A long text follows what is set up, too: without PATH there may be no programs. */
static void test_long_texts(void **state)
{
	_cleanup_buf_ struct ntd_buf text = {0};
	_cleanup_heard_ struct heard heard = {0};
	struct agent agent = start_in_container();

	ntd_buf_puts(&text, "echo $HOME; exit 3 # ");
	for (int i = 0; i < 20000; i++)
		ntd_buf_puts(&text, "0123456789");
	ask(&agent, 1, &(struct ntd_agent_run){.text = "", .text_follows = text.len});
	for (size_t sent = 0; sent < text.len; sent += 50000)
		tell_bytes(&agent, NTD_FRAME_DATA, 1, ntd_buf_bytes(&text) + sent,
			   text.len - sent < 50000 ? text.len - sent : 50000);
	heard = hear_out(&agent, 1);
	assert_output(&heard, "/root\n");
	assert_ended(&heard, 3);
	stop_agent(&agent);
}

/* The command, what it has started and what holds its output are not waited for. */
static void test_time_outs(void **state)
{
	static const char *const commands[] = {
		"echo a; sleep 1000 & sleep 1000",
		"trap '' TERM; echo a; sleep 1000; sleep 1000",
		"sleep 5 & echo a",
		"echo a; kill -STOP $$; sleep 1000",
	};
	struct agent agent = start_in_container();

	for (uint32_t i = 0; i < sizeof commands / sizeof *commands; i++) {
		_cleanup_heard_ struct heard heard = {0};

		ask_text(&agent, i + 1, commands[i], .timeout = SHORT, .grace = LONG);
		heard = hear_out(&agent, i + 1);
		assert_output(&heard, "a\n");
		assert_int_equal(heard.how, NTD_AGENT_TIMED_OUT);
		assert_int_equal(heard.status, 124);
	}
	stop_agent(&agent);
}

/* Who writes without end does not keep the command from ending. */
static void test_a_time_out_of_a_flood(void **state)
{
	_cleanup_heard_ struct heard heard = {0};
	struct agent agent = start_in_container();

	ask_text(&agent, 1, "yes & echo $!; wait", .timeout = SHORT);
	heard = hear_out(&agent, 1);
	assert_int_equal(heard.how, NTD_AGENT_TIMED_OUT);
	assert_true(heard.output.len > 2);
	stop_agent(&agent);
}

/* Each command has a process group of its own, with a time-out or without. */
static void test_groups(void **state)
{
	struct agent agent = start_in_container();

	assert_command(&agent, "sleep 1000 & kill -KILL 0", 128 + SIGKILL, "");
	assert_command(&agent, "test $(ps -o pgid= $$) = $$", 0, "");
	stop_agent(&agent);
}

static void test_a_command_that_is_stopped_goes_on(void **state)
{
	struct agent agent = start_in_container();

	assert_command(&agent, "kill -STOP $$; echo on", 0, "on\n");
	stop_agent(&agent);
}

static void test_sigterm_without_commands(void **state)
{
	struct agent agent = start_in_container();

	kill(agent.pid, SIGTERM);
	hear_kind(&agent, NTD_FRAME_END, 0);
	await_agent(&agent, 0);
}

/* An agent that is to end tells how its commands have ended. */
static void test_sigterm_with_a_command(void **state)
{
	_cleanup_buf_ struct ntd_buf end = {0};
	_cleanup_heard_ struct heard refused = {0}, heard = {0};
	struct agent agent = start_in_container();

	ask_text(&agent, 1, "echo begun; read line; echo $line; exit 4", .input = true);
	await_line(&agent, 1, "begun\n");
	kill(agent.pid, SIGTERM);
	do { /* the signal may come after the next frame */
		static uint32_t stream = 1;

		free_heard(&refused);
		refused = (struct heard){0};
		ask_text(&agent, ++stream, "true");
		refused = hear_out(&agent, stream);
	} while (!refused.failure);
	assert_string_equal(refused.failure, "the agent is about to end");
	tell_bytes(&agent, NTD_FRAME_DATA, 1, "end\n", 4);
	hear_kind(&agent, NTD_FRAME_CREDIT, 1);
	heard = hear_out(&agent, 1);
	assert_output(&heard, "end\n");
	assert_ended(&heard, 4);
	hear_kind(&agent, NTD_FRAME_END, 0);
	await_agent(&agent, 0);
}

/* In a virtual machine the signal has its default action. */
static void test_sigterm_in_a_virtual_machine(void **state)
{
	struct agent agent = start_agent();
	int status;

	kill(agent.pid, SIGTERM);
	assert_int_equal(waitpid(agent.pid, &status, 0), agent.pid);
	assert_true(WIFSIGNALED(status));
	ntd_close_fd(&agent.fd);
	ntd_buf_free(&agent.in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_shell_and_what_is_set_up),
		cmocka_unit_test(test_long_texts),
		cmocka_unit_test(test_time_outs),
		cmocka_unit_test(test_a_time_out_of_a_flood),
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_a_command_that_is_stopped_goes_on),
		cmocka_unit_test(test_sigterm_without_commands),
		cmocka_unit_test(test_sigterm_with_a_command),
		cmocka_unit_test(test_sigterm_in_a_virtual_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
