/* Tests of the agent's waits for units: the test plays systemd on its private socket. Limits are a
 * minute where an answer comes sooner unless something is broken.
 */
#include "await_fixture.h"

#include "agent/processes.h"
#include "agent/systemd.h"

#include <sched.h>
#include <signal.h>
#include <sys/un.h>
#include <sys/wait.h>

/* ---- systemd, as the test plays it */

struct server {
	int listener, fd;
	struct ntd_buf in;
	unsigned subscriptions;
	/* What is answered. A state of NULL is answered by an error. */
	const char *state, *name;
	const char *type; /* NULL: the unit is no service */
	uint64_t since;
	uint32_t job, jobs, main_pid;
};

static void append_u32(struct ntd_buf *out, uint32_t value)
{
	while (out->len % 4)
		ntd_buf_append(out, "", 1);
	ntd_buf_append(out, &value, sizeof value);
}

static void append_string(struct ntd_buf *out, const char *text)
{
	append_u32(out, (uint32_t)strlen(text));
	ntd_buf_append(out, text, strlen(text) + 1);
}

static void pad(struct ntd_buf *out)
{
	while (out->len % 8)
		ntd_buf_append(out, "", 1);
}

static void put(int fd, const struct ntd_buf *bytes)
{
	assert_int_equal(write(fd, ntd_buf_bytes(bytes), bytes->len), bytes->len);
}

/* Sends a message with some header fields, and a body. */
static void send_message(struct server *server, enum ntd_dbus_type type,
			 const struct ntd_buf *fields, const struct ntd_buf *body)
{
	const char start[] = {'l', (char)type, 1, 1};
	_cleanup_buf_ struct ntd_buf out = {0};

	ntd_buf_append(&out, start, sizeof start);
	append_u32(&out, (uint32_t)body->len);
	append_u32(&out, 1);
	append_u32(&out, (uint32_t)fields->len);
	ntd_buf_append(&out, ntd_buf_bytes(fields), fields->len);
	pad(&out);
	ntd_buf_append(&out, ntd_buf_bytes(body), body->len);
	put(server->fd, &out);
}

static void send_reply(struct server *server, uint32_t serial, const struct ntd_buf *body)
{
	static const char reply[] = {5, 1, 'u', 0}, signature[] = {8, 1, 'g', 0, 1, 'v', 0};
	_cleanup_buf_ struct ntd_buf fields = {0};

	ntd_buf_append(&fields, reply, sizeof reply);
	append_u32(&fields, serial);
	pad(&fields);
	if (body->len)
		ntd_buf_append(&fields, signature, sizeof signature);
	send_message(server, body->len ? NTD_DBUS_RETURN : NTD_DBUS_ERROR, &fields, body);
}

/* Answers Get of one property. */
static void send_property(struct server *server, uint32_t serial, struct ntd_dbus_text name)
{
	_cleanup_buf_ struct ntd_buf body = {0};

	if (ntd_dbus_is(name, "NJobs")) {
		ntd_buf_append(&body, "\1u", 3);
		append_u32(&body, server->jobs);
	} else if (ntd_dbus_is(name, "Job")) {
		ntd_buf_append(&body, "\4(uo)", 6);
		pad(&body);
		append_u32(&body, server->job);
		append_string(&body, "/");
	} else if (ntd_dbus_is(name, "ActiveEnterTimestampMonotonic")) {
		ntd_buf_append(&body, "\1t", 3);
		pad(&body);
		ntd_buf_append(&body, &server->since, sizeof server->since);
	} else if (ntd_dbus_is(name, "MainPID") && server->type) {
		ntd_buf_append(&body, "\1u", 3);
		append_u32(&body, server->main_pid);
	} else if (ntd_dbus_is(name, "Type") && server->type) {
		ntd_buf_append(&body, "\1s", 3);
		append_string(&body, server->type);
	} else if (ntd_dbus_is(name, "MainPID") || ntd_dbus_is(name, "Type")) {
		; /* answered by an error */
	} else if (server->state) {
		ntd_buf_append(&body, "\1s", 3);
		append_string(&body, ntd_dbus_is(name, "Id") ? server->name : server->state);
	}
	send_reply(server, serial, &body);
}

static void send_signal(struct server *server, const char *path)
{
	static const char field[] = {1, 1, 'o', 0};
	_cleanup_buf_ struct ntd_buf fields = {0}, body = {0};

	ntd_buf_append(&fields, field, sizeof field);
	append_string(&fields, path);
	send_message(server, NTD_DBUS_SIGNAL, &fields, &body);
}

static void fill(struct server *server)
{
	ssize_t got = read(server->fd, ntd_buf_reserve(&server->in, 4096), 4096);

	assert_true(got > 0);
	ntd_buf_added(&server->in, (size_t)got);
}

/* The next call that is not Subscribe. */
static struct ntd_dbus_message next_call(struct server *server, size_t *taken)
{
	struct ntd_dbus_message message;
	enum ntd_dbus_verdict verdict;

	for (;;) {
		while ((verdict = ntd_dbus_take(ntd_buf_bytes(&server->in), server->in.len,
						&message, taken)) == NTD_DBUS_PARTIAL)
			fill(server);
		assert_int_equal(verdict, NTD_DBUS_WHOLE);
		assert_int_equal(message.type, NTD_DBUS_CALL);
		if (!ntd_dbus_is(message.member, "Subscribe"))
			return message;
		server->subscriptions++;
		ntd_buf_consume(&server->in, *taken);
	}
}

/* Answers the questions of one look, and returns their number. One that asks since when the unit is
 * active asks for its main process last, another one for the number of jobs. */
static int serve_look(struct server *server)
{
	const char *last = "NJobs";
	bool over = false;
	int count = 0;

	for (; !over; count++) {
		struct ntd_dbus_text interface, name;
		size_t taken;
		struct ntd_dbus_message call = next_call(server, &taken);

		assert_true(ntd_dbus_is(call.member, "Get"));
		assert_true(ntd_dbus_is(call.signature, "ss"));
		assert_true(ntd_dbus_string(&call, &interface) && ntd_dbus_string(&call, &name));
		send_property(server, call.serial, name);
		if (ntd_dbus_is(name, "ActiveEnterTimestampMonotonic"))
			last = "MainPID";
		over = ntd_dbus_is(name, last);
		ntd_buf_consume(&server->in, taken);
	}
	return count;
}

static void greet(struct server *server, const char *greeting)
{
	static const char end[] = "BEGIN\r\n";
	const char *found;

	server->fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(server->fd >= 0);
	while (!(found = ntd_find(ntd_buf_bytes(&server->in), server->in.len, end)))
		fill(server);
	assert_int_equal(ntd_buf_bytes(&server->in)[0], 0);
	assert_memory_equal(ntd_buf_bytes(&server->in) + 1, "AUTH EXTERNAL ", 14);
	ntd_buf_consume(&server->in, (size_t)(found - ntd_buf_bytes(&server->in)) + sizeof end - 1);
	assert_int_equal(write(server->fd, greeting, strlen(greeting)), strlen(greeting));
}

static struct server start_server(struct fixture *fixture)
{
	struct server server = {.fd = -1, .name = "a.service"};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup_free_ char *directory = path_of(fixture, "systemd");

	assert_int_equal(mkdir(directory, 0700), 0);
	snprintf(address.sun_path, sizeof address.sun_path, "%s/private", directory);
	server.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(server.listener, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(server.listener, 10), 0);
	return server;
}

static void stop_server(struct server *server)
{
	ntd_close_fd(&server->fd);
	ntd_close_fd(&server->listener);
	ntd_buf_free(&server->in);
}

#define _cleanup_server_ _cleanup_(stop_server)

static struct fixture *begin_here(void **state)
{
	struct fixture *fixture = *state;

	ntd_systemd_run = fixture->directory;
	return begin(state);
}

static const struct ntd_condition unit_a = {
	.kind = NTD_CONDITION_UNIT, .subject = "a.service", .limit = 60};

static void assert_state(struct fixture *fixture, enum ntd_sight sight, const char *expected)
{
	_cleanup_free_ char *seen = answer(fixture, sight);

	assert_string_equal(seen, expected);
}

/* ---- tests */

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
	assert_state(fixture, NTD_MEETS, "ActiveState=active\n");
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
	assert_state(fixture, NTD_MEETS, "ActiveState=inactive\n");
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
	assert_state(fixture, NTD_MEETS, "ActiveState=failed\n");
	server.state = "active"; /* and stays so, with its job */
	ask(fixture, &unit_a);
	serve_look(&server);
	serve_look(&server);
	assert_state(fixture, NTD_MEETS, "ActiveState=active\n");
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
	assert_state(fixture, NTD_MEETS, "ActiveState=active\n");
	server.state = "activating";
	server.type = "exec";
	ask(fixture, &unit_a);
	assert_int_equal(serve_look(&server), 7);
	server.state = "failed";
	assert_int_equal(serve_look(&server), 5);
	assert_state(fixture, NTD_MEETS, "ActiveState=failed\n");
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
	assert_state(fixture, NTD_MEETS, "ActiveState=failed\n");
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
	assert_state(fixture, NTD_MEETS, "ActiveState=active\n");
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

static void no_systemd_is_not_seen(void **state)
{
	struct fixture *fixture = begin_here(state);
	struct ntd_condition condition = unit_a;

	assert_sees(fixture, condition, NTD_UNSEEN);
	condition.user = "no-such-user";
	assert_sees(fixture, condition, NTD_UNSEEN);
	condition.user = "root";
	assert_sees(fixture, condition, NTD_UNSEEN);
}

static void names_that_are_none_are_not_seen(void **state)
{
	struct fixture *fixture = begin_here(state);
	_cleanup_server_ struct server server = start_server(fixture);
	struct ntd_condition condition = unit_a;
	char name[60000];

	memset(name, 'a', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	condition.subject = name;
	assert_sees(fixture, condition, NTD_UNSEEN);
	condition.subject = "";
	assert_sees(fixture, condition, NTD_UNSEEN);
	condition.subject = NULL;
	assert_sees(fixture, condition, NTD_UNSEEN);
}

static void an_error_of_systemd_is_not_seen(void **state)
{
	struct fixture *fixture = begin_here(state);
	_cleanup_server_ struct server server = start_server(fixture);

	ask(fixture, &unit_a);
	greet(&server, "OK 1\r\n");
	serve_look(&server);
	assert_answer(fixture, NTD_UNSEEN);
}

static void a_refusal_is_not_seen(void **state)
{
	struct fixture *fixture = begin_here(state);
	_cleanup_server_ struct server server = start_server(fixture);
	struct ntd_condition condition = unit_a;

	condition.limit = 0.5;
	ask(fixture, &condition);
	greet(&server, "REJECTED EXTERNAL\r\n");
	assert_answer(fixture, NTD_UNSEEN);
}

static void a_systemd_that_says_nothing_is_not_seen(void **state)
{
	struct fixture *fixture = begin_here(state);
	_cleanup_server_ struct server server = start_server(fixture);
	struct ntd_condition condition = unit_a;

	condition.limit = 0.1;
	ask(fixture, &condition);
	greet(&server, "OK 1\r\n");
	assert_answer(fixture, NTD_UNSEEN);
}

/* As when systemd executes itself again. */
static void a_connection_that_is_lost_is_made_again(void **state)
{
	struct fixture *fixture = begin_here(state);
	_cleanup_server_ struct server server = start_server(fixture);

	server.state = "activating";
	ask(fixture, &unit_a);
	greet(&server, "OK 1\r\n");
	serve_look(&server);
	ntd_close_fd(&server.fd);
	ntd_buf_clear(&server.in);
	server.state = "active";
	greet(&server, "OK 1\r\n");
	serve_look(&server);
	assert_state(fixture, NTD_MEETS, "ActiveState=active\n");
	assert_int_equal(server.subscriptions, 2);
}

/* None of these stops the agent, and the wait goes on over another connection. */
static void nonsense_ends_the_connection(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} nonsense[] = {
		{"B\2\1\1\0\0\0\0\0\0\0\1\0\0\0\0", 16},         /* big endian */
		{"l\2\1\1\xff\xff\xff\xff\1\0\0\0\0\0\0\0", 16}, /* a body of 4 GB */
		{"l\2\1\1\0\0\0\0\1\0\0\0\xff\xff\xff\xff", 16}, /* fields of 4 GB */
		{"l\2\1\1\0\0\0\0\1\0\0\0\3\0\0\0\5\1u\0\0\0\0\0",
		 24}, /* a field that is cut off */
		{"l\2\1\1\0\0\0\0\1\0\0\0\5\0\0\0\5\1(\0\0\0\0\0", 24}, /* of no known type */
	};
	struct fixture *fixture = begin_here(state);
	_cleanup_server_ struct server server = start_server(fixture);

	server.state = "active";
	ask(fixture, &unit_a);
	for (size_t i = 0; i < unit_count(nonsense); i++) {
		greet(&server, "OK 1\r\n");
		assert_int_equal(write(server.fd, nonsense[i].bytes, nonsense[i].len),
				 nonsense[i].len);
		assert_true(is_silent(fixture));
		while (read(server.fd, ntd_buf_reserve(&server.in, 4096), 4096) > 0)
			;
		ntd_close_fd(&server.fd);
		ntd_buf_clear(&server.in);
	}
	greet(&server, "OK 1\r\n");
	serve_look(&server);
	assert_state(fixture, NTD_MEETS, "ActiveState=active\n");
}

static void a_line_without_an_end_ends_the_connection(void **state)
{
	struct fixture *fixture = begin_here(state);
	_cleanup_server_ struct server server = start_server(fixture);
	char line[2000];

	server.state = "active";
	memset(line, 'O', sizeof line - 1);
	line[sizeof line - 1] = '\0';
	ask(fixture, &unit_a);
	greet(&server, line);
	while (read(server.fd, ntd_buf_reserve(&server.in, 4096), 4096) > 0)
		;
	ntd_buf_clear(&server.in);
	ntd_close_fd(&server.fd);
	greet(&server, "OK 1\r\n");
	serve_look(&server);
	assert_state(fixture, NTD_MEETS, "ActiveState=active\n");
}

static void values_that_are_none_are_not_seen(void **state)
{
	_cleanup_free_ char *longest = ntd_malloc(5001);
	const char *const states[] = {"act\nive", longest};
	struct fixture *fixture = begin_here(state);
	_cleanup_server_ struct server server = start_server(fixture);

	memset(longest, 'a', 5000);
	longest[5000] = '\0';
	for (size_t i = 0; i < unit_count(states); i++) {
		server.state = states[i];
		ask(fixture, &unit_a);
		if (!i)
			greet(&server, "OK 1\r\n");
		serve_look(&server);
		assert_answer(fixture, NTD_UNSEEN);
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
		await_test(no_systemd_is_not_seen),
		await_test(names_that_are_none_are_not_seen),
		await_test(an_error_of_systemd_is_not_seen),
		await_test(a_refusal_is_not_seen),
		await_test(a_systemd_that_says_nothing_is_not_seen),
		await_test(a_connection_that_is_lost_is_made_again),
		await_test(nonsense_ends_the_connection),
		await_test(a_line_without_an_end_ends_the_connection),
		await_test(values_that_are_none_are_not_seen),
		await_test(the_manager_of_a_user_is_asked),
		cmocka_unit_test(paths_of_units_are_escaped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
