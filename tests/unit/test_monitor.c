/* Tests of QEMU's human monitor. The test plays QEMU: it checks what the driver sends, and sends
 * replies, while commands wait on threads of their own.
 */
#include "peer.h"

#include "qemu/monitor.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#define GREETING "QEMU 7.2 monitor - type 'help' for more information\r\n(qemu) "
#define PATIENCE (10 * NTD_SECOND)

/* A command that runs on a thread of its own. */
struct call {
	struct ntd_monitor *monitor;
	const char *line;
	int64_t patience;
	pthread_t thread;
	bool running;
	atomic_bool returned;
	struct ntd_buf reply;
	struct ntd_error *error;
	int result;
};

enum { MOST_CALLS = 4 };

struct fixture {
	struct ntd_loop *loop;
	struct ntd_monitor *monitor;
	int socket, peer;
	sem_t prompted;
	struct call calls[MOST_CALLS]; /* static, as threads outlive a failed test */
};

static void on_prompt(void *owner)
{
	sem_post(&((struct fixture *)owner)->prompted);
}

static void open_monitor(void *arg)
{
	struct fixture *fixture = arg;

	ntd_monitor_open(fixture->monitor, fixture->socket, on_prompt, fixture, NULL);
}

static void close_monitor(void *arg)
{
	ntd_monitor_close(((struct fixture *)arg)->monitor);
}

static void connect_peer(struct fixture *fixture)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	fixture->socket = pair[0];
	fixture->peer = pair[1];
	ntd_loop_call(fixture->loop, open_monitor, fixture);
}

static int set_up(void **state)
{
	struct fixture *fixture = ntd_calloc(1, sizeof *fixture);

	fixture->loop = ntd_loop_new(NULL);
	fixture->monitor = ntd_monitor_new(fixture->loop, "server");
	sem_init(&fixture->prompted, 0, 0);
	connect_peer(fixture);
	*state = fixture;
	return 0;
}

static void join(struct call *call)
{
	if (call->running)
		pthread_join(call->thread, NULL);
	call->running = false;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	ntd_loop_call(fixture->loop, close_monitor, fixture);
	for (size_t i = 0; i < MOST_CALLS; i++) {
		join(&fixture->calls[i]);
		ntd_buf_free(&fixture->calls[i].reply);
		ntd_error_free(fixture->calls[i].error);
	}
	ntd_monitor_free(fixture->monitor);
	ntd_loop_free(fixture->loop);
	ntd_close_fd(&fixture->peer);
	sem_destroy(&fixture->prompted);
	free(fixture);
	return 0;
}

/* ---- the test as QEMU */

/* Asserts that the driver sends `text` next. */
static void expect(struct fixture *fixture, const char *text)
{
	char bytes[256] = "";
	size_t len = 0;

	while (len < strlen(text) && peer_hears(fixture->peer, 10000)) {
		ssize_t got = recv(fixture->peer, bytes + len, strlen(text) - len, 0);

		if (got <= 0)
			break;
		len += (size_t)got;
	}
	assert_string_equal(bytes, text);
}

static void greet(struct fixture *fixture)
{
	peer_say(fixture->peer, GREETING);
	assert_int_equal(sem_wait(&fixture->prompted), 0);
}

/* ---- commands */

static void *run_call(void *arg)
{
	struct call *call = arg;

	call->result = ntd_monitor_command(call->monitor, call->line, &call->reply,
					   ntd_after(call->patience), NULL, &call->error);
	call->returned = true;
	return NULL;
}

static struct call *start(struct fixture *fixture, const char *line, int64_t patience)
{
	struct call *call = fixture->calls;

	while (call->monitor)
		call++;
	*call = (struct call){
		.monitor = fixture->monitor, .line = line, .patience = patience, .running = true};
	pthread_create(&call->thread, NULL, run_call, call);
	return call;
}

static void assert_reply(struct call *call, const char *reply)
{
	_cleanup_free_ char *text = NULL;

	join(call);
	text = ntd_buf_take_string(&call->reply);
	assert_no_error(call->error);
	assert_int_equal(call->result, 0);
	assert_string_equal(text, reply);
}

static void assert_failed(struct call *call, enum ntd_errc code, const char *text)
{
	join(call);
	assert_true(call->result < 0);
	assert_error(ntd_steal(&call->error), code, text);
}

/* ---- tests */

static void a_reply_has_echo_and_prompt(void **state)
{
	struct fixture *fixture = *state;
	struct call *call;

	greet(fixture);
	call = start(fixture, "info status", PATIENCE);
	expect(fixture, "info status\n");
	peer_say(fixture->peer,
		 "i\x1b[K\x1b[Din\x1b[K\x1b[D\x1b[Dinfo status\r\nVM status: running\r\n(qemu) ");
	assert_reply(call, "i\x1b[K\x1b[Din\x1b[K\x1b[D\x1b[Dinfo status\r\n"
			   "VM status: running\r\n(qemu) ");
}

static void nothing_is_sent_before_the_first_prompt(void **state)
{
	struct fixture *fixture = *state;
	struct call *call;

	call = start(fixture, "info", PATIENCE);
	assert_false(peer_hears(fixture->peer, 50));
	peer_say(fixture->peer, "QEMU monitor\r\n(qe");
	assert_false(peer_hears(fixture->peer, 50));
	assert_int_equal(sem_trywait(&fixture->prompted), -1);
	peer_say(fixture->peer, "mu) ");
	expect(fixture, "info\n");
	peer_say(fixture->peer, "(qemu) ");
	assert_reply(call, "(qemu) ");
	assert_int_equal(sem_trywait(&fixture->prompted), 0); /* the prompt counts once */
	assert_int_equal(sem_trywait(&fixture->prompted), -1);
}

static void a_prompt_may_come_in_pieces(void **state)
{
	static const char reply[] = "x\r\n(qem (qemu)(qemu) ";
	struct fixture *fixture = *state;
	struct call *call;

	greet(fixture);
	call = start(fixture, "x", PATIENCE);
	expect(fixture, "x\n");
	for (const char *c = reply; *c; c++) {
		peer_say(fixture->peer, (char[]){*c, '\0'});
		settle(fixture->loop);
	}
	assert_reply(call, reply);
}

/* The test cannot see when the wait has begun, so the peer repeats its line until the wait ends. */
static void no_line_waits_for_the_next_prompt(void **state)
{
	struct fixture *fixture = *state;
	struct call *call;

	greet(fixture);
	call = start(fixture, NULL, PATIENCE);
	peer_say(fixture->peer, "later\r\n(qemu) "); /* may come before the wait or during it */
	assert_reply(call, "later\r\n(qemu) ");
	assert_false(peer_hears(fixture->peer, 0));
}

static void commands_of_several_threads_take_turns(void **state)
{
	static const char *const lines[] = {"one", "two", "three", "four"};
	struct fixture *fixture = *state;
	struct call *calls[unit_count(lines)];

	greet(fixture);
	for (size_t i = 0; i < unit_count(lines); i++) {
		calls[i] = start(fixture, lines[i], PATIENCE);
		if (!i)
			expect(fixture, "one\n"); /* the others queue behind this command */
	}
	assert_false(peer_hears(fixture->peer, 50));
	peer_say(fixture->peer, "1 (qemu) ");
	for (size_t i = 1; i < unit_count(lines); i++) {
		char line[16] = "", reply[32];

		assert_true(peer_hears(fixture->peer, 10000));
		assert_true(recv(fixture->peer, line, sizeof line - 1, 0) > 0);
		snprintf(reply, sizeof reply, "<%.*s> (qemu) ", (int)strcspn(line, "\n"), line);
		peer_say(fixture->peer, reply);
	}
	assert_reply(calls[0], "1 (qemu) ");
	assert_reply(calls[1], "<two> (qemu) ");
	assert_reply(calls[2], "<three> (qemu) ");
	assert_reply(calls[3], "<four> (qemu) ");
}

static void a_long_reply_comes_back_whole(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_buf_ struct ntd_buf reply = {0};
	_cleanup_free_ char *text = NULL;
	struct call *call;

	greet(fixture);
	for (int i = 0; i < 50000; i++)
		ntd_buf_printf(&reply, "line %d of a long list\r\n", i);
	ntd_buf_puts(&reply, "(qemu) ");
	text = ntd_buf_take_string(&reply);
	call = start(fixture, "info mtree", PATIENCE);
	expect(fixture, "info mtree\n");
	peer_say(fixture->peer, text);
	assert_reply(call, text);
}

/* The only reply to `quit` is the end of the connection. */
static void the_end_of_the_connection_is_a_reply(void **state)
{
	struct fixture *fixture = *state;
	struct call *call, *queued, *later;

	greet(fixture);
	call = start(fixture, "quit", PATIENCE);
	expect(fixture, "quit\n");
	queued = start(fixture, "info", PATIENCE);
	settle(fixture->loop);
	peer_say(fixture->peer, "quit\r\n");
	ntd_close_fd(&fixture->peer);
	assert_reply(call, "quit\r\n");
	join(queued); /* the command may begin before or after the end */
	later = start(fixture, "info", PATIENCE);
	assert_failed(later, NTD_E_DEAD, "machine 'server' has no monitor: it is not running");
}

static void it_can_be_opened_again(void **state)
{
	struct fixture *fixture = *state;
	struct call *call;

	greet(fixture);
	peer_say(fixture->peer, "half a li");
	settle(fixture->loop);
	ntd_loop_call(fixture->loop, close_monitor, fixture);
	ntd_close_fd(&fixture->peer);
	connect_peer(fixture);
	call = start(fixture, "info", PATIENCE);
	assert_false(peer_hears(fixture->peer, 50));
	greet(fixture);
	expect(fixture, "info\n");
	peer_say(fixture->peer, "yes (qemu) ");
	assert_reply(call, "yes (qemu) ");
}

/* ---- commands that are given up */

static void a_command_without_a_reply_times_out(void **state)
{
	struct fixture *fixture = *state;
	struct call *call;

	greet(fixture);
	call = start(fixture, "info", 20 * NTD_MS);
	assert_failed(call, NTD_E_TIMEOUT, "machine 'server': monitor command `info`: timed out");
}

static void the_reply_to_an_abandoned_command_is_nobodys(void **state)
{
	struct fixture *fixture = *state;
	struct call *first, *second;

	greet(fixture);
	first = start(fixture, "slow", 20 * NTD_MS);
	expect(fixture, "slow\n");
	assert_failed(first, NTD_E_TIMEOUT, "timed out");
	second = start(fixture, "info", PATIENCE);
	peer_hears(fixture->peer, 50); /* the command may or may not have been sent by now */
	peer_say(fixture->peer, "slow: done (qemu) ");
	expect(fixture, "info\n");
	peer_say(fixture->peer, "info: yes (qemu) ");
	assert_reply(second, "info: yes (qemu) ");
}

static void the_next_in_the_queue_gets_its_own_reply(void **state)
{
	struct fixture *fixture = *state;
	struct call *first, *second, *third;

	greet(fixture);
	first = start(fixture, "slow", 100 * NTD_MS);
	expect(fixture, "slow\n");
	second = start(fixture, "never sent", 20 * NTD_MS);
	third = start(fixture, "info", PATIENCE);
	assert_failed(second, NTD_E_TIMEOUT, "timed out");
	assert_failed(first, NTD_E_TIMEOUT, "timed out");
	settle(fixture->loop);
	peer_say(fixture->peer, "slow: done (qemu) ");
	expect(fixture, "info\n");
	peer_say(fixture->peer, "info: yes (qemu) ");
	assert_reply(third, "info: yes (qemu) ");
}

/* No prompt is due if no command had been sent. */
static void a_wait_for_a_prompt_that_is_given_up_owes_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct call *first, *second;

	greet(fixture);
	first = start(fixture, NULL, 20 * NTD_MS);
	assert_failed(first, NTD_E_TIMEOUT, "timed out");
	second = start(fixture, "info", PATIENCE);
	expect(fixture, "info\n");
	peer_say(fixture->peer, "info: yes (qemu) ");
	assert_reply(second, "info: yes (qemu) ");
}

static void a_late_reply_before_the_next_command_is_dropped(void **state)
{
	struct fixture *fixture = *state;
	struct call *first, *second;

	greet(fixture);
	first = start(fixture, "slow", 20 * NTD_MS);
	expect(fixture, "slow\n");
	assert_failed(first, NTD_E_TIMEOUT, "timed out");
	peer_say(fixture->peer, "slow: done (qemu) ");
	settle(fixture->loop);
	second = start(fixture, "info", PATIENCE);
	expect(fixture, "info\n");
	peer_say(fixture->peer, "info: yes (qemu) ");
	assert_reply(second, "info: yes (qemu) ");
}

int main(void)
{
#define monitor_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		monitor_test(a_reply_has_echo_and_prompt),
		monitor_test(nothing_is_sent_before_the_first_prompt),
		monitor_test(a_prompt_may_come_in_pieces),
		monitor_test(no_line_waits_for_the_next_prompt),
		monitor_test(commands_of_several_threads_take_turns),
		monitor_test(a_long_reply_comes_back_whole),
		monitor_test(the_end_of_the_connection_is_a_reply),
		monitor_test(it_can_be_opened_again),
		monitor_test(a_command_without_a_reply_times_out),
		monitor_test(the_reply_to_an_abandoned_command_is_nobodys),
		monitor_test(the_next_in_the_queue_gets_its_own_reply),
		monitor_test(a_wait_for_a_prompt_that_is_given_up_owes_nothing),
		monitor_test(a_late_reply_before_the_next_command_is_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
