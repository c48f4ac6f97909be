/* The root shell, with a real bash of this host at the other end, which is started as a guest's is:
 * standard input and output are the channel. The test keeps the guest's end open, too, and says on it what
 * a guest's firmware or init would.
 */
#include "unit.h"

#include "machine/shell.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define BANNER "Spawning backdoor root shell...\n"

extern char **environ;

struct fixture {
	struct ntd_loop *loop;
	struct ntd_shell *shell;
	int socket, guest;
	pid_t bash;
	sem_t announced, disconnected;
	char said[256];
	pthread_t thread; /* of a command in the background */
	bool running;
	struct ntd_command background;
	struct ntd_result result;
	struct ntd_error *error;
	int returned;
};

static void on_banner(void *owner, const char *said, size_t len)
{
	struct fixture *fixture = owner;

	snprintf(fixture->said, sizeof fixture->said, "%.*s", (int)len, said);
	sem_post(&fixture->announced);
}

static void on_end(void *owner)
{
	sem_post(&((struct fixture *)owner)->disconnected);
}

static void open_shell(void *arg)
{
	struct fixture *fixture = arg;

	ntd_shell_open(fixture->shell, fixture->socket, NULL);
}

static void close_shell(void *arg)
{
	_cleanup_error_ struct ntd_error *why = ntd_error_new(NTD_E_DEAD, "QEMU has ended");

	ntd_shell_close(((struct fixture *)arg)->shell, why);
}

/* Starts a bash in a process group of its own, with `path` before PATH. */
static void start_bash(struct fixture *fixture, const char *path)
{
	_cleanup_free_ char *variable = ntd_asprintf("PATH=%s:%s", path, getenv("PATH"));
	char *const argv[] = {(char *)"bash", (char *)"--norc", NULL};
	char *const env[] = {variable, NULL};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	sigset_t none;

	sigemptyset(&none);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_adddup2(&files, fixture->guest, 0);
	posix_spawn_file_actions_adddup2(&files, fixture->guest, 1);
	posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
	posix_spawnattr_setsigmask(&attributes, &none);
	assert_int_equal(posix_spawnp(&fixture->bash, "bash", &files, &attributes, argv, env), 0);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&files);
}

static void end_bash(struct fixture *fixture)
{
	if (fixture->bash) {
		kill(-fixture->bash, SIGKILL);
		waitpid(fixture->bash, NULL, 0);
	}
	fixture->bash = 0;
}

static int set_up(void **state)
{
	struct fixture *fixture = ntd_calloc(1, sizeof *fixture);
	struct ntd_shell_owner owner = {on_banner, on_end, fixture};
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	fixture->socket = pair[0];
	fixture->guest = pair[1];
	fixture->loop = ntd_loop_new(NULL);
	fixture->shell = ntd_shell_new(fixture->loop, "server", &owner);
	ntd_shell_set_grace(fixture->shell, 1);
	sem_init(&fixture->announced, 0, 0);
	sem_init(&fixture->disconnected, 0, 0);
	ntd_loop_call(fixture->loop, open_shell, fixture);
	start_bash(fixture, "/");
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	end_bash(fixture);
	ntd_loop_call(fixture->loop, close_shell, fixture);
	if (fixture->running)
		pthread_join(fixture->thread, NULL);
	ntd_result_free(&fixture->result);
	ntd_error_free(fixture->error);
	ntd_shell_free(fixture->shell);
	ntd_loop_free(fixture->loop);
	ntd_close_fd(&fixture->guest);
	sem_destroy(&fixture->announced);
	sem_destroy(&fixture->disconnected);
	free(fixture);
	return 0;
}

/* ---- running commands */

static struct ntd_command command_of(const char *text)
{
	return (struct ntd_command){.text = text, .text_len = strlen(text), .timeout = -1};
}

static int run(struct fixture *fixture, const struct ntd_command *command,
	       struct ntd_result *result, struct ntd_error **err)
{
	struct ntd_channel *channel = ntd_shell_channel(fixture->shell);

	return channel->ops->run(channel, command, result, NULL, err);
}

static void assert_command(struct fixture *fixture, struct ntd_command command, int status,
			   const char *output)
{
	struct ntd_result result = {0};
	struct ntd_error *err = NULL;
	_cleanup_free_ char *text = NULL;

	run(fixture, &command, &result, &err);
	text = ntd_buf_take_string(&result.output);
	assert_no_error(err);
	assert_string_equal(text, output);
	assert_int_equal(result.status, status);
}

static void assert_run(struct fixture *fixture, const char *text, int status, const char *output)
{
	assert_command(fixture, command_of(text), status, output);
}

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
	while (!running) /* until it is on the wire */
		running = ntd_shell_running(fixture->shell);
	assert_int_equal(strlen(running), command.text_len);
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

/* ---- what a command is */

static void output_and_status_come_back(void **state)
{
	assert_run(*state, "echo hello", 0, "hello\n");
	assert_run(*state, "echo out; echo err >&2; exit 3", 3, "out\n");
	assert_run(*state, "", 0, "");
	assert_run(*state, "kill -9 $$", 137, "");
	assert_run(*state, "echo $BASH_SUBSHELL $#", 0, "0 0\n");
}

static void errors_end_a_command(void **state)
{
	assert_run(*state, "false; echo on", 1, "");
	assert_run(*state, "(exit 4) | cat; echo on", 4, "");
	assert_run(*state, "[ -z $not_set ]; echo on", 1, "");
	assert_run(*state, "set +e; false; echo on", 0, "on\n");
	assert_run(*state, "if false; then :; fi; false || echo on", 0, "on\n");
	assert_run(*state, "syntax ( error", 2, "");
}

static void nothing_is_left_by_a_command(void **state)
{
	assert_run(*state, "cd /; x=1; export y=2; set -x; echo $PWD", 0, "/\n");
	assert_run(*state, "echo ${x-none} ${y-none}; [ $PWD != / ]", 0, "none none\n");
	assert_run(*state, "exec > /dev/null; echo on", 0, "");
	assert_run(*state, "echo $-", 0, "ehuBc\n");
}

static void the_text_is_taken_as_it_is(void **state)
{
	static const char bytes[] = {'e', 'c', 'h', 'o', ' ', '4', '2'};
	_cleanup_free_ char *exact = ntd_malloc(sizeof bytes); /* no NUL ends it */
	struct ntd_command command = {.text = exact, .text_len = sizeof bytes, .timeout = -1};

	memcpy(exact, bytes, sizeof bytes);
	assert_command(*state, command, 0, "42\n");
	assert_run(*state, "echo '\"' \"'\" \\' `echo b` $(echo c) '$d' # e", 0, "\" ' ' b c $d\n");
	assert_run(*state, "cat <<'END'\na $b\n\t`c`\nEND\necho \xc3\xa4\n", 0,
		   "a $b\n\t`c`\n\xc3\xa4\n");
	assert_run(*state, "echo a\\\nb; }; echo c", 2, "");
	assert_run(*state, "! echo !!", 1, "!!\n");
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
	command.timeout = 0; /* as timeout(1) takes it: none */
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
	_cleanup_free_ char *large = ntd_calloc(1, 1 << 20);

	command.input = input;
	command.input_len = sizeof input - 1;
	assert_command(*state, command, 0, "22\ndone\n");
	command.text = "head -c 1; exit 3";
	command.text_len = strlen(command.text);
	command.timeout = 60;
	assert_command(*state, command, 3, "a");
	command.input_len = 0;
	assert_command(*state, command, 3, "");
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

/* ---- several at a time, and given up */

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

static void ignore(int number)
{
	(void)number;
}

static bool always(struct ntd_waiter *waiter)
{
	(void)waiter;
	return true;
}

/* Writes a command and gives it up at once, by a signal that is pending already. */
static void abandon(struct fixture *fixture, struct ntd_command command)
{
	struct ntd_channel *channel = ntd_shell_channel(fixture->shell);
	_cleanup_result_ struct ntd_result result = {0};
	struct ntd_waiter waiter = {.interrupted = always};
	sigset_t blocked, before;

	sigaction(SIGUSR1, &(struct sigaction){.sa_handler = ignore}, NULL);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	sigprocmask(SIG_BLOCK, &blocked, &before);
	waiter.signals = &before;
	raise(SIGUSR1);
	assert_fails(channel->ops->run(channel, &command, &result, &waiter, &err), NTD_E_CANCELLED,
		     "interrupted");
	sigprocmask(SIG_SETMASK, &before, NULL);
}

static void the_reply_to_an_abandoned_command_is_skipped(void **state)
{
	struct ntd_command streamed = command_of("sleep 0.2; cat");

	abandon(*state, command_of("sleep 0.2; echo late"));
	abandon(*state, command_of("echo later; exit 3"));
	assert_run(*state, "echo mine", 0, "mine\n");
	streamed.input = "echo wrong\n";
	streamed.input_len = 11;
	abandon(*state, streamed);
	assert_run(*state, "echo mine", 0, "mine\n");
}

/* Busybox's reads ahead. */
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

/* The new shell has none of the functions that the old one had. */
static void a_new_shell_ends_the_command_of_the_old_one(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_command last = command_of("sleep 30");

	assert_run(fixture, "echo on", 0, "on\n");
	start(fixture, command_of("sleep 30"));
	end_bash(fixture);
	start_bash(fixture, "/");
	say(fixture, "noise\nand " BANNER);
	join(fixture);
	assert_true(fixture->returned < 0);
	assert_error(ntd_steal(&fixture->error), NTD_E_MACHINE, "began anew");
	assert_run(fixture, "echo new", 0, "new\n");
	last.no_status = true; /* switch_root and the like: this is how they end */
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
	assert_fails(run(fixture, &later, &result, &err), NTD_E_DEAD, "machine 'server'");
	assert_fails(ntd_shell_send(fixture->shell, "x\n", 2, &err), NTD_E_DEAD,
		     "machine 'server'");
}

/* On the loop thread, which therefore reads nothing meanwhile. */
static void close_when_something_has_come(void *arg)
{
	struct fixture *fixture = arg;

	poll(&(struct pollfd){.fd = fixture->socket, .events = POLLIN}, 1, 10000);
	close_shell(fixture);
}

static void a_reply_that_has_come_counts_when_it_is_closed(void **state)
{
	struct fixture *fixture = *state;

	start(fixture, command_of("sleep 0.3; echo last words"));
	ntd_loop_call(fixture->loop, close_when_something_has_come, fixture);
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
	assert_null(ntd_shell_running(fixture->shell));
}

/* ---- the watchdog */

static void output_that_is_held_open_is_given_up(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_command command = command_of("sleep 20 & echo on");
	_cleanup_result_ struct ntd_result result = {0};
	int64_t began = ntd_now();

	command.timeout = 1;
	assert_fails(run(fixture, &command, &result, &err), NTD_E_TIMEOUT, "(sleep)");
	assert_in_range(ntd_now() - began, 2 * NTD_SECOND, 6 * NTD_SECOND);
	assert_run(fixture, "echo in step", 0, "in step\n");
}

static void a_command_within_its_time_is_let_be(void **state)
{
	struct ntd_command command = command_of("sleep 20 > /dev/null & sleep 3; echo on");

	command.timeout = 1;
	assert_command(*state, command, 124, "");
	command.timeout = 5;
	assert_command(*state, command, 0, "on\n");
}

int main(void)
{
#define shell_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		shell_test(output_and_status_come_back),
		shell_test(errors_end_a_command),
		shell_test(nothing_is_left_by_a_command),
		shell_test(the_text_is_taken_as_it_is),
		shell_test(a_timeout_is_status_124),
		shell_test(output_is_bytes_and_may_be_much),
		shell_test(a_text_may_have_any_length),
		shell_test(input_is_read_or_swallowed),
		shell_test(a_text_that_leaves_no_room_for_input_is_refused),
		shell_test(replies_can_be_done_without),
		shell_test(threads_take_turns),
		shell_test(the_reply_to_an_abandoned_command_is_skipped),
		shell_test(a_buffering_head_takes_no_command_with_it),
		shell_test(banners_are_told_with_what_came_before),
		shell_test(a_new_shell_ends_the_command_of_the_old_one),
		shell_test(the_end_is_told_and_closing_fails_what_waits),
		shell_test(a_reply_that_has_come_counts_when_it_is_closed),
		shell_test(raw_bytes_reach_the_shell),
		shell_test(output_that_is_held_open_is_given_up),
		shell_test(a_command_within_its_time_is_let_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
