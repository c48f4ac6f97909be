/* Tests of commands on the root shell: their text, their output, and their limits of length. */
#include "shell_fixture.h"

#include "channel/reply.h"

/* ---- the text of a command */

static void nothing_is_left_by_a_command(void **state)
{
	assert_run(*state, "cd /; x=1; export y=2; set -x; echo $PWD", 0, "/\n");
	assert_run(*state, "echo ${x-none} ${y-none}; [ $PWD != / ]", 0, "none none\n");
	assert_run(*state, "exec > /dev/null; echo on", 0, "");
	assert_run(*state, "echo $-", 0, "ehuBc\n");
}

static void a_text_cannot_end_its_function(void **state)
{
	assert_run(*state, "echo a\\\nb; }; echo c", 2, "");
}

static void a_timeout_is_status_124(void **state)
{
	struct ntd_command command = command_of("echo before; sleep 10; echo after");
	int64_t began = ntd_now();

	command.timeout = 0.3;
	assert_command(*state, command, 124, "before\n");
	command.text = "echo in time      ; exit 7       ";
	command.timeout = 900;
	assert_command(*state, command, 7, "in time\n");
	command = command_of("sleep 0.1; echo on");
	command.timeout = 0; /* no limit, as for timeout(1) */
	assert_command(*state, command, 0, "on\n");
	assert_true(ntd_now() - began < 8 * NTD_SECOND);
}

static void output_is_bytes_and_may_be_much(void **state)
{
	struct ntd_command command =
		command_of("for i in {0..255}; do printf \\\\$(printf %o $i); done;"
			   "head -c 5000000 /dev/zero");
	_cleanup_result_ struct ntd_result result = {0};

	assert_int_equal(run(*state, &command, &result, NULL), 0);
	assert_int_equal(result.output.len, 5000256);
	for (int i = 0; i < 256; i++)
		assert_int_equal((unsigned char)ntd_buf_bytes(&result.output)[i], i);
	for (size_t i = 256; i < result.output.len; i++)
		if (ntd_buf_bytes(&result.output)[i])
			fail_msg("byte %zu is %d", i, ntd_buf_bytes(&result.output)[i]);
}

/* Output of sizes around the one from which on it comes in pieces, and with bytes that a shell's
 * variable cannot hold. */
static void output_of_any_size_and_kind_comes_back(void **state)
{
	static const struct {
		const char *escaped, *bytes;
		size_t len;
	} tails[] = {{"x", "x", 1},        {"\\n", "\n", 1},      {"\\n\\n", "\n\n", 2},
		     {"\\0", "\0", 1},     {"\\0\\0", "\0\0", 2}, {"\\0x", "\0x", 2},
		     {"\\344", "\xe4", 1}, {"'", "'", 1}};

	for (size_t i = 0; i < unit_count(tails) * 5; i++) {
		size_t before = NTD_SHORT_OUTPUT - 3 + i % 5, tail = i / 5;
		_cleanup_free_ char *text =
			ntd_asprintf("printf \"%%%zus%s\" ''", before, tails[tail].escaped);
		_cleanup_free_ char *expected = ntd_asprintf("%*s%8s", (int)before, "", "");
		struct ntd_command command = command_of(text);
		_cleanup_result_ struct ntd_result result = {0};

		memcpy(expected + before, tails[tail].bytes, tails[tail].len);
		assert_int_equal(run(*state, &command, &result, NULL), 0);
		assert_int_equal(result.output.len, before + tails[tail].len);
		assert_memory_equal(ntd_buf_bytes(&result.output), expected, result.output.len);
	}
}

/* The pauses are about as long as the second after which the guest checks whether the command has
 * ended. */
static void output_that_comes_slowly_comes_back_whole(void **state)
{
	struct ntd_command binary =
		command_of("printf 'a\\0'; sleep 1.3; printf %5000s; sleep 1.3; printf z");
	_cleanup_result_ struct ntd_result result = {0};

	assert_run(*state, "for i in 1 2 3; do echo \" $i\"; sleep 0.9; done; printf end", 0,
		   " 1\n 2\n 3\nend");
	assert_int_equal(run(*state, &binary, &result, NULL), 0);
	assert_int_equal(result.output.len, 5003);
	assert_memory_equal(ntd_buf_bytes(&result.output), "a\0 ", 3);
	assert_int_equal(ntd_buf_bytes(&result.output)[5002], 'z');
}

static void the_shells_own_settings_do_not_matter(void **state)
{
	static const char settings[] = "export LC_ALL=C.UTF-8; set -m; x=y\n";
	struct fixture *fixture = *state;

	assert_int_equal(ntd_shell_send(fixture->shell, settings, sizeof settings - 1, NULL), 0);
	assert_run(fixture, "printf '\\303\\244 \\344 %s' $LC_ALL", 0, "\xc3\xa4 \xe4 C.UTF-8");
	assert_run(fixture, "printf %4095s\xc3\xa4 '' | wc -c", 0, "4097\n");
	assert_run(fixture, "for i in {1..2000}; do printf \xc3\xa4; done | md5sum", 0,
		   "63c9d22c5b54e2de3fd9c5d3df90d5fa  -\n");
}

/* ---- long texts and input */

static void a_text_may_have_any_length(void **state)
{
	static const size_t lengths[] = {100000, 122000, 123500, 132000, 200000, 2000000};

	for (size_t i = 0; i < unit_count(lengths) * 2; i++) {
		size_t length = lengths[i / 2];
		struct ntd_buf text = {0};
		_cleanup_free_ char *whole = NULL, *output = ntd_asprintf("it's %zu\n", length);
		struct ntd_command command;

		ntd_buf_puts(&text, "x='");
		memset(ntd_buf_reserve(&text, length), i % 2 ? '"' : 'a', length);
		ntd_buf_added(&text, length);
		ntd_buf_puts(&text, "'\necho \"it's ${#x}\"; exit 5");
		whole = ntd_buf_take_string(&text);
		command = command_of(whole);
		command.timeout = i % 2 ? 60 : -1;
		assert_command(*state, command, 5, output);
	}
	assert_run(*state, "echo in step", 0, "in step\n");
}

static void input_is_read_or_swallowed(void **state)
{
	static const char input[] = "a\0b\n\xff'$(exit)\nexit\nrest";
	struct ntd_command command = command_of("wc -c; echo done");
	_cleanup_free_ char *large = ntd_malloc(1 << 20);

	command.input = input;
	command.input_len = sizeof input - 1;
	assert_command(*state, command, 0, "23\ndone\n");
	command.text = "head -c 1; exit 3";
	command.text_len = strlen(command.text);
	command.timeout = 60;
	assert_command(*state, command, 3, "a");
	command.input_len = 0;
	assert_command(*state, command, 3, "");
	for (size_t i = 0; i < 1 << 20; i++)
		large[i] = "exit\n"[i % 5]; /* none of these lines is run */
	command.input = large;
	command.input_len = 1 << 20;
	command.text = "false";
	command.text_len = 5;
	assert_command(*state, command, 1, "");
	assert_run(*state, "echo in step", 0, "in step\n");
}

static void a_text_that_leaves_no_room_for_input_is_refused(void **state)
{
	_cleanup_free_ char *text = ntd_malloc(200000);
	struct ntd_command command = {.text = text, .text_len = 200000, .timeout = -1, .input = ""};
	_cleanup_result_ struct ntd_result result = {0};

	memset(text, ' ', 200000);
	assert_fails(run(*state, &command, &result, &err), NTD_E_VALUE, "input");
}

static void replies_can_be_done_without(void **state)
{
	struct ntd_command command = command_of("echo noise; exit 3");

	command.no_status = true;
	assert_command(*state, command, -1, "noise\n");
	command.no_reply = true;
	assert_command(*state, command, -2, "");
	assert_run(*state, "echo in step", 0, "in step\n");
	command.text = "cat";
	command.text_len = 3;
	command.input = "exit\n";
	command.input_len = 5;
	assert_command(*state, command, -2, "");
	assert_run(*state, "echo in step", 0, "in step\n");
}

/* ---- several at a time */

struct worker {
	struct fixture *fixture;
	pthread_t thread;
	int number, right;
};

static void *work(void *arg)
{
	struct worker *worker = arg;

	for (int i = 0; i < 20; i++) {
		_cleanup_free_ char *text = ntd_asprintf("echo %d; exit %d", worker->number, i);
		_cleanup_result_ struct ntd_result result = {0};
		struct ntd_command command = command_of(text);

		worker->right += run(worker->fixture, &command, &result, NULL) == 0 &&
				 result.status == i && result.output.len == 2 &&
				 *ntd_buf_bytes(&result.output) == '0' + worker->number;
	}
	return NULL;
}

static void threads_take_turns(void **state)
{
	struct worker workers[4];

	for (int i = 0; i < 4; i++) {
		workers[i] = (struct worker){.fixture = *state, .number = i};
		pthread_create(&workers[i].thread, NULL, work, &workers[i]);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(workers[i].thread, NULL);
	for (int i = 0; i < 4; i++)
		assert_int_equal(workers[i].right, 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		shell_test(output_and_status_come_back),
		shell_test(errors_end_a_command),
		shell_test(nothing_is_left_by_a_command),
		shell_test(the_text_is_taken_as_it_is),
		shell_test(a_text_cannot_end_its_function),
		shell_test(a_timeout_is_status_124),
		shell_test(output_is_bytes_and_may_be_much),
		shell_test(output_of_any_size_and_kind_comes_back),
		shell_test(output_that_comes_slowly_comes_back_whole),
		shell_test(the_shells_own_settings_do_not_matter),
		shell_test(a_text_may_have_any_length),
		shell_test(input_is_read_or_swallowed),
		shell_test(a_text_that_leaves_no_room_for_input_is_refused),
		shell_test(replies_can_be_done_without),
		shell_test(threads_take_turns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
