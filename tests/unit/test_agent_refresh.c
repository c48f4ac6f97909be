/* Tests of what the driver has done in a guest that has gone back to an earlier state,
 * agent_channel/refresh.c: by an agent, or by a command. The test plays both the agent and the root
 * shell. What the command does is in test_refresh_command.c.
 */
#include "agent_call_fixture.h"

#include "agent/refresh.h"
#include "report/report.h"

#include <sys/eventfd.h>

#define PATIENCE (600 * NTD_SECOND)

/* ---- the report, whose events are noted */

static struct sink {
	struct ntd_sink sink;
	struct ntd_report *report;
	char text[4096];
} sink;

static void note(struct ntd_sink *of, const struct ntd_event *event)
{
	size_t len = strlen(sink.text);

	snprintf(sink.text + len, sizeof sink.text - len, "%.*s\n", (int)event->text_len,
		 event->text);
}

static void close_sink(struct ntd_sink *of)
{
}

static void set_report(void *arg)
{
	ntd_agent_channel_set_report(((struct fixture *)arg)->agent, sink.report);
}

static void add_report(struct fixture *fixture)
{
	sink = (struct sink){.sink = {.event = note, .close = close_sink},
			     .report = ntd_report_new(NULL)};
	assert_non_null(sink.report);
	ntd_report_add(sink.report, &sink.sink);
	ntd_loop_call(fixture->loop, set_report, fixture);
}

static int set_up_with_report(void **state)
{
	int result = set_up(state);

	add_report(*state);
	return result;
}

static int set_up_connected_with_report(void **state)
{
	int result = set_up_connected(state);

	add_report(*state);
	return result;
}

static int tear_down_report(void **state)
{
	int result = tear_down(state);

	ntd_report_free(sink.report);
	return result;
}

/* The log has one line of a refresh, which says that. */
static void assert_logged(const char *text)
{
	const char *refreshed;

	assert_true(ntd_report_flush(sink.report, NTD_FOREVER));
	refreshed = strstr(sink.text, "the guest's clock");
	assert_non_null(refreshed);
	assert_null(strstr(refreshed + 1, "the guest's clock"));
	assert_non_null(strstr(sink.text, text));
	sink.text[0] = '\0';
}

#define refresh_test(name)                                                                         \
	cmocka_unit_test_setup_teardown(name, set_up_connected_with_report, tear_down_report)
#define unconnected_test(name)                                                                     \
	cmocka_unit_test_setup_teardown(name, set_up_with_report, tear_down_report)

/* ---- a refresh on a thread of its own */

struct refresh {
	struct fixture *fixture;
	struct ntd_waiter waiter;
	pthread_t thread;
	struct ntd_error *error;
	int returned;
};

static void *refresh_main(void *arg)
{
	struct refresh *refresh = arg;

	refresh->returned = ntd_agent_channel_refresh(refresh->fixture->agent, PATIENCE,
						      &refresh->waiter, &refresh->error);
	return NULL;
}

static void refresh_begin(struct fixture *fixture, struct refresh *refresh)
{
	refresh->fixture = fixture;
	assert_int_equal(pthread_create(&refresh->thread, NULL, refresh_main, refresh), 0);
}

static void refresh_succeeds(struct refresh *refresh)
{
	pthread_join(refresh->thread, NULL);
	assert_no_error(refresh->error);
	assert_int_equal(refresh->returned, 0);
}

static void refresh_fails(struct refresh *refresh, enum ntd_errc code, const char *message)
{
	pthread_join(refresh->thread, NULL);
	assert_int_equal(refresh->returned, -1);
	assert_error(refresh->error, code, message);
}

static void serves_not(void *arg)
{
	((struct fixture *)arg)->agent->serves = false;
}

/* ---- the agent's side */

/* The agent is asked; what it is to do is copied. */
static struct ntd_refresh agent_hears(struct fixture *fixture, char seed[NTD_REFRESH_SEED_MOST])
{
	struct ntd_frame frame = peer_receive(fixture);
	struct ntd_refresh refresh;

	assert_int_equal(frame.kind, NTD_FRAME_REFRESH);
	assert_true(ntd_refresh_unpack(frame.bytes, frame.len, &refresh));
	memcpy(seed, refresh.seed, refresh.seed_len);
	refresh.seed = seed;
	return refresh;
}

static bool is_earlier(struct timespec a, struct timespec b)
{
	return a.tv_sec < b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec < b.tv_nsec);
}

static void the_agent_is_told_the_time_and_other_bytes_each_time(void **state)
{
	struct fixture *fixture = *state;
	char seeds[2][NTD_REFRESH_SEED_MOST];

	for (uint32_t i = 0; i < 2; i++) {
		struct refresh refresh = {0};
		struct timespec before, after;
		struct ntd_refresh heard;

		clock_gettime(CLOCK_REALTIME, &before);
		refresh_begin(fixture, &refresh);
		heard = agent_hears(fixture, seeds[i]);
		clock_gettime(CLOCK_REALTIME, &after);
		assert_false(is_earlier(heard.time, before));
		assert_false(is_earlier(after, heard.time));
		assert_int_equal(heard.seed_len, 64);
		peer_text(fixture, i + 1, NTD_FRAME_DONE, "");
		refresh_succeeds(&refresh);
		assert_logged("the agent has set the guest's clock");
	}
	assert_memory_not_equal(seeds[0], seeds[1], 64);
	assert_true(fixture->agent->channel.ready);
	assert_false(peer_hears(fixture->shell_peer, 0));
}

static void an_agent_that_does_not_serve_is_taken_away(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_channel *channel = ntd_agent_channel_of(fixture->agent);
	struct refresh refresh = {0};
	char seed[NTD_REFRESH_SEED_MOST], byte;

	ntd_loop_call(fixture->loop, serves_not, fixture);
	peer_hello(fixture, NTD_AGENT_VERSION);
	assert_false(channel->ready);
	assert_true(channel->absent);
	refresh_begin(fixture, &refresh);
	agent_hears(fixture, seed);
	peer_text(fixture, 1, NTD_FRAME_DONE, "");
	refresh_succeeds(&refresh);
	assert_int_equal(recv(fixture->peer, &byte, 1, 0), 0);
	assert_int_equal(fixture->agent->launch.state, NTD_AGENT_LAUNCH_IMPOSSIBLE);
	assert_false(fixture->agent->launch.may_help);
	assert_true(channel->absent);
}

/* ---- the root shell's side */

/* Waits for a line of that function. Returns its number, for the reply. The first line follows the
 * functions, which have the name of the driver's connection. */
static unsigned long shell_hears(struct fixture *fixture, char identity[9], const char *function,
				 const char *part)
{
	char text[65536], *line, *token;
	size_t len = 0;

	do {
		ssize_t got = recv(fixture->shell_peer, text + len, sizeof text - 1 - len, 0);

		assert_true(got > 0);
		len += (size_t)got;
		text[len] = '\0';
		line = text;
		for (char *at = text; (at = strstr(at, "\nntd_")); at++)
			line = at + 1;
	} while (strncmp(line, function, strlen(function)) != 0 || text[len - 1] != '\n');
	assert_non_null(strstr(line, part));
	token = strstr(text, "\necho \"");
	if (token)
		snprintf(identity, 9, "%s", token + strlen("\necho \""));
	return strtoul(line + strlen(function), NULL, 10);
}

static void shell_replies(struct fixture *fixture, const char *identity, unsigned long number,
			  int status)
{
	_cleanup_free_ char *reply = ntd_asprintf("'' %d 0 %s-%lu\n", status, identity, number);

	peer_say(fixture->shell_peer, reply);
}

/* Waits for the command that refreshes the guest, and answers it with that status. */
static void shell_refreshes(struct fixture *fixture, char identity[9], int status)
{
	unsigned long number = shell_hears(fixture, identity, "ntd_own ", " :\n");

	shell_replies(fixture, identity, number, 0);
	number = shell_hears(fixture, identity, "ntd_timeout ", "date -s @");
	shell_replies(fixture, identity, number, status);
}

static void the_shell_does_it_where_the_agent_fails(void **state)
{
	struct fixture *fixture = *state;
	struct refresh refresh = {0};
	char seed[NTD_REFRESH_SEED_MOST], identity[9];

	refresh_begin(fixture, &refresh);
	agent_hears(fixture, seed);
	peer_text(fixture, 1, NTD_FRAME_FAILED, "the clock cannot be set");
	shell_refreshes(fixture, identity, 0);
	refresh_succeeds(&refresh);
	assert_logged("the agent did not: machine 'server': the clock cannot be set\n");
	assert_true(fixture->agent->channel.ready);
}

/* There is no port, and no agent can be launched: the guest goes on, even if nothing can be set. */
static void the_shell_does_it_without_an_agent(void **state)
{
	struct fixture *fixture = *state;
	char identity[9];

	for (int status = 0; status < 2; status++) {
		struct refresh refresh = {0};

		refresh_begin(fixture, &refresh);
		shell_refreshes(fixture, identity, status);
		refresh_succeeds(&refresh);
		assert_logged(status ? "a command should have set" : "a command has set");
	}
	assert_int_equal(fixture->agent->launch.state, NTD_AGENT_LAUNCH_IMPOSSIBLE);
}

/* A port that QEMU does not give. */
static struct port {
	struct ntd_port port;
	struct ntd_port_user user;
	int opened, closed;
} port;

static void open_port(struct ntd_port *of, const struct ntd_port_user *user)
{
	port.user = *user;
	port.opened++;
}

static void close_port(struct ntd_port *of)
{
	port.closed++;
}

static void give_port(void *arg)
{
	static const struct ntd_port_ops ops = {.open = open_port, .close = close_port};
	struct ntd_agent_channel *agent = ((struct fixture *)arg)->agent;

	port = (struct port){.port.ops = &ops};
	agent->port = &port.port;
}

static void refuse_port(void *arg)
{
	_cleanup_error_ struct ntd_error *why = ntd_error_new(NTD_E_MACHINE, "there is no bus");

	port.user.failed(port.user.owner, why);
}

/* Each refresh tries: what was refused in one state of the guest may be had in another. */
static void an_agent_is_launched_for_it(void **state, bool serves)
{
	struct fixture *fixture = *state;
	char identity[9];

	ntd_loop_call(fixture->loop, give_port, fixture);
	if (!serves)
		ntd_loop_call(fixture->loop, serves_not, fixture);
	for (int i = 1; i <= 2; i++) {
		struct refresh refresh = {0};
		unsigned long survey;

		refresh_begin(fixture, &refresh);
		survey = shell_hears(fixture, identity, "ntd_own ", "HOSTTYPE");
		assert_int_equal(port.opened, i);
		ntd_loop_call(fixture->loop, refuse_port, fixture);
		shell_replies(fixture, identity, survey, 0);
		shell_refreshes(fixture, identity, 0);
		refresh_succeeds(&refresh);
		assert_int_equal(port.closed, i);
		assert_logged("has no agent: there is no bus");
	}
	assert_int_equal(fixture->agent->launch.state, NTD_AGENT_LAUNCH_IMPOSSIBLE);
}

static void an_agent_that_serves_is_launched_for_it(void **state)
{
	an_agent_is_launched_for_it(state, true);
}

static void an_agent_that_does_not_serve_is_launched_for_it(void **state)
{
	an_agent_is_launched_for_it(state, false);
}

static void the_end_of_the_machine_ends_it(void **state)
{
	struct fixture *fixture = *state;
	struct refresh refresh = {0};
	char seed[NTD_REFRESH_SEED_MOST];

	refresh_begin(fixture, &refresh);
	agent_hears(fixture, seed);
	ntd_loop_call(fixture->loop, close_agent, fixture);
	ntd_loop_call(fixture->loop, close_shell, fixture);
	refresh_fails(&refresh, NTD_E_DEAD, "QEMU has ended");
}

/* Nothing else is tried for a thread that does not wait any more. */
static void a_thread_may_stop_waiting(void **state)
{
	struct fixture *fixture = *state;
	int cancel = eventfd(0, EFD_CLOEXEC);
	struct refresh refresh = {.waiter.cancel_fd = cancel};
	char seed[NTD_REFRESH_SEED_MOST];

	refresh_begin(fixture, &refresh);
	agent_hears(fixture, seed);
	eventfd_write(cancel, 1);
	refresh_fails(&refresh, NTD_E_CANCELLED, "");
	peer_expects(fixture, 1, NTD_FRAME_CANCEL, "");
	assert_false(peer_hears(fixture->shell_peer, 0));
	close(cancel);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		refresh_test(the_agent_is_told_the_time_and_other_bytes_each_time),
		unconnected_test(an_agent_that_does_not_serve_is_taken_away),
		refresh_test(the_shell_does_it_where_the_agent_fails),
		unconnected_test(the_shell_does_it_without_an_agent),
		unconnected_test(an_agent_that_serves_is_launched_for_it),
		unconnected_test(an_agent_that_does_not_serve_is_launched_for_it),
		refresh_test(the_end_of_the_machine_ends_it),
		refresh_test(a_thread_may_stop_waiting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
