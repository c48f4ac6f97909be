/* Tests of commands over SSH: their text, their output, their ends. */
#include "ssh_fixture.h"

/* ---- the text and the environment of a command */

static void the_environment_is_that_of_a_login(void **state)
{
	assert_run(*state, "echo $USER $HOME $DISPLAY; [[ $PATH == *sbin* ]]", 0,
		   "root /root :0.0\n");
	assert_run(*state, "echo ${SSH_CONNECTION:+connection} $PWD", 0, "connection /root\n");
}

static void standard_error_is_logged(void **state)
{
	_cleanup_free_ char *log = NULL;

	assert_run(*state, "echo one >&2; echo out; echo two >&2; printf three >&2", 0, "out\n");
	log = logged(*state);
	assert_string_equal(log, "server: one\nserver: two\nserver: three\n");
}

static void standard_error_is_kept_apart(void **state)
{
	_cleanup_result_ struct ntd_result result = {0};
	struct ntd_command command =
		command_of("echo one >&2; echo out; printf '%040000d\\n\\nlast' 1 >&2");
	static const char end[] = "00001\n\nlast";
	static const size_t length = 4 + 40000 + sizeof "\n\nlast" - 1;

	command.errors = true;
	run(*state, &command, &result, NULL);
	assert_int_equal(result.output.len, 4);
	assert_int_equal(result.errors.len, length);
	assert_memory_equal(ntd_buf_bytes(&result.errors), "one\n000", 7);
	assert_memory_equal(ntd_buf_bytes(&result.errors) + length - sizeof end + 1, end,
			    sizeof end - 1);
}

/* ---- input, and long texts */

static void input_is_read_or_swallowed(void **state)
{
	static const char input[] = "a\0b\n\xff'$(exit)\nexit\nrest";
	struct ntd_command command = command_of("wc -c; echo done");
	_cleanup_free_ char *large = ntd_calloc(1, 5000000);

	command.input = input;
	command.input_len = sizeof input - 1;
	assert_command(*state, command, 0, "23\ndone\n");
	command.input_len = 0;
	assert_command(*state, command, 0, "0\ndone\n");
	command.input = large;
	command.input_len = 5000000;
	assert_command(*state, command, 0, "5000000\ndone\n");
	command.text = "false";
	command.text_len = 5;
	assert_command(*state, command, 1, "");
	assert_run(*state, "cat; echo nothing", 0, "nothing\n");
}

static void a_text_may_have_any_length(void **state)
{
	static const size_t lengths[] = {49000, 49200, 100000, 132000, 2000000};

	for (size_t i = 0; i < unit_count(lengths); i++) {
		struct ntd_buf text = {0};
		_cleanup_free_ char *whole = NULL, *output = ntd_asprintf("%zu\n", lengths[i]);

		ntd_buf_puts(&text, "x='");
		memset(ntd_buf_reserve(&text, lengths[i]), '"', lengths[i]);
		ntd_buf_added(&text, lengths[i]);
		ntd_buf_puts(&text, "'\ncat; echo ${#x}; exit 5");
		whole = ntd_buf_take_string(&text);
		assert_run(*state, whole, 5, output);
	}
}

static void what_cannot_be_sent_is_refused(void **state)
{
	_cleanup_free_ char *text = ntd_malloc(200000);
	struct ntd_command command = {.text = text, .text_len = 200000, .timeout = -1, .input = ""};
	_cleanup_result_ struct ntd_result result = {0};

	memset(text, ' ', 200000);
	assert_fails(run(*state, &command, &result, &err), NTD_E_VALUE, "input");
	command = (struct ntd_command){.text = "a\0b", .text_len = 3};
	assert_fails(run(*state, &command, &result, &err), NTD_E_VALUE, "NUL");
}

/* ---- output */

static void output_may_be_much(void **state)
{
	struct ntd_command command = command_of("head -c 20000000 /dev/zero; printf x");
	_cleanup_result_ struct ntd_result result = {0};

	assert_int_equal(run(*state, &command, &result, NULL), 0);
	assert_int_equal(result.output.len, 20000001);
	for (size_t i = 0; i < 20000000; i++)
		if (ntd_buf_bytes(&result.output)[i])
			fail_msg("byte %zu is %d", i, ntd_buf_bytes(&result.output)[i]);
	assert_int_equal(ntd_buf_bytes(&result.output)[20000000], 'x');
}

/* Ends the process whose number has been logged. */
static void kill_logged(struct fixture *fixture)
{
	_cleanup_free_ char *log = logged(fixture);
	const char *number = strstr(log, "server: ");

	assert_non_null(number);
	assert_int_equal(kill((pid_t)strtol(number + 8, NULL, 10), SIGKILL), 0);
}

static void a_process_that_holds_the_output_keeps_the_command(void **state)
{
	assert_run(*state, "(sleep 0.7; echo late) & echo soon", 0, "soon\nlate\n");
	assert_run(*state, "sleep 4243 > /dev/null 2>&1 & echo $! >&2", 0, "");
	kill_logged(*state);
}

static void replies_can_be_done_without(void **state)
{
	struct ntd_command command = command_of("sleep 0.2; echo noise; exit 3");

	command.no_reply = true;
	assert_command(*state, command, -2, "");
	assert_run(*state, "echo in step", 0, "in step\n");
}

/* ---- many at once */

static void many_run_at_the_same_time(void **state)
{
	struct background backgrounds[12];
	struct fixture *fixture = *state;
	_cleanup_free_ char *text = ntd_asprintf(
		"echo >> %s/running; until [ $(wc -l < %s/running) -ge 10 ]; do sleep 0.05; done",
		fixture->directory, fixture->directory);
	int right = 0;

	for (int i = 0; i < 12; i++)
		begin(fixture, &backgrounds[i], text);
	for (int i = 0; i < 12; i++) {
		pthread_join(backgrounds[i].thread, NULL);
		right += !backgrounds[i].error && backgrounds[i].result.status == 0;
		ntd_result_free(&backgrounds[i].result);
		ntd_error_free(backgrounds[i].error);
	}
	assert_int_equal(right, 12);
}

static void a_smaller_limit_of_sshd_is_found_out(void **state)
{
	struct background backgrounds[6];
	struct fixture *fixture = *state;

	configure(fixture, fixture->host_key, "MaxSessions 2");
	start_server(fixture);
	ntd_loop_call(fixture->loop, open_ssh, fixture);
	await(&fixture->ready);
	for (int i = 0; i < 6; i++)
		begin(fixture, &backgrounds[i], "sleep 0.4; echo yes");
	for (int i = 0; i < 6; i++) {
		pthread_join(backgrounds[i].thread, NULL);
		assert_no_error(backgrounds[i].error);
		assert_int_equal(backgrounds[i].result.output.len, 4);
		ntd_result_free(&backgrounds[i].result);
	}
}

/* ---- time-outs, and commands that nobody waits for */

/* A busy host may take longer to begin with the command than the limit is, which grows until the
 * command has begun. */
static void assert_prints_and_times_out(struct fixture *fixture, struct ntd_command command,
					const char *output)
{
	struct ntd_result result = {0};
	struct ntd_error *err = NULL;

	for (command.timeout = 0.5; !result.output.len; command.timeout *= 2) {
		assert_true(command.timeout < LONG);
		run(fixture, &command, &result, &err);
		assert_no_error(err);
		assert_int_equal(result.status, 124);
	}
	assert_memory_equal(ntd_buf_bytes(&result.output), output, strlen(output));
	assert_int_equal(result.output.len, strlen(output));
	ntd_result_free(&result);
}

static void a_timeout_is_status_124(void **state)
{
	struct ntd_command command = command_of("echo before; sleep 4244 | cat; echo after");

	assert_prints_and_times_out(*state, command, "before\n");
	await_absence("sleep 4244");
	command = command_of("trap '' TERM; setsid sleep 4245 & sleep 4245; echo on");
	command.timeout = 0.5;
	assert_command(*state, command, 124, "");
	await_absence("sleep 4245");
	command = command_of("echo in time; exit 7");
	command.timeout = 900;
	assert_command(*state, command, 7, "in time\n");
}

static void an_abandoned_command_is_ended(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_command command = command_of("sleep 4246; true");
	struct ntd_waiter waiter = {.deadline = ntd_after(NTD_SECOND)};
	_cleanup_result_ struct ntd_result result = {0};

	assert_fails(fixture->channel->ops->run(fixture->channel, &command, &result, &waiter, &err),
		     NTD_E_TIMEOUT, "timed out");
	await_absence("sleep 4246");
	assert_run(*state, "echo on", 0, "on\n");
}

/* ---- users */

static void commands_run_as_the_user_of_the_machine(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_command command = command_of("id -un; echo $-");

	fixture->channel->user = (char *)"guest";
	assert_command(fixture, command, 0, "guest\nehuBc\n");
	command = command_of("sleep 4247; true");
	command.timeout = 0.5;
	assert_command(fixture, command, 124, "");
	await_absence("sleep 4247");
	command = command_of("id -un");
	command.as_root = true;
	assert_command(fixture, command, 0, "root\n");
	fixture->channel->user = NULL;
}

/* The user's login shell is not bash, and there is no sudo that lets them in. */
static void another_user_logs_in(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_command command = command_of("id -un");
	_cleanup_result_ struct ntd_result result = {0};

	ntd_ssh_set_login(fixture->ssh,
			  &(struct ntd_ssh_login){.user = "guest", .password = PASSWORD});
	start_server(fixture);
	ntd_loop_call(fixture->loop, open_ssh, fixture);
	await(&fixture->ready);
	assert_run(fixture, "id -un; echo $- \"it's\"", 0, "guest\nehuBc it's\n");
	command.as_root = true;
	assert_fails(run(fixture, &command, &result, &err), NTD_E_MACHINE, "sudo -n");
	command.as_root = false;
	ntd_ssh_set_login(
		fixture->ssh,
		&(struct ntd_ssh_login){.user = "guest", .password = PASSWORD, .sudo = true});
	assert_fails(run(fixture, &command, &result, &err), NTD_E_MACHINE, "sudo");
	fixture->channel->user = (char *)"guest";
	assert_command(fixture, command, 0, "guest\n");
	fixture->channel->user = NULL;
}

/* ---- keys */

static void keys_are_made(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_free_ char *path = ntd_asprintf("%s/new", fixture->directory);
	struct ntd_error *err = NULL;
	_cleanup_free_ char *line = ntd_ssh_key_make(path, "a comment", &err);
	struct stat status;

	assert_no_error(err);
	assert_memory_equal(line, "ssh-ed25519 AAAA", 16);
	assert_string_equal(strstr(line, " a"), " a comment");
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	assert_null(ntd_ssh_key_make(path, "again", &err));
	assert_error(err, NTD_E_SYS, "File exists");
}

static void the_host_key_is_known(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_free_ char *line = ntd_ssh_host_key(fixture->ssh), *public = NULL;
	_cleanup_free_ char *path = ntd_asprintf("%s.pub", fixture->host_key);
	_cleanup_buf_ struct ntd_buf file = {0};
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	ntd_fd_read_all(fd, &file, 4096);
	close(fd);
	public = ntd_buf_take_string(&file);
	assert_memory_equal(line, public, strlen(line));
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		ssh_test(output_and_status_come_back),
		ssh_test(errors_end_a_command),
		ssh_test(the_text_is_taken_as_it_is),
		ssh_test(the_environment_is_that_of_a_login),
		ssh_test(standard_error_is_logged),
		ssh_test(standard_error_is_kept_apart),
		ssh_test(input_is_read_or_swallowed),
		ssh_test(a_text_may_have_any_length),
		ssh_test(what_cannot_be_sent_is_refused),
		ssh_test(output_may_be_much),
		ssh_test(a_process_that_holds_the_output_keeps_the_command),
		ssh_test(replies_can_be_done_without),
		ssh_test(many_run_at_the_same_time),
		ssh_test_later(a_smaller_limit_of_sshd_is_found_out),
		ssh_test(a_timeout_is_status_124),
		ssh_test(an_abandoned_command_is_ended),
		ssh_test(commands_run_as_the_user_of_the_machine),
		ssh_test_later(another_user_logs_in),
		ssh_test_later(keys_are_made),
		ssh_test(the_host_key_is_known),
	};

	return cmocka_run_group_tests_name("ssh", all, NULL, NULL);
}

int main(void)
{
	return run_ssh_tests(tests);
}
