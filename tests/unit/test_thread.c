/* Tests of ntd_thread_start(): signals, names and errors of the driver's threads. */
#include "unit.h"

#include "base/thread.h"

#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/wait.h>

struct seen {
	char name[32];
	sigset_t mask;
};

static void *look(void *arg)
{
	struct seen *seen = arg;

	prctl(PR_GET_NAME, seen->name);
	pthread_sigmask(SIG_SETMASK, NULL, &seen->mask);
	return seen;
}

static void test_name_and_signals(void **state)
{
	sigset_t before, after;
	struct seen seen = {0};
	pthread_t thread;
	void *result;

	pthread_sigmask(SIG_SETMASK, NULL, &before);
	assert_int_equal(ntd_thread_start(&thread, "test", look, &seen, NULL), 0);
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	pthread_join(thread, &result);
	assert_ptr_equal(result, &seen);
	assert_string_equal(seen.name, "ntd-test");
	for (int signal = 1; signal <= SIGSYS; signal++) {
		if (signal != SIGKILL && signal != SIGSTOP)
			assert_true(sigismember(&seen.mask, signal));
		assert_int_equal(sigismember(&before, signal), sigismember(&after, signal));
	}
	/* A name that is too long is cut. */
	assert_int_equal(ntd_thread_start(&thread, "of a long name", look, &seen, NULL), 0);
	pthread_join(thread, NULL);
	assert_string_equal(seen.name, "ntd-of a long n");
}

/* The test runs in a process of its own, since the size of stacks is a setting of the process. */
static void test_failure(void **state)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		struct ntd_error *error = NULL;
		struct seen seen = {0};
		pthread_attr_t attributes;
		pthread_t thread;
		bool told;

		/* A stack larger than the address space. */
		pthread_attr_init(&attributes);
		pthread_attr_setstacksize(&attributes, (size_t)1 << 46);
		pthread_setattr_default_np(&attributes);
		told = ntd_thread_start(&thread, "test", look, &seen, &error) < 0 && error &&
		       error->code == NTD_E_SYS &&
		       !strncmp(error->message, "cannot start the test thread: ", 30);
		ntd_error_free(error);
		_exit(told ? 0 : 1);
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_name_and_signals),
		cmocka_unit_test(test_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
