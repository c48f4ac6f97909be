/* Tests of the standard input and the text of commands that an agent runs, agent/command. */
#include "agent_command_fixture.h"

#include <errno.h>
#include <pty.h>
#include <signal.h>
#include <termios.h>

/* Sends bytes as DATA, in frames of which none is the longest. */
static void tell_data(struct agent *agent, uint32_t stream, const char *bytes, size_t len)
{
	while (len) {
		size_t step = len < 50000 ? len : 50000;

		tell_bytes(agent, NTD_FRAME_DATA, stream, bytes, step);
		bytes += step;
		len -= step;
	}
}

static void test_input(void **state)
{
	_cleanup_heard_ struct heard heard = {0};
	struct agent agent = start_agent();

	ask_text(&agent, 1, "cat; exit 2", .input = true);
	tell_bytes(&agent, NTD_FRAME_DATA, 1, "one\n", 4);
	tell_bytes(&agent, NTD_FRAME_DATA, 1, "two\n", 4);
	tell(&agent, NTD_FRAME_END, 1, NULL);
	heard = hear_out(&agent, 1);
	assert_output(&heard, "one\ntwo\n");
	assert_ended(&heard, 2);
	stop_agent(&agent);
}

static void test_empty_input(void **state)
{
	_cleanup_heard_ struct heard heard = {0};
	struct agent agent = start_agent();

	ask_text(&agent, 1, "cat", .input = true, .timeout = 60000);
	tell(&agent, NTD_FRAME_END, 1, NULL);
	heard = hear_out(&agent, 1);
	assert_output(&heard, "");
	assert_ended(&heard, 0);
	stop_agent(&agent);
}

enum { LONG_INPUT = 5000000 };

/* Sends as much as there is credit for, from `sent` on; returns what was sent then. */
static size_t tell_credited(struct agent *agent, size_t sent, size_t *credit)
{
	static char zeros[LONG_INPUT];
	size_t step = LONG_INPUT - sent < *credit ? LONG_INPUT - sent : *credit;

	if (!step)
		return sent;
	tell_data(agent, 1, zeros, step);
	*credit -= step;
	if (sent + step == LONG_INPUT)
		tell(agent, NTD_FRAME_END, 1, NULL);
	return sent + step;
}

/* Gives the command LONG_INPUT bytes, by the credit that the agent gives. */
static struct heard give_long_input(struct agent *agent, const char *text)
{
	size_t sent, credit = NTD_FRAME_WINDOW;
	struct heard heard = {0};
	struct ntd_frame frame;

	ask_text(agent, 1, text, .input = true);
	sent = tell_credited(agent, 0, &credit);
	do {
		struct ntd_unpack in;

		frame = hear(agent);
		in = (struct ntd_unpack){.at = frame.bytes, .left = frame.len};
		if (frame.kind == NTD_FRAME_CREDIT)
			credit += ntd_unpack_u32(&in);
		sent = tell_credited(agent, sent, &credit);
	} while (!take_heard(&heard, &frame));
	assert_true(credit <= NTD_FRAME_WINDOW);
	return heard;
}

static void test_long_input(void **state)
{
	_cleanup_heard_ struct heard heard = {0};
	struct agent agent = start_agent();

	heard = give_long_input(&agent, "wc -c");
	assert_output(&heard, "5000000\n");
	stop_agent(&agent);
}

/* Input that nobody reads is swallowed, while the command runs and afterwards. */
static void test_unread_input(void **state)
{
	const char *texts[] = {"exec <&-; sleep 0.2; echo done", "head -c 10 | wc -c", "exit 9"};

	for (size_t i = 0; i < unit_count(texts); i++) {
		_cleanup_heard_ struct heard heard = {0};
		struct agent agent = start_agent();

		heard = give_long_input(&agent, texts[i]);
		assert_ended(&heard, i == 2 ? 9 : 0);
		stop_agent(&agent);
	}
}

/* Input is swallowed while a command that does not read it goes on. */
static void test_input_of_busy_command(void **state)
{
	_cleanup_heard_ struct heard heard = {0};
	_cleanup_free_ char *text = NULL;
	size_t sent = 0, credit = NTD_FRAME_WINDOW;
	struct agent agent;
	int go_on[2];

	assert_int_equal(pipe(go_on), 0); /* which the command has, too */
	text = ntd_asprintf("exec <&-; read -r <&%d", go_on[0]);
	agent = start_agent();
	ask_text(&agent, 1, text, .input = true);
	while ((sent = tell_credited(&agent, sent, &credit)) < LONG_INPUT) {
		struct ntd_frame frame = hear_kind(&agent, NTD_FRAME_CREDIT, 1);
		struct ntd_unpack in = {.at = frame.bytes, .left = frame.len};

		credit += ntd_unpack_u32(&in);
	}
	assert_int_equal(write(go_on[1], "\n", 1), 1);
	heard = hear_out(&agent, 1);
	assert_ended(&heard, 0);
	stop_agent(&agent);
	close(go_on[0]);
	close(go_on[1]);
}

/* A command with input that waits for it does not keep others waiting. */
static void test_late_input(void **state)
{
	_cleanup_heard_ struct heard heard = {0}, other = {0};
	struct agent agent = start_agent();

	ask_text(&agent, 1, "cat", .input = true);
	ask_text(&agent, 2, "echo other");
	other = hear_out(&agent, 2);
	assert_output(&other, "other\n");
	tell_bytes(&agent, NTD_FRAME_DATA, 1, "late", 4);
	hear_kind(&agent, NTD_FRAME_CREDIT, 1);
	tell(&agent, NTD_FRAME_END, 1, NULL);
	heard = hear_out(&agent, 1);
	assert_output(&heard, "late");
	stop_agent(&agent);
}

/* A driver that does not keep to the window loses the connection. */
static void test_too_much_input(void **state)
{
	_cleanup_free_ char *bytes = ntd_calloc(1, NTD_FRAME_MOST);
	/* It reads nothing, and ends with the test. */
	_cleanup_free_ char *text = ntd_asprintf("exec tail --pid=%d -f /dev/null", getpid());
	struct agent agent = start_agent();

	signal(SIGPIPE, SIG_IGN);
	ask_text(&agent, 1, text, .input = true);
	for (size_t sent = 0; sent < 2 * NTD_FRAME_WINDOW; sent += NTD_FRAME_MOST) {
		_cleanup_buf_ struct ntd_buf out = {0};
		const struct ntd_frame frame = {1, NTD_FRAME_DATA, bytes, NTD_FRAME_MOST};

		ntd_frame_append(&out, &frame);
		if (write(agent.fd, ntd_buf_bytes(&out), out.len) < 0)
			break;
	}
	await_agent(&agent, 1);
	signal(SIGPIPE, SIG_DFL);
}

/* ---- long texts */

/* A command of about that length whose text ends in `end`. */
static char *long_text(size_t len, const char *end)
{
	_cleanup_free_ char *filler = ntd_malloc(len + 1);

	memset(filler, 'x', len);
	filler[len] = '\0';
	return ntd_asprintf("text=%s\n%s", filler, end);
}

static struct heard run_long(struct agent *agent, size_t len, const char *end, const char *input)
{
	_cleanup_free_ char *text = long_text(len, end);

	ask(agent, 1,
	    &(struct ntd_agent_run){.text_follows = strlen(text), .text = "", .input = input});
	tell_data(agent, 1, text, strlen(text));
	if (input) {
		tell_bytes(agent, NTD_FRAME_DATA, 1, input, strlen(input));
		tell(agent, NTD_FRAME_END, 1, NULL);
	}
	return hear_out(agent, 1);
}

static const size_t lengths[] = {80000, 120 << 10, 200000};

static void test_long_text(void **state)
{
	for (size_t i = 0; i < unit_count(lengths); i++) {
		_cleanup_heard_ struct heard heard = {0};
		_cleanup_free_ char *expected = ntd_asprintf("%zu bash 2 0\n", lengths[i]);
		struct agent agent = start_agent();

		heard = run_long(&agent, lengths[i],
				 "echo ${#text} $0 $LINENO $(cat | wc -c); exit 8", NULL);
		assert_output(&heard, expected);
		assert_ended(&heard, 8);
		stop_agent(&agent);
	}
}

static void test_long_text_with_input(void **state)
{
	for (size_t i = 0; i < unit_count(lengths); i++) {
		_cleanup_heard_ struct heard heard = {0};
		struct agent agent = start_agent();

		heard = run_long(&agent, lengths[i],
				 "cat; readlink /proc/self/fd/* | grep memfd || :", "the input\n");
		assert_output(&heard, "the input\n");
		stop_agent(&agent);
	}
}

static void test_long_text_fails(void **state)
{
	_cleanup_heard_ struct heard heard = {0};
	struct agent agent = start_agent();

	heard = run_long(&agent, 200000, "false\necho not here", NULL);
	assert_output(&heard, "");
	assert_ended(&heard, 1);
	stop_agent(&agent);
}

static void test_text_with_nul(void **state)
{
	_cleanup_heard_ struct heard heard = {0};
	struct agent agent = start_agent();

	ask(&agent, 1, &(struct ntd_agent_run){.text = "a\0b", .text_len = 3});
	heard = hear_out(&agent, 1);
	assert_non_null(heard.failure);
	stop_agent(&agent);
}

/* ---- the agent's own standard input */

static void test_no_input(void **state)
{
	_cleanup_heard_ struct heard heard = {0};
	struct agent agent = start_agent();

	ask_text(&agent, 1, "cat; echo end");
	heard = hear_out(&agent, 1);
	assert_output(&heard, "end\n");
	stop_agent(&agent);
}

struct terminal {
	struct agent agent;
	pid_t shell;
	int fd;
};

static void become_shell(int slave, int pair[2])
{
	struct ntd_agent_setup setup = {.services = ntd_agent_services, .port = pair[1]};

	close(pair[0]);
	setsid();
	ioctl(slave, TIOCSCTTY, 0);
	fcntl(pair[1], F_SETFL, O_NONBLOCK);
	setup.timed_input = slave;
	setup.input = open(ttyname(slave), O_WRONLY | O_CLOEXEC | O_NOCTTY);
	fcntl(slave, F_SETFD, FD_CLOEXEC);
	exit(ntd_agent_serve(&setup));
}

/* Starts an agent in a session with a terminal, as a root shell on hvc0 does. */
static struct terminal start_on_terminal(void)
{
	struct terminal terminal = {0};
	int slave, pair[2];

	assert_int_equal(openpty(&terminal.fd, &slave, NULL, NULL, NULL), 0);
	fcntl(terminal.fd, F_SETFD, FD_CLOEXEC);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	terminal.agent.pid = fork();
	if (!terminal.agent.pid)
		become_shell(slave, pair);
	close(slave);
	close(pair[1]);
	terminal.agent.fd = pair[0];
	hear_kind(&terminal.agent, NTD_FRAME_HELLO, 0);
	return terminal;
}

static void stop_on_terminal(struct terminal *terminal)
{
	stop_agent(&terminal->agent);
	close(terminal->fd);
}

/* Without a time-out the standard input is the terminal, which cannot be read. */
static void test_terminal(void **state)
{
	_cleanup_heard_ struct heard heard = {0};
	struct terminal terminal = start_on_terminal();

	assert_int_equal(write(terminal.fd, "not for it\n", 11), 11);
	ask_text(&terminal.agent, 1,
		 "tty > /dev/null; stty -echo; stty size > /dev/null < /dev/tty;"
		 "cat 2> /dev/null || echo unread");
	heard = hear_out(&terminal.agent, 1);
	assert_output(&heard, "unread\n");
	assert_ended(&heard, 0);
	stop_on_terminal(&terminal);
}

/* With a time-out, reading the terminal stops the command until the time is over. */
static void test_terminal_in_background(void **state)
{
	_cleanup_heard_ struct heard heard = {0};
	struct terminal terminal = start_on_terminal();

	assert_int_equal(write(terminal.fd, "not for it\n", 11), 11);
	ask_text(&terminal.agent, 1, "tty > /dev/null; cat", .timeout = 200, .grace = 60000);
	heard = hear_out(&terminal.agent, 1);
	assert_output(&heard, "");
	assert_int_equal(heard.how, NTD_AGENT_TIMED_OUT);
	assert_int_equal(heard.status, 124);
	stop_on_terminal(&terminal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_input),
		cmocka_unit_test(test_empty_input),
		cmocka_unit_test(test_long_input),
		cmocka_unit_test(test_unread_input),
		cmocka_unit_test(test_input_of_busy_command),
		cmocka_unit_test(test_late_input),
		cmocka_unit_test(test_too_much_input),
		cmocka_unit_test(test_long_text),
		cmocka_unit_test(test_long_text_with_input),
		cmocka_unit_test(test_long_text_fails),
		cmocka_unit_test(test_text_with_nul),
		cmocka_unit_test(test_no_input),
		cmocka_unit_test(test_terminal),
		cmocka_unit_test(test_terminal_in_background),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
