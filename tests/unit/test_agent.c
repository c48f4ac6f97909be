/* Tests of the agent itself, agent/agent: streams, and what is not one. */
#include "agent_command_fixture.h"

#include <errno.h>
#include <signal.h>

/* Runs a command while another one, which was there before, goes on. */
static void assert_serves(struct agent *agent, uint32_t stream)
{
	_cleanup_heard_ struct heard heard = {0};

	ask_text(agent, stream, "echo here");
	heard = hear_out(agent, stream);
	assert_output(&heard, "here\n");
}

/* The agent ends with an error after what cannot come from the driver. */
static void test_nonsense(void **state)
{
	const struct ntd_frame wrong[] = {
		{.stream = 0, .kind = NTD_FRAME_RUN, .bytes = ""},   /* the connection's number */
		{.stream = 1, .kind = NTD_FRAME_HELLO, .bytes = ""}, /* a frame of the agent's */
		{.stream = 1, .kind = NTD_FRAME_DONE, .bytes = ""},
		{.stream = 9, .kind = NTD_FRAME_RUN, .bytes = ""}, /* a stream that there is */
	};

	for (size_t i = 0; i <= unit_count(wrong); i++) {
		struct agent agent = start_agent();
		_cleanup_buf_ struct ntd_buf bytes = {0};

		ask_text(&agent, 9, "cat", .input = true);
		if (i < unit_count(wrong))
			ntd_frame_append(&bytes, &wrong[i]);
		else
			ntd_buf_puts(&bytes, "root@machine:~# echo\n");
		tell_raw(&agent, ntd_buf_bytes(&bytes), bytes.len);
		await_agent(&agent, 1);
	}
}

/* A stream that the agent cannot begin fails, and no other is the worse for it. */
static void test_refused_streams(void **state)
{
	_cleanup_heard_ struct heard garbled = {0};
	struct agent agent = start_agent();

	tell_bytes(&agent, NTD_FRAME_RUN, 2, "\1\2\3", 3);
	garbled = hear_out(&agent, 2);
	assert_non_null(garbled.failure);
	assert_serves(&agent, 3);
	stop_agent(&agent);
}

/* Where there is no bash, every command fails, and nothing is left of it. */
static void test_no_bash(void **state)
{
	_cleanup_free_ char *path = ntd_strdup(getenv("PATH"));
	_cleanup_heard_ struct heard heard = {0};
	struct agent agent;

	setenv("PATH", "/nowhere:", 1);
	agent = start_agent();
	setenv("PATH", path, 1);
	ask_text(&agent, 1, "true", .errors = true, .input = true, .timeout = 1);
	heard = hear_out(&agent, 1);
	assert_non_null(heard.failure);
	assert_non_null(strstr(heard.failure, "bash cannot be started: No such file"));
	stop_agent(&agent);
}

/* Frames of streams that there are not are ignored. */
static void test_unknown_streams(void **state)
{
	struct agent agent = start_agent();

	tell_bytes(&agent, NTD_FRAME_DATA, 5, "bytes", 5);
	tell(&agent, NTD_FRAME_END, 5, NULL);
	tell(&agent, NTD_FRAME_CANCEL, 5, NULL);
	tell(&agent, NTD_FRAME_CREDIT, 5, NULL);
	assert_serves(&agent, 6);
	stop_agent(&agent);
}

enum { TOO_MANY = 1100, AT_ONCE = 1000 };

/* Waits for one more stream than there can be: only that one fails. Texts that are incomplete cost
 * nothing. */
static void test_too_many_streams(void **state)
{
	struct agent agent = start_agent();

	for (uint32_t i = 1; i <= TOO_MANY; i++)
		ask(&agent, i, &(struct ntd_agent_run){.text = "", .text_follows = 10});
	for (uint32_t i = AT_ONCE + 1; i <= TOO_MANY; i++)
		hear_kind(&agent, NTD_FRAME_FAILED, i);
	for (uint32_t i = 1; i <= AT_ONCE; i++) {
		tell(&agent, NTD_FRAME_CANCEL, i, NULL);
		hear_kind(&agent, NTD_FRAME_FAILED, i);
	}
	assert_serves(&agent, TOO_MANY + 1);
	stop_agent(&agent);
}

/* Frames may come in any pieces. */
static void test_pieces(void **state)
{
	_cleanup_heard_ struct heard heard = {0};
	_cleanup_buf_ struct ntd_buf payload = {0}, bytes = {0};
	struct agent agent = start_agent();

	ntd_agent_run_pack(&payload, &(struct ntd_agent_run){.text = "echo here", .text_len = 9});
	ntd_frame_append(&bytes, &(struct ntd_frame){.stream = 1,
						     .kind = NTD_FRAME_RUN,
						     .bytes = ntd_buf_bytes(&payload),
						     .len = payload.len});
	for (size_t i = 0; i < bytes.len; i++)
		tell_raw(&agent, ntd_buf_bytes(&bytes) + i, 1);
	heard = hear_out(&agent, 1);
	assert_output(&heard, "here\n");
	stop_agent(&agent);
}

/* The agent ends while commands write, wait and have not begun. */
static void test_end_amid_commands(void **state)
{
	struct agent agent = start_agent();

	ask_text(&agent, 1, "yes");
	ask_text(&agent, 2, "cat", .input = true, .errors = true, .timeout = 100000);
	ask(&agent, 3, &(struct ntd_agent_run){.text = "", .text_follows = 1000000});
	hear_kind(&agent, NTD_FRAME_DATA, 1);
	stop_agent(&agent);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_refused_streams),
		cmocka_unit_test(test_unknown_streams),
		cmocka_unit_test(test_too_many_streams),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_no_bash),
		cmocka_unit_test(test_end_amid_commands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
