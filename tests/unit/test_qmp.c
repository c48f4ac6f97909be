/* QMP, against a peer that the test plays itself; commands and waits for events run on threads. */
#include "peer.h"

#include "qemu/qmp.h"

#include <pthread.h>
#include <semaphore.h>

#define GREETING                                                                                   \
	"{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 0, \"minor\": 2, \"major\": 7}}, "         \
	"\"capabilities\": [\"oob\"]}}\r\n"
#define PATIENCE (10 * NTD_SECOND)

/* A command, or a wait for an event when `command` is NULL, on a thread of its own. */
struct call {
	struct ntd_qmp *qmp;
	const char *command;
	cJSON *arguments;
	int64_t patience;
	pthread_t thread;
	bool running;
	cJSON *reply;
	struct ntd_error *error;
};

enum { MOST_CALLS = 4 };

struct fixture {
	struct ntd_loop *loop;
	struct ntd_qmp *qmp;
	int socket, peer;
	sem_t ready;
	struct call calls[MOST_CALLS]; /* here, since a test that fails leaves its threads behind */
	char heard[512];
};

static void on_ready(void *owner, const struct ntd_error *failure)
{
	if (!failure)
		sem_post(&((struct fixture *)owner)->ready);
}

static void open_qmp(void *arg)
{
	struct fixture *fixture = arg;

	ntd_qmp_open(fixture->qmp, fixture->socket, on_ready, fixture, NULL);
}

static void close_qmp(void *arg)
{
	_cleanup_error_ struct ntd_error *why = ntd_error_new(NTD_E_DEAD, "QEMU has ended");

	ntd_qmp_close(((struct fixture *)arg)->qmp, why);
}

static void connect_peer(struct fixture *fixture)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	fixture->socket = pair[0];
	fixture->peer = pair[1];
	ntd_loop_call(fixture->loop, open_qmp, fixture);
}

static int set_up(void **state)
{
	struct fixture *fixture = ntd_calloc(1, sizeof *fixture);

	fixture->loop = ntd_loop_new(NULL);
	fixture->qmp = ntd_qmp_new(fixture->loop, "machine 'server'");
	sem_init(&fixture->ready, 0, 0);
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

	ntd_loop_call(fixture->loop, close_qmp, fixture);
	for (size_t i = 0; i < MOST_CALLS; i++) {
		join(&fixture->calls[i]);
		cJSON_Delete(fixture->calls[i].reply);
		cJSON_Delete(fixture->calls[i].arguments);
		ntd_error_free(fixture->calls[i].error);
	}
	ntd_qmp_free(fixture->qmp);
	ntd_loop_free(fixture->loop);
	ntd_close_fd(&fixture->peer);
	sem_destroy(&fixture->ready);
	free(fixture);
	return 0;
}

/* ---- the peer */

/* The next line from the driver, which comes within ten seconds. */
static const char *hear(struct fixture *fixture)
{
	size_t len = 0;

	while (!len || fixture->heard[len - 1] != '\n') {
		assert_true(peer_hears(fixture->peer, 10000));
		assert_true(len < sizeof fixture->heard - 1);
		assert_int_equal(recv(fixture->peer, fixture->heard + len, 1, 0), 1);
		len++;
	}
	fixture->heard[len - 1] = '\0';
	return fixture->heard;
}

static void greet(struct fixture *fixture)
{
	peer_say(fixture->peer, GREETING);
	assert_string_equal(hear(fixture), "{\"execute\":\"qmp_capabilities\",\"id\":0}");
	peer_say(fixture->peer, "{\"return\": {}, \"id\": 0}\r\n");
	assert_int_equal(sem_wait(&fixture->ready), 0);
}

/* ---- calls */

static void *run_call(void *arg)
{
	struct call *call = arg;
	int64_t deadline = ntd_after(call->patience);

	call->reply = call->command ? ntd_qmp_execute(call->qmp, call->command, call->arguments,
						      deadline, NULL, &call->error)
				    : ntd_qmp_next_event(call->qmp, deadline, NULL, &call->error);
	return NULL;
}

static struct call *start(struct fixture *fixture, const char *command, const char *arguments,
			  int64_t patience)
{
	struct call *call = fixture->calls;

	while (call->qmp)
		call++;
	*call = (struct call){.qmp = fixture->qmp,
			      .command = command,
			      .arguments = arguments ? cJSON_Parse(arguments) : NULL,
			      .patience = patience,
			      .running = true};
	pthread_create(&call->thread, NULL, run_call, call);
	return call;
}

static void assert_reply(struct call *call, const char *expected)
{
	_cleanup_free_ char *text = NULL;

	join(call);
	assert_no_error(call->error);
	text = cJSON_PrintUnformatted(call->reply);
	assert_string_equal(text, expected);
}

static void assert_failed(struct call *call, enum ntd_errc code, const char *text)
{
	join(call);
	assert_null(call->reply);
	assert_error(ntd_steal(&call->error), code, text);
}

/* ---- commands */

static void capabilities_are_negotiated_once(void **state)
{
	struct fixture *fixture = *state;

	assert_false(ntd_qmp_is_open(fixture->qmp));
	greet(fixture);
	assert_true(ntd_qmp_is_open(fixture->qmp));
	peer_say(fixture->peer, "{\"return\": {}, \"id\": 0}\r\n");
	settle(fixture->loop);
	assert_int_equal(sem_trywait(&fixture->ready), -1);
}

static void a_command_gets_its_reply_without_the_id(void **state)
{
	struct fixture *fixture = *state;
	struct call *call;

	greet(fixture);
	call = start(fixture, "query-status", NULL, PATIENCE);
	assert_string_equal(hear(fixture), "{\"execute\":\"query-status\",\"id\":1}");
	peer_say(fixture->peer, "{\"return\": {\"status\": \"running\"}, \"id\": 1}\r\n");
	assert_reply(call, "{\"return\":{\"status\":\"running\"}}");
}

struct answers {
	struct ntd_qmp *qmp;
	char *text[2];
	int count;
	sem_t told;
};

/* The first answer leads to a second question. */
static void take_answer(void *owner, const cJSON *reply)
{
	struct answers *answers = owner;

	answers->text[answers->count++] = cJSON_PrintUnformatted(reply);
	if (answers->count == 1)
		ntd_qmp_ask(answers->qmp, "second", take_answer, answers);
	sem_post(&answers->told);
}

static void ask_first(void *arg)
{
	struct answers *answers = arg;

	ntd_qmp_ask(answers->qmp, "first", take_answer, answers);
}

/* Nobody waits for it, and commands of scripts go on meanwhile. */
static void the_driver_asks_questions_of_its_own(void **state)
{
	struct fixture *fixture = *state;
	struct answers answers = {.qmp = fixture->qmp};
	struct call *call;

	sem_init(&answers.told, 0, 0);
	greet(fixture);
	ntd_loop_call(fixture->loop, ask_first, &answers);
	assert_string_equal(hear(fixture), "{\"execute\":\"first\",\"id\":1}");
	call = start(fixture, "query-status", NULL, PATIENCE);
	assert_string_equal(hear(fixture), "{\"execute\":\"query-status\",\"id\":2}");
	peer_say(fixture->peer, "{\"return\": {}, \"id\": 2}\r\n");
	assert_reply(call, "{\"return\":{}}");
	peer_say(fixture->peer, "{\"error\": {\"desc\": \"no\"}, \"id\": 1}\r\n");
	sem_wait(&answers.told);
	assert_string_equal(answers.text[0], "{\"error\":{\"desc\":\"no\"},\"id\":1}");
	assert_string_equal(hear(fixture), "{\"execute\":\"second\",\"id\":3}");
	peer_say(fixture->peer, "{\"return\": 5, \"id\": 1}\r\n{\"return\": 6, \"id\": 3}\r\n");
	sem_wait(&answers.told);
	assert_string_equal(answers.text[1], "{\"return\":6,\"id\":3}");
	free(answers.text[0]);
	free(answers.text[1]);
}

static void arguments_are_sent_unless_empty(void **state)
{
	struct fixture *fixture = *state;
	struct call *call;

	greet(fixture);
	call = start(fixture, "x", "{\"a\": [1, {\"b\": null}], \"c\": \"\\u00e4\"}", PATIENCE);
	assert_string_equal(hear(fixture),
			    "{\"execute\":\"x\",\"arguments\":{\"a\":[1,{\"b\":null}],"
			    "\"c\":\"\xc3\xa4\"},\"id\":1}");
	peer_say(fixture->peer, "{\"return\": [], \"id\": 1}\n");
	assert_reply(call, "{\"return\":[]}");
	start(fixture, "y", "{}", PATIENCE);
	assert_string_equal(hear(fixture), "{\"execute\":\"y\",\"id\":2}");
}

static void an_error_is_a_reply(void **state)
{
	struct fixture *fixture = *state;
	struct call *call;

	greet(fixture);
	call = start(fixture, "nonsense", NULL, PATIENCE);
	hear(fixture);
	peer_say(fixture->peer,
		 "{\"id\": 1, \"error\": {\"class\": \"CommandNotFound\", \"desc\": \"no\"}}\n");
	assert_reply(call, "{\"error\":{\"class\":\"CommandNotFound\",\"desc\":\"no\"}}");
}

static void replies_may_come_in_any_order_and_any_pieces(void **state)
{
	static const char replies[] = "{\"return\": \"second\", \"id\": 2}\r\n"
				      "{\"return\": \"first\", \"id\": 1}\r\n";
	struct fixture *fixture = *state;
	struct call *first, *second;

	greet(fixture);
	first = start(fixture, "one", NULL, PATIENCE);
	hear(fixture);
	second = start(fixture, "two", NULL, PATIENCE);
	assert_string_equal(hear(fixture), "{\"execute\":\"two\",\"id\":2}");
	for (const char *c = replies; *c; c++) {
		peer_say(fixture->peer, (char[]){*c, '\0'});
		settle(fixture->loop);
	}
	assert_reply(first, "{\"return\":\"first\"}");
	assert_reply(second, "{\"return\":\"second\"}");
}

static void what_is_not_a_reply_of_ours_is_passed_over(void **state)
{
	static const char *const lines[] = {
		"not json\n",
		"\n",
		"{\"return\": {}, \"id\": 1\n",
		"\xff\xfe\n",
		"{\"return\": \"without id\"}\n",
		"{\"return\": 0, \"id\": 2}\n",
		"{\"return\": 0, \"id\": 1.5}\n",
		"{\"return\": 0, \"id\": -1}\n",
		"{\"return\": 0, \"id\": 4294967297}\n",
		"{\"return\": 0, \"id\": 1e300}\n",
		"{\"return\": 0, \"id\": \"1\"}\n",
		"{\"return\": 0, \"id\": [1]}\n",
		"{\"return\": 0, \"id\": true}\n",
	};
	struct fixture *fixture = *state;
	struct call *call;

	greet(fixture);
	call = start(fixture, "x", NULL, PATIENCE);
	hear(fixture);
	for (size_t i = 0; i < unit_count(lines); i++)
		peer_say(fixture->peer, lines[i]);
	peer_say(fixture->peer, "{\"return\": \"yes\", \"id\": 1}\n");
	assert_reply(call, "{\"return\":\"yes\"}");
}

static void a_command_without_a_reply_times_out(void **state)
{
	struct fixture *fixture = *state;
	struct call *first, *second;

	greet(fixture);
	first = start(fixture, "slow", NULL, 20 * NTD_MS);
	hear(fixture);
	assert_failed(first, NTD_E_TIMEOUT, "machine 'server': QMP command slow: timed out");
	second = start(fixture, "quick", NULL, PATIENCE);
	hear(fixture);
	peer_say(fixture->peer,
		 "{\"return\": \"slow\", \"id\": 1}\n{\"return\": \"quick\", \"id\": 2}\n");
	assert_reply(second, "{\"return\":\"quick\"}");
}

static void the_end_fails_everything(void **state)
{
	struct fixture *fixture = *state;
	struct call *command, *event, *later;

	greet(fixture);
	command = start(fixture, "stop", NULL, PATIENCE);
	hear(fixture);
	event = start(fixture, NULL, NULL, PATIENCE);
	settle(fixture->loop);
	peer_say(fixture->peer, "{\"return\": half a mess");
	ntd_close_fd(&fixture->peer);
	assert_failed(command, NTD_E_DEAD, "machine 'server': QEMU closed the QMP connection");
	join(event);
	assert_null(event->reply);
	assert_error(ntd_steal(&event->error), NTD_E_DEAD, "machine 'server'");
	assert_false(ntd_qmp_is_open(fixture->qmp));
	later = start(fixture, "stop", NULL, PATIENCE);
	assert_failed(later, NTD_E_DEAD, "machine 'server' has no QMP connection");
}

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
		_cleanup_json_ cJSON *event = cJSON_Parse(cases[i].event);
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

/* ---- messages */

static void messages_are_lines_with_an_object(void **state)
{
	static const struct {
		const char *bytes;
		bool line;
		const char *message; /* NULL: none in the line */
		size_t rest;
	} cases[] = {
		{"", false, NULL, 0},
		{"{}", false, NULL, 2},
		{"{\"a\": 1}\n", true, "{\"a\":1}", 0},
		{"{\"a\": 1}\r\n", true, "{\"a\":1}", 0},
		{"{\"a\": 1}\n{\"b\"", true, "{\"a\":1}", 4},
		{"\n{}\n", true, NULL, 3},
		{"[{}]\n", true, NULL, 0},
		{"1\n", true, NULL, 0},
		{"{\"a\": 1\n}\n", true, NULL, 2},
		{"nonsense\nx", true, NULL, 1},
		{"{\"a\": {\"a\": {\"a\": []}}}\n", true, "{\"a\":{\"a\":{\"a\":[]}}}", 0},
	};

	for (size_t i = 0; i < unit_count(cases); i++) {
		_cleanup_buf_ struct ntd_buf in = {0};
		_cleanup_json_ cJSON *message = NULL;
		_cleanup_free_ char *text = NULL;

		ntd_buf_puts(&in, cases[i].bytes);
		assert_int_equal(ntd_qmp_take_message(&in, &message), cases[i].line);
		text = message ? cJSON_PrintUnformatted(message) : NULL;
		assert_int_equal(!!text, !!cases[i].message);
		assert_true(!text || !strcmp(text, cases[i].message));
		assert_true(!message || !strncmp(ntd_qmp_text(message), cases[i].bytes,
						 strlen(ntd_qmp_text(message))));
		assert_int_equal(in.len, cases[i].rest);
	}
}

int main(void)
{
#define qmp_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		qmp_test(capabilities_are_negotiated_once),
		qmp_test(a_command_gets_its_reply_without_the_id),
		qmp_test(the_driver_asks_questions_of_its_own),
		qmp_test(arguments_are_sent_unless_empty),
		qmp_test(an_error_is_a_reply),
		qmp_test(replies_may_come_in_any_order_and_any_pieces),
		qmp_test(what_is_not_a_reply_of_ours_is_passed_over),
		qmp_test(a_command_without_a_reply_times_out),
		qmp_test(the_end_fails_everything),
		qmp_test(events_are_queued_in_their_order),
		qmp_test(waits_are_served_in_their_order),
		qmp_test(what_was_queued_can_be_had_after_the_end),
		qmp_test(a_new_connection_begins_anew),
		qmp_test(listeners_hear_of_events_before_scripts_do),
		qmp_test(a_listener_may_leave),
		qmp_test(a_listener_may_close_the_connection),
		qmp_test(what_has_arrived_can_be_read_before_the_end),
		qmp_test(events_without_a_name_are_for_scripts_only),
		cmocka_unit_test(words_of_events_are_checked),
		cmocka_unit_test(messages_are_lines_with_an_object),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
