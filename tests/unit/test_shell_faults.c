/* Tests of faults of the root shell: commands that are given up, shells that begin anew or end, and
 * output that is held open.
 */
#include "interrupted.h"
#include "shell_fixture.h"

#include <sys/ioctl.h>

/* ---- a command in the background */

static void *run_background(void *arg)
{
	struct fixture *fixture = arg;

	fixture->returned = run(fixture, &fixture->background, &fixture->result, &fixture->error);
	return NULL;
}

static void start(struct fixture *fixture, struct ntd_command command)
{
	_cleanup_free_ char *running = NULL;

	fixture->background = command;
	fixture->running = true;
	pthread_create(&fixture->thread, NULL, run_background, fixture);
	while (!running) /* until the command has been sent */
		running = busy(fixture);
	assert_int_equal(strlen(running), command.text_len);
}

/* Waits until the guest has read all bytes that were sent. */
static void wait_until_read(struct fixture *fixture)
{
	int unread = 1;

	while (unread)
		assert_int_equal(ioctl(fixture->guest, FIONREAD, &unread), 0);
}

static void join(struct fixture *fixture)
{
	pthread_join(fixture->thread, NULL);
	fixture->running = false;
}

static void say(struct fixture *fixture, const char *text)
{
	assert_int_equal(send(fixture->guest, text, strlen(text), 0), strlen(text));
}

/* ---- given up */

/* Writes a command and gives it up at once, by a signal that is already pending. */
static void abandon(struct fixture *fixture, struct ntd_command command)
{
	struct ntd_channel *channel = ntd_shell_channel(fixture->shell);
	_cleanup_result_ struct ntd_result result = {0};
	struct interrupted interrupted;

	interrupted_begin(&interrupted);
	assert_fails(channel->ops->run(channel, &command, &result, &interrupted.waiter, &err),
		     NTD_E_CANCELLED, "interrupted");
	interrupted_end(&interrupted);
}

static void the_reply_to_an_abandoned_command_is_skipped(void **state)
{
	struct ntd_command streamed = command_of("sleep 0.2; cat");

	abandon(*state, command_of("sleep 0.2; echo late"));
	abandon(*state, command_of("echo later; exit 3"));
	assert_run(*state, "echo mine", 0, "mine\n");
	abandon(*state, command_of("sleep 0.2; head -c 1000000 /dev/zero"));
	assert_run(*state, "echo mine", 0, "mine\n");
	streamed.input = "echo wrong\n";
	streamed.input_len = 11;
	abandon(*state, streamed);
	assert_run(*state, "echo mine", 0, "mine\n");
}

static void an_abandoned_command_is_killed(void **state)
{
	int64_t began = ntd_now();

	abandon(*state, command_of("sleep 1000"));
	assert_run(*state, "echo mine", 0, "mine\n");
	abandon(*state, command_of("trap '' TERM INT; while echo much; do :; done"));
	assert_run(*state, "echo mine", 0, "mine\n");
	assert_in_range(ntd_now() - began, 0, 20 * NTD_SECOND);
}

/* Busybox's head reads ahead, and must not swallow the next command. */
static void a_buffering_head_takes_no_command_with_it(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_command streamed = command_of("sleep 0.2; cat");
	char directory[] = "/tmp/ntd-shell-XXXXXX", path[64];
	struct ntd_command next = command_of("echo mine; type -P head");
	_cleanup_free_ char *expected = NULL;

	if (access("/bin/busybox", X_OK) != 0)
		skip();
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof path, "%s/head", directory);
	assert_int_equal(symlink("/bin/busybox", path), 0);
	end_bash(fixture);
	start_bash(fixture, directory);
	streamed.input = "input";
	streamed.input_len = 5;
	abandon(*state, streamed);
	expected = ntd_asprintf("mine\n%s\n", path);
	next.timeout = 2;
	assert_command(*state, next, 0, expected);
	unlink(path);
	rmdir(directory);
}

/* ---- banners, ends */

static void banners_are_told_with_what_came_before(void **state)
{
	struct fixture *fixture = *state;

	say(fixture, "BdsDxe: loading\r\nBdsDxe: starting " BANNER);
	assert_int_equal(sem_wait(&fixture->announced), 0);
	assert_string_equal(fixture->said, "BdsDxe: loading\r\nBdsDxe: starting " BANNER);
	assert_run(fixture, "echo on", 0, "on\n");
	say(fixture, "second " BANNER);
	assert_int_equal(sem_wait(&fixture->announced), 0);
	assert_non_null(strstr(fixture->said, "second"));
}

/* The new shell lacks the functions that the driver has defined in the old one. */
static void a_new_shell_ends_the_command_of_the_old_one(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_command last = command_of("sleep 30");

	assert_run(fixture, "echo on", 0, "on\n");
	start(fixture, command_of("sleep 30"));
	wait_until_read(fixture);
	end_bash(fixture);
	start_bash(fixture, "/");
	say(fixture, "noise\nand " BANNER);
	join(fixture);
	assert_true(fixture->returned < 0);
	assert_error(ntd_steal(&fixture->error), NTD_E_MACHINE, "began anew");
	assert_run(fixture, "echo new", 0, "new\n");
	last.no_status = true; /* commands such as switch_root end like this */
	start(fixture, last);
	say(fixture, BANNER);
	join(fixture);
	assert_no_error(fixture->error);
	assert_int_equal(fixture->result.status, -1);
}

static void the_end_is_told_and_closing_fails_what_waits(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_command later = command_of("true");
	_cleanup_result_ struct ntd_result result = {0};

	start(fixture, command_of("sleep 30"));
	ntd_close_fd(&fixture->guest);
	end_bash(fixture);
	assert_int_equal(sem_wait(&fixture->disconnected), 0);
	ntd_loop_call(fixture->loop, close_shell, fixture);
	join(fixture);
	assert_error(ntd_steal(&fixture->error), NTD_E_DEAD, "QEMU has ended");
	assert_fails(run(fixture, &later, &result, &err), NTD_E_DEAD, "QEMU has ended");
	assert_fails(ntd_shell_send(fixture->shell, "x\n", 2, &err), NTD_E_DEAD,
		     "machine 'server'");
}

/* Runs on the loop thread, which therefore reads nothing meanwhile. */
static void close_when_a_line_has_come(void *arg)
{
	struct fixture *fixture = arg;
	char bytes[256];
	ssize_t len = 0;

	while (!memchr(bytes, '\n', (size_t)len))
		len = recv(fixture->socket, bytes, sizeof bytes, MSG_PEEK);
	close_shell(fixture);
}

static void a_reply_that_has_come_counts_when_it_is_closed(void **state)
{
	struct fixture *fixture = *state;

	start(fixture, command_of("sleep 0.3; echo last words"));
	ntd_loop_call(fixture->loop, close_when_a_line_has_come, fixture);
	join(fixture);
	assert_no_error(fixture->error);
	assert_int_equal(fixture->result.output.len, 11);
}

static void raw_bytes_reach_the_shell(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(ntd_shell_send(fixture->shell, "marker=raw\nexport marker\n", 25, NULL),
			 0);
	assert_run(fixture, "echo $marker", 0, "raw\n");
	assert_null(busy(fixture));
}

/* ---- output that is kept open */

static void output_that_is_held_open_is_given_up(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_command command = command_of("sleep 8 & echo on");
	_cleanup_result_ struct ntd_result result = {0};
	int64_t began = ntd_now();

	command.timeout = 1;
	assert_fails(run(fixture, &command, &result, &err), NTD_E_TIMEOUT, "(sleep)");
	assert_in_range(ntd_now() - began, 2 * NTD_SECOND, 6 * NTD_SECOND);
	assert_run(fixture, "echo in step", 0, "in step\n");
}

static void a_long_output_that_is_held_open_is_given_up(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_command command = command_of("sleep 8 & head -c 100000 /dev/zero");
	_cleanup_result_ struct ntd_result result = {0};

	command.timeout = 1;
	assert_fails(run(fixture, &command, &result, &err), NTD_E_TIMEOUT, "(sleep)");
	assert_run(fixture, "echo in step", 0, "in step\n");
}

static void a_command_that_ignores_its_timeout_is_killed(void **state)
{
	struct ntd_command command = command_of("trap '' TERM; echo on; while :; do sleep 1; done");
	_cleanup_result_ struct ntd_result result = {0};

	command.timeout = 1;
	assert_fails(run(*state, &command, &result, &err), NTD_E_TIMEOUT, "(bash)");
	assert_run(*state, "pgrep -g 0 sleep || echo none", 0, "none\n");
}

static void a_command_within_its_time_is_let_be(void **state)
{
	struct ntd_command command = command_of("sleep 8 > /dev/null & sleep 3; echo on");

	command.timeout = 1;
	assert_command(*state, command, 124, "");
	command.timeout = 5;
	assert_command(*state, command, 0, "on\n");
}

static void a_timeout_ends_what_has_closed_its_output(void **state)
{
	struct ntd_command command = command_of("exec >&-; sleep 1000");
	int64_t began = ntd_now();

	command.timeout = 0.2;
	assert_command(*state, command, 124, "");
	command.text = "sleep 1.2; exec >&-; sleep 1000";
	command.text_len = strlen(command.text);
	command.timeout = 1.5;
	assert_command(*state, command, 124, "");
	command.text = "exec >&-; sleep 0.3; exit 7";
	command.text_len = strlen(command.text);
	assert_command(*state, command, 7, "");
	assert_in_range(ntd_now() - began, NTD_SECOND, 30 * NTD_SECOND);
}

/* As timeout(1) does: all of the process group, but no process that has one of its own. */
static void a_timeout_ends_the_process_group(void **state)
{
	struct ntd_command command = command_of(
		"trap 'echo told; exit 3' TERM; (trap 'echo told; exit' TERM; sleep 4321 & wait) &"
		"setsid sleep 4322 > /dev/null & wait; wait");

	command.timeout = 0.5;
	assert_command(*state, command, 124, "told\ntold\n");
	assert_run(*state, "pgrep -f 'sleep 432[1]' || pkill -f 'sleep 432[2]'; echo $?", 0, "0\n");
}

/* A process that cannot be found writes on. */
static void output_that_comes_after_its_end_is_no_other_commands(void **state)
{
	struct ntd_command command =
		command_of("(setsid bash -c 'sleep 0.2; while sleep 0.1; do echo late; done' &)");
	struct ntd_command next = command_of("sleep 1; echo mine");
	_cleanup_result_ struct ntd_result result = {0};

	command.timeout = 1;
	next.timeout = 60;
	assert_fails(run(*state, &command, &result, &err), NTD_E_TIMEOUT, "still open");
	assert_command(*state, next, 0, "mine\n");
	assert_run(*state, "pkill -f 'echo lat[e]' || echo on", 0, "on\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		shell_test(the_reply_to_an_abandoned_command_is_skipped),
		shell_test(an_abandoned_command_is_killed),
		shell_test(a_buffering_head_takes_no_command_with_it),
		shell_test(banners_are_told_with_what_came_before),
		shell_test(a_new_shell_ends_the_command_of_the_old_one),
		shell_test(the_end_is_told_and_closing_fails_what_waits),
		shell_test(a_reply_that_has_come_counts_when_it_is_closed),
		shell_test(raw_bytes_reach_the_shell),
		shell_test(output_that_is_held_open_is_given_up),
		shell_test(a_long_output_that_is_held_open_is_given_up),
		shell_test(a_command_that_ignores_its_timeout_is_killed),
		shell_test(a_command_within_its_time_is_let_be),
		shell_test(a_timeout_ends_what_has_closed_its_output),
		shell_test(a_timeout_ends_the_process_group),
		shell_test(output_that_comes_after_its_end_is_no_other_commands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
