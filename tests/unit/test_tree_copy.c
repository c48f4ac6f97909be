/* Tests of copies of trees of files between the host and a guest's directory. */
#include "tree_fixture.h"

#include <signal.h>
#include <sys/wait.h>

/* ---- copying */

static void a_file_keeps_contents_mode_and_time(void **state)
{
	struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 2000, .tv_nsec = 7}};
	struct stat info;

	write_file("from", "#!/bin/sh\n", 0751);
	assert_int_equal(utimensat(AT_FDCWD, at("from"), times, 0), 0);
	copy_both_ways();
	assert_file("to", "#!/bin/sh\n", 0751);
	assert_int_equal(stat(at("to"), &info), 0);
	assert_int_equal(info.st_mtim.tv_sec, 2000);
	assert_int_equal(info.st_mtim.tv_nsec, 7);
}

static void a_file_is_overwritten_wholly(void **state)
{
	write_file("to", "long old contents", 0644);
	write_file("from", "new", 0600);
	copy(from_guest);
	assert_file("to", "new", 0600);
	assert_fails(to_guest("from", "to", &err), NTD_E_SYS, "to: File exists");
}

/* Files of sysfs have 4096 bytes, they say, and the kernel copies none of them to a file. */
static void a_file_that_the_kernel_does_not_copy_is_read(void **state)
{
	static const char file[] = "/sys/devices/system/cpu/present";
	_cleanup_fd_ int from = open(file, O_RDONLY), directory = open(base, O_RDONLY);
	char expected[64] = "", got[64] = "";
	struct ntd_error *err = NULL;
	_cleanup_fd_ int to = -1;

	if (from < 0)
		skip();
	assert_true(read(from, expected, sizeof expected - 1) > 0);
	ntd_tree_copy_to_guest(file, directory, "to", &err);
	assert_no_error(err);
	to = open(at("to"), O_RDONLY);
	assert_true(read(to, got, sizeof got - 1) > 0);
	assert_string_equal(got, expected);
}

static void a_tree_keeps_everything(void **state)
{
	struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 2000}};
	struct stat info;

	make_tree();
	assert_int_equal(utimensat(AT_FDCWD, at("from/sub"), times, 0), 0);
	assert_int_equal(utimensat(AT_FDCWD, at("from"), times, 0), 0);
	copy_both_ways();
	assert_file("to/file", "1", 0644);
	assert_file("to/.hidden", "2", 0600);
	assert_file("to/sub/run", "3", 0755);
	assert_file("to/sub/\xff name\n\"'*", "4", 0400);
	assert_int_equal(stat(at("to/empty"), &info), 0);
	assert_int_equal(info.st_mode & 07777, 0701);
	assert_int_equal(stat(at("to/sub"), &info), 0);
	assert_int_equal(info.st_mode & 07777, 0750);
	assert_int_equal(info.st_mtim.tv_sec, 2000);
	assert_int_equal(stat(at("to"), &info), 0);
	assert_int_equal(info.st_mtim.tv_sec, 2000);
}

/* The mode of a directory is set last. For root that is all the test shows; others could not copy
 * otherwise. */
static void a_directory_without_write_permission_is_copied(void **state)
{
	struct stat info;

	make_dir("from", 0755);
	write_file("from/file", "1", 0444);
	assert_int_equal(chmod(at("from"), 0555), 0);
	copy_both_ways();
	assert_file("to/file", "1", 0444);
	assert_int_equal(stat(at("to"), &info), 0);
	assert_int_equal(info.st_mode & 07777, 0555);
}

static void links_of_the_host_become_what_they_point_to(void **state)
{
	make_dir("other", 0755);
	write_file("other/file", "far", 0644);
	make_dir("from", 0755);
	assert_int_equal(symlink("../other/file", at("from/file")), 0);
	assert_int_equal(symlink("../other", at("from/directory")), 0);
	assert_int_equal(symlink("from", at("link")), 0);
	assert_int_equal(to_guest("link", "to", NULL), 0);
	assert_file("to/file", "far", 0644);
	assert_file("to/directory/file", "far", 0644);
}

static void links_of_a_guest_are_not_followed(void **state)
{
	static const char *const targets[] = {"../secret",        "/etc/passwd", "..",
					      "sub/../../secret", "sub//x",      "../from/file"};

	write_file("secret", "secret", 0600);
	make_dir("from", 0755);
	for (size_t i = 0; i < unit_count(targets); i++) {
		_cleanup_free_ char *name = ntd_asprintf("from/link%zu", i);

		assert_int_equal(symlink(targets[i], at(name)), 0);
	}
	write_file("from/file", "1", 0644);
	assert_fails(from_guest("from", "to", &err), NTD_E_VALUE, "from/link");
	assert_file("to/file", "1", 0644); /* the other files are copied */
	for (size_t i = 0; i < unit_count(targets); i++) {
		_cleanup_free_ char *name = ntd_asprintf("to/link%zu", i);

		assert_false(exists(name));
	}
	assert_fails(from_guest("from/link0", "to2", &err), NTD_E_VALUE, "from/link0: it is n");
}

static void links_within_a_tree_of_a_guest_are_kept(void **state)
{
	static const struct {
		const char *name, *target;
	} links[] = {
		{"from/sub/deep/up", "../../file"},
		{"from/sub/deep/top", "../.."},
		{"from/sub/one", ".."},
		{"from/self", "."},
		{"from/..name", "..file"},
		{"from/down", "sub/deep"},
		{"from/slash", "sub/"},
	};
	char text[64];

	make_dir("from", 0755);
	make_dir("from/sub", 0755);
	make_dir("from/sub/deep", 0755);
	for (size_t i = 0; i < unit_count(links); i++)
		assert_int_equal(symlink(links[i].target, at(links[i].name)), 0);
	copy(from_guest);
	for (size_t i = 0; i < unit_count(links); i++) {
		_cleanup_free_ char *name = ntd_asprintf("to/%s", links[i].name + strlen("from/"));
		ssize_t len = readlink(at(name), text, sizeof text - 1);

		assert_true(len > 0);
		text[len] = 0;
		assert_string_equal(text, links[i].target);
	}
	assert_int_equal(symlink("../../../file", at("from/sub/deep/out")), 0);
	assert_fails(from_guest("from", "to2", &err), NTD_E_VALUE,
		     "from/sub/deep/out: it is neither");
	assert_int_equal(symlink(".", at("link")), 0);
	assert_fails(from_guest("link", "to3", &err), NTD_E_VALUE, "link: it is neither");
}

/* A guest may put a link in the place of a file before the copy arrives. */
static void links_of_a_guest_are_not_written_to(void **state)
{
	write_file("from", "new", 0600);
	write_file("precious", "precious", 0600);
	assert_int_equal(symlink("precious", at("to")), 0);
	assert_fails(to_guest("from", "to", &err), NTD_E_SYS, "to: File exists");
	assert_file("precious", "precious", 0600);
}

static void rights_that_a_guest_gives_are_not_kept(void **state)
{
	struct stat info;

	make_dir("from", 0755);
	write_file("from/shell", "x", 04755);
	assert_int_equal(chmod(at("from"), 02777), 0);
	copy(from_guest);
	assert_file("to/shell", "x", 0755);
	assert_int_equal(stat(at("to"), &info), 0);
	assert_int_equal(info.st_mode & 07777, 0777);
}

static void holes_stay_holes(void **state)
{
	_cleanup_fd_ int fd = open(at("from"), O_WRONLY | O_CREAT, 0600);
	struct stat info;

	assert_int_equal(pwrite(fd, "end", 3, (off_t)1 << 40), 3);
	assert_int_equal(ftruncate(fd, (off_t)1 << 41), 0);
	copy_both_ways();
	assert_int_equal(stat(at("to"), &info), 0);
	assert_int_equal(info.st_size, (off_t)1 << 41);
	assert_in_range(info.st_blocks, 1, 1 << 16);
	fd = (close(fd), open(at("to"), O_RDONLY));
	assert_int_equal(pread(fd, (char[3]){0}, 3, (off_t)1 << 40), 3);
}

/* Makes directories nested deeper than a process has descriptors and a path has room. */
static void make_deep(const char *name)
{
	int fd = open_base();

	for (int i = 0; i < 3000; i++) {
		int below;

		assert_int_equal(mkdirat(fd, name, 0755), 0);
		below = openat(fd, name, O_RDONLY | O_DIRECTORY);
		assert_true(below >= 0);
		close(fd);
		fd = below;
		name = "directory";
	}
	close(fd);
}

static void a_deep_tree_is_removed_but_not_copied(void **state)
{
	make_deep("from");
	assert_fails(from_guest("from", "to", &err), NTD_E_VALUE, "directories deep");
	assert_int_equal(ntd_tree_remove(at("from"), NULL), 0);
	assert_false(exists("from"));
}

static void a_large_file_is_copied(void **state)
{
	_cleanup_free_ char *command =
		ntd_asprintf("head -c 1000003 /dev/urandom > %s", at("from"));
	_cleanup_free_ char *compare = ntd_asprintf("cmp %s %s", at("from"), at("to"));

	assert_int_equal(system(command), 0);
	copy_both_ways();
	assert_int_equal(system(compare), 0);
}

static void what_cannot_be_copied_is_named(void **state)
{
	make_dir("from", 0755);
	assert_int_equal(symlink("nowhere", at("from/dangling")), 0);
	make_dir("there", 0755);
	write_file("file", "x", 0600);
	assert_fails(to_guest("missing", "to", &err), NTD_E_SYS, "/missing: No such");
	assert_fails(to_guest("from", "to", &err), NTD_E_SYS, "/from/dangling: ");
	assert_fails(from_guest("missing", "to", &err), NTD_E_SYS, "missing: No such");
	assert_fails(from_guest("from", "there", &err), NTD_E_SYS, "/there: File exists");
	assert_fails(from_guest("file", "there", &err), NTD_E_SYS, "/there: Is a dir");
	assert_fails(from_guest("file", "no/where", &err), NTD_E_SYS, "/no/where: ");
}

/* A FIFO without a writer would block its reader for ever, so a child process tries the copy. */
static void what_is_neither_file_nor_directory_is_refused(void **state)
{
	pid_t child;
	int status;

	assert_int_equal(mkfifo(at("fifo"), 0600), 0);
	child = fork();
	if (!child) {
		alarm(3);
		_exit(from_guest("fifo", "to", NULL) < 0 && to_guest("fifo", "to", NULL) < 0 ? 0
											     : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_false(WIFSIGNALED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
#define tree_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		tree_test(a_file_keeps_contents_mode_and_time),
		tree_test(a_file_is_overwritten_wholly),
		tree_test(a_file_that_the_kernel_does_not_copy_is_read),
		tree_test(a_tree_keeps_everything),
		tree_test(a_directory_without_write_permission_is_copied),
		tree_test(links_of_the_host_become_what_they_point_to),
		tree_test(links_of_a_guest_are_not_followed),
		tree_test(links_within_a_tree_of_a_guest_are_kept),
		tree_test(links_of_a_guest_are_not_written_to),
		tree_test(rights_that_a_guest_gives_are_not_kept),
		tree_test(holes_stay_holes),
		tree_test(a_deep_tree_is_removed_but_not_copied),
		tree_test(a_large_file_is_copied),
		tree_test(what_cannot_be_copied_is_named),
		tree_test(what_is_neither_file_nor_directory_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
