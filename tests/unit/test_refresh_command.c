/* Tests of the command that refreshes a guest without an agent, agent_channel/refresh.c: a bash
 * runs it, with nothing in PATH but a `date` of the test's.
 */
#include "tree_fixture.h"

#include "agent_channel/agent_channel.h"

#include <sys/wait.h>
#include <time.h>

/* Runs the command; returns its status. Nothing but `date` can be found. */
static int run_command(void)
{
	_cleanup_free_ char *text = ntd_refresh_command();
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		if (chdir(base) == 0 && setenv("PATH", base, 1) == 0)
			execl("/bin/bash", "bash", "-c", "set -euo pipefail; eval \"$1\"", "-",
			      text, NULL);
		_exit(99);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

/* Runs the command with a program `date` that is that text of a shell, and writes what the time is
 * set to into the file `set`. */
static void assert_sets_the_time(const char *date)
{
	double before = (double)time(NULL), set = -1;
	FILE *file;

	write_file("date", date, 0755);
	assert_int_equal(run_command(), 0);
	file = fopen(at("set"), "re");
	assert_non_null(file);
	assert_int_equal(fscanf(file, "@%lf", &set), 1);
	fclose(file);
	assert_true(set >= before && set <= (double)time(NULL) + 1);
}

static void a_date_may_take_fractions(void **state)
{
	assert_sets_the_time("#!/bin/sh\n[ $1 = -s ] && echo $2 >set\n");
}

static void a_date_may_take_whole_seconds_only(void **state)
{
	assert_sets_the_time("#!/bin/sh\ncase $2 in *.*) exit 1;; esac; echo $2 >set\n");
}

static void a_date_that_takes_neither_is_a_failure(void **state)
{
	write_file("date", "#!/bin/sh\nexit 1\n", 0755);
	assert_int_equal(run_command(), 1);
}

static void the_bytes_differ_each_time(void **state)
{
	_cleanup_free_ char *one = ntd_refresh_command(), *other = ntd_refresh_command();

	assert_non_null(strstr(one, "printf"));
	assert_string_not_equal(strstr(one, "printf"), strstr(other, "printf"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define each(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
		each(a_date_may_take_fractions),
		each(a_date_may_take_whole_seconds_only),
		each(a_date_that_takes_neither_is_a_failure),
		each(the_bytes_differ_each_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
