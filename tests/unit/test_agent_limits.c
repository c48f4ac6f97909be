/* Tests of how commands that an agent runs are ended, agent/command: time-outs, held output,
 * cancellation.
 */
#include "agent_command_fixture.h"

#include <errno.h>
#include <signal.h>

enum { SHORT = 200, LONG = 60000 }; /* milliseconds */

static void assert_timed_out(const struct heard *heard)
{
	if (heard->failure)
		fail_msg("FAILED: %s", heard->failure);
	assert_int_equal(heard->how, NTD_AGENT_TIMED_OUT);
	assert_int_equal(heard->status, 124);
}

/* Waits until a process does not exist, or has ended and nobody has waited for it. */
static void await_end(pid_t pid)
{
	_cleanup_free_ char *path = ntd_asprintf("/proc/%d/stat", pid);

	for (;;) {
		char line[256] = {0};
		FILE *file = fopen(path, "re");
		const char *name_end =
			file && fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL;

		if (file)
			fclose(file);
		if (!name_end || name_end[2] == 'Z')
			return;
		usleep(1000);
	}
}

/* The number that is the next thing in the output of a stream. */
static pid_t hear_pid(struct agent *agent, uint32_t stream)
{
	struct ntd_frame frame = hear_kind(agent, NTD_FRAME_DATA, stream);
	_cleanup_free_ char *text = ntd_strndup(frame.bytes, frame.len);

	return (pid_t)strtol(text, NULL, 10);
}

static void test_in_time(void **state)
{
	_cleanup_heard_ struct heard heard = {0};
	struct agent agent = start_agent();

	ask_text(&agent, 1, "echo here; exit 5", .timeout = LONG);
	heard = hear_out(&agent, 1);
	assert_output(&heard, "here\n");
	assert_ended(&heard, 5);
	stop_agent(&agent);
}

/* The whole process group gets SIGTERM, and what was printed is not lost. */
static void test_timeout(void **state)
{
	_cleanup_heard_ struct heard heard = {0};
	struct agent agent = start_agent();

	ask_text(&agent, 1, "echo before; sleep 1000; echo after", .timeout = SHORT, .grace = LONG);
	heard = hear_out(&agent, 1);
	assert_output(&heard, "before\n");
	assert_timed_out(&heard);
	stop_agent(&agent);
}

/* The status is that of the time-out, whatever the command makes of it. */
static void test_handled_timeout(void **state)
{
	_cleanup_heard_ struct heard heard = {0};
	struct agent agent = start_agent();

	ask_text(&agent, 1, "trap 'echo bye; exit 3' TERM; while :; do sleep 0.01; done",
		 .timeout = SHORT, .grace = LONG);
	heard = hear_out(&agent, 1);
	assert_output(&heard, "bye\n");
	assert_timed_out(&heard);
	stop_agent(&agent);
}

static void test_stopped_command(void **state)
{
	_cleanup_heard_ struct heard heard = {0};
	struct agent agent = start_agent();

	ask_text(&agent, 1, "kill -STOP $$", .timeout = SHORT, .grace = LONG);
	heard = hear_out(&agent, 1);
	assert_timed_out(&heard);
	stop_agent(&agent);
}

/* One that ignores SIGTERM is killed after the time of grace, and named. */
static void test_stubborn_command(void **state)
{
	_cleanup_heard_ struct heard heard = {0};
	_cleanup_free_ char *holder = NULL, *holders = NULL;
	struct agent agent = start_agent();
	pid_t pid;

	ask_text(&agent, 1,
		 "trap '' TERM; echo $$; while :; do read -r -t 9 < <(sleep 9) || :; done",
		 .timeout = SHORT, .grace = SHORT);
	pid = hear_pid(&agent, 1);
	heard = hear_out(&agent, 1);
	assert_null(heard.failure);
	assert_int_equal(heard.how, NTD_AGENT_HELD);
	holder = ntd_asprintf("%d (bash)", pid);
	holders = ntd_strndup(ntd_buf_bytes(&heard.holders), heard.holders.len);
	assert_non_null(strstr(holders, holder));
	await_end(pid);
	stop_agent(&agent);
}

/* It is killed, too, when it has closed its output. */
static void test_stubborn_and_silent(void **state)
{
	_cleanup_heard_ struct heard heard = {0};
	struct agent agent = start_agent();

	ask_text(&agent, 1, "trap '' TERM; exec >&-; while :; do sleep 0.01; done",
		 .timeout = SHORT, .grace = SHORT);
	heard = hear_out(&agent, 1);
	assert_timed_out(&heard);
	stop_agent(&agent);
}

/* A process that has outlived its command holds the output: it is named, and lives on. */
static void test_held_output(void **state)
{
	_cleanup_heard_ struct heard heard = {0};
	_cleanup_free_ char *holder = NULL;
	struct agent agent = start_agent();
	pid_t pid;

	ask_text(&agent, 1, "sleep 1000 & echo $!; exit 6", .timeout = SHORT, .grace = SHORT);
	pid = hear_pid(&agent, 1);
	heard = hear_out(&agent, 1);
	assert_null(heard.failure);
	assert_int_equal(heard.how, NTD_AGENT_HELD);
	assert_int_equal(heard.status, 6);
	holder = ntd_asprintf("%d (sleep)", pid);
	assert_int_equal(heard.holders.len, strlen(holder));
	assert_memory_equal(ntd_buf_bytes(&heard.holders), holder, strlen(holder));
	assert_int_equal(kill(pid, SIGKILL), 0);
	stop_agent(&agent);
}

/* Other commands' processes are not named. */
static void test_other_holders(void **state)
{
	struct heard heard[3] = {0};
	_cleanup_free_ char *all = NULL;
	struct agent agent = start_agent();

	ask_text(&agent, 1, "read -r line < <(sleep 1000)");
	ask_text(&agent, 2, "sleep 1000 & echo $! >&2; disown", .timeout = SHORT, .grace = SHORT,
		 .errors = true);
	for (;;) {
		struct ntd_frame frame = hear(&agent);

		assert_int_equal(frame.stream, 2);
		if (take_heard(&heard[2], &frame))
			break;
	}
	ntd_buf_append(&heard[2].errors, "", 1);
	all = ntd_asprintf("%ld (sleep)", strtol(ntd_buf_bytes(&heard[2].errors), NULL, 10));
	assert_int_equal(heard[2].holders.len, strlen(all));
	kill((pid_t)strtol(all, NULL, 10), SIGKILL);
	tell(&agent, NTD_FRAME_CANCEL, 1, NULL);
	heard[1] = hear_out(&agent, 1);
	assert_non_null(heard[1].failure);
	for (size_t i = 1; i < unit_count(heard); i++)
		free_heard(&heard[i]);
	stop_agent(&agent);
}

/* Children, and those in other process groups and sessions, end with the command. */
static void test_cancel(void **state)
{
	const char *texts[] = {
		"sleep 1000 & echo $!; wait",
		"trap '' TERM INT; set -m; (trap '' TERM; sleep 1000; :) & echo $!; wait",
		"setsid sh -c 'echo $$; sleep 1000; :'; :",
	};

	for (size_t i = 0; i < unit_count(texts); i++) {
		_cleanup_heard_ struct heard heard = {0};
		struct agent agent = start_agent();
		pid_t pid;

		ask_text(&agent, 1, texts[i], .timeout = i == 1 ? LONG : 0);
		pid = hear_pid(&agent, 1);
		tell(&agent, NTD_FRAME_CANCEL, 1, NULL);
		heard = hear_out(&agent, 1);
		assert_non_null(heard.failure);
		await_end(pid);
		stop_agent(&agent);
	}
}

/* Nobody waits for who holds the output of a command that has ended. */
static void test_cancel_held(void **state)
{
	_cleanup_heard_ struct heard heard = {0};
	struct agent agent = start_agent();
	pid_t pid;

	ask_text(&agent, 1, "sleep 1000 & echo $!");
	pid = hear_pid(&agent, 1);
	tell(&agent, NTD_FRAME_CANCEL, 1, NULL);
	heard = hear_out(&agent, 1);
	assert_non_null(heard.failure);
	kill(pid, SIGKILL);
	stop_agent(&agent);
}

/* A second cancel, and frames of a stream that has ended, do nothing. */
static void test_cancel_again(void **state)
{
	_cleanup_heard_ struct heard heard = {0}, next = {0};
	struct agent agent = start_agent();

	ask_text(&agent, 1, "sleep 1000", .input = true);
	for (int i = 0; i < 3; i++)
		tell(&agent, NTD_FRAME_CANCEL, 1, NULL);
	tell_bytes(&agent, NTD_FRAME_DATA, 1, "input", 5);
	tell(&agent, NTD_FRAME_END, 1, NULL);
	heard = hear_out(&agent, 1);
	assert_non_null(heard.failure);
	tell_bytes(&agent, NTD_FRAME_DATA, 1, "input", 5);
	ask_text(&agent, 2, "echo here");
	next = hear_out(&agent, 2);
	assert_output(&next, "here\n");
	stop_agent(&agent);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_time),          cmocka_unit_test(test_timeout),
		cmocka_unit_test(test_handled_timeout),  cmocka_unit_test(test_stopped_command),
		cmocka_unit_test(test_stubborn_command), cmocka_unit_test(test_stubborn_and_silent),
		cmocka_unit_test(test_held_output),      cmocka_unit_test(test_other_holders),
		cmocka_unit_test(test_cancel),           cmocka_unit_test(test_cancel_held),
		cmocka_unit_test(test_cancel_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
