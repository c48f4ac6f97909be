/* Tests of the command line that starts QEMU and of its environment. */
#include "unit.h"

#include "qemu/start_command.h"

static const struct ntd_start_paths usual = {.state_dir = "/tmp/vm-state-server",
					     .shared_dir = "/tmp/shared-xchg",
					     .monitor = "/tmp/vm-state-server/monitor",
					     .qmp = "/tmp/vm-state-server/qmp",
					     .shell = "/tmp/vm-state-server/shell",
					     .efi_vars = "/tmp/vm-state-server/server-efi-vars.fd"};

static void assert_line(const char *script, const struct ntd_start_paths *paths, bool allow_reboot,
			bool graphic, const char *expected)
{
	_cleanup_free_ char *line = ntd_start_command_line(script, paths, allow_reboot, graphic);

	assert_string_equal(line, expected);
}

#define DEVICES                                                                                    \
	" -device virtio-serial -device virtconsole,chardev=shell -device virtio-rng-pci"          \
	" -serial stdio"
#define USUAL                                                                                      \
	" -qmp unix:/tmp/vm-state-server/qmp,server=on,wait=off"                                   \
	" -monitor unix:/tmp/vm-state-server/monitor"                                              \
	" -chardev socket,id=shell,path=/tmp/vm-state-server/shell" DEVICES

/* ---- the line */

static void the_line_is_the_contract_of_start_scripts(void **state)
{
	assert_line("/nix/store/x/bin/run-server-vm", &usual, false, false,
		    "/nix/store/x/bin/run-server-vm" USUAL " -no-reboot -nographic");
	assert_line("run", &usual, true, false, "run" USUAL " -nographic");
	assert_line("run", &usual, false, true, "run" USUAL " -no-reboot");
	assert_line("run", &usual, true, true, "run" USUAL);
}

static void a_vsock_device_is_added(void **state)
{
	struct ntd_start_paths paths = usual;

	paths.vsock = "/tmp/ssh-abc/server.vm";
	assert_line("run", &paths, false, false,
		    "run" USUAL
		    " -no-reboot -chardev socket,id=vsock_ssh,path=/tmp/ssh-abc/server.vm"
		    " -device vhost-user-vsock-pci,chardev=vsock_ssh -nographic");
}

static void assert_replacing(const char *line, bool expected)
{
	_cleanup_free_ char *replacing = ntd_start_replacing_shell(line);
	_cleanup_free_ char *wanted = ntd_asprintf("%s%s", expected ? "exec " : "", line);

	assert_string_equal(replacing, wanted);
}

/* A line that is a path and plain words is run by exec, so that the process is QEMU itself,
 * whichever shell /bin/sh is. */
static void a_path_and_plain_words_replace_the_shell(void **state)
{
	static const char *const plain[] = {"/a/run-vm",
					    "./run_x",
					    "bin/qemu -m 512 -cpu max,+x2apic",
					    "/usr/bin/env A=1 run",
					    "/run --name=a@b:c%d",
					    "/run 'a b;c' -x'$y'"};

	for (size_t i = 0; i < unit_count(plain); i++) {
		_cleanup_free_ char *line = ntd_asprintf("%s" USUAL, plain[i]);

		assert_replacing(line, true);
	}
}

static void everything_else_is_left_to_the_shell(void **state)
{
	static const char *const scripts[] = {
		"",          "A=/x run",   "'/my script'", "$X/run", "cd /x; /run", "/run > log",
		"/run &",    "/a && /b",   "/run 2>&1",    "(/run)", "/run\n",      "~/run",
		"/r*n",      "/run # x",   "! /run",       "`/run`", " /run",       "/\xc3\xa4",
		"exec /run", ". ./script", "eval /run",    "exit 3", "run",         "qemu -m 1",
		"/run 'a",   "/r'u'n x",   "/run '\"'\"'"};

	for (size_t i = 0; i < unit_count(scripts); i++) {
		_cleanup_free_ char *line = ntd_asprintf("%s" USUAL, scripts[i]);

		assert_replacing(line, false);
	}
}

/* Paths are quoted for the shell, and their commas doubled for QEMU. */
static void paths_may_hold_anything(void **state)
{
	const struct ntd_start_paths paths = {
		.monitor = "/a b/mon,itor", .qmp = "/it's/,,", .shell = "/$HOME/`id`;\n\xc3\xa4"};

	assert_line("run", &paths, true, true,
		    "run -qmp 'unix:/it'\"'\"'s/,,,,,server=on,wait=off'"
		    " -monitor 'unix:/a b/mon,,itor'"
		    " -chardev 'socket,id=shell,path=/$HOME/`id`;\n\xc3\xa4'" DEVICES);
}

/* ---- the environment */

static void assert_environment(char *const *env, const char *const *expected)
{
	size_t i = 0;

	for (; env[i] && expected[i]; i++)
		assert_string_equal(env[i], expected[i]);
	assert_null(env[i]);
	assert_null(expected[i]);
}

static void the_environment_gets_four_variables(void **state)
{
	static char *const before[] = {(char *)"PATH=/bin", NULL};
	static const char *const after[] = {"PATH=/bin",
					    "TMPDIR=/tmp/vm-state-server",
					    "SHARED_DIR=/tmp/shared-xchg",
					    "USE_TMPDIR=1",
					    "NIX_EFI_VARS=/tmp/vm-state-server/server-efi-vars.fd",
					    NULL};
	_cleanup_strv_ char **env = ntd_start_environment(ntd_strv_copy(before), &usual);

	assert_environment(env, after);
}

static void variables_that_are_there_are_replaced(void **state)
{
	static char *const before[] = {(char *)"USE_TMPDIR=",
				       (char *)"TMPDIRECTORY=/x",
				       (char *)"NIX_EFI_VARS=/old",
				       (char *)"XTMPDIR=/x",
				       (char *)"TMPDIR=/old=1",
				       (char *)"SHARED_DIR",
				       NULL};
	static const char *const after[] = {"USE_TMPDIR=1",
					    "TMPDIRECTORY=/x",
					    "NIX_EFI_VARS=/tmp/vm-state-server/server-efi-vars.fd",
					    "XTMPDIR=/x",
					    "TMPDIR=/tmp/vm-state-server",
					    "SHARED_DIR",
					    "SHARED_DIR=/tmp/shared-xchg",
					    NULL};
	_cleanup_strv_ char **env = ntd_start_environment(ntd_strv_copy(before), &usual);

	assert_environment(env, after);
}

static void an_empty_environment_is_enough(void **state)
{
	static char *const empty[] = {NULL};
	_cleanup_strv_ char **env = ntd_start_environment(ntd_strv_copy(empty), &usual);

	assert_string_equal(ntd_environment_get(env, "USE_TMPDIR"), "1");
	assert_null(ntd_environment_get(env, "PATH"));
}

static void a_copy_is_a_copy(void **state)
{
	char name[] = "A=1";
	char *const env[] = {name, (char *)"B=", NULL};
	_cleanup_strv_ char **copy = ntd_strv_copy(env);

	name[2] = '2';
	assert_string_equal(ntd_environment_get(copy, "A"), "1");
	assert_string_equal(ntd_environment_get(copy, "B"), "");
	assert_null(ntd_environment_get(copy, ""));
	assert_null(ntd_environment_get(copy, "A="));
}

static void a_display_is_a_variable_that_is_set(void **state)
{
	static const struct {
		const char *variable;
		bool display;
	} cases[] = {
		{"DISPLAY=:0", true},   {"WAYLAND_DISPLAY=wayland-0", true}, {"DISPLAY=", true},
		{"XDISPLAY=:0", false}, {"DISPLAY_NAME=x", false},
	};

	for (size_t i = 0; i < unit_count(cases); i++) {
		char *const env[] = {(char *)"PATH=/bin", (char *)cases[i].variable, NULL};

		assert_int_equal(ntd_start_has_display(env), cases[i].display);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_line_is_the_contract_of_start_scripts),
		cmocka_unit_test(a_vsock_device_is_added),
		cmocka_unit_test(a_path_and_plain_words_replace_the_shell),
		cmocka_unit_test(everything_else_is_left_to_the_shell),
		cmocka_unit_test(paths_may_hold_anything),
		cmocka_unit_test(the_environment_gets_four_variables),
		cmocka_unit_test(variables_that_are_there_are_replaced),
		cmocka_unit_test(an_empty_environment_is_enough),
		cmocka_unit_test(a_copy_is_a_copy),
		cmocka_unit_test(a_display_is_a_variable_that_is_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
