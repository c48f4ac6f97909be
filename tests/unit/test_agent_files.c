/* Tests of the agent's server of copies with the driver's client: what differs from an SSH server,
 * and that nothing is left of a copy that does not come to its end.
 */
#include "sftp_fixture.h"

static struct copying agent_copy(enum ntd_sftp_direction direction, const char *source,
				 const char *target)
{
	struct copying copying = a_copy(direction, at(source), at(target));

	copying.agent = copying.follow_all = true;
	return copying;
}

static struct ntd_error *try_put(const char *source, const char *target)
{
	struct copying copying = agent_copy(NTD_SFTP_PUT, source, target);

	run(&copying);
	return copying.error;
}

static struct ntd_error *try_get(const char *source, const char *target)
{
	struct copying copying = agent_copy(NTD_SFTP_GET, source, target);

	run(&copying);
	return copying.error;
}

static void agent_put(const char *source, const char *target)
{
	assert_no_error(try_put(source, target));
	assert_nothing_left();
}

static void agent_get(const char *source, const char *target)
{
	assert_no_error(try_get(source, target));
	assert_nothing_left();
}

static void there_and_back(void)
{
	agent_put("from", "on-the-way");
	agent_get("on-the-way", "to");
}

static struct stat info_of(const char *name)
{
	struct stat info;

	assert_int_equal(lstat(at(name), &info), 0);
	return info;
}

/* ---- files */

static void a_file_is_copied_as_by_cp(void **state)
{
	struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 2000}};

	write_file("from", "#!/bin/sh\n", 04777);
	assert_int_equal(utimensat(AT_FDCWD, at("from"), times, 0), 0);
	there_and_back();
	assert_file("on-the-way", "#!/bin/sh\n", 0755); /* less the umask */
	assert_file("to", "#!/bin/sh\n", 0755);
	assert_true(info_of("on-the-way").st_mtim.tv_sec > 2000);
	assert_true(info_of("to").st_mtim.tv_sec > 2000);
}

static void large_and_empty_files_keep_each_byte(void **state)
{
	struct copying copying = agent_copy(NTD_SFTP_GET, "on-the-way", "to");

	shell("head -c 30000123 /dev/urandom >from");
	agent_put("from", "on-the-way");
	run(&copying);
	assert_no_error(copying.error);
	assert_true(copying.progress.bytes == 30000123 && copying.progress.total == 30000123);
	shell("cmp from on-the-way && cmp from to && rm from to on-the-way && touch from");
	there_and_back();
	assert_file("to", "", 0644);
}

static void holes_stay_holes_both_ways(void **state)
{
	struct copying copying = agent_copy(NTD_SFTP_GET, "on-the-way", "to");

	shell("printf begin >from; printf middle | dd of=from bs=1 seek=700000001 conv=notrunc status=none;"
	      "truncate -s 1G from");
	agent_put("from", "on-the-way");
	run(&copying);
	assert_no_error(copying.error);
	assert_true(copying.progress.bytes == 1 << 30);
	assert_true(copying.reads < 100); /* holes are not sent */
	assert_true(info_of("to").st_blocks < 100);
	assert_int_equal(info_of("to").st_size, 1 << 30);
	shell("cmp from on-the-way && cmp from to");
}

static void a_file_that_is_a_hole_is_copied(void **state)
{
	shell("truncate -s 3000000 from");
	there_and_back();
	assert_int_equal(info_of("to").st_size, 3000000);
	assert_int_equal(info_of("to").st_blocks, 0);
}

static void a_file_without_a_size_is_read_to_its_end(void **state)
{
	struct copying copying = agent_copy(NTD_SFTP_GET, "from", "to");

	copying.source = "/proc/cpuinfo";
	run(&copying);
	assert_no_error(copying.error);
	shell("grep -q processor to");
}

static void a_file_that_is_there_keeps_owner_and_mode(void **state)
{
	write_file("to", "long old contents", 0640);
	if (geteuid() == 0)
		assert_int_equal(chown(at("to"), 7, 8), 0);
	write_file("from", "new", 0600);
	agent_put("from", "to");
	assert_file("to", "new", 0640);
	if (geteuid() == 0)
		assert_true(info_of("to").st_uid == 7 && info_of("to").st_gid == 8);
}

/* As root, a copy to a device must not replace it. */
static void what_is_no_file_is_written_to(void **state)
{
	char bytes[8] = "";
	int reader;

	assert_int_equal(mkfifo(at("to"), 0600), 0);
	reader = open(at("to"), O_RDONLY | O_NONBLOCK);
	assert_true(reader >= 0);
	write_file("from", "bytes", 0600);
	agent_put("from", "to");
	assert_int_equal(read(reader, bytes, sizeof bytes), 5);
	assert_string_equal(bytes, "bytes");
	assert_true(S_ISFIFO(info_of("to").st_mode));
	close(reader);
}

/* ---- trees */

static void a_tree_is_copied_with_its_modes(void **state)
{
	make_tree();
	make_dir("from/shut", 0700);
	write_file("from/shut/file", "5", 0);
	shell("chmod 500 from/shut");
	there_and_back();
	shell("list() { (cd \"$1\" && find . -printf '%p %y %m\\n' | sort); };"
	      "list from >1; list on-the-way >2; list to >3; cmp 1 2 && cmp 1 3");
	shell("diff -r from to");
}

static void links_become_what_they_point_to(void **state)
{
	make_dir("from", 0755);
	make_dir("elsewhere", 0755);
	write_file("elsewhere/file", "1", 0644);
	shell("ln -s ../elsewhere/file from/file; ln -s ../elsewhere from/dir; ln -s from link");
	agent_put("link", "on-the-way");
	assert_file("on-the-way/file", "1", 0644);
	assert_file("on-the-way/dir/file", "1", 0644);
	shell("rm -r on-the-way");
	agent_get("link", "to");
	assert_file("to/file", "1", 0644);
	assert_file("to/dir/file", "1", 0644);
}

static void links_to_nowhere_are_not_put(void **state)
{
	make_dir("from", 0755);
	shell("ln -s nowhere from/link");
	assert_error(try_put("from", "to"), NTD_E_SYS, "/from/link on this host: No such file");
	shell("rm from/link; ln -s . from/round");
	assert_error(try_put("from", "to"), NTD_E_SYS, "/round on this host: Too many levels");
	assert_false(exists("to"));
	shell("ln -s circle circle");
	assert_error(try_get("circle", "to"), NTD_E_MACHINE, "/circle in the guest: ");
	assert_nothing_left();
}

static void many_small_files_are_copied(void **state)
{
	shell("mkdir -p from/a/b from/c; for i in $(seq 1000); do echo $i >from/a/$i; echo $i >from/a/b/$i; done;"
	      "for i in $(seq 200); do mkdir from/c/$i; echo $i >from/c/$i/file; done");
	there_and_back();
	shell("diff -r from to");
}

static void trees_are_merged(void **state)
{
	shell("mkdir -p to/from/sub from/sub; echo old >to/from/sub/file; echo stays >to/from/other;"
	      "echo new >from/sub/file; chmod 711 to/from/sub");
	agent_put("from", "to");
	shell("grep -q new to/from/sub/file && grep -q stays to/from/other");
	assert_int_equal(info_of("to/from/sub").st_mode & 0777, 0711);
}

static void directories_above_are_made(void **state)
{
	write_file("from", "x", 0644);
	agent_put("from", "a/b/c/to");
	assert_file("a/b/c/to", "x", 0644);
	assert_error(try_put("from", "from/to"), NTD_E_MACHINE, "cannot make directory");
}

/* ---- what cannot be copied */

static void what_is_no_file_is_not_read(void **state)
{
	make_dir("from", 0755);
	assert_int_equal(mkfifo(at("from/pipe"), 0600), 0);
	assert_error(try_put("from", "to"), NTD_E_VALUE, "neither a file nor a directory");
	assert_error(try_get("from", "to"), NTD_E_VALUE, "neither a file nor a directory");
	assert_false(exists("to"));
	assert_nothing_left();
}

static void the_words_of_the_guest_are_in_the_error(void **state)
{
	struct copying copying = agent_copy(NTD_SFTP_PUT, "from", "to");

	write_file("from", "x", 0644);
	assert_error(try_get("missing", "to"), NTD_E_MACHINE, "missing in the guest: No such file");
	copying.target = "/proc/to";
	run(&copying);
	assert_error(copying.error, NTD_E_MACHINE, "/proc/to in the guest: ");
	copying = agent_copy(NTD_SFTP_PUT, "from", "to");
	copying.target = "/dev/full";
	run(&copying);
	assert_error(copying.error, NTD_E_MACHINE,
		     "/dev/full in the guest: No space left on device");
	shell("test -c /dev/full && test -z \"$(find /dev -maxdepth 1 -name '.ntd-*')\"");
}

static void names_that_are_too_long_fail(void **state)
{
	struct copying copying = agent_copy(NTD_SFTP_PUT, "from", "to");
	_cleanup_free_ char *target = ntd_asprintf("%s/%0300d", base, 0);

	write_file("from", "x", 0644);
	copying.target = target;
	run(&copying);
	assert_error(copying.error, NTD_E_MACHINE, "File name too long");
	assert_nothing_left();
}

/* ---- the end before the end */

static void make_large_tree(void)
{
	shell("mkdir -p from/a/b; for i in $(seq 200); do echo $i >from/a/b/$i; done;"
	      "head -c 3000000 /dev/urandom >from/a/large; chmod 500 from/a/b");
}

/* The server is told nothing but that the client has gone. */
static void nothing_is_left_when_the_client_goes(void **state)
{
	make_large_tree();
	for (unsigned after = 1; after < 60; after += 7) {
		struct copying copying = agent_copy(NTD_SFTP_PUT, "from", "to");

		copying.leave_after = after;
		run(&copying);
		assert_false(copying.done);
		assert_false(exists("to"));
		assert_nothing_left();
	}
}

static void nothing_is_left_on_the_host_when_the_server_goes(void **state)
{
	make_large_tree();
	for (unsigned after = 1; after < 60; after += 7) {
		struct copying copying = agent_copy(NTD_SFTP_GET, "from", "to");

		copying.end_after = after;
		run(&copying);
		assert_error(copying.error, NTD_E_MACHINE, "");
		assert_false(exists("to"));
		assert_nothing_left();
	}
}

static void a_copy_that_is_cancelled_leaves_nothing(void **state)
{
	make_large_tree();
	for (unsigned after = 1; after < 60; after += 7) {
		struct copying copying =
			agent_copy(after % 2 ? NTD_SFTP_PUT : NTD_SFTP_GET, "from", "to");

		copying.cancel_after = after;
		run(&copying);
		assert_error(copying.error, NTD_E_CANCELLED, "interrupted");
		assert_false(exists("to"));
		assert_nothing_left();
	}
}

/* ---- a client that means harm */

static void nonsense_ends_the_server(void **state)
{
	static const char *const nonsense[] = {"\xff\xff\xff\xff", "\0\0\0\0",
					       "\0\0\0\x05\x03\0\0\0\x01"};
	static const size_t lengths[] = {4, 4, 9};

	for (size_t i = 0; i < unit_count(nonsense); i++) {
		struct ntd_files *files = ntd_files_new();

		ntd_files_input(files, nonsense[i], lengths[i]);
		assert_int_equal(ntd_files_answer(files), -1);
		ntd_files_free(files);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define each(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
		each(a_file_is_copied_as_by_cp),
		each(large_and_empty_files_keep_each_byte),
		each(holes_stay_holes_both_ways),
		each(a_file_that_is_a_hole_is_copied),
		each(a_file_without_a_size_is_read_to_its_end),
		each(a_file_that_is_there_keeps_owner_and_mode),
		each(what_is_no_file_is_written_to),
		each(a_tree_is_copied_with_its_modes),
		each(links_become_what_they_point_to),
		each(links_to_nowhere_are_not_put),
		each(many_small_files_are_copied),
		each(trees_are_merged),
		each(directories_above_are_made),
		each(what_is_no_file_is_not_read),
		each(the_words_of_the_guest_are_in_the_error),
		each(names_that_are_too_long_fail),
		each(nothing_is_left_when_the_client_goes),
		each(nothing_is_left_on_the_host_when_the_server_goes),
		each(a_copy_that_is_cancelled_leaves_nothing),
		each(nonsense_ends_the_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
