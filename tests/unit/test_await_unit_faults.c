/* Tests of the agent's waits for units when systemd is missing, refuses, is silent, hangs up or
 * talks nonsense: the agent says that it has not seen the unit, or connects again and goes on.
 */
#include "await_unit_fixture.h"

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
	assert_state(fixture, NTD_MEETS_NOW, "ActiveState=active\n");
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
	assert_state(fixture, NTD_MEETS_NOW, "ActiveState=active\n");
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
	assert_state(fixture, NTD_MEETS_NOW, "ActiveState=active\n");
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		await_test(no_systemd_is_not_seen),
		await_test(names_that_are_none_are_not_seen),
		await_test(an_error_of_systemd_is_not_seen),
		await_test(a_refusal_is_not_seen),
		await_test(a_systemd_that_says_nothing_is_not_seen),
		await_test(a_connection_that_is_lost_is_made_again),
		await_test(nonsense_ends_the_connection),
		await_test(a_line_without_an_end_ends_the_connection),
		await_test(values_that_are_none_are_not_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
