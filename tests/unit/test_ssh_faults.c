/* Tests of an SSH channel whose guest is late, does not let it in, falls silent or reboots. */
#include "ssh_fixture.h"

static void open_late(struct fixture *fixture)
{
	ntd_loop_call(fixture->loop, open_ssh, fixture);
}

/* Waits until the server has got so many connections. */
static void await_connections(struct fixture *fixture, int count)
{
	int64_t limit = ntd_after(LONG * NTD_SECOND);

	while (fixture->accepted < count) {
		assert_true(ntd_now() < limit);
		poll(NULL, 0, 10);
	}
}

static bool is_posted(sem_t *event)
{
	return sem_trywait(event) == 0;
}

/* ---- before sshd serves */

static void sshd_may_be_late(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_command command = command_of("true");
	_cleanup_result_ struct ntd_result result = {0};

	assert_fails(run(fixture, &command, &result, &err), NTD_E_DEAD, "is not running");
	open_late(fixture); /* nothing listens */
	assert_fails(run(fixture, &command, &result, &err), NTD_E_DEAD, "not answered so far");
	fixture->treatment = CLOSE;
	start_server(fixture);
	await_connections(fixture, 2);
	fixture->treatment = STAY_SILENT;
	await_connections(fixture, 4);
	assert_false(is_posted(&fixture->ready));
	fixture->treatment = SERVE;
	await(&fixture->ready);
	assert_run(fixture, "echo hello", 0, "hello\n");
	assert_false(is_posted(&fixture->refused));
}

static void attempts_end_with_the_channel(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_command command = command_of("true");
	_cleanup_result_ struct ntd_result result = {0};

	open_late(fixture);
	fixture->treatment = STAY_SILENT;
	start_server(fixture);
	await_connections(fixture, 1);
	ntd_loop_call(fixture->loop, close_ssh, fixture);
	assert_fails(run(fixture, &command, &result, &err), NTD_E_DEAD, "QEMU has ended");
}

/* ---- who is let in */

static void assert_refused(struct fixture *fixture, const char *text)
{
	struct ntd_command command = command_of("true");
	_cleanup_result_ struct ntd_result result = {0};

	await(&fixture->refused);
	if (!strstr(fixture->refusal->message, text))
		assert_string_equal(fixture->refusal->message, text);
	assert_fails(run(fixture, &command, &result, &err), NTD_E_MACHINE, text);
	assert_false(is_posted(&fixture->ready));
}

static void a_wrong_key_is_refused(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_free_ char *text = ntd_asprintf(
		"sshd does not let the user root in: sshd accepts publickey, password, "
		"keyboard-interactive; the driver has the key %s",
		fixture->other_key);

	ntd_ssh_set_login(fixture->ssh, &(struct ntd_ssh_login){.key = fixture->other_key});
	start_server(fixture);
	open_late(fixture);
	assert_refused(fixture, text);
	ntd_ssh_set_login(fixture->ssh, &(struct ntd_ssh_login){.key = fixture->user_key});
	await(&fixture->ready);
	assert_run(fixture, "echo hello", 0, "hello\n");
}

static void a_wrong_password_is_refused(void **state)
{
	struct fixture *fixture = *state;

	ntd_ssh_set_login(fixture->ssh,
			  &(struct ntd_ssh_login){.key = "/no/such/key", .password = "guess"});
	start_server(fixture);
	open_late(fixture);
	assert_refused(fixture, "/no/such/key, which cannot be read, a password");
}

static void a_key_may_arrive_late(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_free_ char *keys = ntd_asprintf("%s.pub", fixture->user_key);
	_cleanup_free_ char *away = ntd_asprintf("%s.away", fixture->user_key);
	_cleanup_free_ char *log_path = ntd_asprintf("%s/sshd.log", fixture->directory);
	_cleanup_free_ char *denied =
		ntd_asprintf("until grep -qs 'Failed publickey' %s; do sleep 0.05; done", log_path);

	assert_int_equal(rename(keys, away), 0);
	configure(fixture, fixture->host_key, "LogLevel VERBOSE");
	start_server(fixture);
	open_late(fixture);
	assert_int_equal(system(denied), 0); /* NOLINT(cert-env33-c): the test's own command */
	assert_int_equal(rename(away, keys), 0);
	await(&fixture->ready);
	assert_false(is_posted(&fixture->refused));
}

static void a_password_is_enough(void **state)
{
	struct fixture *fixture = *state;

	ntd_ssh_set_login(fixture->ssh,
			  &(struct ntd_ssh_login){.key = fixture->other_key, .password = PASSWORD});
	start_server(fixture);
	open_late(fixture);
	await(&fixture->ready);
	assert_run(fixture, "id -un", 0, "root\n");
}

/* Where sshd asks by PAM, the password is the answer to a question. */
static void a_password_is_an_answer(void **state)
{
	struct fixture *fixture = *state;

	configure(fixture, fixture->host_key,
		  "UsePAM yes\nKbdInteractiveAuthentication yes\nPasswordAuthentication no");
	ntd_ssh_set_login(fixture->ssh, &(struct ntd_ssh_login){.password = PASSWORD});
	start_server(fixture);
	open_late(fixture);
	await(&fixture->ready);
	assert_run(fixture, "id -un", 0, "root\n");
}

/* ---- the end of a connection */

static struct background backgrounds[2];
static char *long_text; /* of the command in backgrounds[0], which keeps no copy */

/* Starts a command, and waits until it runs. */
static void begin_long(struct fixture *fixture)
{
	_cleanup_free_ char *path = ntd_asprintf("%s/begun", fixture->directory);

	long_text = ntd_asprintf("touch %s; sleep 4248", path);
	unlink(path);
	begin(fixture, &backgrounds[0], long_text);
	await_file(path);
}

static void assert_long_fails(enum ntd_errc code, const char *text)
{
	pthread_join(backgrounds[0].thread, NULL);
	free(ntd_steal(&long_text));
	assert_error(ntd_steal(&backgrounds[0].error), code, text);
	ntd_result_free(&backgrounds[0].result);
}

static void end_of_long(void)
{
	assert_int_equal(system("pkill -f '[s]leep 4248'"), 0); /* NOLINT(cert-env33-c): as above */
}

static void a_connection_that_ends_is_made_again(void **state)
{
	struct fixture *fixture = *state;

	begin_long(fixture);
	kill(last_session(fixture), SIGKILL);
	await(&fixture->lost);
	assert_long_fails(NTD_E_MACHINE, "the SSH connection to the guest has ended");
	await(&fixture->ready);
	assert_run(fixture, "echo hello", 0, "hello\n");
	end_of_long();
}

static void the_end_of_the_machine_says_more(void **state)
{
	struct fixture *fixture = *state;

	begin_long(fixture);
	fixture->treatment = CLOSE;
	kill(last_session(fixture), SIGKILL);
	await(&fixture->lost);
	ntd_loop_call(fixture->loop, close_ssh, fixture);
	assert_long_fails(NTD_E_DEAD, "QEMU has ended");
	end_of_long();
}

static void a_guest_that_falls_silent_is_dead(void **state)
{
	struct fixture *fixture = *state;

	begin_long(fixture);
	fixture->treatment = STAY_SILENT;
	kill(last_session(fixture), SIGSTOP);
	assert_long_fails(NTD_E_MACHINE, "the guest does not answer over SSH for 8 s");
	await(&fixture->lost);
	fixture->treatment = SERVE;
	await(&fixture->ready);
	assert_run(fixture, "echo hello", 0, "hello\n");
	end_of_long();
}

/* Nothing is sent for longer than a guest may be silent, but sshd answers. */
static void an_idle_guest_is_not_dead(void **state)
{
	struct fixture *fixture = *state;

	assert_run(fixture, "sleep 10; echo on", 0, "on\n");
	assert_false(is_posted(&fixture->lost));
}

static void another_host_key_is_refused(void **state)
{
	struct fixture *fixture = *state;

	configure(fixture, fixture->other_key, "");
	kill(last_session(fixture), SIGKILL);
	await(&fixture->lost);
	assert_refused(fixture, "sshd has another host key than before in this run: SHA256:");
	assert_non_null(strstr(fixture->refusal->message, ", before SHA256:"));
}

/* ---- reboots */

#define BOOT "/proc/sys/kernel/random/boot_id"

static void announce_reboot(void *arg)
{
	struct fixture *fixture = arg;

	fixture->channel->ops->reboots(fixture->channel);
}

static void after_a_reboot_the_boot_is_another(void **state)
{
	struct fixture *fixture = *state;
	int sessions;

	write_file("/run/boot", "11111111-2222-3333-4444-555555555555\n");
	assert_int_equal(mount("/run/boot", BOOT, NULL, MS_BIND, NULL), 0);
	start_server(fixture);
	open_late(fixture);
	await(&fixture->ready);
	ntd_loop_call(fixture->loop, announce_reboot, fixture);
	sessions = fixture->accepted;
	kill(last_session(fixture), SIGKILL);
	await(&fixture->lost);
	await_connections(fixture, sessions + 2); /* the same boot is not good enough */
	assert_false(is_posted(&fixture->ready));
	write_file("/run/boot", "66666666-2222-3333-4444-555555555555\n");
	await(&fixture->ready);
	kill(last_session(fixture), SIGKILL); /* without a reboot, it is */
	await(&fixture->ready);
	assert_int_equal(umount(BOOT), 0);
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		ssh_test_later(sshd_may_be_late),
		ssh_test_later(attempts_end_with_the_channel),
		ssh_test_later(a_wrong_key_is_refused),
		ssh_test_later(a_wrong_password_is_refused),
		ssh_test_later(a_key_may_arrive_late),
		ssh_test_later(a_password_is_enough),
		ssh_test_later(a_password_is_an_answer),
		ssh_test(a_connection_that_ends_is_made_again),
		ssh_test(the_end_of_the_machine_says_more),
		ssh_test(a_guest_that_falls_silent_is_dead),
		ssh_test(an_idle_guest_is_not_dead),
		ssh_test(another_host_key_is_refused),
		ssh_test_later(after_a_reboot_the_boot_is_another),
	};

	return cmocka_run_group_tests_name("ssh faults", all, NULL, NULL);
}

int main(void)
{
	return run_ssh_tests(tests);
}
