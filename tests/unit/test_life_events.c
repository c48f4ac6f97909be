/* Tests that errors have what QEMU's events tell of the guest: why it ended, that it is stopped or
 * was reset, and that its kernel has panicked.
 */
#include "life_fixture.h"

#include "guest/power.h"
#include "guest/retry.h"

#define PANICKED "{\"event\": \"GUEST_PANICKED\", \"data\": {\"action\": \"run\"}}"
#define TOLD "; the guest's kernel panicked, as its panic device says"

static void assert_message(struct ntd_error *err, enum ntd_errc code, const char *text)
{
	assert_non_null(err);
	if (!strstr(err->message, text))
		assert_string_equal(err->message, text); /* this assertion shows both texts */
	assert_error(err, code, "machine 'server': ");
}

static void assert_command_fails(struct ntd_machine *machine, const char *command,
				 enum ntd_errc code, const char *text)
{
	_cleanup_result_ struct ntd_result result = {0};
	struct ntd_error *err = NULL;

	assert_true(try_command(machine, command, &result, &err) < 0);
	assert_message(err, code, text);
}

static void execute(struct ntd_machine *machine, const char *command)
{
	struct ntd_error *err = NULL;

	cJSON_Delete(ntd_qmp_execute(ntd_machine_qmp(machine), command, NULL, ntd_after(PATIENCE),
				     NULL, &err));
	assert_no_error(err);
}

/* ---- the end */

static void the_reason_of_an_end_is_told(void **state)
{
	static const struct {
		const char *command, *text;
	} cases[] = {
		{"poweroff; sleep 1000", "exited with code 0 (the guest shut down); last console"},
		{"kill -9 $FAKE_VM_PID; sleep 1000", "killed by signal 9 (Killed); last console"},
		{"kill $FAKE_VM_PID; sleep 1000", "code 0 (a signal asked QEMU to end)"},
		{"reboot; sleep 1000",
		 "code 0 (the guest rebooted, which ends QEMU without allow_reboot)"},
		{"echo '{\"event\": \"SHUTDOWN\", \"data\": {\"reason\": \"some-new-one\"}}' >&21; "
		 "sleep 0.3; kill -9 $FAKE_VM_PID; sleep 1000",
		 "killed by signal 9 (Killed) (QEMU's reason: some-new-one)"},
		{"echo '{\"event\": \"SHUTDOWN\", \"data\": {\"reason\": \"no word\"}}' >&21; "
		 "sleep 0.3; kill -9 $FAKE_VM_PID; sleep 1000",
		 "killed by signal 9 (Killed); last console"},
	};
	struct ntd_machine *machine = machine_new(*state, "server", NULL);

	for (size_t i = 0; i < unit_count(cases); i++) {
		start(machine);
		assert_command_fails(machine, cases[i].command, NTD_E_DEAD, cases[i].text);
	}
}

static void a_guest_that_went_on_has_not_shut_down(void **state)
{
	static const char *const events[] = {"RESUME", "RESET"};
	struct ntd_machine *machine = machine_new(*state, "server", NULL);

	for (size_t i = 0; i < unit_count(events); i++) {
		_cleanup_free_ char *event = ntd_asprintf("{\"event\": \"%s\"}", events[i]);

		start(machine);
		qemu_writes(machine, "{\"event\": \"SHUTDOWN\", \"data\": "
				     "{\"reason\": \"guest-shutdown\"}}");
		qemu_writes(machine, event);
		await_events(machine, 2);
		assert_command_fails(machine, "kill -9 $FAKE_VM_PID; sleep 1000", NTD_E_DEAD,
				     "killed by signal 9 (Killed); last console");
	}
}

struct absence {
	struct ntd_machine *machine;
	pid_t pid;
};

static bool lives(pid_t pid)
{
	_cleanup_free_ char *path = ntd_asprintf("/proc/%d/stat", pid);
	char text[512] = "";
	const char *state = NULL;
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd >= 0 && read(fd, text, sizeof text - 1) > 0)
		state = strrchr(text, ')');
	return state && state[2] != 'Z';
}

/* Runs on the loop thread and keeps it from reading until the process has ended. */
static void outlive(void *arg)
{
	const struct absence *absence = arg;

	while (lives(absence->pid))
		;
}

/* The loop thread reads the last bytes of QEMU, though there are many, and though the end of the
 * process is known as well. */
static void the_last_events_are_read_after_the_end(void **state)
{
	/* The text is shorter than the socket's buffer; the fake would wait for the loop thread
	 * otherwise. */
	static const char text[] = "printf -v event '{\"event\": \"X\", \"data\": \"%1000s\"}' x; "
				   "for i in $(seq 60); do echo \"$event\"; done >&21; poweroff";
	struct ntd_machine *machine = machine_new(*state, "server", NULL);
	struct ntd_command last = {
		.text = text, .text_len = sizeof text - 1, .timeout = -1, .no_reply = true};
	_cleanup_result_ struct ntd_result result = {0};
	struct absence absence = {.machine = machine};

	connect_shell(machine);
	absence.pid = ntd_machine_status(machine).pid;
	assert_int_equal(ntd_machine_run(machine, &last, &result, NULL, NULL), 0);
	ntd_loop_call(((struct fixture *)*state)->loop, outlive, &absence);
	while (!ntd_machine_status(machine).ended)
		;
	assert_command_fails(machine, "true", NTD_E_DEAD, "code 0 (the guest shut down)");
}

/* ---- a panic */

static void a_panic_that_only_an_event_tells_of_is_noticed(void **state)
{
	struct ntd_machine *machine = machine_new(*state, "server", NULL);

	assert_command_fails(machine, "echo '" PANICKED "' >&21; sleep 1000", NTD_E_MACHINE,
			     "the guest does not answer any more" TOLD);
	assert_command_fails(machine, "true", NTD_E_MACHINE, TOLD);
	assert_command_fails(machine, "true", NTD_E_MACHINE, TOLD);
}

static void a_panic_in_the_boot_is_noticed(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_machine *machine = machine_new(fixture, "server", NULL);

	order_faults(fixture, machine, "FAKE_BANNER=no");
	start(machine);
	qemu_writes(machine, PANICKED);
	assert_fails(ntd_machine_connect(machine, NULL, &err), NTD_E_MACHINE,
		     "machine 'server': the guest does not answer any more" TOLD);
}

static void a_guest_that_answers_has_not_panicked(void **state)
{
	struct ntd_machine *machine = machine_new(*state, "server", NULL);

	connect_shell(machine);
	assert_output(machine, "echo '" PANICKED "' >&21; sleep 1; echo a", "a\n");
	assert_output(machine, "sleep 2.5; echo b", "b\n");
}

/* The text of the console says more than the event, so the panic is told once, by that text. */
static void a_panic_is_told_of_once(void **state)
{
	struct ntd_machine *machine = machine_new(*state, "server", NULL);
	_cleanup_result_ struct ntd_result result = {0};
	struct ntd_error *err = NULL;

	assert_true(try_command(machine,
				"echo '" PANICKED "' >&21; echo 'Kernel panic - not syncing: x' "
				">&2; sleep 0.3; kill -9 $FAKE_VM_PID; sleep 1000",
				&result, &err) < 0);
	assert_null(strstr(err->message, TOLD));
	assert_message(err, NTD_E_DEAD,
		       "(Killed); the guest's kernel panicked: Kernel panic - not syncing: x;");
	start(machine);
	assert_command_fails(
		machine, "echo '" PANICKED "' >&21; sleep 0.3; reboot; sleep 1000", NTD_E_DEAD,
		"code 0 (the guest rebooted, which ends QEMU without allow_reboot)" TOLD);
	start(machine);
	assert_command_fails(machine, "kill -9 $FAKE_VM_PID; sleep 1000", NTD_E_DEAD,
			     "killed by signal 9 (Killed); last console");
}

/* What has panicked is an earlier boot; but commands of that boot have failed by it. */
static void a_reset_ends_a_panic(void **state)
{
	struct ntd_machine *machine = machine_new(*state, "server", NULL);
	_cleanup_result_ struct ntd_result result = {0};
	struct ntd_error *err = NULL;

	assert_command_fails(
		machine,
		"echo 'Kernel panic - not syncing: x' >&2; sleep 0.3; echo '" PANICKED
		"' >&21; echo '{\"event\": \"RESET\"}' >&21; sleep 1000",
		NTD_E_MACHINE,
		"does not answer any more; the guest's kernel panicked: Kernel panic - "
		"not syncing: x;");
	kill(ntd_machine_status(machine).pid, SIGKILL);
	while (!ntd_machine_status(machine).ended)
		;
	assert_true(try_command(machine, "true", &result, &err) < 0);
	assert_null(strstr(err->message, "the guest's kernel panicked"));
	assert_message(err, NTD_E_DEAD, "killed by signal 9 (Killed); last console");
}

/* ---- stopped and reset */

static void a_stopped_guest_is_named_in_the_error_of_a_boot(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_machine *machine;

	fixture->context.boot_timeout = 3;
	machine = machine_new(fixture, "server", NULL);
	order_faults(fixture, machine, "FAKE_BANNER=no", "FAKE_STOPPED=1");
	assert_fails(ntd_machine_connect(machine, NULL, &err), NTD_E_TIMEOUT,
		     "Shell did not start in time (3 seconds); the guest is stopped; last");
	execute(machine, "cont");
	assert_fails(ntd_machine_connect(machine, NULL, &err), NTD_E_TIMEOUT,
		     "(3 seconds); the guest may not have booted; last");
	execute(machine, "stop");
	assert_fails(ntd_machine_connect(machine, NULL, &err), NTD_E_TIMEOUT,
		     "(3 seconds); the guest is stopped; last");
	qemu_writes(machine,
		    "{\"event\": \"SHUTDOWN\", \"data\": {\"reason\": \"guest-shutdown\"}}");
	assert_fails(ntd_machine_connect(machine, NULL, &err), NTD_E_TIMEOUT,
		     "(3 seconds); the guest is stopped (the guest shut down); last");
	order_faults(fixture, machine, "FAKE_BANNER=no");
	ntd_machine_crash(machine, NULL, NULL);
	assert_fails(ntd_machine_connect(machine, NULL, &err), NTD_E_TIMEOUT,
		     "(3 seconds); the guest may not have booted; last");
}

static void a_stopped_guest_is_named_in_the_error_of_a_command(void **state)
{
	struct ntd_machine *machine = machine_new(*state, "server", NULL);

	connect_shell(machine);
	ntd_shell_socket(ntd_machine_shell(machine))->limit = 300 * NTD_MS;
	execute(machine, "stop");
	assert_command_fails(machine, "sleep 1", NTD_E_TIMEOUT,
			     "the limit that was set on the shell's socket; the guest is stopped");
	execute(machine, "cont");
	assert_fails(try_command(machine, "sleep 1", &(struct ntd_result){0}, &err), NTD_E_TIMEOUT,
		     "the limit that was set on the shell's socket");
}

static int never(void *arg, bool last, struct ntd_waiter *waiter, struct ntd_error **err)
{
	return NTD_NOT_YET;
}

static void a_stopped_guest_is_named_in_the_error_of_a_wait(void **state)
{
	struct ntd_machine *machine = machine_new(*state, "server", NULL);
	struct ntd_wait wait = {
		.step = "waiting for it", .attempt = never, .timeout = 0.1, .machine = machine};
	struct ntd_error *err = NULL;

	start(machine);
	assert_true(ntd_machine_wait(&wait, NULL, &err) < 0);
	assert_null(strstr(err->message, "stopped"));
	assert_error(ntd_steal(&err), NTD_E_ASSERTION, "action timed out after ");
	execute(machine, "stop");
	assert_true(ntd_machine_wait(&wait, NULL, &err) < 0);
	assert_non_null(strstr(err->message, "action timed out after "));
	assert_error(ntd_steal(&err), NTD_E_ASSERTION,
		     ": machine 'server': waiting for it; the guest is stopped");
}

static void a_reset_is_named_in_the_error_of_a_command(void **state)
{
	struct ntd_machine *machine = machine_new(*state, "server", NULL);
	_cleanup_result_ struct ntd_result result = {0};
	struct ntd_error *err = NULL;

	assert_int_equal(ntd_machine_start(machine, true, NULL, NULL), 0);
	assert_command_fails(machine, "reboot; sleep 1000", NTD_E_MACHINE,
			     "ran; the guest was reset meanwhile");
	/* The reset does not count for the next command, whose shell ends without a reset. */
	assert_true(try_command(machine, "kill -9 $PPID; sleep 1000", &result, &err) < 0);
	assert_null(strstr(err->message, "reset"));
	assert_message(err, NTD_E_MACHINE, "the root shell began anew");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		life_test(the_reason_of_an_end_is_told),
		life_test(a_guest_that_went_on_has_not_shut_down),
		life_test(the_last_events_are_read_after_the_end),
		life_test(a_panic_that_only_an_event_tells_of_is_noticed),
		life_test(a_panic_in_the_boot_is_noticed),
		life_test(a_guest_that_answers_has_not_panicked),
		life_test(a_panic_is_told_of_once),
		life_test(a_reset_ends_a_panic),
		life_test(a_stopped_guest_is_named_in_the_error_of_a_boot),
		life_test(a_stopped_guest_is_named_in_the_error_of_a_command),
		life_test(a_stopped_guest_is_named_in_the_error_of_a_wait),
		life_test(a_reset_is_named_in_the_error_of_a_command),
	};

	return run_life_tests(tests);
}
