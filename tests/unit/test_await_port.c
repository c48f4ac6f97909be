/* Tests of the agent's waits for ports and Unix sockets. Limits are a minute where an answer comes
 * sooner unless something is broken.
 */
#include "await_fixture.h"

#include <arpa/inet.h>
#include <sys/un.h>

static struct ntd_condition port_of(unsigned port, const char *address)
{
	return (struct ntd_condition){.kind = NTD_CONDITION_PORT,
				      .subject = address,
				      .port = port,
				      .first = true,
				      .limit = 60};
}

static struct ntd_condition closed_port(unsigned port, const char *address)
{
	struct ntd_condition condition = port_of(port, address);

	condition.absent = true;
	return condition;
}

/* A socket that is bound to a free port of ::1 or 127.0.0.1, on which nobody listens; -1: the host
 * has no such address. */
static int bind_port(bool six, unsigned *port)
{
	struct sockaddr_in6 address6 = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
	struct sockaddr_in address4 = {.sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr *address = six ? (void *)&address6 : (void *)&address4;
	socklen_t len = six ? sizeof address6 : sizeof address4;
	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (bind(fd, address, len) < 0) {
		ntd_close_fd(&fd);
		return fd;
	}
	assert_int_equal(getsockname(fd, address, &len), 0);
	*port = ntohs(six ? address6.sin6_port : address4.sin_port);
	return fd;
}

static void a_port_is_waited_for_until_it_is_open(void **state)
{
	struct fixture *fixture = begin(state);
	unsigned port;
	_cleanup_fd_ int fd = bind_port(false, &port);
	struct ntd_condition condition = port_of(port, "127.0.0.1");

	ask(fixture, &condition);
	settle(fixture);
	assert_true(is_silent(fixture));
	assert_int_equal(listen(fd, 100), 0);
	assert_answer(fixture, NTD_MEETS_NOW);
	assert_sees(fixture, port_of(port, "localhost"), NTD_MEETS);
}

static void a_port_is_waited_for_until_it_is_closed(void **state)
{
	struct fixture *fixture = begin(state);
	unsigned port;
	_cleanup_fd_ int fd = bind_port(false, &port);
	struct ntd_condition condition = closed_port(port, "localhost");

	assert_sees(fixture, condition, NTD_MEETS);
	assert_int_equal(listen(fd, 100), 0);
	condition.limit = 0.3;
	assert_sees(fixture, condition, NTD_FAILS);
	condition.limit = 60;
	ask(fixture, &condition);
	settle(fixture);
	settle(fixture); /* now the first attempt has ended */
	assert_true(is_silent(fixture));
	ntd_close_fd(&fd);
	assert_answer(fixture, NTD_MEETS_NOW);
}

static void localhost_is_both_addresses(void **state)
{
	struct fixture *fixture = begin(state);
	unsigned port;
	_cleanup_fd_ int fd = bind_port(true, &port);
	struct ntd_condition closed;

	if (fd < 0)
		skip();
	assert_int_equal(listen(fd, 100), 0);
	assert_sees(fixture, port_of(port, "localhost"), NTD_MEETS);
	assert_sees(fixture, port_of(port, "::1"), NTD_MEETS);
	assert_sees(fixture, closed_port(port, "127.0.0.1"), NTD_MEETS);
	closed = closed_port(port, "localhost");
	closed.limit = 0.3;
	assert_sees(fixture, closed, NTD_FAILS);
}

static void other_names_and_numbers_are_not_seen(void **state)
{
	static const char *const names[] = {"example.org", "127.1",      "",
					    "::1%lo",      "localhost.", NULL};
	struct fixture *fixture = begin(state);

	for (size_t i = 0; i < unit_count(names); i++)
		assert_sees(fixture, port_of(1, names[i]), NTD_UNSEEN);
	assert_sees(fixture, port_of(0, "localhost"), NTD_UNSEEN);
	assert_sees(fixture, port_of(65536, "localhost"), NTD_UNSEEN);
}

/* A queue of connections that is full answers nothing. */
static void an_attempt_without_an_answer_is_not_judged(void **state)
{
	struct fixture *fixture = begin(state);
	unsigned port;
	_cleanup_fd_ int fd = bind_port(false, &port), fill = -1, fill_more = -1;
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				      .sin_port = htons((uint16_t)port)};
	struct ntd_condition condition = port_of(port, "127.0.0.1");

	assert_int_equal(listen(fd, 0), 0);
	fill = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	fill_more = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fill, (struct sockaddr *)&address, sizeof address), 0);
	connect(fill_more, (struct sockaddr *)&address, sizeof address);
	condition.limit = 1.5;
	assert_sees(fixture, condition, NTD_UNSEEN);
	condition.absent = true;
	assert_sees(fixture, condition, NTD_UNSEEN);
}

/* An agent without descriptors cannot look, which says nothing of the port. */
static void a_port_is_not_closed_because_nothing_can_be_opened(void **state)
{
	struct fixture *fixture = begin(state);
	struct ntd_condition condition = closed_port(1, "127.0.0.1");

	allow_descriptors(fixture, false);
	condition.limit = 0.2;
	assert_sees(fixture, condition, NTD_FAILS);
	allow_descriptors(fixture, true);
}

/* ---- Unix sockets */

static int bind_path(const char *path, int type)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	assert_true(strlen(path) < sizeof address.sun_path);
	memcpy(address.sun_path, path, strlen(path));
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	return fd;
}

static void a_socket_is_waited_for_until_it_listens(void **state)
{
	struct fixture *fixture = begin(state);
	_cleanup_free_ char *path = path_of(fixture, "socket");
	struct ntd_condition condition = {
		.kind = NTD_CONDITION_SOCKET, .subject = path, .first = true, .limit = 60};
	_cleanup_fd_ int fd = -1;

	ask(fixture, &condition);
	settle(fixture);
	fd = bind_path(path, SOCK_STREAM);
	settle(fixture);
	assert_true(is_silent(fixture));
	assert_int_equal(listen(fd, 1), 0);
	assert_answer(fixture, NTD_MEETS_NOW);
	condition.kind = NTD_CONDITION_DATAGRAM;
	condition.limit = 0.05;
	assert_sees(fixture, condition, NTD_FAILS);
}

static void a_datagram_socket_is_waited_for_until_it_is_bound(void **state)
{
	struct fixture *fixture = begin(state);
	_cleanup_free_ char *path = path_of(fixture, "socket");
	struct ntd_condition condition = {
		.kind = NTD_CONDITION_DATAGRAM, .subject = path, .first = true, .limit = 60};
	_cleanup_fd_ int fd = -1;

	ask(fixture, &condition);
	settle(fixture);
	assert_true(is_silent(fixture));
	fd = bind_path(path, SOCK_DGRAM);
	assert_answer(fixture, NTD_MEETS_NOW);
}

static void paths_that_are_no_sockets_are_not_seen(void **state)
{
	struct fixture *fixture = begin(state);
	char longest[200];
	struct ntd_condition condition = {.kind = NTD_CONDITION_SOCKET, .limit = 60};

	assert_sees(fixture, condition, NTD_UNSEEN);
	condition.subject = "relative";
	assert_sees(fixture, condition, NTD_UNSEEN);
	memset(longest, '/', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	condition.subject = longest;
	assert_sees(fixture, condition, NTD_UNSEEN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		await_test(a_port_is_waited_for_until_it_is_open),
		await_test(a_port_is_waited_for_until_it_is_closed),
		await_test(localhost_is_both_addresses),
		await_test(other_names_and_numbers_are_not_seen),
		await_test(an_attempt_without_an_answer_is_not_judged),
		await_test(a_port_is_not_closed_because_nothing_can_be_opened),
		await_test(a_socket_is_waited_for_until_it_listens),
		await_test(a_datagram_socket_is_waited_for_until_it_is_bound),
		await_test(paths_that_are_no_sockets_are_not_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
