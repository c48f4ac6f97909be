/* Tests of QEMU's jobs: their steps in any order, errors at each, connections that close, and
 * waiters that give up.
 */
#include "qmp_fixture.h"

#include "interrupted.h"
#include "qemu/job.h"

#include <stdlib.h>

/* A job, and the thread that waits for it. */
struct running {
	struct ntd_qmp_job *job;
	int64_t patience;
	pthread_t thread;
	int result;
	struct ntd_error *error;
	char id[32];      /* of the job */
	unsigned command; /* the id of the command that began it */
};

static void *wait_for(void *arg)
{
	struct running *running = arg;

	running->result =
		ntd_qmp_job_wait(running->job, ntd_after(running->patience), NULL, &running->error);
	return NULL;
}

/* ---- the peer */

/* Hears a command of that name and returns its id. */
static unsigned hear_command(struct fixture *fixture, const char *name)
{
	_cleanup_cjson_ cJSON *command = cJSON_Parse(hear(fixture));

	assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(command, "execute")), name);
	return (unsigned)cJSON_GetNumberValue(cJSON_GetObjectItem(command, "id"));
}

/* Answers a command; `text` is what the reply has beside the id. */
static void answer(struct fixture *fixture, unsigned id, const char *text)
{
	_cleanup_free_ char *line = ntd_asprintf("{%s, \"id\": %u}\r\n", text, id);

	peer_say(fixture->peer, line);
}

static void tell(struct fixture *fixture, const char *id, const char *status)
{
	_cleanup_free_ char *text =
		ntd_asprintf("{\"event\": \"JOB_STATUS_CHANGE\", \"data\": {\"id\": \"%s\", "
			     "\"status\": \"%s\"}}\r\n",
			     id, status);

	peer_say(fixture->peer, text);
}

/* Begins a job; the peer hears of it, and has not answered. */
static void begin(struct fixture *fixture, struct running *running, const char *command)
{
	const char *id;

	*running = (struct running){
		.job = ntd_qmp_job_begin(fixture->qmp, command, cJSON_Parse("{\"tag\": \"x\"}")),
		.patience = PATIENCE};
	running->command = hear_command(fixture, command);
	assert_non_null(strstr(fixture->heard, "\"tag\":\"x\""));
	id = strstr(fixture->heard, "ntd-job-");
	assert_non_null(id);
	snprintf(running->id, sizeof running->id, "%.*s", (int)strcspn(id, "\""), id);
}

static void wait_on_a_thread(struct running *running)
{
	pthread_create(&running->thread, NULL, wait_for, running);
}

/* Begins a job on a new connection, and has a thread wait for it. */
static void begin_awaited(struct fixture *fixture, struct running *running)
{
	greet(fixture);
	begin(fixture, running, "snapshot-save");
	wait_on_a_thread(running);
}

/* The peer is asked for the list and answers; then it is told to dismiss the job. */
static void conclude(struct fixture *fixture, const struct running *running, const char *list)
{
	answer(fixture, hear_command(fixture, "query-jobs"), list);
	answer(fixture, hear_command(fixture, "job-dismiss"), "\"return\": {}");
	assert_non_null(strstr(fixture->heard, running->id));
}

static void assert_succeeded(struct running *running)
{
	pthread_join(running->thread, NULL);
	assert_no_error(running->error);
	assert_int_equal(running->result, 0);
}

static void assert_job_failed(struct running *running, enum ntd_errc code, const char *text)
{
	pthread_join(running->thread, NULL);
	assert_int_equal(running->result, -1);
	assert_error(running->error, code, text);
}

/* ---- tests */

static void a_job_is_waited_for_and_dismissed(void **state)
{
	static struct running running;
	struct fixture *fixture = *state;
	_cleanup_free_ char *longer = NULL;

	begin_awaited(fixture, &running);
	longer = ntd_asprintf("%s1", running.id);
	tell(fixture, running.id, "created");
	answer(fixture, running.command, "\"return\": {}");
	tell(fixture, running.id, "running");
	tell(fixture, longer, "concluded");
	tell(fixture, "other", "concluded");
	tell(fixture, "", "concluded");
	peer_say(fixture->peer,
		 "{\"event\": \"JOB_STATUS_CHANGE\"}\r\n"
		 "{\"event\": \"JOB_STATUS_CHANGE\", \"data\": 3}\r\n"
		 "{\"event\": \"JOB_STATUS_CHANGE\", \"data\": {\"id\": [], "
		 "\"status\": \"concluded\"}}\r\n"
		 "{\"event\": \"JOB_STATUS_CHANGE\", \"data\": {\"status\": []}}\r\n");
	settle(fixture->loop);
	assert_false(peer_hears(fixture->peer, 0));
	tell(fixture, running.id, "concluded");
	conclude(fixture, &running,
		 "\"return\": [{\"id\": \"other\", \"error\": \"not mine\"}, 5, {}, {\"id\": 7}]");
	assert_succeeded(&running);
}

static void a_job_may_conclude_before_the_reply(void **state)
{
	static struct running running;
	struct fixture *fixture = *state;

	begin_awaited(fixture, &running);
	tell(fixture, running.id, "concluded");
	settle(fixture->loop);
	assert_false(peer_hears(fixture->peer, 0));
	answer(fixture, running.command, "\"return\": {}");
	conclude(fixture, &running, "\"return\": []");
	assert_succeeded(&running);
}

static void the_error_is_that_of_the_job(void **state)
{
	static struct running running;
	struct fixture *fixture = *state;
	_cleanup_free_ char *list = NULL;

	begin_awaited(fixture, &running);
	answer(fixture, running.command, "\"return\": {}");
	tell(fixture, running.id, "concluded");
	list = ntd_asprintf("\"return\": [{\"id\": \"%s\", \"error\": \"No \\u0000space\"}, "
			    "{\"id\": \"%s\", \"error\": \"second\"}]",
			    running.id, running.id);
	conclude(fixture, &running, list);
	pthread_join(running.thread, NULL);
	assert_error(running.error, NTD_E_MACHINE, "machine 'server': QEMU: snapshot-save: No ");
}

static void a_job_that_does_not_begin(void **state)
{
	static const struct {
		const char *reply, *text;
	} cases[] = {
		{"\"error\": {\"class\": \"GenericError\", \"desc\": \"no such node\"}",
		 "machine 'server': QEMU: snapshot-save: no such node"},
		{"\"error\": 5", "machine 'server': QEMU: snapshot-save: it gives no reason"},
		{"\"error\": {\"desc\": {}}",
		 "machine 'server': QEMU: snapshot-save: it gives no reason"},
	};
	static struct running running;
	struct fixture *fixture = *state;

	greet(fixture);
	for (size_t i = 0; i < unit_count(cases); i++) {
		begin(fixture, &running, "snapshot-save");
		wait_on_a_thread(&running);
		answer(fixture, running.command, cases[i].reply);
		assert_job_failed(&running, NTD_E_MACHINE, cases[i].text);
	}
}

/* The connection is closed after so many steps of the job. */
static void close_after(struct fixture *fixture, int steps)
{
	static struct running running;

	begin_awaited(fixture, &running);
	if (steps > 0)
		answer(fixture, running.command, "\"return\": {}");
	if (steps > 1)
		tell(fixture, running.id, "concluded");
	if (steps > 2)
		answer(fixture, hear_command(fixture, "query-jobs"), "\"return\": []");
	if (steps > 2)
		hear_command(fixture, "job-dismiss");
	settle(fixture->loop);
	ntd_loop_call(fixture->loop, close_qmp, fixture);
	if (steps < 3)
		assert_job_failed(
			&running, NTD_E_DEAD,
			"machine 'server': QEMU ended while it carried out snapshot-save");
	else
		assert_succeeded(&running);
}

static void a_job_ends_with_its_connection(void **state)
{
	struct fixture *fixture = *state;

	for (int steps = 0; steps < 4; steps++) {
		if (steps) {
			ntd_close_fd(&fixture->peer);
			connect_peer(fixture);
		}
		close_after(fixture, steps);
	}
}

static void without_a_connection_none_begins(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_error *err = NULL;

	ntd_qmp_job_run(fixture->qmp, "x", cJSON_CreateObject(), ntd_after(PATIENCE), NULL, &err);
	assert_error(err, NTD_E_DEAD, "machine 'server' has no QMP connection: it is not running");
}

/* The job frees itself: with its last step, or when the connection is closed. */
static void a_job_without_a_waiter_is_cancelled(void **state)
{
	static struct running running;
	struct fixture *fixture = *state;
	_cleanup_free_ char *list = NULL;
	struct call *call;

	greet(fixture);
	begin(fixture, &running, "snapshot-save");
	answer(fixture, running.command, "\"return\": {}");
	settle(fixture->loop);
	running.patience = 0;
	wait_for(&running);
	assert_error(running.error, NTD_E_TIMEOUT, "timed out");
	answer(fixture, hear_command(fixture, "job-cancel"), "\"error\": {\"desc\": \"cannot\"}");
	assert_non_null(strstr(fixture->heard, running.id));
	tell(fixture, running.id, "concluded");
	list = ntd_asprintf("\"return\": [{\"id\": \"%s\", \"error\": \"cancelled\"}]", running.id);
	conclude(fixture, &running, list);
	settle(fixture->loop);
	tell(fixture, running.id, "concluded");
	call = start(fixture, "query-status", NULL, PATIENCE);
	answer(fixture, hear_command(fixture, "query-status"), "\"return\": 1");
	assert_reply(call, "{\"return\":1}");
	begin(fixture, &running, "snapshot-load");
	running.patience = 0;
	wait_for(&running); /* not even its reply has come */
	assert_error(running.error, NTD_E_TIMEOUT, "timed out");
}

static void a_waiter_is_interrupted(void **state)
{
	static struct running running;
	struct fixture *fixture = *state;
	struct interrupted interrupted;
	struct ntd_error *err = NULL;

	greet(fixture);
	begin(fixture, &running, "x");
	interrupted_begin(&interrupted);
	ntd_qmp_job_wait(running.job, ntd_after(PATIENCE), &interrupted.waiter, &err);
	interrupted_end(&interrupted);
	assert_error(err, NTD_E_CANCELLED, "interrupted");
	hear_command(fixture, "job-cancel");
	answer(fixture, running.command, "\"error\": {\"desc\": \"late\"}");
	settle(fixture->loop);
}

static void jobs_are_told_apart(void **state)
{
	static struct running first, second;
	struct fixture *fixture = *state;
	_cleanup_free_ char *list = NULL;

	greet(fixture);
	begin(fixture, &first, "snapshot-save");
	begin(fixture, &second, "snapshot-load");
	wait_on_a_thread(&first);
	wait_on_a_thread(&second);
	assert_string_not_equal(first.id, second.id);
	answer(fixture, second.command, "\"return\": {}");
	answer(fixture, first.command, "\"return\": {}");
	tell(fixture, second.id, "concluded");
	list = ntd_asprintf("\"return\": [{\"id\": \"%s\"}, {\"id\": \"%s\", \"error\": \"bad\"}]",
			    first.id, second.id);
	conclude(fixture, &second, list);
	assert_job_failed(&second, NTD_E_MACHINE, "machine 'server': QEMU: snapshot-load: bad");
	tell(fixture, first.id, "concluded");
	conclude(fixture, &first, "\"return\": \"nonsense\"");
	assert_succeeded(&first);
}

#define job_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		job_test(a_job_is_waited_for_and_dismissed),
		job_test(a_job_may_conclude_before_the_reply),
		job_test(the_error_is_that_of_the_job),
		job_test(a_job_that_does_not_begin),
		job_test(a_job_ends_with_its_connection),
		job_test(without_a_connection_none_begins),
		job_test(a_job_without_a_waiter_is_cancelled),
		job_test(a_waiter_is_interrupted),
		job_test(jobs_are_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
