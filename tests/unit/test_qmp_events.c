/* Tests of QMP's events: their queue for scripts, and the driver's listeners. */
#include "qmp_fixture.h"

/* ---- events */

static void events_are_queued_in_their_order(void **state)
{
	struct fixture *fixture = *state;
	struct call *call, *first, *second;

	peer_say(fixture->peer, GREETING "{\"event\": \"EARLY\", \"data\": {}}\n");
	hear(fixture);
	peer_say(fixture->peer, "{\"return\": {}, \"id\": 0}\n");
	assert_int_equal(sem_wait(&fixture->ready), 0);
	call = start(fixture, "x", NULL, PATIENCE);
	hear(fixture);
	peer_say(fixture->peer,
		 "{\"event\": \"BEFORE\"}\n{\"return\": 1, \"id\": 1}\n{\"event\": \"AFTER\"}\n");
	assert_reply(call, "{\"return\":1}");
	first = start(fixture, NULL, NULL, PATIENCE);
	assert_reply(first, "{\"event\":\"EARLY\",\"data\":{}}");
	second = start(fixture, NULL, NULL, PATIENCE);
	assert_reply(second, "{\"event\":\"BEFORE\"}");
}

static void waits_are_served_in_their_order(void **state)
{
	struct fixture *fixture = *state;
	struct call *given_up, *first, *second;

	greet(fixture);
	given_up = start(fixture, NULL, NULL, 20 * NTD_MS);
	assert_failed(given_up, NTD_E_TIMEOUT,
		      "machine 'server': waiting for a QMP event: timed out");
	first = start(fixture, NULL, NULL, PATIENCE);
	settle(fixture->loop);
	peer_say(fixture->peer, "{\"event\": \"A\"}\n");
	assert_reply(first, "{\"event\":\"A\"}");
	second = start(fixture, NULL, NULL, PATIENCE);
	peer_say(fixture->peer, "{\"event\": \"B\"}\n");
	assert_reply(second, "{\"event\":\"B\"}");
}

static void what_was_queued_can_be_had_after_the_end(void **state)
{
	struct fixture *fixture = *state;
	struct call *last, *none;

	greet(fixture);
	peer_say(fixture->peer, "{\"event\": \"SHUTDOWN\"}\n");
	ntd_close_fd(&fixture->peer);
	last = start(fixture, NULL, NULL, PATIENCE);
	assert_reply(last, "{\"event\":\"SHUTDOWN\"}");
	none = start(fixture, NULL, NULL, PATIENCE);
	join(none);
	assert_null(none->reply);
	assert_error(ntd_steal(&none->error), NTD_E_DEAD, "machine 'server'");
}

static void a_new_connection_begins_anew(void **state)
{
	struct fixture *fixture = *state;
	struct call *call, *event;

	greet(fixture);
	peer_say(fixture->peer, "{\"event\": \"OLD\"}\n{\"half\": ");
	settle(fixture->loop);
	ntd_loop_call(fixture->loop, close_qmp, fixture);
	ntd_close_fd(&fixture->peer);
	connect_peer(fixture);
	assert_false(ntd_qmp_is_open(fixture->qmp));
	greet(fixture);
	event = start(fixture, NULL, NULL, 20 * NTD_MS);
	assert_failed(event, NTD_E_TIMEOUT, "timed out");
	call = start(fixture, "x", NULL, PATIENCE);
	assert_string_equal(hear(fixture), "{\"execute\":\"x\",\"id\":1}");
	peer_say(fixture->peer, "{\"return\": 1, \"id\": 1}\n");
	assert_reply(call, "{\"return\":1}");
}

/* ---- listeners */

struct hearing {
	struct ntd_qmp_listener listener;
	struct ntd_qmp *qmp;
	size_t count, queued; /* how often it heard; how many events scripts had then */
	unsigned turn;        /* of its last time, among all */
	bool leaves, closes;
	char reason[65];
};

static void hear_event(void *owner, const cJSON *event)
{
	static unsigned turns;
	struct hearing *hearing = owner;
	const char *reason = ntd_qmp_event_word(event, "reason");

	hearing->count++;
	hearing->turn = ++turns;
	hearing->queued = ntd_qmp_count_events(hearing->qmp);
	snprintf(hearing->reason, sizeof hearing->reason, "%s", reason ? reason : "");
	if (hearing->leaves)
		ntd_list_unlink(&hearing->listener.link);
	if (hearing->closes)
		close_qmp(&(struct fixture){.qmp = hearing->qmp});
}

static void add_listener(void *arg)
{
	struct hearing *hearing = arg;

	hearing->listener.heard = hear_event;
	hearing->listener.owner = hearing;
	ntd_qmp_on(hearing->qmp, &hearing->listener);
}

static void listen_to(struct fixture *fixture, struct hearing *hearing, const char *name)
{
	hearing->qmp = fixture->qmp;
	hearing->listener.name = name;
	ntd_loop_call(fixture->loop, add_listener, hearing);
}

static void listeners_hear_of_events_before_scripts_do(void **state)
{
	struct fixture *fixture = *state;
	struct hearing first = {0}, second = {0}, other = {0};

	listen_to(fixture, &first, "SHUTDOWN");
	listen_to(fixture, &other, "RESET");
	listen_to(fixture, &second, "SHUTDOWN");
	greet(fixture);
	peer_say(fixture->peer,
		 "{\"event\": \"SHUTDOWN\", \"data\": {\"reason\": \"guest-reset\"}}\n");
	assert_reply(start(fixture, NULL, NULL, PATIENCE),
		     "{\"event\":\"SHUTDOWN\",\"data\":{\"reason\":\"guest-reset\"}}");
	assert_int_equal(first.count, 1);
	assert_int_equal(first.queued, 0);
	assert_string_equal(first.reason, "guest-reset");
	assert_int_equal(second.count, 1);
	assert_int_equal(second.turn, first.turn + 1);
	assert_int_equal(other.count, 0);
	/* They stay for the next connection. */
	ntd_loop_call(fixture->loop, close_qmp, fixture);
	ntd_close_fd(&fixture->peer);
	connect_peer(fixture);
	greet(fixture);
	peer_say(fixture->peer, "{\"event\": \"shutdown\"}\n{\"event\": \"RESET\"}\n"
				"{\"event\": \"SHUTDOWN\"}\n");
	while (ntd_qmp_count_events(fixture->qmp) < 3)
		settle(fixture->loop);
	assert_int_equal(first.count, 2);
	assert_int_equal(first.queued, 2);
	assert_string_equal(first.reason, "");
	assert_int_equal(other.count, 1);
}

static void a_listener_may_leave(void **state)
{
	struct fixture *fixture = *state;
	struct hearing once = {.leaves = true}, always = {0};

	listen_to(fixture, &once, "STOP");
	listen_to(fixture, &always, "STOP");
	greet(fixture);
	peer_say(fixture->peer, "{\"event\": \"STOP\"}\n{\"event\": \"STOP\"}\n");
	while (ntd_qmp_count_events(fixture->qmp) < 2)
		settle(fixture->loop);
	assert_int_equal(once.count, 1);
	assert_int_equal(always.count, 2);
}

static bool is_our_device(void *owner, const cJSON *event)
{
	const char *device = ntd_qmp_event_word(event, "device");

	return device && !strcmp(device, "ours");
}

static void private_events_are_not_for_scripts(void **state)
{
	struct fixture *fixture = *state;
	struct hearing owner = {.listener.is_private = is_our_device}, other = {0};

	listen_to(fixture, &owner, "DEVICE_DELETED");
	listen_to(fixture, &other, "DEVICE_DELETED");
	greet(fixture);
	peer_say(fixture->peer,
		 "{\"event\": \"DEVICE_DELETED\", \"data\": {\"device\": \"ours\"}}\n"
		 "{\"event\": \"STOP\", \"data\": {\"device\": \"ours\"}}\n"
		 "{\"event\": \"DEVICE_DELETED\", \"data\": {\"device\": \"theirs\"}}\n");
	assert_reply(start(fixture, NULL, NULL, PATIENCE),
		     "{\"event\":\"STOP\",\"data\":{\"device\":\"ours\"}}");
	assert_reply(start(fixture, NULL, NULL, PATIENCE),
		     "{\"event\":\"DEVICE_DELETED\",\"data\":{\"device\":\"theirs\"}}");
	assert_int_equal(owner.count, 2);
	assert_int_equal(other.count, 2);
}

/* The event that it heard of is still for scripts; what came after it is not read. */
static void a_listener_may_close_the_connection(void **state)
{
	struct fixture *fixture = *state;
	struct hearing closing = {.closes = true}, never = {0};
	struct call *command;

	listen_to(fixture, &closing, "STOP");
	listen_to(fixture, &never, "RESET");
	greet(fixture);
	command = start(fixture, "x", NULL, PATIENCE);
	hear(fixture);
	peer_say(fixture->peer, "{\"event\": \"STOP\"}\n{\"event\": \"RESET\"}\n" GREETING
				"{\"return\": 1, \"id\": 1}\n");
	assert_failed(command, NTD_E_DEAD, "QEMU has ended");
	assert_false(ntd_qmp_is_open(fixture->qmp));
	assert_int_equal(ntd_qmp_count_events(fixture->qmp), 1);
	assert_int_equal(never.count, 0);
}

struct ending {
	struct fixture *fixture;
	size_t before, after; /* events for scripts */
};

/* The loop thread is busy here, so it has read nothing by itself. */
static void say_and_drain(void *arg)
{
	struct ending *ending = arg;
	struct fixture *fixture = ending->fixture;
	_cleanup_buf_ struct ntd_buf said = {0};

	for (int i = 0; i < 1000; i++)
		ntd_buf_puts(&said, "{\"event\": \"RESET\", \"data\": {\"guest\": true}}\r\n");
	ntd_buf_puts(&said, "{\"event\": \"SHUTDOWN\"}\r\n");
	ntd_buf_append(&said, "", 1);
	peer_say(fixture->peer, ntd_buf_bytes(&said));
	ntd_close_fd(&fixture->peer);
	ending->before = ntd_qmp_count_events(fixture->qmp);
	ntd_qmp_drain(fixture->qmp);
	ending->after = ntd_qmp_count_events(fixture->qmp);
	close_qmp(fixture);
	ntd_qmp_drain(fixture->qmp); /* nothing */
}

/* More than one read, up to the end; what waits fails with the reason that its owner gives. */
static void what_has_arrived_can_be_read_before_the_end(void **state)
{
	struct fixture *fixture = *state;
	struct hearing hearing = {0};
	struct ending ending = {.fixture = fixture};
	struct call *command;

	listen_to(fixture, &hearing, "SHUTDOWN");
	greet(fixture);
	command = start(fixture, "x", NULL, PATIENCE);
	hear(fixture);
	ntd_loop_call(fixture->loop, say_and_drain, &ending);
	assert_int_equal(ending.before, 0);
	assert_int_equal(ending.after, 1001);
	assert_int_equal(hearing.count, 1);
	assert_failed(command, NTD_E_DEAD, "QEMU has ended");
}

static void words_of_events_are_checked(void **state)
{
#define LONG "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"
	static const struct {
		const char *event, *word;
	} cases[] = {
		{"{}", NULL},
		{"{\"event\": \"E\"}", NULL},
		{"{\"data\": null}", NULL},
		{"{\"data\": \"reason\"}", NULL},
		{"{\"data\": [\"reason\", {\"reason\": \"a\"}]}", NULL},
		{"{\"data\": {}}", NULL},
		{"{\"reason\": \"a\"}", NULL},
		{"{\"data\": {\"Reason\": \"a\"}}", NULL},
		{"{\"data\": {\"reason\": 1}}", NULL},
		{"{\"data\": {\"reason\": [\"a\"]}}", NULL},
		{"{\"data\": {\"reason\": \"\"}}", NULL},
		{"{\"data\": {\"reason\": \"a b\"}}", NULL},
		{"{\"data\": {\"reason\": \"a\\n\"}}", NULL},
		{"{\"data\": {\"reason\": \"\xc3\xa4\"}}", NULL},
		{"{\"data\": {\"reason\": \"" LONG "x\"}}", NULL},
		{"{\"data\": {\"reason\": \"" LONG "\"}}", LONG},
		{"{\"data\": {\"guest\": true, \"reason\": \"guest-shutdown\"}}", "guest-shutdown"},
	};

	for (size_t i = 0; i < unit_count(cases); i++) {
		_cleanup_cjson_ cJSON *event = cJSON_Parse(cases[i].event);
		const char *word = ntd_qmp_event_word(event, "reason");

		assert_non_null(event);
		assert_string_equal(word ? word : "none", cases[i].word ? cases[i].word : "none");
	}
}

static void events_without_a_name_are_for_scripts_only(void **state)
{
	static const char *const events[] = {"{\"event\":5}",          "{\"event\":null}",
					     "{\"event\":[\"STOP\"]}", "{\"event\":\"\"}",
					     "{\"event\":\"STOP \"}",  "{\"EVENT\":\"STOP\"}"};
	struct fixture *fixture = *state;
	struct hearing hearing = {0};

	listen_to(fixture, &hearing, "STOP");
	greet(fixture);
	for (size_t i = 0; i < unit_count(events); i++) {
		peer_say(fixture->peer, events[i]);
		peer_say(fixture->peer, "\n");
	}
	while (ntd_qmp_count_events(fixture->qmp) < unit_count(events))
		settle(fixture->loop);
	assert_int_equal(hearing.count, 0);
}

int main(void)
{
#define qmp_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		qmp_test(events_are_queued_in_their_order),
		qmp_test(waits_are_served_in_their_order),
		qmp_test(what_was_queued_can_be_had_after_the_end),
		qmp_test(a_new_connection_begins_anew),
		qmp_test(listeners_hear_of_events_before_scripts_do),
		qmp_test(a_listener_may_leave),
		qmp_test(a_listener_may_close_the_connection),
		qmp_test(private_events_are_not_for_scripts),
		qmp_test(what_has_arrived_can_be_read_before_the_end),
		qmp_test(events_without_a_name_are_for_scripts_only),
		cmocka_unit_test(words_of_events_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
