/* Tests of the SFTP client with OpenSSH's server: what is copied, and where to. */
#include "sftp_fixture.h"

/* Both directions, one after the other: from "from" by "on-the-way" to "to". */
static void there_and_back(void)
{
	put("from", "on-the-way");
	get("on-the-way", "to");
	assert_nothing_left();
}

static mode_t mode_at(const char *name)
{
	struct stat info;

	assert_int_equal(lstat(at(name), &info), 0);
	return info.st_mode & 07777;
}

/* ---- files */

static void a_file_keeps_contents_mode_and_time(void **state)
{
	struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 2000}};
	struct stat info;

	write_file("from", "#!/bin/sh\n", 0751);
	assert_int_equal(utimensat(AT_FDCWD, at("from"), times, 0), 0);
	there_and_back();
	assert_file("on-the-way", "#!/bin/sh\n", 0751);
	assert_file("to", "#!/bin/sh\n", 0751);
	assert_int_equal(stat(at("to"), &info), 0);
	assert_int_equal(info.st_mtim.tv_sec, 2000);
}

static void an_empty_file_is_copied(void **state)
{
	write_file("from", "", 0644);
	there_and_back();
	assert_file("to", "", 0644);
}

static void set_user_id_stays_in_the_guest(void **state)
{
	write_file("from", "x", 04755);
	there_and_back();
	assert_int_equal(mode_at("on-the-way"), 04755);
	assert_int_equal(mode_at("to"), 0755);
}

static void a_large_file_keeps_each_byte(void **state)
{
	struct copying copying = a_copy(NTD_SFTP_PUT, at("from"), at("on-the-way"));
	const uint64_t size = 100000123;

	shell("head -c 100000123 /dev/urandom >from");
	run(&copying);
	assert_no_error(copying.error);
	assert_true(copying.progress.bytes == size && copying.progress.total == size);
	assert_int_equal(copying.progress.files, 1);
	copying = a_copy(NTD_SFTP_GET, at("on-the-way"), at("to"));
	run(&copying);
	assert_no_error(copying.error);
	assert_true(copying.progress.bytes == size && copying.progress.total == size);
	assert_int_equal(copying.progress.files, 1);
	shell("cmp from on-the-way && cmp from to");
}

/* A file of /proc says that it has no bytes. */
static void a_file_without_a_size_is_read_to_its_end(void **state)
{
	struct copying copying = a_copy(NTD_SFTP_GET, "/proc/cpuinfo", at("to"));

	run(&copying);
	assert_no_error(copying.error);
	shell("grep -q processor to");
}

/* Data at the beginning, in the middle and before the end, which is a hole. */
static void holes_stay_holes(void **state)
{
	struct copying copying = a_copy(NTD_SFTP_PUT, at("from"), at("on-the-way"));
	struct stat info;

	shell("printf begin >from; printf middle | dd of=from bs=1 seek=700000001 conv=notrunc status=none;"
	      "truncate -s 1G from");
	run(&copying);
	assert_no_error(copying.error);
	assert_true(copying.progress.bytes == 1 << 30);
	assert_int_equal(stat(at("on-the-way"), &info), 0);
	assert_int_equal(info.st_size, 1 << 30);
	assert_true(info.st_blocks < 100);
	assert_true(copying.reads < 100); /* holes are not sent */
	shell("cmp from on-the-way");
}

static void zeros_from_the_guest_become_holes(void **state)
{
	struct stat info;

	shell("printf begin >from; printf middle | dd of=from bs=1 seek=7000001 conv=notrunc status=none;"
	      "truncate -s 16M from");
	get("from", "to");
	assert_int_equal(stat(at("to"), &info), 0);
	assert_true(info.st_blocks < 100);
	shell("cmp from to");
}

/* ---- trees */

static void a_tree_keeps_everything(void **state)
{
	struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 2000}};
	struct stat info;

	make_tree();
	make_dir("from/shut", 0700);
	make_dir("from/shut/also", 0700);
	write_file("from/shut/also/file", "5", 0);
	shell("ln -s file from/link; ln -s /nowhere from/sub/dangling; ln -s \"$(printf 'a\\377 b')\" from/odd;"
	      "ln -s . from/sub/round; chmod 555 from/shut/also; chmod 500 from/shut");
	assert_int_equal(utimensat(AT_FDCWD, at("from/sub"), times, 0), 0);
	there_and_back();
	shell("list() { (cd \"$1\" && find . -printf '%p %y %m %l %T@\\n' | sed 's/\\.[0-9]*$//' | grep -av ' l ' | sort; "
	      "find . -type l -printf '%p %l\\n' | sort); };"
	      "list from >1; list on-the-way >2; list to >3; cmp 1 2 && cmp 1 3 && cmp from/sub/run to/sub/run");
	assert_file("to/sub/\xff name\n\"'*", "4", 0400);
	assert_int_equal(stat(at("to/sub"), &info), 0);
	assert_int_equal(info.st_mtim.tv_sec, 2000);
}

static void many_small_files_are_copied(void **state)
{
	struct copying copying = a_copy(NTD_SFTP_PUT, at("from"), at("on-the-way"));

	shell("mkdir -p from/a/b from/c; for i in $(seq 1000); do echo $i >from/a/$i; echo $i >from/a/b/$i; done;"
	      "for i in $(seq 200); do mkdir from/c/$i; echo $i >from/c/$i/file; done");
	run(&copying);
	assert_no_error(copying.error);
	assert_int_equal(copying.progress.files, 2200);
	get("on-the-way", "to");
	shell("diff -r from to");
	assert_nothing_left();
}

/* Deeper than a path can be long. */
static void trees_are_copied_up_to_a_depth(void **state)
{
	shell("mkdir -p from$(for i in $(seq 128); do printf /d; done)");
	there_and_back();
	shell("diff -r from to; rm -r on-the-way to; mkdir from$(for i in $(seq 129); do printf /d; done)");
	assert_error(sftp_copy(NTD_SFTP_PUT, "from", "to"), NTD_E_VALUE,
		     "more than 128 directories deep");
	assert_error(sftp_copy(NTD_SFTP_GET, "from", "to"), NTD_E_VALUE,
		     "more than 128 directories deep");
	assert_nothing_left();
	assert_false(exists("to"));
}

static void a_link_is_copied_as_a_link(void **state)
{
	char text[64] = "";

	write_file("file", "x", 0640);
	assert_int_equal(symlink("file", at("from")), 0);
	there_and_back();
	assert_int_equal(readlink(at("to"), text, sizeof text - 1), 4);
	assert_string_equal(text, "file");
}

static void a_link_is_followed_on_request(void **state)
{
	struct copying copying = a_copy(NTD_SFTP_PUT, at("from"), at("on-the-way"));

	copying.follow = true;
	write_file("file", "x", 0640);
	assert_int_equal(symlink("file", at("from")), 0);
	run(&copying);
	assert_no_error(copying.error);
	assert_file("on-the-way", "x", 0640);
	copying = a_copy(NTD_SFTP_GET, at("from"), at("to"));
	copying.follow = true;
	run(&copying);
	assert_no_error(copying.error);
	assert_file("to", "x", 0640);
	make_dir("dir", 0755);
	write_file("dir/file", "y", 0640);
	assert_int_equal(symlink("dir", at("dir-link")), 0);
	copying = a_copy(NTD_SFTP_PUT, at("dir-link"), at("dir2"));
	copying.follow = true;
	run(&copying);
	assert_no_error(copying.error);
	copying = a_copy(NTD_SFTP_GET, at("dir-link"), at("dir3"));
	copying.follow = true;
	run(&copying);
	assert_no_error(copying.error);
	assert_file("dir2/file", "y", 0640);
	assert_file("dir3/file", "y", 0640);
}

/* ---- targets */

static void a_file_is_replaced(void **state)
{
	write_file("to", "long old contents", 0644);
	write_file("from", "new", 0600);
	put("from", "to");
	assert_file("to", "new", 0600);
	write_file("from2", "newer", 0640);
	get("from2", "to");
	assert_file("to", "newer", 0640);
}

/* The link stays where it is, as with cp. */
static void a_link_at_the_target_stays(void **state)
{
	struct stat info;

	write_file("real", "old", 0644);
	write_file("from", "new", 0644);
	assert_int_equal(symlink("real", at("to")), 0);
	put("from", "to");
	assert_file("real", "new", 0644);
	assert_int_equal(lstat(at("to"), &info), 0);
	assert_true(S_ISLNK(info.st_mode));
}

static void a_directory_gets_the_copy_inside(void **state)
{
	make_dir("to", 0755);
	make_dir("from", 0750);
	write_file("file", "1", 0644);
	write_file("from/file", "2", 0640);
	put("file", "to");
	put("from", "to/");
	assert_file("to/file", "1", 0644);
	assert_file("to/from/file", "2", 0640);
	assert_int_equal(mode_at("to/from"), 0750);
	make_dir("host", 0755);
	get("from", "host");
	get("file", "host/.");
	assert_file("host/file", "1", 0644);
	assert_file("host/from/file", "2", 0640);
	assert_nothing_left();
}

static void trees_are_merged_in_the_guest(void **state)
{
	make_dir("to", 0755);
	make_dir("to/from", 0711);
	make_dir("to/from/sub", 0711);
	write_file("to/from/other", "stays", 0644);
	write_file("to/from/sub/file", "old", 0644);
	make_dir("from", 0755);
	make_dir("from/sub", 0755);
	make_dir("from/new", 0755);
	write_file("from/sub/file", "new", 0600);
	write_file("from/new/file", "new", 0600);
	put("from", "to");
	assert_file("to/from/other", "stays", 0644);
	assert_file("to/from/sub/file", "new", 0600);
	assert_file("to/from/new/file", "new", 0600);
	assert_int_equal(mode_at("to/from/sub"), 0711);
	assert_int_equal(mode_at("to/from/new"), 0755);
	assert_nothing_left();
}

static void directories_above_are_made_in_the_guest(void **state)
{
	write_file("from", "x", 0644);
	put("from", "a/b/c/to");
	assert_file("a/b/c/to", "x", 0644);
	assert_error(sftp_copy(NTD_SFTP_GET, "from", "d/to"), NTD_E_SYS,
		     "/d on this host: No such file");
	assert_error(sftp_copy(NTD_SFTP_PUT, "from", "from/to"), NTD_E_MACHINE,
		     "cannot make directory");
	assert_error(sftp_copy(NTD_SFTP_PUT, "from", "from/x/to"), NTD_E_MACHINE,
		     "/from/x in the guest");
}

static void a_tree_and_a_file_do_not_replace_each_other(void **state)
{
	make_dir("tree", 0755);
	make_dir("in", 0755);
	make_dir("in/file", 0755);
	write_file("file", "x", 0644);
	assert_error(sftp_copy(NTD_SFTP_PUT, "tree", "file"), NTD_E_MACHINE,
		     "which is no directory");
	assert_error(sftp_copy(NTD_SFTP_GET, "tree", "file"), NTD_E_SYS,
		     "/file on this host: File exists");
	assert_error(sftp_copy(NTD_SFTP_PUT, "file", "in"), NTD_E_MACHINE,
		     "in/file in the guest, which is a directory");
	assert_error(sftp_copy(NTD_SFTP_GET, "file", "in"), NTD_E_SYS,
		     "in/file on this host: File exists");
	assert_file("file", "x", 0644);
	assert_nothing_left();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define each(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
		each(a_file_keeps_contents_mode_and_time),
		each(an_empty_file_is_copied),
		each(set_user_id_stays_in_the_guest),
		each(a_large_file_keeps_each_byte),
		each(a_file_without_a_size_is_read_to_its_end),
		each(holes_stay_holes),
		each(zeros_from_the_guest_become_holes),
		each(a_tree_keeps_everything),
		each(many_small_files_are_copied),
		each(trees_are_copied_up_to_a_depth),
		each(a_link_is_copied_as_a_link),
		each(a_link_is_followed_on_request),
		each(a_file_is_replaced),
		each(a_link_at_the_target_stays),
		each(a_directory_gets_the_copy_inside),
		each(trees_are_merged_in_the_guest),
		each(directories_above_are_made_in_the_guest),
		each(a_tree_and_a_file_do_not_replace_each_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
