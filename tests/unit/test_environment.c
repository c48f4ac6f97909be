/* Tests of the environment that a run gives to its processes. */
#include "unit.h"

#include "base/environment.h"

static char *const process[] = {(char *)"PATH=/bin", (char *)"QEMU_VDE_SOCKET_1=/given", NULL};

static void a_process_gets_the_drivers_and_the_runs_variables(void **state)
{
	struct ntd_environment *environment = ntd_environment_new(process);
	_cleanup_strv_ char **env = NULL, **later = NULL;

	ntd_environment_export(environment, "QEMU_VDE_SOCKET_2", "/old");
	ntd_environment_export(environment, "QEMU_VDE_SOCKET_2", "/two");
	env = ntd_environment_for_process(environment, NULL);
	assert_int_equal(ntd_strv_count(env), 3);
	assert_string_equal(ntd_environment_get(env, "PATH"), "/bin");
	assert_string_equal(ntd_environment_get(env, "QEMU_VDE_SOCKET_2"), "/two");
	ntd_environment_export(environment, "QEMU_VDE_SOCKET_3", "/three");
	later = ntd_environment_for_process(environment, NULL);
	assert_null(ntd_environment_get(env, "QEMU_VDE_SOCKET_3"));
	assert_string_equal(ntd_environment_get(later, "QEMU_VDE_SOCKET_3"), "/three");
	ntd_environment_free(environment);
}

static void what_is_given_comes_before_the_runs_variables(void **state)
{
	static char *const given[] = {(char *)"QEMU_VDE_SOCKET_2=/mine", NULL};
	struct ntd_environment *environment = ntd_environment_new(process);
	_cleanup_strv_ char **env = NULL;

	ntd_environment_export(environment, "QEMU_VDE_SOCKET_1", "/one");
	ntd_environment_export(environment, "QEMU_VDE_SOCKET_2", "/two");
	env = ntd_environment_for_process(environment, ntd_strv_copy(given));
	assert_int_equal(ntd_strv_count(env), 2); /* none of the driver's own variables */
	assert_string_equal(ntd_environment_get(env, "QEMU_VDE_SOCKET_1"), "/one");
	assert_string_equal(ntd_environment_get(env, "QEMU_VDE_SOCKET_2"), "/mine");
	ntd_environment_free(environment);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_process_gets_the_drivers_and_the_runs_variables),
		cmocka_unit_test(what_is_given_comes_before_the_runs_variables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
