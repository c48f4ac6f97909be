/* Tests of terminals over SSH. */
#include "ssh_fixture.h"

static int open_terminal(struct fixture *fixture, unsigned rows, unsigned columns)
{
	struct ntd_error *err = NULL;
	int fd = fixture->channel->ops->terminal(fixture->channel, rows, columns, NULL, &err);

	assert_no_error(err);
	assert_true(fd >= 0);
	return fd;
}

static void type(int fd, const char *text)
{
	assert_int_equal(ntd_fd_write_all(fd, text, strlen(text)), 0);
}

/* Reads until the terminal has printed `text`, or has ended if it is NULL; returns what it has
 * printed, a new string. */
static char *read_until(int fd, const char *text)
{
	struct pollfd waits = {.fd = fd, .events = POLLIN};
	struct ntd_buf output = {0};
	char bytes[4096];
	ssize_t len;

	do {
		assert_int_equal(poll(&waits, 1, LONG * 1000), 1);
		len = read(fd, bytes, sizeof bytes);
		assert_true(len > 0 || (len == 0 && !text));
		ntd_buf_append(&output, bytes, (size_t)len);
	} while (len && !(text && memmem(ntd_buf_bytes(&output), output.len, text, strlen(text))));
	return ntd_buf_take_string(&output);
}

static void assert_has(const char *output, const char *text)
{
	if (!strstr(output, text))
		assert_string_equal(output, text); /* this assertion shows both texts */
}

static void a_shell_has_a_terminal_of_that_size(void **state)
{
	_cleanup_fd_ int fd = open_terminal(*state, 33, 111);
	_cleanup_free_ char *output = NULL;

	type(fd, "stty size; tty; echo TERM=$TERM; exit\n");
	output = read_until(fd, NULL);
	assert_has(output, "33 111\r\n");
	assert_has(output, "\n/dev/pts/");
	assert_has(output, "\nTERM=linux\r\n");
}

/* Waits until the terminal's foreground process is the command: before, the key reaches bash. */
static void await_sleep(void)
{
	int64_t limit = ntd_after(LONG * NTD_SECOND);

	/* NOLINTNEXTLINE(cert-env33-c): the test's own command */
	while (system("pgrep -xf 'sleep 4251' > /dev/null") != 0) {
		assert_true(ntd_now() < limit);
		poll(NULL, 0, 50);
	}
}

static void keys_of_the_terminal_are_signals(void **state)
{
	_cleanup_fd_ int fd = open_terminal(*state, 24, 80);

	type(fd, "echo be''gun; sleep 4251\n");
	free(read_until(fd, "begun"));
	await_sleep();
	type(fd, "\003");
	await_absence("sleep 4251");
	type(fd, "echo en''ded\n");
	free(read_until(fd, "ended"));
}

static void a_closed_descriptor_hangs_up(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_free_ char *path = ntd_asprintf("%s/hung-up", fixture->directory);
	_cleanup_free_ char *line = ntd_asprintf(
		"bash -c 'trap \"touch %s; exit\" HUP; echo be\"\"gun; while :; do sleep 1; done'\n",
		path);
	int fd = open_terminal(fixture, 24, 80);

	type(fd, line);
	free(read_until(fd, "begun"));
	close(fd);
	await_file(path);
	assert_run(fixture, "echo on", 0, "on\n");
}

/* The script reads nothing until the shell has long ended. */
static void output_waits_for_the_script(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_free_ char *path = ntd_asprintf("%s/printed", fixture->directory);
	_cleanup_free_ char *line = ntd_asprintf("seq 200000; touch %s; exit\n", path);
	_cleanup_fd_ int fd = open_terminal(fixture, 24, 80);
	_cleanup_free_ char *output = NULL;

	type(fd, line);
	await_file(path);
	assert_run(fixture, "echo others go on", 0, "others go on\n");
	output = read_until(fd, NULL);
	assert_has(output, "\n2\r\n3\r\n");
	assert_has(output, "\n199999\r\n200000\r\n");
}

static void a_lost_connection_ends_it(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_fd_ int fd = open_terminal(fixture, 24, 80);

	type(fd, "echo be''gun\n");
	free(read_until(fd, "begun"));
	kill(last_session(fixture), SIGKILL);
	free(read_until(fd, NULL));
	await(&fixture->ready); /* of the next connection */
	close(open_terminal(fixture, 24, 80));
}

/* sshd may still hold the room of the session that asked what guest it is. */
static int open_when_there_is_room(struct fixture *fixture)
{
	int64_t limit = ntd_after(LONG * NTD_SECOND);
	int fd;

	while ((fd = fixture->channel->ops->terminal(fixture->channel, 24, 80, NULL, NULL)) < 0)
		assert_true(ntd_now() < limit);
	return fd;
}

static void sshd_may_have_no_room(void **state)
{
	struct fixture *fixture = *state;
	int fd;

	configure(fixture, fixture->host_key, "MaxSessions 1");
	start_server(fixture);
	ntd_loop_call(fixture->loop, open_ssh, fixture);
	await(&fixture->ready);
	fd = open_when_there_is_room(fixture);
	assert_fails(fixture->channel->ops->terminal(fixture->channel, 24, 80, NULL, &err),
		     NTD_E_MACHINE, "no terminal over SSH: sshd has no room");
	close(fd);
}

static void a_channel_that_is_closed_has_none(void **state)
{
	struct fixture *fixture = *state;

	assert_fails(fixture->channel->ops->terminal(fixture->channel, 24, 80, NULL, &err),
		     NTD_E_DEAD, "is not running");
	assert_fails(fixture->channel->ops->terminal(fixture->channel, 0, 80, NULL, &err),
		     NTD_E_VALUE, "rows and columns");
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		ssh_test(a_shell_has_a_terminal_of_that_size),
		ssh_test(keys_of_the_terminal_are_signals),
		ssh_test(a_closed_descriptor_hangs_up),
		ssh_test(output_waits_for_the_script),
		ssh_test(a_lost_connection_ends_it),
		ssh_test_later(sshd_may_have_no_room),
		ssh_test_later(a_channel_that_is_closed_has_none),
	};

	return cmocka_run_group_tests_name("ssh_terminal", all, NULL, NULL);
}

int main(void)
{
	return run_ssh_tests(tests);
}
