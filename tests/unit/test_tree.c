/* Tests of trees of files: removed without following links, and made. */
#include "tree_fixture.h"

#include <errno.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

/* ---- removing */

static void a_tree_is_removed(void **state)
{
	make_dir("tree", 0755);
	make_dir("tree/a", 0755);
	make_dir("tree/a/b", 0755);
	write_file("tree/a/b/file", "x", 0400);
	write_file("tree/.hidden", "", 0);
	assert_int_equal(mkfifo(at("tree/fifo"), 0600), 0);
	assert_int_equal(ntd_tree_remove(at("tree"), NULL), 0);
	assert_false(exists("tree"));
	assert_true(exists(""));
}

static void links_are_removed_and_not_followed(void **state)
{
	make_dir("outside", 0755);
	write_file("outside/file", "precious", 0644);
	make_dir("tree", 0755);
	assert_int_equal(symlink("../outside", at("tree/directory")), 0);
	assert_int_equal(symlink("../outside/file", at("tree/file")), 0);
	assert_int_equal(symlink("nowhere", at("tree/dangling")), 0);
	assert_int_equal(symlink("..", at("tree/up")), 0);
	assert_int_equal(symlink("outside", at("link")), 0);
	assert_int_equal(ntd_tree_remove(at("tree"), NULL), 0);
	assert_int_equal(ntd_tree_remove(at("link"), NULL), 0);
	assert_false(exists("tree") || exists("link"));
	assert_file("outside/file", "precious", 0644);
}

static void a_file_is_removed_and_a_missing_path_is_fine(void **state)
{
	struct ntd_error *err = NULL;

	write_file("file", "x", 0600);
	assert_int_equal(ntd_tree_remove(at("file"), &err), 0);
	assert_int_equal(ntd_tree_remove(at("file"), &err), 0);
	assert_int_equal(ntd_tree_remove(at("no/such/path"), &err), 0);
	assert_no_error(err);
	assert_false(exists("file"));
}

static void what_cannot_be_removed_is_named(void **state)
{
	write_file("file", "x", 0600);
	assert_fails(ntd_tree_remove(at("file/below"), &err), NTD_E_SYS, "/file/below: ");
}

/* Sets or removes attributes like chattr +i or +a. Skips the test where that is not possible,
 * before anything has been changed. */
static void set_attributes(const char *name, int wanted)
{
	_cleanup_fd_ int fd = open(at(name), O_RDONLY);
	int attributes = 0;

	ioctl(fd, FS_IOC_GETFLAGS, &attributes);
	attributes = (attributes & ~(FS_IMMUTABLE_FL | FS_APPEND_FL)) | wanted;
	if (ioctl(fd, FS_IOC_SETFLAGS, &attributes) == 0)
		return;
	print_message("SKIPPED: no attribute can be set at %s: %s\n", base, strerror(errno));
	skip();
}

static int attributes_of(const char *name)
{
	_cleanup_fd_ int fd = open(at(name), O_RDONLY);
	int attributes = 0;

	assert_int_equal(ioctl(fd, FS_IOC_GETFLAGS, &attributes), 0);
	return attributes & (FS_IMMUTABLE_FL | FS_APPEND_FL);
}

static void what_is_immutable_is_removed(void **state)
{
	struct ntd_error *err = NULL;

	make_dir("tree", 0755);
	make_dir("tree/var", 0755);
	make_dir("tree/var/empty", 0555);
	make_dir("tree/full", 0755);
	make_dir("tree/full/below", 0755);
	write_file("tree/full/file", "x", 0600);
	assert_int_equal(symlink("nowhere", at("tree/full/link")), 0);
	assert_int_equal(mkfifo(at("tree/full/fifo"), 0600), 0);
	write_file("tree/log", "x", 0600);
	set_attributes("tree/var/empty", FS_IMMUTABLE_FL);
	set_attributes("tree/full/file", FS_IMMUTABLE_FL | FS_APPEND_FL);
	set_attributes("tree/full", FS_IMMUTABLE_FL);
	set_attributes("tree/log", FS_APPEND_FL);
	set_attributes("tree", FS_APPEND_FL);
	ntd_tree_remove(at("tree"), &err);
	assert_no_error(err);
	assert_false(exists("tree"));

	write_file("single", "x", 0600);
	set_attributes("single", FS_IMMUTABLE_FL);
	ntd_tree_remove(at("single"), &err);
	assert_no_error(err);
	assert_false(exists("single"));
}

static void what_is_immutable_outside_the_tree_stays_so(void **state)
{
	make_dir("outside", 0755);
	make_dir("outside/tree", 0755);
	write_file("outside/file", "x", 0600);
	assert_int_equal(symlink("../file", at("outside/tree/link")), 0);
	set_attributes("outside/file", FS_IMMUTABLE_FL);
	set_attributes("outside/tree", FS_IMMUTABLE_FL);
	set_attributes("outside", FS_IMMUTABLE_FL);
	assert_fails(ntd_tree_remove(at("outside/tree"), &err), NTD_E_SYS,
		     "/outside/tree: Operation not permitted");
	assert_false(exists("outside/tree/link"));
	assert_int_equal(attributes_of("outside"), FS_IMMUTABLE_FL);
	assert_int_equal(attributes_of("outside/file"), FS_IMMUTABLE_FL);
	set_attributes("outside", 0);
	set_attributes("outside/file", 0);
}

/* ---- making */

static void directories_are_made_with_those_above(void **state)
{
	struct ntd_error *err = NULL;
	struct stat info;

	assert_int_equal(ntd_tree_make(at("a/b//c/"), &err), 0);
	assert_int_equal(ntd_tree_make(at("a/b/c"), &err), 0);
	assert_int_equal(ntd_tree_make("/", &err), 0);
	assert_no_error(err);
	assert_int_equal(stat(at("a/b/c"), &info), 0);
	assert_true(S_ISDIR(info.st_mode));
	assert_int_equal(info.st_mode & 0777, 0755);
}

static void a_relative_directory_is_made(void **state)
{
	_cleanup_fd_ int before = open(".", O_RDONLY | O_DIRECTORY);

	assert_int_equal(chdir(base), 0);
	assert_int_equal(ntd_tree_make("x/y", NULL), 0);
	assert_int_equal(fchdir(before), 0);
	assert_true(exists("x/y"));
}

static void a_file_in_the_way_is_an_error(void **state)
{
	write_file("file", "x", 0600);
	assert_fails(ntd_tree_make(at("file/below"), &err), NTD_E_SYS, "/file");
	assert_fails(ntd_tree_make(at("file"), &err), NTD_E_SYS, "/file");
}

int main(void)
{
#define tree_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		tree_test(a_tree_is_removed),
		tree_test(links_are_removed_and_not_followed),
		tree_test(a_file_is_removed_and_a_missing_path_is_fine),
		tree_test(what_cannot_be_removed_is_named),
		tree_test(what_is_immutable_is_removed),
		tree_test(what_is_immutable_outside_the_tree_stays_so),
		tree_test(directories_are_made_with_those_above),
		tree_test(a_relative_directory_is_made),
		tree_test(a_file_in_the_way_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
