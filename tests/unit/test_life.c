/* Tests of the life of machines without faults: start, use, end and new start. */
#include "life_fixture.h"

#include "guest/power.h"

#include <sys/wait.h>

static void a_machine_is_started_used_and_shut_down(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_machine *machine = machine_new(fixture, "server", NULL);
	struct ntd_error *err = NULL;
	_cleanup_free_ char *running = NULL;

	assert_state(machine, NTD_MACHINE_DOWN);
	start(machine);
	assert_state(machine, NTD_MACHINE_UP);
	assert_true(ntd_qmp_is_open(ntd_machine_qmp(machine)));
	running = ntd_asprintf("server: starting vm\nserver: QEMU running (pid %d)\n",
			       ntd_machine_status(machine).pid);
	assert_logged(fixture, running);
	connect_shell(machine);
	assert_state(machine, NTD_MACHINE_CONNECTED);
	assert_logged(fixture, "server: waiting for the VM to finish booting\n");
	assert_logged(fixture, "server: connected to guest root shell\n"
			       "server: (connecting took ");
	assert_output(machine, "echo hello", "hello\n");
	ntd_machine_shutdown(machine, NULL, &err);
	assert_no_error(err);
	assert_state(machine, NTD_MACHINE_DOWN);
	assert_int_equal(ntd_machine_status(machine).pid, 0);
	assert_true(WIFEXITED(ntd_machine_status(machine).wait_status));
	assert_logged(fixture, "server: waiting for the VM to power off\n");
	assert_int_equal(count_marked(fixture->mark), 0);
}

static void a_command_starts_the_machine(void **state)
{
	struct ntd_machine *machine = machine_new(*state, "server", NULL);

	assert_output(machine, "echo hello", "hello\n");
	assert_state(machine, NTD_MACHINE_CONNECTED);
}

static void what_has_been_done_is_not_done_again(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_machine *machine = machine_new(fixture, "server", NULL);
	pid_t pid;

	assert_int_equal(ntd_machine_shutdown(machine, NULL, NULL), 0);
	assert_int_equal(ntd_machine_crash(machine, NULL, NULL), 0);
	assert_int_equal(ntd_machine_wait_for_shutdown(machine, NTD_FOREVER, NULL, NULL), 0);
	assert_true(ntd_machine_wait_gone(machine, NTD_FOREVER));
	assert_state(machine, NTD_MACHINE_DOWN);
	connect_shell(machine);
	pid = ntd_machine_status(machine).pid;
	start(machine);
	connect_shell(machine);
	assert_state(machine, NTD_MACHINE_CONNECTED);
	assert_int_equal(ntd_machine_status(machine).pid, pid);
}

static void the_start_script_gets_its_environment(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_machine *machine = machine_new(fixture, "server", NULL);
	_cleanup_free_ char *expected =
		ntd_asprintf("%1$s/vm-state-server %1$s/vm-state-server %1$s/shared-xchg 1 "
			     "%1$s/vm-state-server/server-efi-vars.fd :0\n",
			     fixture->base);

	assert_output(machine, "echo $PWD $TMPDIR $SHARED_DIR $USE_TMPDIR $NIX_EFI_VARS $DISPLAY",
		      expected);
}

static void the_state_directory_is_private_and_new(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_free_ char *stale = ntd_asprintf("%s/vm-state-server/stale.qcow2", fixture->base);
	_cleanup_free_ char *directory = ntd_asprintf("%s/vm-state-server", fixture->base);
	struct ntd_machine *machine;
	struct stat info;

	assert_int_equal(mkdir(directory, 0755), 0);
	close(open(stale, O_WRONLY | O_CREAT, 0600));
	machine = ntd_machine_new(&fixture->context, &ntd_qemu_kind, "server", "true", true, NULL);
	assert_int_equal(access(stale, F_OK), 0); /* the file is kept */
	ntd_machine_free(machine);
	machine_new(fixture, "server", NULL);
	assert_true(access(stale, F_OK) < 0);
	assert_int_equal(stat(directory, &info), 0);
	assert_int_equal(info.st_mode & 0777, 0700);
}

static void sockets_may_be_elsewhere(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_free_ char *sockets = ntd_asprintf("%s/s,ockets", fixture->base);
	struct ntd_machine *machine;

	assert_int_equal(mkdir(sockets, 0700), 0);
	fixture->context.socket_dir = sockets;
	machine = machine_new(fixture, "server", NULL);
	assert_true(!strncmp(ntd_machine_path(machine, "qmp"), sockets, strlen(sockets)));
	assert_output(machine, "echo hello", "hello\n");
	assert_int_equal(ntd_machine_crash(machine, NULL, NULL), 0);
	assert_int_equal(rmdir(sockets), 0); /* the sockets have gone with the machine */
}

/* ---- consoles and monitors */

static void the_console_is_logged_waited_for_and_kept(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_machine *machine = machine_new(fixture, "server", NULL);
	struct ntd_console *console = ntd_machine_console(machine);
	struct ntd_console_news news = {0};
	_cleanup_buf_ struct ntd_buf log = {0};
	_cleanup_free_ char *raw = ntd_asprintf("%s/vm-state-server/console.log", fixture->base);
	struct stat info;

	order_faults(fixture, machine, "FAKE_OUTPUT=BIOS\\r\\nLinux\\n");
	assert_output(machine, "echo to the console >&2; echo hello", "hello\n");
	while (!ntd_find(ntd_buf_bytes(&news.lines), news.lines.len, "to the console\n"))
		assert_int_equal(
			ntd_console_take(console, &news, 1000, ntd_after(PATIENCE), NULL, NULL), 0);
	ntd_buf_free(&news.lines);
	ntd_console_copy_log(console, &log);
	assert_int_equal(log.len, strlen("BIOS\nLinux\nconnecting to host...\nto the console"));
	assert_int_equal(stat(raw, &info), 0);
	assert_int_equal(info.st_size, log.len + 2); /* \r and the last newline */
}

static void the_monitor_answers(void **state)
{
	struct ntd_machine *machine = machine_new(*state, "server", NULL);
	_cleanup_buf_ struct ntd_buf reply = {0};
	_cleanup_cjson_ cJSON *status = NULL;

	start(machine);
	assert_int_equal(ntd_machine_monitor_command(machine, "info status", &reply, NULL, NULL),
			 0);
	assert_non_null(
		ntd_find(ntd_buf_bytes(&reply), reply.len, "VM status: running\r\n(qemu) "));
	status = ntd_qmp_execute(ntd_machine_qmp(machine), "query-status", NULL,
				 ntd_after(PATIENCE), NULL, NULL);
	assert_non_null(cJSON_GetObjectItem(status, "return"));
}

static int refuse(void *owner, struct ntd_waiter *waiter, struct ntd_error **err)
{
	return ntd_error_set(err, NTD_E_ASSERTION, "a polling condition failed");
}

static void a_hook_comes_before_a_scripts_commands(void **state)
{
	struct ntd_machine *machine = machine_new(*state, "server", NULL);
	const struct ntd_command command = {.text = "true", .text_len = 4, .timeout = -1};
	_cleanup_result_ struct ntd_result result = {0};
	_cleanup_buf_ struct ntd_buf reply = {0};
	struct ntd_waiter script = {.owner = &script}, *others[] = {NULL, &(struct ntd_waiter){0}};

	ntd_machine_set_hooks(machine, &(struct ntd_machine_hooks){.before_command = refuse});
	assert_fails(ntd_machine_run(machine, &command, &result, &script, &err), NTD_E_ASSERTION,
		     "polling");
	assert_fails(ntd_machine_monitor_command(machine, "info", &reply, &script, &err),
		     NTD_E_ASSERTION, "polling");
	assert_state(machine, NTD_MACHINE_DOWN);
	for (size_t i = 0; i < unit_count(others); i++)
		assert_int_equal(ntd_machine_run(machine, &command, &result, others[i], NULL), 0);
}

/* ---- ends and new starts */

static void a_crash_is_quick(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_machine *machine = machine_new(fixture, "server", NULL);
	struct ntd_error *err = NULL;

	connect_shell(machine);
	ntd_machine_crash(machine, NULL, &err);
	assert_no_error(err);
	assert_state(machine, NTD_MACHINE_DOWN);
	assert_logged(fixture, "server: forced crash\n");
	assert_int_equal(count_marked(fixture->mark), 0);
}

static void a_machine_can_be_started_again(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_machine *machine = machine_new(fixture, "server", NULL);
	_cleanup_buf_ struct ntd_buf log = {0};

	for (int i = 0; i < 3; i++) {
		order_faults(fixture, machine, "FAKE_OUTPUT=a new start\\n");
		assert_output(machine, "echo $TMPDIR >> history; wc -l < history",
			      i == 0   ? "1\n"
			      : i == 1 ? "2\n"
				       : "3\n");
		ntd_console_copy_log(ntd_machine_console(machine), &log);
		assert_memory_equal(ntd_buf_bytes(&log), "a new start\nconn", 16);
		if (i % 2)
			assert_int_equal(ntd_machine_crash(machine, NULL, NULL), 0);
		else
			assert_int_equal(ntd_machine_shutdown(machine, NULL, NULL), 0);
	}
}

static void a_reboot_needs_to_be_allowed(void **state)
{
	struct ntd_machine *machine = machine_new(*state, "server", NULL);
	pid_t pid;

	assert_int_equal(ntd_machine_start(machine, true, NULL, NULL), 0);
	assert_output(machine, "echo one", "one\n");
	pid = ntd_machine_status(machine).pid;
	assert_int_equal(ntd_machine_reboot(machine, NULL, NULL), 0);
	assert_state(machine, NTD_MACHINE_UP);
	assert_output(machine, "echo two", "two\n");
	assert_int_equal(ntd_machine_status(machine).pid, pid);
	assert_int_equal(ntd_machine_shutdown(machine, NULL, NULL), 0);
	assert_output(machine, "echo three", "three\n"); /* starts the machine with -no-reboot */
	ntd_machine_reboot(machine, NULL, NULL);
	assert_int_equal(ntd_machine_wait_for_shutdown(machine, ntd_after(PATIENCE), NULL, NULL),
			 0);
	assert_state(machine, NTD_MACHINE_DOWN);
}

static void a_guest_may_power_itself_off(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_machine *machine = machine_new(fixture, "server", NULL);
	struct ntd_command command = {.text = "poweroff", .text_len = 8, .no_reply = true};
	_cleanup_result_ struct ntd_result result = {0};

	connect_shell(machine);
	assert_fails(ntd_machine_wait_for_shutdown(machine, ntd_after(20 * NTD_MS), NULL, &err),
		     NTD_E_TIMEOUT, "timed out");
	assert_state(machine, NTD_MACHINE_CONNECTED);
	assert_int_equal(ntd_machine_run(machine, &command, &result, NULL, NULL), 0);
	assert_int_equal(ntd_machine_wait_for_shutdown(machine, ntd_after(PATIENCE), NULL, NULL),
			 0);
	assert_state(machine, NTD_MACHINE_DOWN);
	assert_output(machine, "echo again", "again\n");
}

static void a_release_ends_whatever_there_is(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_machine *machine = machine_new(fixture, "server", NULL);
	int64_t began;

	order_faults(fixture, machine, "FAKE_STUBBORN=1", "FAKE_SURVIVOR=1000");
	connect_shell(machine);
	began = ntd_now();
	ntd_machine_release(machine, 300 * NTD_MS, NTD_FOREVER);
	assert_true(ntd_machine_wait_gone(machine, ntd_after(PATIENCE)));
	assert_in_range(ntd_now() - began, 300 * NTD_MS, 3 * NTD_SECOND);
	assert_int_equal(count_marked(fixture->mark), 0);
	assert_state(machine, NTD_MACHINE_DOWN);
	ntd_machine_release(machine, 0, NTD_FOREVER); /* does nothing */
	assert_state(machine, NTD_MACHINE_DOWN);
}

/* A released machine may be freed without a wait for its end. */
static void a_machine_may_be_freed_once_it_is_released(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_machine *machine = machine_new(fixture, "server", NULL);

	order_faults(fixture, machine, "FAKE_STUBBORN=1");
	connect_shell(machine);
	ntd_machine_release(machine, 60 * NTD_SECOND, NTD_FOREVER);
	ntd_machine_free(machine);
	fixture->machines[0] = NULL;
	assert_true(await_marked(fixture->mark, 0, 2 * NTD_SECOND));
}

/* ---- several */

static void all_start_at_the_same_time(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_error *err = NULL;

	for (int i = 0; i < MOST_MACHINES; i++)
		machine_new(fixture, (const char *[]){"a", "b", "c"}[i], NULL);
	start(fixture->machines[1]); /* this machine is up already */
	ntd_machine_start_all(fixture->machines, MOST_MACHINES, NULL, &err);
	assert_no_error(err);
	for (int i = 0; i < MOST_MACHINES; i++)
		assert_output(fixture->machines[i], "echo hello", "hello\n");
}

struct starter {
	pthread_t thread;
	struct ntd_machine *machine;
	struct ntd_error *error;
};

static void *run_starter(void *arg)
{
	struct starter *starter = arg;

	ntd_machine_connect(starter->machine, NULL, &starter->error);
	return NULL;
}

static void several_threads_start_a_machine_once(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_machine *machine = machine_new(fixture, "server", NULL);
	struct starter starters[4];

	for (size_t i = 0; i < unit_count(starters); i++) {
		starters[i] = (struct starter){.machine = machine};
		pthread_create(&starters[i].thread, NULL, run_starter, &starters[i]);
	}
	for (size_t i = 0; i < unit_count(starters); i++)
		pthread_join(starters[i].thread, NULL);
	for (size_t i = 0; i < unit_count(starters); i++)
		assert_no_error(starters[i].error);
	assert_output(machine, "wc -l < /dev/null", "0\n");
	assert_int_equal(count_logged(fixture, "server: starting vm\n"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		life_test(a_machine_is_started_used_and_shut_down),
		life_test(a_command_starts_the_machine),
		life_test(what_has_been_done_is_not_done_again),
		life_test(the_start_script_gets_its_environment),
		life_test(the_state_directory_is_private_and_new),
		life_test(sockets_may_be_elsewhere),
		life_test(the_console_is_logged_waited_for_and_kept),
		life_test(the_monitor_answers),
		life_test(a_hook_comes_before_a_scripts_commands),
		life_test(a_crash_is_quick),
		life_test(a_machine_can_be_started_again),
		life_test(a_reboot_needs_to_be_allowed),
		life_test(a_guest_may_power_itself_off),
		life_test(a_release_ends_whatever_there_is),
		life_test(a_machine_may_be_freed_once_it_is_released),
		life_test(all_start_at_the_same_time),
		life_test(several_threads_start_a_machine_once),
	};

	return run_life_tests(tests);
}
