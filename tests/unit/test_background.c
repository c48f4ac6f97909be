/* Tests of files that are written in the background. A pipe that nobody reads takes the place of a
 * disk that hangs.
 */
#include "unit.h"

#include "report/background.h"

#include "base/buf.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>

enum { LIMIT = 1 << 20, ROOM = 64 << 10 }; /* of a pipe */

#define PATIENCE (60 * NTD_SECOND)

struct fixture {
	struct ntd_background *background;
	int read_fd; /* of a pipe */
	struct ntd_background_file *pipe, *file;
	int copy; /* a copy of the file's descriptor */
};

static int set_up(void **state)
{
	static struct fixture fixture;
	int fds[2], file = memfd_create("file", MFD_CLOEXEC);

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	fixture.background = ntd_background_new(LIMIT);
	fixture.read_fd = fds[0];
	fixture.copy = fcntl(file, F_DUPFD_CLOEXEC, 3);
	fixture.pipe = ntd_background_open(fixture.background, fds[1], NULL);
	fixture.file = ntd_background_open(fixture.background, file, NULL);
	*state = &fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	ntd_close_fd(&fixture->read_fd);
	ntd_close_fd(&fixture->copy);
	return 0;
}

/* Reads the pipe to its end. */
static void read_pipe(struct fixture *fixture, struct ntd_buf *bytes)
{
	ssize_t got;

	while ((got = read(fixture->read_fd, ntd_buf_reserve(bytes, 4096), 4096)) > 0)
		ntd_buf_added(bytes, (size_t)got);
}

static void fill(struct ntd_background_file *file, size_t count, char with)
{
	_cleanup_free_ char *bytes = ntd_malloc(count);

	memset(bytes, with, count);
	ntd_background_write(file, bytes, count);
}

static void bytes_come_in_order(void **state)
{
	struct fixture *fixture = *state;
	char bytes[8] = "";

	ntd_background_write(fixture->file, "one ", 4);
	ntd_background_write(fixture->file, "two", 3);
	assert_true(ntd_background_flush(fixture->background, ntd_after(PATIENCE)));
	assert_int_equal(pread(fixture->copy, bytes, sizeof bytes, 0), 7);
	assert_string_equal(bytes, "one two");
	ntd_background_close(fixture->file);
	ntd_background_free(fixture->background, ntd_after(PATIENCE));
}

static void what_was_written_before_the_close_comes(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_buf_ struct ntd_buf bytes = {0};

	fill(fixture->pipe, 2 * ROOM, 'x');
	ntd_background_close(fixture->pipe);
	read_pipe(fixture, &bytes);
	assert_int_equal(bytes.len, 2 * ROOM);
	ntd_background_free(fixture->background, ntd_after(PATIENCE));
}

static void a_disk_that_hangs_is_not_waited_for(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_buf_ struct ntd_buf bytes = {0};
	const char *end;

	fill(fixture->pipe, 2 * ROOM, 'a');
	assert_false(ntd_background_flush(fixture->background, ntd_after(NTD_MS)));
	ntd_background_settle(fixture->background);
	ntd_background_settle(fixture->background);
	fill(fixture->pipe, LIMIT, 'b');
	fill(fixture->pipe, 1, 'c');
	ntd_background_close(fixture->pipe);
	read_pipe(fixture, &bytes);
	assert_true(ntd_background_flush(fixture->background, ntd_after(PATIENCE)));
	end = "\n[1 bytes are missing here: the file was not written fast enough]\n";
	assert_int_equal(bytes.len, 2 * ROOM + LIMIT + strlen(end));
	assert_memory_equal(ntd_buf_bytes(&bytes) + bytes.len - strlen(end), end, strlen(end));
	ntd_background_free(fixture->background, ntd_after(PATIENCE));
}

static bool has_come(const struct fixture *fixture)
{
	char byte;

	return pread(fixture->copy, &byte, 1, 0) == 1;
}

/* What comes for one file all the time does not keep the others waiting. */
static void a_file_gets_its_turn_beside_a_flood(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_free_ char *bytes = ntd_malloc(2 * ROOM);
	int64_t late = ntd_after(10 * NTD_SECOND);
	struct ntd_background_file *flood;
	size_t count = 0;
	int fds[2];

	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	flood = ntd_background_open(fixture->background, fds[1], NULL);
	fill(flood, 3 * ROOM, 'a'); /* the pipe takes a third at a time */
	while (count < ROOM)        /* the thread goes on writing the last third */
		count += (size_t)read(fds[0], bytes, ROOM - count);
	ntd_background_write(fixture->file, "x", 1);
	fill(flood, LIMIT, 'b');
	while (count < 2 * ROOM)
		count += (size_t)read(fds[0], bytes, 2 * ROOM - count);
	while (!has_come(fixture) && ntd_now() < late)
		sched_yield();
	assert_true(has_come(fixture));
	assert_false(ntd_background_flush(fixture->background, ntd_after(NTD_MS)));
	close(fds[0]); /* the rest fails */
	ntd_background_free(fixture->background, ntd_after(PATIENCE));
}

static void a_write_that_fails_is_the_last(void **state)
{
	struct fixture *fixture = *state;

	signal(SIGPIPE, SIG_IGN);
	ntd_close_fd(&fixture->read_fd);
	fill(fixture->pipe, ROOM, 'x');
	fill(fixture->pipe, ROOM, 'x');
	ntd_background_write(fixture->file, "x", 1);
	assert_true(ntd_background_flush(fixture->background, ntd_after(PATIENCE)));
	ntd_background_free(fixture->background, ntd_after(PATIENCE));
}

static void a_file_that_could_not_be_opened_can_be_closed(void **state)
{
	struct fixture *fixture = *state;

	ntd_background_close(NULL);
	ntd_close_fd(&fixture->read_fd);
	ntd_background_free(fixture->background, ntd_after(PATIENCE));
}

int main(void)
{
#define background_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		background_test(bytes_come_in_order),
		background_test(what_was_written_before_the_close_comes),
		background_test(a_disk_that_hangs_is_not_waited_for),
		background_test(a_file_that_could_not_be_opened_can_be_closed),
		background_test(a_write_that_fails_is_the_last),
		background_test(a_file_gets_its_turn_beside_a_flood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
