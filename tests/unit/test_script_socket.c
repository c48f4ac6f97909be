/* Tests of the sockets through which scripts speak to a shell or a monitor themselves. The test's
 * thread plays the script.
 */
#include "unit.h"

#include "channel/script_socket.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

struct fixture {
	struct ntd_loop *loop;
	struct ntd_script_socket socket;
	struct ntd_buf written; /* bytes that the script has sent */
	struct ntd_buf taken;   /* bytes taken back from the socket */
	const char *bytes;      /* bytes that the loop thread adds */
	size_t len;
};

static void note(struct ntd_script_socket *socket, const char *bytes, size_t len)
{
	ntd_buf_append(&ntd_container_of(socket, struct fixture, socket)->written, bytes, len);
}

static void open_it(void *arg)
{
	ntd_script_socket_open(&((struct fixture *)arg)->socket);
}

static void close_it(void *arg)
{
	ntd_script_socket_close(&((struct fixture *)arg)->socket);
}

static void add_bytes(void *arg)
{
	struct fixture *fixture = arg;

	ntd_script_socket_add(&fixture->socket, fixture->bytes, fixture->len);
}

static void pull(void *arg)
{
	ntd_script_socket_pull(&((struct fixture *)arg)->socket);
}

static void take_back(void *arg)
{
	struct fixture *fixture = arg;

	ntd_script_socket_take(&fixture->socket, &fixture->taken);
}

static void arrive(struct fixture *fixture, const char *bytes, size_t len)
{
	fixture->bytes = bytes;
	fixture->len = len;
	ntd_loop_call(fixture->loop, add_bytes, fixture);
}

static int set_up(void **state)
{
	static struct fixture fixture;

	fixture = (struct fixture){.loop = ntd_loop_new(NULL)};
	ntd_script_socket_init(&fixture.socket, fixture.loop, note);
	ntd_loop_call(fixture.loop, open_it, &fixture);
	*state = &fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	ntd_loop_call(fixture->loop, close_it, fixture);
	ntd_script_socket_free(&fixture->socket);
	ntd_loop_free(fixture->loop);
	ntd_buf_free(&fixture->written);
	ntd_buf_free(&fixture->taken);
	return 0;
}

static int end_of(struct fixture *fixture)
{
	struct ntd_error *err = NULL;
	int fd = ntd_script_socket_fd(&fixture->socket, &err);

	assert_no_error(err);
	assert_true(fd >= 0);
	return fd;
}

/* Waits for the bytes. */
static void assert_received(int fd, const char *expected)
{
	_cleanup_free_ char *got = ntd_calloc(1, strlen(expected) + 1);

	assert_int_equal(recv(fd, got, strlen(expected), MSG_WAITALL), strlen(expected));
	assert_string_equal(got, expected);
}

static void what_came_before_is_received_once(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_fd_ int fd = -1;

	arrive(fixture, "abc", 3);
	fd = end_of(fixture);
	arrive(fixture, "defg", 4);
	assert_received(fd, "ab");
	assert_received(fd, "cdefg");
	assert_int_equal(recv(fd, &(char){0}, 1, MSG_DONTWAIT), -1);
}

static void what_is_written_goes_before_what_follows(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_fd_ int fd = end_of(fixture);

	assert_int_equal(send(fd, "first", 5, 0), 5);
	ntd_loop_call(fixture->loop, pull, fixture);
	assert_int_equal(fixture->written.len, 5);
	assert_memory_equal(ntd_buf_bytes(&fixture->written), "first", 5);
}

static void the_rest_comes_before_the_end(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_fd_ int fd = end_of(fixture), late = -1;

	arrive(fixture, "rest", 4);
	ntd_loop_call(fixture->loop, close_it, fixture);
	assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), -1);
	assert_received(fd, "rest");
	assert_int_equal(recv(fd, &(char){0}, 1, 0), 0);
	late = end_of(fixture);
	assert_int_equal(recv(late, &(char){0}, 1, 0), 0);
}

static void an_end_can_be_asked_for_when_all_is_over(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_fd_ int fd = -1;

	arrive(fixture, "rest", 4);
	ntd_loop_call(fixture->loop, close_it, fixture);
	fd = end_of(fixture);
	assert_received(fd, "rest");
	assert_int_equal(recv(fd, &(char){0}, 1, 0), 0);
}

static void a_new_connection_has_an_end_of_its_own(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_fd_ int old = end_of(fixture), new = -1;

	arrive(fixture, "old", 3);
	ntd_loop_call(fixture->loop, open_it, fixture);
	new = end_of(fixture);
	arrive(fixture, "new", 3);
	assert_received(new, "new");
	assert_received(old, "old");
	assert_int_equal(recv(old, &(char){0}, 1, 0), 0);
}

static void what_nobody_has_read_is_taken_back(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_fd_ int fd = -1;

	arrive(fixture, "early ", 6);
	fd = end_of(fixture);
	arrive(fixture, "and late", 8);
	assert_received(fd, "ea");
	ntd_loop_call(fixture->loop, take_back, fixture);
	assert_int_equal(fixture->taken.len, 12);
	assert_memory_equal(ntd_buf_bytes(&fixture->taken), "rly and late", 12);
	assert_int_equal(recv(fd, &(char){0}, 1, MSG_DONTWAIT), -1);
}

/* A guest writes without end and the script does not read, with and without a script that has asked
 * for the end. */
static void the_oldest_bytes_are_dropped(void **state)
{
	enum { BLOCK = 1 << 20, BLOCKS = 20, LIMIT = 16 << 20 };
	struct fixture *fixture = *state;
	_cleanup_free_ char *block = ntd_calloc(1, BLOCK);
	_cleanup_fd_ int fd = -1;

	for (int i = 0; i < 2 * BLOCKS; i++) {
		if (i == BLOCKS)
			fd = end_of(fixture);
		memset(block, 'a' + i % BLOCKS, BLOCK);
		arrive(fixture, block, BLOCK);
	}
	ntd_loop_call(fixture->loop, take_back, fixture);
	assert_in_range(fixture->taken.len, LIMIT / 2, LIMIT + BLOCK);
	assert_int_equal(ntd_buf_bytes(&fixture->taken)[fixture->taken.len - 1], 'a' + BLOCKS - 1);
}

/* Asserts that the loop has closed its end. A loop that is woken by the same event for ever would
 * not. */
static void assert_hung_up(struct fixture *fixture, int how)
{
	struct pollfd polled = {.fd = end_of(fixture), .events = POLLRDHUP};

	shutdown(polled.fd, how);
	if (how == SHUT_RD)
		arrive(fixture, "unread", 6);
	assert_int_equal(poll(&polled, 1, 60000), 1);
	ntd_loop_call(fixture->loop, pull, fixture);
	assert_int_equal(fixture->socket.ours.fd, -1);
	close(polled.fd);
}

static void an_end_that_is_shut_down_is_hung_up(void **state)
{
	struct fixture *fixture = *state;

	assert_hung_up(fixture, SHUT_WR);
	ntd_loop_call(fixture->loop, open_it, fixture);
	assert_hung_up(fixture, SHUT_RD);
}

static void there_is_none_before_the_first_connection(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_script_socket other;
	struct ntd_error *err = NULL;

	ntd_script_socket_init(&other, fixture->loop, note);
	assert_int_equal(ntd_script_socket_fd(&other, &err), -1);
	assert_no_error(err);
	ntd_script_socket_free(&other);
}

#define socket_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		socket_test(what_came_before_is_received_once),
		socket_test(what_is_written_goes_before_what_follows),
		socket_test(the_rest_comes_before_the_end),
		socket_test(an_end_can_be_asked_for_when_all_is_over),
		socket_test(a_new_connection_has_an_end_of_its_own),
		socket_test(what_nobody_has_read_is_taken_back),
		socket_test(the_oldest_bytes_are_dropped),
		socket_test(an_end_that_is_shut_down_is_hung_up),
		socket_test(there_is_none_before_the_first_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
