/* Tests of the shell on a serial console: commands in real shells on a terminal while the kernel
 * prints in between, and how the shell ends.
 */
#include "serial_fixture.h"

#include "base/tree.h"

/* ---- commands, in each shell that guests have */

static const char *const shells[] = {"exec bash --norc", "exec busybox sh", "exec dash"};

#define each_shell(fixture)                                                                        \
	for (size_t i = 0; i < unit_count(shells);                                                 \
	     end_guest(fixture), ntd_serial_free((fixture)->serial), make_serial(fixture), i++)

static void statuses_and_output(void **state)
{
	struct fixture *fixture = *state;

	each_shell(fixture)
	{
		play(fixture, shells[i]);
		assert_login(fixture, NULL);
		assert_run(fixture, "true", 0, "");
		assert_run(fixture, "false", 1, "");
		assert_run(fixture, "false | true", 1, "");
		assert_run(fixture, "echo \"a b\"; echo 'c\\d%s\"'\n\necho k\xc3\xa4se", 0,
			   "a b\nc\\d%s\"\nk\xc3\xa4se\n");
		assert_command(fixture, command_of("printf 'a\\0b\\377\\r\\n'"), 0, "a\0b\377\r\n",
			       6);
		assert_run(fixture, "echo to the console >&2", 0, "");
		assert_run(fixture, "cat; exit 9", 9, ""); /* there is no input */
		assert_run(fixture, "kill -KILL $$", 137, "");
		assert_run(fixture, "echo still there", 0, "still there\n");
	}
}

static void long_texts_inputs_and_outputs(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_buf_ struct ntd_buf text = {0}, input = {0}, numbers = {0};
	struct ntd_command command;

	ntd_buf_puts(&text, "cat; # ");
	for (int i = 0; i < 5000; i++)
		ntd_buf_puts(&text, i % 3 ? "x" : "\\");
	for (int i = 0; i < 5000; i++) {
		char byte = (char)i;

		ntd_buf_append(&input, &byte, 1);
	}
	for (int i = 1; i <= 30000; i++)
		ntd_buf_printf(&numbers, "%d\n", i);
	command = (struct ntd_command){.text = ntd_buf_bytes(&text),
				       .text_len = text.len,
				       .input = ntd_buf_bytes(&input),
				       .input_len = input.len,
				       .timeout = -1};
	each_shell(fixture)
	{
		play(fixture, shells[i]);
		assert_login(fixture, NULL);
		assert_command(fixture, command, 0, ntd_buf_bytes(&input), input.len);
		assert_command(fixture, command_of("seq 1 30000"), 0, ntd_buf_bytes(&numbers),
			       numbers.len);
		command.input_len = 0;
		assert_command(fixture, command, 0, "", 0);
		command.input_len = input.len;
	}
}

/* Output is encoded by od. */
static void a_guest_without_base64(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_free_ char *zeros = ntd_calloc(1, 50000);

	char directory[] = "/tmp/ntd-serial-XXXXXX";
	_cleanup_free_ char *script = NULL;

	assert_non_null(mkdtemp(directory));
	script = ntd_asprintf("cd %s && for i in sh bash sed wc id od cat stty head; do\n"
			      "  ln -s $(command -v $i) .; done\n"
			      "PATH=$PWD exec bash --norc",
			      directory);
	play(fixture, script);
	assert_login(fixture, NULL);
	assert_run(fixture, "! command -v base64", 0, "");
	assert_command(fixture, command_of("printf 'a\\0b\\377\\r\\n'"), 0, "a\0b\377\r\n", 6);
	assert_command(fixture, command_of("head -c 50000 /dev/zero"), 0, zeros, 50000);
	end_guest(fixture);
	assert_int_equal(ntd_tree_remove(directory, NULL), 0);
}

static void the_kernel_prints_all_the_time(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_buf_ struct ntd_buf numbers = {0};

	for (int i = 1; i <= 30000; i++)
		ntd_buf_printf(&numbers, "%d\n", i);
	each_shell(fixture)
	{
		_cleanup_free_ char *script = ntd_asprintf("flood; %s", shells[i]);

		play(fixture, script);
		assert_login(fixture, NULL);
		for (int j = 0; j < 5; j++)
			assert_run(fixture, "echo hello; exit 3", 3, "hello\n");
		assert_command(fixture, command_of("seq 1 30000"), 0, ntd_buf_bytes(&numbers),
			       numbers.len);
	}
}

/* What has no time stamp damages lines, which are asked for again. */
static void other_noise_damages_lines(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_buf_ struct ntd_buf numbers = {0};

	for (int i = 1; i <= 3000; i++)
		ntd_buf_printf(&numbers, "%d\n", i);
	play(fixture, "exec bash --norc");
	assert_login(fixture, NULL);
	assert_run(fixture, "(while sleep 0.05 && printf noise >&2; do :; done) > /dev/null &", 0,
		   "");
	for (int j = 0; j < 5; j++)
		assert_command(fixture, command_of("seq 1 3000"), 0, ntd_buf_bytes(&numbers),
			       numbers.len);
}

static void a_time_out_kills_the_command(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_command command = {.timeout = 0.5};

	each_shell(fixture)
	{
		play(fixture, shells[i]);
		assert_login(fixture, NULL);
		command.text = "echo part; trap '' INT TERM HUP; sleep 1000; echo never";
		command.text_len = strlen(command.text);
		assert_command(fixture, command, 124, "part\n", 5);
		assert_run(fixture, "echo alive", 0, "alive\n");
		/* a process that holds the output, and is no child of the command any more */
		command.text = "(sleep 1000 &)";
		command.text_len = strlen(command.text);
		assert_command(fixture, command, 124, "", 0);
		assert_run(fixture, "echo alive", 0, "alive\n");
		/* a console that never falls silent */
		command.text = "while :; do echo noise >&2; done";
		command.text_len = strlen(command.text);
		assert_command(fixture, command, 124, "", 0);
		assert_run(fixture, "echo alive", 0, "alive\n");
	}
}

static void an_abandoned_command_is_killed(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_waiter waiter = {0};
	struct ntd_command command = command_of("trap '' INT; sleep 1000");
	_cleanup_result_ struct ntd_result result = {0};

	play(fixture, "exec bash --norc");
	assert_login(fixture, NULL);
	waiter.deadline = ntd_after(2 * NTD_SECOND);
	assert_fails(run(fixture, &command, &result, &waiter, &err), NTD_E_TIMEOUT, "timed out");
	assert_run(fixture, "echo alive", 0, "alive\n");
}

static void no_reply_is_not_waited_for(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_command command = command_of("sleep 1; echo nobody reads this");

	play(fixture, "exec bash --norc");
	assert_login(fixture, NULL);
	command.no_reply = true;
	assert_command(fixture, command, -2, "", 0);
	assert_run(fixture, "echo next", 0, "next\n");
	command.no_reply = false;
	command.no_status = true;
	command.text = "echo out; exit 7";
	command.text_len = strlen(command.text);
	assert_command(fixture, command, -1, "out\n", 4);
}

static void what_cannot_be_run(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_free_ char *text = ntd_malloc(200000);
	struct ntd_command command = {.text = text, .text_len = 200000, .timeout = -1};
	_cleanup_result_ struct ntd_result result = {0};

	memset(text, ' ', 200000);
	play(fixture, "exec bash --norc");
	assert_login(fixture, NULL);
	assert_fails(run(fixture, &command, &result, NULL, &err), NTD_E_VALUE, "too long");
	command = (struct ntd_command){.text = "a\0b", .text_len = 3};
	assert_fails(run(fixture, &command, &result, NULL, &err), NTD_E_VALUE, "NUL");
	command = command_of("head -c 30000000 /dev/zero");
	assert_fails(run(fixture, &command, &result, NULL, &err), NTD_E_VALUE, "16 MiB");
	command = command_of("echo wrong >&2");
	command.errors = true;
	assert_fails(run(fixture, &command, &result, NULL, &err), NTD_E_VALUE,
		     "does not keep standard error apart");
	assert_run(fixture, "echo alive", 0, "alive\n");
}

/* ---- threads, and ends */

struct background {
	struct fixture *fixture;
	const char *text;
	struct ntd_result result;
	struct ntd_error *error;
	pthread_t thread;
};

static void *run_in_background(void *arg)
{
	struct background *background = arg;
	struct ntd_command command = command_of(background->text);

	run(background->fixture, &command, &background->result, NULL, &background->error);
	return NULL;
}

static void threads_take_turns(void **state)
{
	struct fixture *fixture = *state;
	struct background all[3] = {0};

	play(fixture, "exec bash --norc");
	assert_login(fixture, NULL);
	for (size_t i = 0; i < unit_count(all); i++) {
		all[i] = (struct background){.fixture = fixture, .text = "sleep 0.2; echo done"};
		pthread_create(&all[i].thread, NULL, run_in_background, &all[i]);
	}
	for (size_t i = 0; i < unit_count(all); i++) {
		pthread_join(all[i].thread, NULL);
		assert_no_error(all[i].error);
		assert_int_equal(all[i].result.output.len, 5);
		ntd_result_free(&all[i].result);
	}
}

static char *await_busy(struct fixture *fixture)
{
	struct ntd_channel *channel = ntd_serial_channel(fixture->serial);
	char *text;

	while (!(text = channel->ops->busy(channel)))
		;
	return text;
}

static void the_end_of_the_machine_ends_commands(void **state)
{
	struct fixture *fixture = *state;
	struct background background = {.fixture = fixture, .text = "sleep 1000"};
	struct ntd_command command = command_of("true");
	_cleanup_result_ struct ntd_result result = {0};
	_cleanup_free_ char *running = NULL;

	play(fixture, "exec bash --norc");
	assert_login(fixture, NULL);
	pthread_create(&background.thread, NULL, run_in_background, &background);
	running = await_busy(fixture);
	assert_string_equal(running, "sleep 1000");
	end_guest(fixture);
	pthread_join(background.thread, NULL);
	assert_error(background.error, NTD_E_DEAD, "QEMU has ended");
	assert_fails(run(fixture, &command, &result, NULL, &err), NTD_E_DEAD, "QEMU has ended");
	assert_true(ntd_serial_channel(fixture->serial)->absent);
}

static void close_channel(void *arg)
{
	_cleanup_error_ struct ntd_error *why = ntd_error_new(NTD_E_MACHINE, "the guest panicked");
	struct ntd_channel *channel = ntd_serial_channel(arg);

	channel->ops->close(channel, why);
}

/* The machine goes on, and so does its console. */
static void the_end_of_the_channel_ends_commands(void **state)
{
	struct fixture *fixture = *state;
	struct background background = {.fixture = fixture, .text = "sleep 1000"};

	play(fixture, "getty secret bash --norc");
	assert_login(fixture, "secret");
	pthread_create(&background.thread, NULL, run_in_background, &background);
	free(await_busy(fixture));
	ntd_loop_call(fixture->loop, close_channel, fixture->serial);
	pthread_join(background.thread, NULL);
	assert_error(background.error, NTD_E_MACHINE, "the guest panicked");
	assert_true(ntd_serial_channel(fixture->serial)->absent);
	assert_login(fixture, "secret");
	assert_run(fixture, "echo again", 0, "again\n");
}

static void reset(void *arg)
{
	ntd_serial_reset(arg);
}

static void a_reset_ends_commands(void **state)
{
	struct fixture *fixture = *state;
	struct background background = {.fixture = fixture, .text = "sleep 1000"};
	struct ntd_command command = command_of("true");
	_cleanup_result_ struct ntd_result result = {0};

	play(fixture, "exec bash --norc");
	assert_login(fixture, NULL);
	pthread_create(&background.thread, NULL, run_in_background, &background);
	free(await_busy(fixture));
	ntd_loop_call(fixture->loop, reset, fixture->serial);
	pthread_join(background.thread, NULL);
	assert_error(background.error, NTD_E_MACHINE, "the guest was reset; log in with login()");
	assert_false(ntd_serial_channel(fixture->serial)->ready);
	assert_int_equal(fixture->losses, 1);
	assert_fails(run(fixture, &command, &result, NULL, &err), NTD_E_MACHINE,
		     "the guest was reset; log in with login()");
}

/* The guest reboots, or its shell ends, and a getty asks for a login. */
static void a_login_prompt_ends_commands(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_command command = command_of("kill -KILL $LOOP $(pgrep -P $LOOP)");
	_cleanup_result_ struct ntd_result result = {0};

	/* of the loop, which has the login shell's process, and of what it has started */
	play(fixture, "getty secret sh -c 'LOOP=$$ exec bash --norc'");
	assert_login(fixture, "secret");
	assert_fails(run(fixture, &command, &result, NULL, &err), NTD_E_MACHINE,
		     "the console asks for a login");
	assert_false(ntd_serial_channel(fixture->serial)->ready);
	assert_int_equal(fixture->losses, 1);
	assert_fails(run(fixture, &command, &result, NULL, &err), NTD_E_MACHINE,
		     "log in with login()");
	assert_login(fixture, "secret");
	assert_run(fixture, "echo again", 0, "again\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		serial_test(statuses_and_output),
		serial_test(long_texts_inputs_and_outputs),
		serial_test(a_guest_without_base64),
		serial_test(the_kernel_prints_all_the_time),
		serial_test(other_noise_damages_lines),
		serial_test(a_time_out_kills_the_command),
		serial_test(an_abandoned_command_is_killed),
		serial_test(no_reply_is_not_waited_for),
		serial_test(what_cannot_be_run),
		serial_test(threads_take_turns),
		serial_test(the_end_of_the_machine_ends_commands),
		serial_test(the_end_of_the_channel_ends_commands),
		serial_test(a_reset_ends_commands),
		serial_test(a_login_prompt_ends_commands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
