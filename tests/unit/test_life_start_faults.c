/* Tests of machines that do not start, or whose root shell does not come: every wait ends with an
 * error that names the machine and the cause, and no process is left.
 */
#include "interrupted.h"
#include "life_fixture.h"

#include "machine/qemu_internal.h"

static void assert_start_fails(struct ntd_machine *machine, enum ntd_errc code,
			       const char *const *texts)
{
	struct ntd_error *err = NULL;

	assert_true(ntd_machine_start(machine, false, NULL, &err) < 0);
	for (; texts[1]; texts++)
		if (!strstr(err->message, *texts))
			assert_string_equal(err->message,
					    *texts); /* this assertion shows both texts */
	assert_error(err, code, *texts);
}

#define texts(...) ((const char *const[]){__VA_ARGS__, NULL})

/* ---- before it has started */

static void a_process_that_ends_before_it_connects_says_why(void **state)
{
	static const struct {
		const char *fault, *text;
	} cases[] = {
		{"FAKE_EXIT=start:3", "QEMU process exited with code 3 before connecting to "
				      "monitor socket"},
		{"FAKE_EXIT=monitor:4", "QEMU process exited with code 4 before connecting to "
					"shell socket"},
		{"FAKE_EXIT=shell:5", "machine 'server': "},
	};
	struct fixture *fixture = *state;
	struct ntd_machine *machine = machine_new(fixture, "server", NULL);

	for (size_t i = 0; i < unit_count(cases); i++) {
		order_faults(fixture, machine, cases[i].fault, "FAKE_OUTPUT=one\\ntwo\\n",
			     "FAKE_STDERR=cannot open disk");
		assert_start_fails(machine, NTD_E_DEAD,
				   texts("machine 'server': ", cases[i].text,
					 "last console lines:\n    one\n    two\n"
					 "    cannot open disk\n"));
		assert_state(machine, NTD_MACHINE_DOWN);
		assert_true(await_marked(fixture->mark, 0, 2 * NTD_SECOND));
	}
	order_faults(fixture, NULL, NULL);
	assert_output(machine, "echo better", "better\n");
}

static void a_script_that_cannot_be_run_says_why(void **state)
{
	static const struct {
		const char *name, *script, *why;
	} cases[] = {
		{"missing", "/no/such/script", "exited with code 127"},
		{"no-program", "/etc/passwd", "exited with code 126"},
		{"killed", "kill -9 $$; true", "was killed by signal 9 (Killed)"},
	};

	for (size_t i = 0; i < unit_count(cases); i++)
		assert_start_fails(machine_new(*state, cases[i].name, cases[i].script), NTD_E_DEAD,
				   texts(cases[i].name, cases[i].why));
}

static void a_machine_without_qmp_says_so(void **state)
{
	static const char no_qmp[] =
		"python3 -ISc 'import socket, sys, time\n"
		"for option, prefix in (\"-monitor\", \"unix:\"), (\"-chardev\", "
		"\"socket,id=shell,path=\"):\n"
		"    s = socket.socket(socket.AF_UNIX)\n"
		"    s.connect(sys.argv[sys.argv.index(option) + 1].removeprefix(prefix))\n"
		"    globals()[option] = s\n"
		"time.sleep(1000)'";
	struct fixture *fixture = *state;
	struct ntd_machine *machine = machine_new(fixture, "server", no_qmp);

	assert_start_fails(machine, NTD_E_DEAD, texts("machine 'server': ", "QMP", "/qmp"));
	assert_true(ntd_machine_wait_gone(machine, ntd_after(PATIENCE)));
}

static void what_is_in_the_way_of_a_start_is_named(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_free_ char *deep = ntd_asprintf("%s/%0100d", fixture->base, 0);
	struct ntd_machine *machine;

	assert_int_equal(mkdir(deep, 0700), 0);
	fixture->context.tmp_dir = fixture->context.socket_dir = deep;
	machine = machine_new(fixture, "server", NULL);
	assert_start_fails(machine, NTD_E_DEAD, texts("machine 'server'", "the limit is 107"));
	assert_state(machine, NTD_MACHINE_DOWN);
	fixture->context.tmp_dir = "/no/such/directory";
	assert_null(
		ntd_machine_new(&fixture->context, &ntd_qemu_kind, "client", "true", false, NULL));
}

static void a_start_that_takes_too_long_is_ended(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_machine *machine;

	fixture->context.boot_timeout = 3;
	machine = machine_new(fixture, "server", NULL);
	order_faults(fixture, machine, "FAKE_QMP=silent", "FAKE_OUTPUT=BIOS\\n");
	assert_start_fails(machine, NTD_E_TIMEOUT,
			   texts("machine 'server': QEMU did not connect to the driver within 3 "
				 "seconds",
				 "    BIOS\n"));
	assert_true(ntd_machine_wait_gone(machine, ntd_after(PATIENCE)));
	assert_int_equal(count_marked(fixture->mark), 0);
}

static void one_of_several_fails_to_start(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_error *err = NULL;

	for (int i = 0; i < MOST_MACHINES; i++)
		machine_new(fixture, (const char *[]){"a", "b", "c"}[i], NULL);
	order_faults(fixture, fixture->machines[1], "FAKE_EXIT=start:3", "FAKE_STDERR=no disk\\n");
	assert_true(ntd_machine_start_all(fixture->machines, MOST_MACHINES, NULL, &err) < 0);
	assert_non_null(strstr(err->message, "no disk"));
	assert_null(strstr(err->message, "\na: "));
	assert_null(strstr(err->message, "\nc: "));
	assert_error(err, NTD_E_MACHINE,
		     "Failed to start the following machines:\nb: machine 'b': QEMU process "
		     "exited with code 3");
	assert_state(fixture->machines[0], NTD_MACHINE_UP);
	assert_state(fixture->machines[1], NTD_MACHINE_DOWN);
	assert_output(fixture->machines[2], "echo hello", "hello\n");
}

/* ---- before the root shell */

static void a_guest_without_a_root_shell_is_given_up(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_machine *machine;

	fixture->context.boot_timeout = 3;
	machine = machine_new(fixture, "server", NULL);
	order_faults(fixture, machine, "FAKE_BANNER=no");
	assert_fails(ntd_machine_connect(machine, NULL, &err), NTD_E_TIMEOUT,
		     "machine 'server': Shell did not start in time (3 seconds)");
	assert_state(machine, NTD_MACHINE_UP);
	assert_fails(ntd_machine_connect(machine, NULL, &err), NTD_E_TIMEOUT,
		     "    connecting to host...");
}

static void a_silent_boot_is_given_up(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_machine *machine;

	fixture->context.boot_timeout = 0;
	fixture->context.boot_silence = 3;
	machine = machine_new(fixture, "server", NULL);
	order_faults(fixture, machine, "FAKE_BANNER=no");
	assert_fails(ntd_machine_connect(machine, NULL, &err), NTD_E_TIMEOUT,
		     "Shell did not start in time (3 seconds of silence)");
	((struct ntd_qemu *)machine->parts)->emulated = true;
	assert_fails(ntd_machine_connect(machine, NULL, &err), NTD_E_TIMEOUT,
		     "(12 seconds of silence)");
}

static void a_silent_start_is_given_up(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_machine *machine;

	fixture->context.boot_timeout = 0;
	fixture->context.boot_silence = 3;
	machine = machine_new(fixture, "server", NULL);
	order_faults(fixture, machine, "FAKE_QMP=silent");
	assert_start_fails(
		machine, NTD_E_TIMEOUT,
		texts("QEMU did not connect to the driver within 3 seconds of silence", ""));
	assert_true(ntd_machine_wait_gone(machine, ntd_after(PATIENCE)));
}

static void a_limit_without_an_end_is_no_limit(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_machine *machine;

	fixture->context.boot_timeout = 1e12;
	machine = machine_new(fixture, "server", NULL);
	assert_true(ntd_boot_deadline(machine, ntd_now()) == NTD_FOREVER);
}

/* The start and the boot take longer than the allowed silence, but print something all the time. */
static void a_boot_that_goes_on_talking_is_waited_for(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_free_ char *fake = realpath("tests/fake/run-fake-vm", NULL);
	_cleanup_free_ char *script =
		ntd_asprintf("for i in $(seq 30); do echo $i; sleep 0.2; done; exec %s", fake);
	struct ntd_machine *machine;

	fixture->context.boot_timeout = 0;
	fixture->context.boot_silence = 4;
	machine = machine_new(fixture, "server", script);
	order_faults(fixture, machine, "FAKE_BANNER=6");
	assert_int_equal(ntd_machine_connect(machine, NULL, NULL), 0);
}

static void a_boot_that_takes_long_is_told_of(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_machine *machine = machine_new(fixture, "server", NULL);

	ntd_boot_tell(machine, ntd_now() - 31 * NTD_SECOND);
	assert_logged(fixture, "server: the guest has not shown a root shell yet, after 31 "
			       "seconds; nothing is on the console");
	connect_shell(machine);
	ntd_boot_tell(machine, ntd_now() - 61 * NTD_SECOND);
	assert_logged(fixture, "server: the guest has not shown a root shell yet, after 61 "
			       "seconds; the console last said: connecting to host...");
}

#define GIVEN_UP                                                                                   \
	"[ 547.5] systemd[1]: backdoor.service: Job backdoor.service/start failed with result "    \
	"'dependency'.\\n"

/* With the time over, so that the test need not wait until the driver looks. */
static void a_shell_that_the_guest_gives_up_ends_the_boot(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_machine *machine;

	fixture->context.boot_timeout = 3;
	machine = machine_new(fixture, "server", NULL);
	order_faults(fixture, machine, "FAKE_BANNER=no",
		     "FAKE_OUTPUT=[ 0.0] Linux version 6\\n" GIVEN_UP "[ 548.0] more\\n");
	assert_fails(ntd_machine_connect(machine, NULL, &err), NTD_E_MACHINE,
		     "machine 'server': the guest's systemd has given up backdoor.service");
	assert_int_equal(ntd_boot_given_up(machine, NULL), -1);
}

static void a_shell_that_an_earlier_boot_gave_up_is_waited_for(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_machine *machine = machine_new(fixture, "server", NULL);

	assert_int_equal(ntd_boot_given_up(machine, NULL), 0);
	order_faults(fixture, machine, "FAKE_OUTPUT=" GIVEN_UP "[ 0.0] Linux version 6\\n");
	connect_shell(machine);
	assert_int_equal(ntd_boot_given_up(machine, NULL), 0);
}

static void a_banner_is_found_in_noise_and_pieces(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_machine *machine = machine_new(fixture, "server", NULL);

	order_faults(fixture, machine, "FAKE_NOISE=BdsDxe: \\xff starting\\r\\n\\x1b[2J",
		     "FAKE_BANNER=split", "FAKE_CHUNK=7");
	assert_output(machine, "head -c 100000 /dev/zero | wc -c", "100000\n");
	assert_logged(fixture, "server: Guest shell says: b'BdsDxe: \\xff starting\\r\\n\\x1b[2J"
			       "Spawning backdoor");
}

static void a_death_ends_the_wait_for_the_shell(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_machine *machine = machine_new(fixture, "server", NULL);

	order_faults(fixture, machine, "FAKE_EXIT=banner:7");
	assert_fails(ntd_machine_connect(machine, NULL, &err), NTD_E_DEAD, "exited with code 7");
}

/* Bytes of the last shell are left when the machine dies. */
static void a_death_ends_the_wait_for_the_next_shell(void **state)
{
	struct ntd_machine *machine = machine_new(*state, "server", NULL);
	struct ntd_command last = {.text = "sleep 0.3; poweroff", .text_len = 19, .no_reply = true};
	_cleanup_result_ struct ntd_result result = {0};

	connect_shell(machine);
	assert_int_equal(ntd_machine_run(machine, &last, &result, NULL, NULL), 0);
	ntd_machine_disconnect(machine, true);
	assert_fails(ntd_machine_connect(machine, NULL, &err), NTD_E_DEAD,
		     "machine 'server': QEMU");
}

/* ---- giving up */

static void a_signal_ends_the_waits_for_a_start(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_machine *machine = machine_new(fixture, "server", NULL);
	struct interrupted interrupted;

	interrupted_begin(&interrupted);
	assert_fails(ntd_machine_start(machine, false, &interrupted.waiter, &err), NTD_E_CANCELLED,
		     "");
	raise(SIGUSR1);
	assert_fails(ntd_machine_start_all(fixture->machines, 1, &interrupted.waiter, &err),
		     NTD_E_CANCELLED, "interrupted");
	raise(SIGUSR1);
	assert_fails(ntd_machine_connect(machine, &interrupted.waiter, &err), NTD_E_CANCELLED, "");
	interrupted_end(&interrupted);
	assert_output(machine, "echo hello", "hello\n"); /* the start has gone on */
	assert_int_equal(count_logged(fixture, "server: starting vm\n"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		life_test(a_process_that_ends_before_it_connects_says_why),
		life_test(a_script_that_cannot_be_run_says_why),
		life_test(a_machine_without_qmp_says_so),
		life_test(what_is_in_the_way_of_a_start_is_named),
		life_test(a_start_that_takes_too_long_is_ended),
		life_test(one_of_several_fails_to_start),
		life_test(a_guest_without_a_root_shell_is_given_up),
		life_test(a_silent_boot_is_given_up),
		life_test(a_silent_start_is_given_up),
		life_test(a_limit_without_an_end_is_no_limit),
		life_test(a_boot_that_goes_on_talking_is_waited_for),
		life_test(a_boot_that_takes_long_is_told_of),
		life_test(a_shell_that_the_guest_gives_up_ends_the_boot),
		life_test(a_shell_that_an_earlier_boot_gave_up_is_waited_for),
		life_test(a_banner_is_found_in_noise_and_pieces),
		life_test(a_death_ends_the_wait_for_the_shell),
		life_test(a_death_ends_the_wait_for_the_next_shell),
		life_test(a_signal_ends_the_waits_for_a_start),
	};

	return run_life_tests(tests);
}
