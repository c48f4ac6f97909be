/* Tests of copies by SFTP that fail or are interrupted: what the error says, and that nothing half
 * written is left on either side.
 */
#include "sftp_fixture.h"

#include <sys/resource.h>

static void missing_sources_are_named(void **state)
{
	write_file("file", "x", 0644);
	assert_error(sftp_copy(NTD_SFTP_PUT, "none", "to"), NTD_E_SYS,
		     "/none on this host: No such file or directory");
	assert_error(sftp_copy(NTD_SFTP_GET, "none", "to"), NTD_E_MACHINE,
		     "/none in the guest: No such file");
	assert_error(sftp_copy(NTD_SFTP_GET, "file/none", "to"), NTD_E_MACHINE,
		     "/file/none in the guest: ");
	assert_false(exists("to"));
	assert_nothing_left();
}

/* The server is another user where the tests run as root. */
static void permissions_of_the_guest_are_told(void **state)
{
	struct copying copying;

	assert_int_equal(chmod(base, 0755), 0);
	make_dir("from", 0755);
	write_file("from/secret", "x", 0);
	make_dir("shut", 0555);
	write_file("file", "x", 0644);
	copying = a_copy(NTD_SFTP_PUT, at("file"), at("shut/to"));
	copying.other_user = true;
	run(&copying);
	assert_error(copying.error, NTD_E_MACHINE, "shut/to in the guest: Permission denied");
	copying = a_copy(NTD_SFTP_PUT, at("file"), at("shut/a/to"));
	copying.other_user = true;
	run(&copying);
	assert_error(copying.error, NTD_E_MACHINE, "/shut/a in the guest: Permission denied");
	copying = a_copy(NTD_SFTP_GET, at("from"), at("to"));
	copying.other_user = true;
	run(&copying);
	assert_error(copying.error, NTD_E_MACHINE, "from/secret in the guest: Permission denied");
	assert_false(exists("to"));
	assert_nothing_left();
}

static void special_files_are_refused(void **state)
{
	make_dir("from", 0755);
	write_file("from/a", "x", 0644);
	assert_int_equal(mkfifo(at("from/pipe"), 0644), 0);
	assert_error(sftp_copy(NTD_SFTP_PUT, "from", "to"), NTD_E_VALUE,
		     "from/pipe: it is neither a file nor a directory");
	assert_error(sftp_copy(NTD_SFTP_GET, "from", "to"), NTD_E_VALUE,
		     "from/pipe: it is neither a file nor a directory");
	assert_false(exists("to"));
	assert_nothing_left();
}

/* ---- no room */

/* Files cannot grow beyond a limit; the signal for that is ignored, also by the server. */
static void limit_files(rlim_t size)
{
	struct rlimit limit;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = size;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_write_that_fails_fails_the_copy(void **state)
{
	struct ntd_error *to_guest, *from_guest;

	shell("mkdir from; head -c 3000000 /dev/urandom >from/large; echo x >from/small");
	limit_files(1000000);
	to_guest = sftp_copy(NTD_SFTP_PUT, "from", "to");
	from_guest = sftp_copy(NTD_SFTP_GET, "from", "to");
	limit_files(RLIM_INFINITY);
	assert_error(to_guest, NTD_E_MACHINE, "/to/large in the guest: Failure");
	assert_error(from_guest, NTD_E_SYS, "/from/large on this host: File too large");
	assert_false(exists("to"));
	assert_nothing_left();
}

/* ---- interruptions */

static void make_source(void)
{
	shell("mkdir -p from/shut; head -c 300000 /dev/urandom >from/large; echo 1 >from/1; echo 2 >from/shut/2;"
	      "ln -s 1 from/link; chmod 555 from/shut");
}

/* Asserts that the target is whole or not there. */
static void assert_whole_or_nothing(const struct copying *copying)
{
	if (!copying->error)
		shell("diff -r from to");
	else if (exists("to"))
		shell("diff -r from to"); /* the rename was on its way */
	assert_nothing_left();
}

enum interruption { CANCEL, END_OF_SERVER };

/* Interrupts a copy after 1, 2, 3 … reads until it is done before. */
static void interrupt_everywhere(enum ntd_sftp_direction direction, enum interruption by,
				 enum ntd_errc code, const char *text)
{
	for (unsigned reads = 1;; reads += 1 + reads / 16) {
		struct copying copying = a_copy(direction, at("from"), at("to"));

		*(by == CANCEL ? &copying.cancel_after : &copying.end_after) = reads;
		run(&copying);
		assert_whole_or_nothing(&copying);
		shell("chmod -f -R u+w to; rm -rf to");
		if (!copying.error)
			return;
		assert_error(copying.error, code, text);
	}
}

static void a_cancelled_copy_leaves_nothing(void **state)
{
	make_source();
	interrupt_everywhere(NTD_SFTP_PUT, CANCEL, NTD_E_CANCELLED, "interrupted");
	interrupt_everywhere(NTD_SFTP_GET, CANCEL, NTD_E_CANCELLED, "interrupted");
}

/* In a directory that is there already, files that are whole stay. */
static void a_cancelled_copy_into_a_directory_leaves_whole_files(void **state)
{
	make_source();
	for (unsigned reads = 1; reads < 40; reads += 3) {
		struct copying copying = a_copy(NTD_SFTP_PUT, at("from"), at("to"));

		shell("rm -rf to && mkdir -p to/from && echo old >to/from/large");
		copying.cancel_after = reads;
		run(&copying);
		assert_nothing_left();
		shell("if [ $(stat -c %s to/from/large) != 4 ]; then cmp from/large to/from/large; fi");
		ntd_error_free(copying.error);
	}
}

/* A server that dies cannot be tidied, but this host can. */
static void the_end_of_the_server_leaves_nothing_on_this_host(void **state)
{
	make_source();
	interrupt_everywhere(NTD_SFTP_GET, END_OF_SERVER, NTD_E_MACHINE,
			     "the SFTP server has ended before its time");
}

static void a_file_that_is_there_survives_an_interruption(void **state)
{
	for (unsigned reads = 1; reads < 30; reads += 4) {
		struct copying copying = a_copy(NTD_SFTP_PUT, at("from"), at("to"));

		shell("head -c 300000 /dev/zero | tr '\\0' x >from; rm -f to; echo old >to; cp to old");
		copying.end_after = reads;
		run(&copying);
		shell("cmp -s to old || cmp to from");
		ntd_error_free(copying.error);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define each(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
		each(missing_sources_are_named),
		each(permissions_of_the_guest_are_told),
		each(special_files_are_refused),
		each(a_write_that_fails_fails_the_copy),
		each(a_cancelled_copy_leaves_nothing),
		each(a_cancelled_copy_into_a_directory_leaves_whole_files),
		each(the_end_of_the_server_leaves_nothing_on_this_host),
		each(a_file_that_is_there_survives_an_interruption),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
