/* Tests of machines that die, hang up or panic in use, or are released: every wait ends with an
 * error that names the machine and the cause, and no process is left.
 */
#include "life_fixture.h"

#include "guest/power.h"

/* ---- in use */

struct user {
	pthread_t thread;
	struct ntd_machine *machine;
	void (*use)(struct user *user);
	struct ntd_error *error;
	int64_t ended;
};

static void use_console(struct user *user)
{
	struct ntd_console *console = ntd_machine_console(user->machine);
	struct ntd_console_news news = {0};

	while (!user->error)
		ntd_console_take(console, &news, 1000, NTD_FOREVER, NULL, &user->error);
	ntd_buf_free(&news.lines);
	ntd_buf_free(&news.partial);
}

static void use_qmp(struct user *user)
{
	cJSON_Delete(ntd_qmp_next_event(ntd_machine_qmp(user->machine), NTD_FOREVER, NULL,
					&user->error));
}

static void use_shell(struct user *user)
{
	_cleanup_result_ struct ntd_result result = {0};

	try_command(user->machine, "sleep 1000", &result, &user->error);
}

static void *run_user(void *arg)
{
	struct user *user = arg;

	user->use(user);
	user->ended = ntd_now();
	return NULL;
}

static void a_death_ends_everything_within_a_second(void **state)
{
	static void (*const uses[])(struct user * user) = {use_console, use_qmp, use_shell,
							   use_shell};
	struct ntd_machine *machine = machine_new(*state, "server", NULL);
	struct ntd_channel *channel = ntd_shell_channel(ntd_machine_shell(machine));
	struct user users[unit_count(uses)];
	_cleanup_result_ struct ntd_result result = {0};
	int64_t began;

	assert_output(machine, "echo last words >&2", "");
	for (size_t i = 0; i < unit_count(uses); i++) {
		users[i] = (struct user){.machine = machine, .use = uses[i]};
		pthread_create(&users[i].thread, NULL, run_user, &users[i]);
	}
	for (char *running = NULL; !running; free(running))
		running = channel->ops->busy(channel);
	began = ntd_now();
	kill(ntd_machine_status(machine).pid, SIGKILL);
	for (size_t i = 0; i < unit_count(uses); i++)
		pthread_join(users[i].thread, NULL);
	for (size_t i = 0; i < unit_count(uses); i++) {
		assert_true(users[i].ended - began < NTD_SECOND);
		assert_non_null(strstr(users[i].error->message, "machine 'server'"));
		assert_error(users[i].error, NTD_E_DEAD, "");
	}
	assert_state(machine, NTD_MACHINE_DEAD);
	/* Later uses fail with the cause of death until the machine is started again. */
	assert_fails(try_command(machine, "true", &result, &err), NTD_E_DEAD,
		     "machine 'server': QEMU process was killed by signal 9 (Killed)");
	assert_fails(try_command(machine, "true", &result, &err), NTD_E_DEAD,
		     "last console lines:\n    connecting to host...\n    last words\n");
	start(machine);
	assert_output(machine, "echo again", "again\n");
}

static void the_end_of_a_dead_machine_can_be_noted(void **state)
{
	struct ntd_machine *machine = machine_new(*state, "server", NULL);
	_cleanup_result_ struct ntd_result result = {0};

	assert_fails(try_command(machine, "poweroff; sleep 10", &result, &err), NTD_E_DEAD,
		     "machine 'server': QEMU process exited with code 0");
	assert_int_equal(ntd_machine_wait_for_shutdown(machine, ntd_after(PATIENCE), NULL, NULL),
			 0);
	assert_state(machine, NTD_MACHINE_DOWN);
	assert_fails(try_command(machine, "poweroff; sleep 10", &result, &err), NTD_E_DEAD, "");
	assert_int_equal(ntd_machine_crash(machine, NULL, NULL), 0);
	assert_output(machine, "echo again", "again\n");
	assert_fails(try_command(machine, "poweroff; sleep 10", &result, &err), NTD_E_DEAD, "");
	assert_int_equal(ntd_machine_shutdown(machine, NULL, NULL), 0);
	assert_state(machine, NTD_MACHINE_DOWN);
}

/* The shell hangs up while the process lives. */
static void a_shell_that_hangs_up_is_noticed(void **state)
{
	struct ntd_machine *machine = machine_new(*state, "server", NULL);
	_cleanup_result_ struct ntd_result result = {0};
	int64_t began;

	connect_shell(machine);
	began = ntd_now();
	assert_fails(try_command(machine, "hang-up; sleep 1000", &result, &err), NTD_E_MACHINE,
		     "machine 'server': Shell disconnected");
	assert_fails(try_command(machine, "true", &result, &err), NTD_E_MACHINE,
		     "machine 'server': ");
	assert_true(ntd_now() - began < 5 * NTD_SECOND);
}

static void a_kernel_panic_is_noticed(void **state)
{
	struct ntd_machine *machine = machine_new(*state, "server", NULL);
	_cleanup_result_ struct ntd_result result = {0};
	int64_t began;

	connect_shell(machine);
	began = ntd_now();
	assert_fails(try_command(machine, "echo 'Kernel panic - not syncing: test' >&2; sleep 1000",
				 &result, &err),
		     NTD_E_MACHINE,
		     "the guest's kernel panicked: Kernel panic - not syncing: test");
	assert_fails(try_command(machine, "true", &result, &err), NTD_E_MACHINE,
		     "machine 'server': ");
	assert_true(ntd_now() - began < 5 * NTD_SECOND);
}

/* A guest prints the words of a panic in another context, and goes on answering. */
static void a_guest_that_lives_on_has_not_panicked(void **state)
{
	struct ntd_machine *machine = machine_new(*state, "server", NULL);

	connect_shell(machine);
	assert_output(machine, "echo 'Kernel panic - not syncing: no' >&2; sleep 1; echo a", "a\n");
	assert_output(machine, "sleep 2.5; echo b", "b\n");
}

/* ---- releases */

static void a_release_during_the_start_leaves_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_machine *machine = machine_new(fixture, "server", NULL);

	for (int i = 0; i < 10; i++) {
		struct user user = {.machine = machine, .use = use_shell};
		struct ntd_machine_status status;

		pthread_create(&user.thread, NULL, run_user, &user);
		do
			status = ntd_machine_status(machine);
		while (status.state == NTD_MACHINE_DOWN);
		ntd_machine_release(machine, 0, NTD_FOREVER);
		assert_true(ntd_machine_wait_gone(machine, ntd_after(PATIENCE)));
		pthread_join(user.thread, NULL);
		assert_error(user.error, NTD_E_DEAD, "machine 'server'");
		assert_state(machine, NTD_MACHINE_DOWN);
	}
	assert_true(await_marked(fixture->mark, 0, 2 * NTD_SECOND));
}

/* QEMU has ended in time, but a process that it left has not. The next start need not wait for that
 * one, and the time until the first QEMU would have been killed is no time of the second one. */
static void a_release_does_not_end_the_next_process(void **state)
{
	struct fixture *fixture = *state;
	char fake[PATH_MAX];
	_cleanup_free_ char *script = NULL;
	struct ntd_machine *machine;

	assert_non_null(realpath("tests/fake/run-fake-vm", fake));
	script = ntd_asprintf("sh -c '(trap \"\" TERM; exec setsid sleep 1000 >/dev/null 2>&1) & "
			      "exec %s \"$@\"' sh",
			      fake);
	machine = machine_new(fixture, "server", script);
	connect_shell(machine);
	ntd_machine_release(machine, 300 * NTD_MS, NTD_FOREVER);
	assert_int_equal(ntd_machine_wait_for_process(machine, 1, ntd_after(PATIENCE), NULL, NULL),
			 0);
	start(machine);
	assert_fails(ntd_machine_wait_for_process(machine, 2, ntd_after(600 * NTD_MS), NULL, &err),
		     NTD_E_TIMEOUT, "timed out");
	assert_state(machine, NTD_MACHINE_UP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		life_test(a_release_does_not_end_the_next_process),
		life_test(a_death_ends_everything_within_a_second),
		life_test(the_end_of_a_dead_machine_can_be_noted),
		life_test(a_shell_that_hangs_up_is_noticed),
		life_test(a_kernel_panic_is_noticed),
		life_test(a_guest_that_lives_on_has_not_panicked),
		life_test(a_release_during_the_start_leaves_nothing),
	};

	return run_life_tests(tests);
}
