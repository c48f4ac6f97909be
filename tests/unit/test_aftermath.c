/* Tests of base/aftermath: which files are removed, kept and completed when the driver is gone. */
#include "unit.h"

#include "base/buf.h"
#include "loop/aftermath.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

struct fixture {
	char base[32];
	int directory;
	struct ntd_aftermath aftermath;
};

static int set_up(void **state)
{
	static struct fixture fixture;

	fixture = (struct fixture){.base = "/tmp/ntd-unit-XXXXXX"};
	if (!mkdtemp(fixture.base))
		return -1;
	fixture.directory = open(fixture.base, O_PATH | O_DIRECTORY | O_CLOEXEC);
	*state = &fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_free_ char *command = ntd_asprintf("rm -r %s", fixture->base);

	close(fixture->directory);
	ntd_aftermath_free(&fixture->aftermath);
	return system(command);
}

/* Makes a new file with these bytes, open for reading and writing. */
static int make_file(struct fixture *fixture, const char *name, const char *bytes, size_t len)
{
	int fd = openat(fixture->directory, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);

	assert_int_equal(write(fd, bytes, len), len);
	return fd;
}

static void assert_contents(struct fixture *fixture, const char *name, const char *bytes,
			    size_t len)
{
	_cleanup_fd_ int fd = openat(fixture->directory, name, O_RDONLY | O_CLOEXEC);
	_cleanup_free_ char *got = ntd_malloc(len + 2);

	assert_int_equal(read(fd, got, len + 1), len);
	assert_memory_equal(got, bytes, len);
}

static void a_tree_goes_with_all_in_it(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_free_ char *tree = ntd_asprintf("%s/tree", fixture->base);
	_cleanup_free_ char *missing = ntd_asprintf("%s/missing", fixture->base);

	assert_int_equal(mkdirat(fixture->directory, "tree", 0700), 0);
	assert_int_equal(mkdirat(fixture->directory, "tree/below", 0700), 0);
	close(make_file(fixture, "tree/below/disk", "x", 1));
	close(make_file(fixture, "beside", "x", 1));
	assert_int_equal(symlinkat("../beside", fixture->directory, "tree/link"), 0);
	ntd_aftermath_remove_tree(&fixture->aftermath, tree);
	ntd_aftermath_remove_tree(&fixture->aftermath, missing);
	ntd_aftermath_run(&fixture->aftermath);
	assert_int_equal(faccessat(fixture->directory, "tree", F_OK, 0), -1);
	assert_contents(fixture, "beside", "x", 1);
}

static void an_unfinished_line_is_cut_off(void **state)
{
	/* Texts around the size of the blocks, 4096 bytes, that are read from the end of a file. */
	static const struct {
		size_t whole, unfinished;
	} rows[] = {{0, 0}, {0, 3}, {2, 0}, {2, 3}, {4096, 1}, {1, 4095}, {1, 4096}, {5, 20000}};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		size_t whole = rows[i].whole, len = whole + rows[i].unfinished;
		_cleanup_free_ char *bytes = ntd_malloc(len + 1);
		_cleanup_free_ char *name = ntd_asprintf("%zu", i);
		_cleanup_fd_ int fd = -1;

		memset(bytes, 'x', len + 1);
		if (whole)
			bytes[whole - 1] = '\n';
		fd = make_file(fixture, name, bytes, len);
		ntd_aftermath_cut(&fixture->aftermath, fd);
		ntd_aftermath_run(&fixture->aftermath);
		assert_contents(fixture, name, bytes, whole);
	}
}

static void a_file_without_its_last_line_gets_the_text(void **state)
{
	static const char text[] = "one more\nthe end\n";
	static const struct {
		const char *before, *after;
	} rows[] = {
		{"", "one more\nthe end\n"},
		{"cut off", "cut offone more\nthe end\n"},
		{"begun\nthe en", "begun\nthe enone more\nthe end\n"},
		{"another\nthe end\n", "another\nthe end\n"},
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		_cleanup_free_ char *name = ntd_asprintf("%zu", i);
		_cleanup_fd_ int fd =
			make_file(fixture, name, rows[i].before, strlen(rows[i].before));

		ntd_aftermath_complete(&fixture->aftermath, fd, text);
		ntd_aftermath_run(&fixture->aftermath);
		ntd_aftermath_run(&fixture->aftermath);
		assert_contents(fixture, name, rows[i].after, strlen(rows[i].after));
	}
}

static void files_of_one_path_are_appended(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_fd_ int one = make_file(fixture, "one", "1", 1);
	_cleanup_fd_ int two = make_file(fixture, "two", "2", 1);
	_cleanup_fd_ int other = make_file(fixture, "other", "o", 1);
	_cleanup_fd_ int old = -1;

	assert_int_equal(mkdirat(fixture->directory, "logs", 0777), 0);
	old = make_file(fixture, "logs/a", "of the last run", 15);
	ntd_aftermath_deliver(&fixture->aftermath, one, fixture->directory, "logs/a");
	ntd_aftermath_deliver(&fixture->aftermath, other, fixture->directory, "new/b");
	ntd_aftermath_deliver(&fixture->aftermath, two, fixture->directory, "logs/a");
	assert_int_equal(unlinkat(fixture->directory, "two", 0), 0);
	assert_int_equal(write(two, "+", 1), 1); /* the bytes at the end */
	ntd_aftermath_run(&fixture->aftermath);
	assert_contents(fixture, "logs/a", "12+", 3);
	assert_contents(fixture, "new/b", "o", 1);
}

static void a_file_without_a_name_is_copied(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_free_ char *bytes = ntd_malloc(200000);
	_cleanup_fd_ int fd = -1;

	memset(bytes, 'y', 200000);
	fd = make_file(fixture, "gone", bytes, 200000);
	assert_int_equal(unlinkat(fixture->directory, "gone", 0), 0);
	ntd_aftermath_deliver(&fixture->aftermath, fd, fixture->directory, "logs/a");
	ntd_aftermath_run(&fixture->aftermath);
	assert_contents(fixture, "logs/a", bytes, 200000);
}

static void paths_are_removed(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_free_ char *path = ntd_asprintf("%s/file", fixture->base);
	_cleanup_free_ char *missing = ntd_asprintf("%s/missing", fixture->base);
	_cleanup_fd_ int fd = make_file(fixture, "file", "", 0);

	ntd_aftermath_remove(&fixture->aftermath, missing);
	ntd_aftermath_remove(&fixture->aftermath, path);
	ntd_aftermath_run(&fixture->aftermath);
	assert_int_equal(access(path, F_OK), -1);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(a_tree_goes_with_all_in_it),
		test(an_unfinished_line_is_cut_off),
		test(a_file_without_its_last_line_gets_the_text),
		test(files_of_one_path_are_appended),
		test(a_file_without_a_name_is_copied),
		test(paths_are_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
