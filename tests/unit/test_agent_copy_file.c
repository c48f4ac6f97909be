/* Tests of the agent's copies within the guest: what is copied is what `cp` would make of it, and
 * what needs `cp` is left as it is.
 */
#include "sftp_fixture.h"

#include "agent/copy_file.h"

#include <sys/prctl.h>
#include <sys/resource.h>

static bool copies(const char *source, const char *target)
{
	return ntd_copy_file(at(source), at(target));
}

static struct stat info_of(const char *name)
{
	struct stat info;

	assert_int_equal(lstat(at(name), &info), 0);
	return info;
}

/* A file of random bytes, without holes; some file systems know of no blocks before they are
 * written. */
static void make_source(size_t size)
{
	_cleanup_free_ char *command =
		ntd_asprintf("rm -f from to; head -c %zu /dev/urandom >from; sync from", size);

	shell(command);
}

/* ---- what is copied */

static void each_byte_is_copied(void **state)
{
	static const size_t sizes[] = {0,         200000,    256 << 10,       (256 << 10) + 1,
				       512 << 10, 768 << 10, (768 << 10) - 1, 9000123};

	for (size_t i = 0; i < unit_count(sizes); i++) {
		make_source(sizes[i]);
		assert_true(copies("from", "to"));
		shell("cmp from to");
	}
}

static void a_new_file_has_the_mode_less_the_umask(void **state)
{
	static const mode_t modes[][2] = {{0666, 0644}, {0777, 0755}, {0400, 0400}};

	for (size_t i = 0; i < unit_count(modes); i++) {
		make_source(300000);
		assert_int_equal(chmod(at("from"), modes[i][0]), 0);
		assert_true(copies("from", "to"));
		assert_int_equal(info_of("to").st_mode & 07777, modes[i][1]);
	}
}

static void a_file_that_is_there_keeps_owner_mode_and_names(void **state)
{
	make_source(300000);
	shell("head -c 500000 /dev/zero >to; chmod 640 to; ln to other; ln -s to link");
	if (geteuid() == 0)
		assert_int_equal(chown(at("to"), 7, 8), 0);
	assert_true(copies("from", "link"));
	shell("cmp from to && cmp from other && test -L link");
	assert_int_equal(info_of("to").st_mode & 07777, 0640);
	assert_true(info_of("to").st_uid == (geteuid() == 0 ? 7 : geteuid()));
}

/* ---- what is left to `cp` */

static void assert_refused(const char *source, const char *target)
{
	assert_false(copies(source, target));
	shell("test ! -e nowhere && ! ls dir | grep -q .");
}

static void targets_that_are_no_files_are_left_alone(void **state)
{
	make_source(300000);
	shell("mkdir dir; mkfifo pipe; ln -s nowhere dangling; ln -s dir to-dir");
	assert_refused("from", "dir");
	assert_refused("from", "to-dir");
	assert_refused("from", "pipe");
	assert_refused("from", "dangling");
	assert_refused("from", "no/such/directory");
	assert_refused("from", "from/file");
}

static void the_source_itself_is_left_alone(void **state)
{
	make_source(300000);
	shell("cp from before; ln from same; ln -s from link");
	assert_false(copies("from", "from"));
	assert_false(copies("from", "same"));
	assert_false(copies("from", "link"));
	shell("cmp before from");
}

static void other_sources_are_left_alone(void **state)
{
	make_source(300000);
	shell("mkdir dir; mkfifo pipe; truncate -s 1M holes; cp from set-uid; chmod 4755 set-uid");
	assert_refused("dir", "to");
	assert_refused("pipe", "to");
	assert_refused("holes", "to");
	assert_refused("set-uid", "to");
	assert_refused("nothing", "to");
	assert_false(exists("to"));
}

/* ---- what goes wrong */

/* As on a disk that is full: one of the readers cannot write, whichever it is. */
static void a_file_that_cannot_be_written_is_no_copy(void **state)
{
	struct rlimit before, limit;

	make_source(2 << 20);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	for (rlim_t most = 100000; most < 2 << 20; most += 200000) {
		limit = (struct rlimit){most, before.rlim_max};
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
		assert_false(copies("from", "to"));
	}
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_true(waitpid(-1, NULL, 0) < 0 && errno == ECHILD);
	assert_true(copies("from", "to"));
	shell("cmp from to");
}

/* The first child of a process; 0: it has none. */
static pid_t child_of(pid_t parent)
{
	_cleanup_free_ char *path = ntd_asprintf("/proc/%d/task/%d/children", parent, parent);
	FILE *file = fopen(path, "r");
	int pid = 0;

	if (!file)
		return 0;
	if (fscanf(file, "%d", &pid) != 1)
		pid = 0;
	fclose(file);
	return pid;
}

/* The letter of a process's state; 0: there is no such process. */
static char state_of(pid_t pid)
{
	_cleanup_free_ char *path = ntd_asprintf("/proc/%d/stat", pid);
	FILE *file = fopen(path, "r");
	char state = 0;

	if (!file)
		return 0;
	if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
		state = 0;
	fclose(file);
	return state;
}

/* Stops a reader that a copy has started, so that the copy cannot end. 0: the copy has ended. */
static pid_t stop_reader(pid_t copier)
{
	pid_t reader;
	char state;

	while (!(reader = child_of(copier)))
		if (waitpid(copier, NULL, WNOHANG))
			return 0;
	kill(reader, SIGSTOP);
	while ((state = state_of(reader)) && !strchr("TZX", state))
		;
	if (state == 'T')
		return reader;
	waitpid(copier, NULL, 0);
	return 0;
}

/* Readers that are lost become children of this process. */
static void readers_end_with_the_copy(void **state)
{
	pid_t copier, reader = 0;
	int status;

	make_source(32 << 20);
	while (!reader) {
		copier = fork();
		assert_true(copier >= 0);
		if (copier == 0)
			_exit(copies("from", "to") ? 0 : 1);
		reader = stop_reader(copier);
	}
	kill(copier, SIGKILL);
	waitpid(copier, NULL, 0);
	kill(reader, SIGCONT); /* it may have been stopped before it had asked for its death */
	assert_int_equal(waitpid(reader, &status, 0), reader);
	assert_true(status != 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define each(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
		each(each_byte_is_copied),
		each(a_new_file_has_the_mode_less_the_umask),
		each(a_file_that_is_there_keeps_owner_mode_and_names),
		each(targets_that_are_no_files_are_left_alone),
		each(the_source_itself_is_left_alone),
		each(other_sources_are_left_alone),
		each(a_file_that_cannot_be_written_is_no_copy),
		each(readers_end_with_the_copy),
	};

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
