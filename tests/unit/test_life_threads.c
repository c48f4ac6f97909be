/* Tests of two threads of a script that use one machine at the same time: every call ends, with a
 * proper result or error. `make tsan` looks for data races.
 */
#include "life_fixture.h"

#include "guest/power.h"
#include "machine/internal.h"

enum { ROUNDS = 12 };

struct script {
	struct fixture *fixture;
	struct ntd_machine *machine;
	struct hook hook;
	pthread_t thread;
	char *strange; /* the text of an unexpected error */
};

/* The other thread may end or start the machine at any moment. */
static void judge(struct script *script, struct ntd_error *error)
{
	bool expected = !error || error->code == NTD_E_DEAD || error->code == NTD_E_MACHINE;

	if (!expected && !script->strange)
		script->strange = ntd_strdup(error->message);
	ntd_error_free(error);
}

static void run_together(struct fixture *fixture, struct ntd_machine *machine,
			 void *(*one)(void *script), void *(*other)(void *script))
{
	struct script scripts[2];

	for (size_t i = 0; i < unit_count(scripts); i++)
		scripts[i] = (struct script){fixture, machine, .hook = {fixture, machine}};
	pthread_create(&scripts[0].thread, NULL, one, &scripts[0]);
	pthread_create(&scripts[1].thread, NULL, other, &scripts[1]);
	for (size_t i = 0; i < unit_count(scripts); i++)
		pthread_join(scripts[i].thread, NULL);
	for (size_t i = 0; i < unit_count(scripts); i++)
		if (scripts[i].strange)
			fail_msg("%s", scripts[i].strange);
}

static void *start_and_crash(void *arg)
{
	struct script *script = arg;

	for (int i = 0; i < ROUNDS; i++) {
		struct ntd_error *error = NULL;

		ntd_machine_start(script->machine, i % 2, NULL, &error);
		judge(script, ntd_steal(&error));
		ntd_machine_crash(script->machine, NULL, &error);
		judge(script, error);
	}
	return NULL;
}

static void starts_meet(void **state)
{
	struct ntd_machine *machine = machine_new(*state, "server", NULL);

	run_together(*state, machine, start_and_crash, start_and_crash);
	assert_output(machine, "echo alive", "alive\n");
}

static void *run_commands(void *arg)
{
	struct script *script = arg;

	for (int i = 0; i < ROUNDS; i++) {
		_cleanup_result_ struct ntd_result result = {0};
		_cleanup_buf_ struct ntd_buf reply = {0}, log = {0};
		_cleanup_cjson_ cJSON *answer = NULL;
		_cleanup_error_ struct ntd_error *cause = ntd_machine_death(script->machine);
		struct ntd_error *error = NULL;

		try_command(script->machine, "echo hello; echo console >&2", &result, &error);
		judge(script, ntd_steal(&error));
		ntd_machine_monitor_command(script->machine, "info status", &reply, NULL, &error);
		judge(script, ntd_steal(&error));
		answer = ntd_qmp_execute(ntd_machine_qmp(script->machine), "query-status", NULL,
					 ntd_after(PATIENCE), NULL, &error);
		judge(script, error);
		ntd_console_copy_log(ntd_machine_console(script->machine), &log);
		ntd_machine_is_up(script->machine);
	}
	return NULL;
}

static void commands_meet(void **state)
{
	run_together(*state, machine_new(*state, "server", NULL), run_commands, run_commands);
}

static void commands_meet_an_end(void **state)
{
	run_together(*state, machine_new(*state, "server", NULL), run_commands, start_and_crash);
}

static int permit(void *owner, struct ntd_waiter *waiter, struct ntd_error **err)
{
	return 0;
}

/* Sets all that a script may set while another thread uses the machine; names that the other thread
 * has read stay valid. */
static void *set_everything(void *arg)
{
	struct script *script = arg;
	struct ntd_machine *machine = script->machine;
	const char *before = ntd_machine_state_dir(machine);
	const struct ntd_machine_hooks hooks[] = {
		{.environment = environment, .owner = &script->hook},
		{.environment = environment, .before_command = permit, .owner = &script->hook}};

	for (int i = 0; i < 200; i++) {
		_cleanup_free_ char *directory =
			ntd_asprintf("%s/state-%d", script->fixture->base, i % 2);

		ntd_machine_set_hooks(machine, &hooks[i % 2]);
		ntd_machine_set_state_dir(machine, directory);
		ntd_machine_set_shared_dir(machine, directory);
		ntd_machine_set_out_dir(machine, directory);
		ntd_machine_set_boot_timeout(machine, 20 + i % 2);
		ntd_machine_set_root_shell(machine, true);
		ntd_machine_status(machine);
	}
	if (!ntd_has_suffix(before, "/vm-state-server"))
		script->strange = ntd_strdup(before);
	return NULL;
}

static void settings_meet_starts(void **state)
{
	run_together(*state, machine_new(*state, "server", NULL), set_everything, start_and_crash);
}

/* One thread has ended the machine's process and another one has started the machine again: the
 * wait for the end of the first process is over. */
static void an_end_is_that_of_one_process(void **state)
{
	struct ntd_machine *machine = machine_new(*state, "server", NULL);
	struct ntd_life_wait wait = {.kind = NTD_WAIT_GONE};
	struct ntd_error *err = NULL;

	start(machine);
	wait.process = ntd_machine_status(machine).starts;
	assert_int_equal(ntd_machine_crash(machine, NULL, NULL), 0);
	start(machine);
	ntd_life_wait(machine, &wait, ntd_after(PATIENCE), NULL, &err);
	assert_no_error(err);
	assert_state(machine, NTD_MACHINE_UP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		life_test(starts_meet),
		life_test(commands_meet),
		life_test(commands_meet_an_end),
		life_test(settings_meet_starts),
		life_test(an_end_is_that_of_one_process),
	};

	return run_life_tests(tests);
}
