/* Tests of whole reads and writes, with short counts, signals, limits and errors.
 *
 * A timer sends signals whose handler is installed without SA_RESTART and plays the other end of
 * the pipe. The call under test therefore always sleeps until a signal ends the sleep, however fast
 * the host is.
 */
#include "unit.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/time.h>

enum { ROUNDS = 20, CHUNK = 4096 };

static int other_end; /* the end of the pipe that the handler uses */
static volatile sig_atomic_t rounds;
static size_t drained;

static void start_alarms(void (*handler)(int))
{
	struct sigaction action = {.sa_handler = handler};
	struct itimerval often = {{0, 2000}, {0, 2000}};

	rounds = 0;
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
}

static int stop_alarms(void **state)
{
	setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
	signal(SIGALRM, SIG_IGN); /* a last signal may be pending */
	return 0;
}

/* The handler: writes a byte, and closes the pipe in the last round. */
static void feed(int signal)
{
	if (rounds < ROUNDS) {
		if (write(other_end, "x", 1) != 1)
			abort();
	} else if (rounds == ROUNDS) {
		close(other_end);
	}
	rounds++;
}

/* The handler: makes room every third time only, so that at the other times nothing has been
 * written when the signal comes. */
static void drain(int signal)
{
	static char bytes[CHUNK];
	ssize_t got = rounds++ % 3 ? 0 : read(other_end, bytes, sizeof bytes);

	for (ssize_t i = 0; i < got; i++)
		if (bytes[i] != (char)(drained++ % 251))
			abort();
}

static void test_read_all_in_spite_of_signals(void **state)
{
	_cleanup_buf_ struct ntd_buf bytes = {0};
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	other_end = fds[1];
	ntd_buf_puts(&bytes, "before ");
	start_alarms(feed);
	assert_int_equal(ntd_fd_read_all(fds[0], &bytes, 1000), 0);
	stop_alarms(state);
	assert_int_equal(bytes.len, strlen("before ") + ROUNDS);
	assert_memory_equal(ntd_buf_bytes(&bytes), "before xxxxxxxxxxxxxxxxxxxx", bytes.len);
	close(fds[0]);
}

static void test_read_in_spite_of_signals(void **state)
{
	char bytes[2 * ROUNDS] = "";
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	other_end = fds[1];
	start_alarms(feed);
	assert_int_equal(ntd_fd_read(fds[0], bytes, 5), 5);
	assert_string_equal(bytes, "xxxxx");
	assert_int_equal(ntd_fd_read(fds[0], bytes, sizeof bytes), ROUNDS - 5); /* the end */
	stop_alarms(state);
	assert_int_equal(ntd_fd_read(fds[0], bytes, sizeof bytes), 0);
	close(fds[0]);
}

/* Writes more than a pipe holds; the handler makes room bit by bit. */
static void test_write_all_in_spite_of_signals(void **state)
{
	enum { SIZE = 150000 };
	char *bytes = ntd_malloc(SIZE), rest[CHUNK];
	int fds[2];

	for (size_t i = 0; i < SIZE; i++)
		bytes[i] = (char)(i % 251);
	assert_int_equal(pipe(fds), 0);
	other_end = fds[0];
	drained = 0;
	start_alarms(drain);
	assert_int_equal(ntd_fd_write_all(fds[1], bytes, SIZE), 0);
	stop_alarms(state);
	assert_true(rounds > 1);
	close(fds[1]);
	while (read(fds[0], rest, 1) == 1)
		assert_int_equal(rest[0], (char)(drained++ % 251));
	assert_int_equal(drained, SIZE);
	close(fds[0]);
	free(bytes);
}

static void test_limit(void **state)
{
	_cleanup_fd_ int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	_cleanup_buf_ struct ntd_buf bytes = {0};
	int fds[2];

	assert_int_equal(ntd_fd_read_all(fd, &bytes, 100000), -1);
	assert_int_equal(errno, EFBIG);
	assert_true(bytes.len > 100000 && bytes.len < 300000);

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], "1234", 4), 4);
	close(fds[1]);
	ntd_buf_clear(&bytes);
	ntd_buf_puts(&bytes, "not counted");
	assert_int_equal(ntd_fd_read_all(fds[0], &bytes, 4), 0); /* exactly the limit */
	assert_int_equal(bytes.len, strlen("not counted") + 4);
	close(fds[0]);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], "1234", 4), 4);
	close(fds[1]);
	assert_int_equal(ntd_fd_read_all(fds[0], &bytes, 3), -1);
	assert_int_equal(errno, EFBIG);
	close(fds[0]);
}

static void test_errors(void **state)
{
	_cleanup_buf_ struct ntd_buf bytes = {0};
	_cleanup_fd_ int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	char byte;

	assert_int_equal(ntd_fd_read_all(-1, &bytes, 10), -1);
	assert_int_equal(errno, EBADF);
	assert_int_equal(ntd_fd_read(-1, &byte, 1), -1);
	assert_int_equal(errno, EBADF);
	assert_int_equal(ntd_fd_write_all(full, "x", 1), -1);
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(ntd_fd_write_all(-1, "", 0), 0);
}

static void test_entries(void **state)
{
	int fd = open("/dev/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *entries = ntd_fd_entries(fd);
	struct stat info;

	assert_non_null(entries);
	assert_non_null(ntd_fd_next_entry(entries));
	closedir(entries);

	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_null(ntd_fd_entries(fd));
	assert_int_equal(errno, ENOTDIR);
	assert_int_equal(fstat(fd, &info), -1); /* the descriptor is closed in spite of the error */

	errno = ENOENT;
	assert_null(ntd_fd_entries(-1));
	assert_int_equal(errno, ENOENT); /* errno of the failed open() */
}

/* Names that only begin with a dot are entries like all others. */
static void test_next_entry(void **state)
{
	char directory[] = "/tmp/ntd-fd-XXXXXX";
	const struct dirent *entry;
	unsigned seen = 0;
	DIR *entries;

	assert_non_null(mkdtemp(directory));
	entries = opendir(directory);
	assert_null(ntd_fd_next_entry(entries));
	closedir(entries);
	for (const char *const *name = (const char *const[]){"...", ".a", "b", NULL}; *name;
	     name++) {
		_cleanup_free_ char *path = ntd_asprintf("%s/%s", directory, *name);

		assert_int_equal(mkdir(path, 0700), 0);
	}
	entries = opendir(directory);
	while ((entry = ntd_fd_next_entry(entries))) {
		seen += strlen(entry->d_name);
		assert_int_equal(unlinkat(dirfd(entries), entry->d_name, AT_REMOVEDIR), 0);
	}
	closedir(entries);
	assert_int_equal(seen, 6);
	assert_int_equal(rmdir(directory), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_read_all_in_spite_of_signals, stop_alarms),
		cmocka_unit_test_teardown(test_read_in_spite_of_signals, stop_alarms),
		cmocka_unit_test_teardown(test_write_all_in_spite_of_signals, stop_alarms),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_entries),
		cmocka_unit_test(test_next_entry),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
