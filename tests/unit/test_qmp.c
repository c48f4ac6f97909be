/* Tests of QMP: commands and their replies, and the split of bytes into messages. */
#include "qmp_fixture.h"

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
	struct ntd_qmp_question question;
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
		ntd_qmp_ask(answers->qmp, &answers->question, "second", NULL);
	sem_post(&answers->told);
}

static void ask_first(void *arg)
{
	struct answers *answers = arg;

	answers->question = (struct ntd_qmp_question){.answered = take_answer, .owner = answers};
	ntd_qmp_ask(answers->qmp, &answers->question, "first", NULL);
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

struct asking {
	struct ntd_qmp *qmp;
	struct ntd_qmp_question questions[3];
	struct reply {
		int64_t value; /* -1: the connection was closed */
		int count;
	} replies[3];
};

static void take_reply(void *owner, const cJSON *reply)
{
	struct reply *taken = owner;
	const cJSON *value = cJSON_GetObjectItemCaseSensitive(reply, "return");

	taken->count++;
	taken->value = reply ? (int64_t)cJSON_GetNumberValue(value) : -1;
}

static void ask_three(void *arg)
{
	struct asking *asking = arg;

	for (size_t i = 0; i < 3; i++) {
		asking->questions[i] = (struct ntd_qmp_question){.answered = take_reply,
								 .owner = &asking->replies[i]};
		ntd_qmp_ask(asking->qmp, &asking->questions[i], "x", NULL);
	}
}

static void forget_first(void *arg)
{
	ntd_list_unlink(&((struct asking *)arg)->questions[0].link);
}

static void several_questions_of_the_driver_may_be_pending(void **state)
{
	struct fixture *fixture = *state;
	struct asking asking = {.qmp = fixture->qmp};

	greet(fixture);
	ntd_loop_call(fixture->loop, ask_three, &asking);
	for (int i = 0; i < 3; i++)
		hear(fixture);
	assert_string_equal(fixture->heard, "{\"execute\":\"x\",\"id\":3}");
	ntd_loop_call(fixture->loop, forget_first, &asking);
	peer_say(fixture->peer, "{\"return\": 33, \"id\": 3}\n{\"return\": 11, \"id\": 1}\n"
				"{\"return\": 34, \"id\": 3}\n");
	settle(fixture->loop);
	assert_int_equal(asking.replies[0].count, 0);
	assert_int_equal(asking.replies[1].count, 0);
	assert_int_equal(asking.replies[2].count, 1);
	assert_int_equal(asking.replies[2].value, 33);
	ntd_loop_call(fixture->loop, close_qmp, fixture);
	assert_int_equal(asking.replies[0].count, 0);
	assert_int_equal(asking.replies[1].count, 1);
	assert_int_equal(asking.replies[1].value, -1);
	assert_int_equal(asking.replies[2].count, 1);
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
		_cleanup_cjson_ cJSON *message = NULL;
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
		qmp_test(several_questions_of_the_driver_may_be_pending),
		qmp_test(arguments_are_sent_unless_empty),
		qmp_test(an_error_is_a_reply),
		qmp_test(replies_may_come_in_any_order_and_any_pieces),
		qmp_test(what_is_not_a_reply_of_ours_is_passed_over),
		qmp_test(a_command_without_a_reply_times_out),
		qmp_test(the_end_fails_everything),
		cmocka_unit_test(messages_are_lines_with_an_object),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
