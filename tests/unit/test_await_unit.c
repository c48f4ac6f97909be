/* Tests of the agent's waits for units: which states, jobs and main processes of a unit end a wait,
 * and when the agent looks again.
 */
#include "await_unit_fixture.h"

#include "agent/processes.h"

#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

static void an_active_unit_is_told_at_once(void **state)
{
	struct fixture *fixture = begin_here(state);
	_cleanup_server_ struct server server = start_server(fixture);

	server.state = "active";
	ask(fixture, &unit_a);
	greet(&server, "OK 0123456789abcdef\r\n");
	serve_look(&server);
	assert_state(fixture, NTD_MEETS, "ActiveState=active\n");
	assert_int_equal(server.subscriptions, 1);
	/* the connection is kept */
	server.state = "failed";
	ask(fixture, &unit_a);
	serve_look(&server);
	assert_state(fixture, NTD_MEETS, "ActiveState=failed\n");
	assert_int_equal(server.subscriptions, 1);
}

static void a_signal_makes_it_look_again(void **state)
{
	struct fixture *fixture = begin_here(state);
	_cleanup_server_ struct server server = start_server(fixture);

	server.state = "activating";
	server.name = "b.service"; /* of which a.service is another name */
	ask(fixture, &unit_a);
	greet(&server, "OK 1\r\n");
	serve_look(&server);
	settle(fixture);
	assert_true(is_silent(fixture));
	server.state = "active";
	send_signal(&server, "/org/freedesktop/systemd1/unit/other_2eservice");
	send_signal(&server, "/org/freedesktop/systemd1/unit/b_2eservice");
	serve_look(&server);
	assert_state(fixture, NTD_MEETS_NOW, "ActiveState=active\n");
}

static void it_looks_again_without_a_signal(void **state)
{
	struct fixture *fixture = begin_here(state);
	_cleanup_server_ struct server server = start_server(fixture);

	server.state = "inactive";
	server.jobs = 2;
	ask(fixture, &unit_a);
	greet(&server, "OK 1\r\n");
	serve_look(&server);
	server.jobs = 0;
	serve_look(&server);
	assert_state(fixture, NTD_MEETS_NOW, "ActiveState=inactive\n");
}

/* The second look shows that the first did not end the wait. */
static void other_states_are_waited_out(void **state)
{
	static const char *const states[] = {"activating", "deactivating", "reloading", "inactive",
					     "something new"};
	struct fixture *fixture = begin_here(state);
	_cleanup_server_ struct server server = start_server(fixture);

	server.jobs = 1;
	for (size_t i = 0; i < unit_count(states); i++) {
		uint32_t stream = ask(fixture, &unit_a);

		server.state = states[i];
		if (!i)
			greet(&server, "OK 1\r\n");
		serve_look(&server);
		serve_look(&server);
		tell(&fixture->agent, NTD_FRAME_CANCEL, stream, NULL);
		hear_kind(&fixture->agent, NTD_FRAME_FAILED, stream);
	}
}

static void the_limit_ends_a_wait(void **state)
{
	struct fixture *fixture = begin_here(state);
	_cleanup_server_ struct server server = start_server(fixture);
	struct ntd_condition condition = unit_a;

	server.state = "activating";
	condition.limit = 3; /* so long, since the first answer must come before */
	ask(fixture, &condition);
	greet(&server, "OK 1\r\n");
	serve_look(&server);
	assert_state(fixture, NTD_FAILS, "ActiveState=activating\n");
}

/* A unit that has a job may be about to be stopped. */
static void an_active_unit_with_a_job_is_given_a_moment(void **state)
{
	struct fixture *fixture = begin_here(state);
	_cleanup_server_ struct server server = start_server(fixture);

	server.state = "active";
	server.job = 17;
	ask(fixture, &unit_a);
	greet(&server, "OK 1\r\n");
	serve_look(&server);
	server.state = "failed";
	send_signal(&server, "/org/freedesktop/systemd1/unit/a_2eservice");
	serve_look(&server);
	assert_state(fixture, NTD_MEETS_NOW, "ActiveState=failed\n");
	server.state = "active"; /* and stays so, with its job */
	ask(fixture, &unit_a);
	serve_look(&server);
	serve_look(&server);
	assert_state(fixture, NTD_MEETS_NOW, "ActiveState=active\n");
}

/* Each question costs an emulated systemd milliseconds. */
static void later_looks_ask_what_may_have_changed(void **state)
{
	struct fixture *fixture = begin_here(state);
	_cleanup_server_ struct server server = start_server(fixture);

	server.state = "activating";
	server.type = "oneshot";
	ask(fixture, &unit_a);
	greet(&server, "OK 1\r\n");
	assert_int_equal(serve_look(&server), 7);
	server.state = "active";
	send_signal(&server, "/org/freedesktop/systemd1/unit/a_2eservice");
	assert_int_equal(serve_look(&server), 3);
	assert_state(fixture, NTD_MEETS_NOW, "ActiveState=active\n");
	server.state = "activating";
	server.type = "exec";
	ask(fixture, &unit_a);
	assert_int_equal(serve_look(&server), 7);
	server.state = "failed";
	assert_int_equal(serve_look(&server), 5);
	assert_state(fixture, NTD_MEETS_NOW, "ActiveState=failed\n");
}

/* A service whose state is answered by what its main process does. */
static void serve_service(struct server *server, const char *type, pid_t main_pid, int64_t age)
{
	server->state = "active";
	server->type = type;
	server->main_pid = (uint32_t)main_pid;
	server->since = (uint64_t)(ntd_agent_now() - age) * 1000;
	serve_look(server);
}

/* The program of a service may fail when systemd already calls the service active. */
static void a_process_that_has_just_begun_is_given_a_moment(void **state)
{
	struct fixture *fixture = begin_here(state);
	_cleanup_server_ struct server server = start_server(fixture);
	const int64_t just_now = -60000; /* from the future, lest the moment passes meanwhile */

	ask(fixture, &unit_a);
	greet(&server, "OK 1\r\n");
	serve_service(&server, "simple", 1, just_now);
	serve_service(&server, "exec", 1, just_now);
	serve_service(&server, "idle", 1, just_now);
	server.state = "failed";
	serve_look(&server);
	assert_state(fixture, NTD_MEETS_NOW, "ActiveState=failed\n");
}

/* A main process that has not come to a rest may still be about to fail. */
static void a_process_that_is_busy_is_given_a_second(void **state)
{
	struct fixture *fixture = begin_here(state);
	_cleanup_server_ struct server server = start_server(fixture);

	ask(fixture, &unit_a);
	greet(&server, "OK 1\r\n");
	serve_service(&server, "simple", INT32_MAX, 300); /* a process that is gone */
	serve_service(&server, "simple", 0, 300);         /* one that systemd has waited for */
	serve_service(&server, "simple", INT32_MAX, 1000);
	assert_state(fixture, NTD_MEETS_NOW, "ActiveState=active\n");
}

static void a_process_that_waits_counts(void **state)
{
	struct fixture *fixture = begin_here(state);
	_cleanup_server_ struct server server = start_server(fixture);
	pid_t sleeper = fork();

	if (!sleeper)
		for (;;)
			pause();
	while (!ntd_agent_process_waits(sleeper))
		sched_yield();
	ask(fixture, &unit_a);
	greet(&server, "OK 1\r\n");
	serve_service(&server, "simple", sleeper, 300);
	assert_state(fixture, NTD_MEETS, "ActiveState=active\n");
	kill(sleeper, SIGKILL);
	assert_int_equal(waitpid(sleeper, NULL, 0), sleeper);
}

static void a_service_that_says_when_it_is_ready_counts_at_once(void **state)
{
	static const char *const types[] = {"notify",  "notify-reload", "dbus",
					    "forking", "oneshot",       "a type to come"};
	struct fixture *fixture = begin_here(state);
	_cleanup_server_ struct server server = start_server(fixture);

	for (size_t i = 0; i < unit_count(types); i++) {
		ask(fixture, &unit_a);
		if (!i)
			greet(&server, "OK 1\r\n");
		serve_service(&server, types[i], getpid(), -60000);
		assert_state(fixture, NTD_MEETS, "ActiveState=active\n");
	}
}

static void the_manager_of_a_user_is_asked(void **state)
{
	struct fixture *fixture = begin_here(state);
	_cleanup_server_ struct server server = start_server(fixture);
	_cleanup_free_ char *user = path_of(fixture, "user"), *zero = path_of(fixture, "user/0"),
			    *from = path_of(fixture, "systemd"),
			    *to = path_of(fixture, "user/0/systemd");
	struct ntd_condition condition = unit_a;

	assert_true(mkdir(user, 0700) == 0 && mkdir(zero, 0700) == 0 && rename(from, to) == 0);
	server.state = "active";
	condition.user = "root";
	ask(fixture, &condition);
	greet(&server, "OK 1\r\n");
	serve_look(&server);
	assert_state(fixture, NTD_MEETS, "ActiveState=active\n");
}

static void paths_of_units_are_escaped(void **state)
{
	static const char *const names[][2] = {
		{"a.service", "a_2eservice"},
		{"1a@b-c:d_e.mount", "_31a_40b_2dc_3ad_5fe_2emount"},
		{"", ""},
	};

	for (size_t i = 0; i < unit_count(names); i++) {
		_cleanup_free_ char *path = ntd_dbus_unit_path(names[i][0]);

		assert_string_equal(path + strlen("/org/freedesktop/systemd1/unit/"), names[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		await_test(an_active_unit_is_told_at_once),
		await_test(a_signal_makes_it_look_again),
		await_test(it_looks_again_without_a_signal),
		await_test(later_looks_ask_what_may_have_changed),
		await_test(other_states_are_waited_out),
		await_test(the_limit_ends_a_wait),
		await_test(an_active_unit_with_a_job_is_given_a_moment),
		await_test(a_process_that_has_just_begun_is_given_a_moment),
		await_test(a_process_that_is_busy_is_given_a_second),
		await_test(a_process_that_waits_counts),
		await_test(a_service_that_says_when_it_is_ready_counts_at_once),
		await_test(the_manager_of_a_user_is_asked),
		cmocka_unit_test(paths_of_units_are_escaped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
