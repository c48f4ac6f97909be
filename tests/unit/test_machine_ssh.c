/* Tests of machines whose guests are reached by other channels than the root shell: refusals, lost
 * channels, panics, and what the errors of SSH name. Guests with sshd are in test_ssh.c and in
 * tests/e2e. QEMU is the fake one, and the other channel a stand-in.
 */
#include "channel_fixture.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

static void be_refused(void *arg)
{
	_cleanup_error_ struct ntd_error *why = ntd_error_new(NTD_E_MACHINE, "wrong password");

	stand_in.channel.owner.refused(stand_in.channel.owner.owner, &stand_in.channel, why);
}

static void be_lost(void *arg)
{
	stand_in.channel.owner.lost(stand_in.channel.owner.owner, &stand_in.channel);
}

/* Starts the machine, however busy the host is, and leaves little time for its boot. */
static void start_impatiently(struct ntd_machine *machine)
{
	start(machine);
	ntd_machine_set_boot_timeout(machine, 0.5);
}

static void a_refusal_ends_this_wait_and_the_next(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_machine *machine = with_stand_in(fixture, false);

	start(machine);
	ntd_loop_call(fixture->loop, be_refused, NULL);
	assert_fails(ntd_machine_connect(machine, NULL, &err), NTD_E_MACHINE, "wrong password");
	assert_fails(ntd_machine_connect(machine, NULL, &err), NTD_E_MACHINE, "wrong password");
	be_ready(fixture);
	assert_output(machine, "echo in", "in\n");
}

static void another_channel_may_still_become_ready(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_machine *machine = with_stand_in(fixture, true);

	start_impatiently(machine);
	ntd_loop_call(fixture->loop, be_refused, NULL);
	assert_fails(ntd_machine_connect(machine, NULL, &err), NTD_E_TIMEOUT,
		     "Shell did not start in time (0.5 seconds)");
}

static void a_new_start_forgets_a_refusal(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_machine *machine;

	fixture->context.boot_timeout = 5;
	machine = with_stand_in(fixture, false);
	start(machine);
	ntd_loop_call(fixture->loop, be_refused, NULL);
	ntd_machine_release(machine, 0, NTD_FOREVER);
	assert_int_equal(ntd_machine_wait_for_shutdown(machine, NTD_FOREVER, NULL, NULL), 0);
	start(machine);
	be_ready(fixture);
	assert_output(machine, "echo in", "in\n");
}

/* Channels such as SSH connect again by themselves. */
static void a_command_waits_for_a_channel_that_was_lost(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_machine *machine = with_stand_in(fixture, false);

	start_impatiently(machine);
	be_ready(fixture);
	assert_output(machine, "echo 1", "1\n");
	ntd_loop_call(fixture->loop, be_lost, NULL);
	assert_state(machine, NTD_MACHINE_UP);
	assert_fails(ntd_machine_connect(machine, NULL, &err), NTD_E_TIMEOUT, "0.5 seconds");
	be_ready(fixture);
	assert_output(machine, "echo 2", "2\n");
}

static void a_panic_closes_all_channels(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_machine *machine = with_stand_in(fixture, false);

	start(machine);
	be_ready(fixture);
	assert_output(machine, "echo 1", "1\n");
	qemu_writes(machine, "{\"event\": \"GUEST_PANICKED\"}");
	while (stand_in.channel.ready)
		;
	assert_fails(({
			     _cleanup_result_ struct ntd_result result = {0};

			     try_command(machine, "true", &result, &err);
		     }),
		     NTD_E_MACHINE, "the guest does not answer any more");
}

/* ---- the serial console */

static void log_in(void *arg)
{
	struct ntd_channel *channel = arg;

	channel->absent = false;
	channel->owner.ready(channel->owner.owner, channel, NULL, 0);
}

/* A machine whose guest is reached by the shell on its serial console, and is then reset. */
static struct ntd_machine *with_lost_serial_shell(struct fixture *fixture, bool may)
{
	struct ntd_machine *machine = machine_new(fixture, "server", NULL);

	order_faults(fixture, machine, "FAKE_BANNER=no");
	ntd_machine_set_root_shell(machine, may);
	start(machine);
	ntd_loop_call(fixture->loop, log_in, ntd_serial_channel(ntd_machine_serial(machine)));
	connect_shell(machine);
	qemu_writes(machine, "{\"event\": \"RESET\"}");
	await_events(machine, 1);
	assert_state(machine, NTD_MACHINE_UP);
	return machine;
}

static void only_a_login_brings_a_serial_shell_back(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_machine *machine = with_lost_serial_shell(fixture, false);

	assert_fails(ntd_machine_connect(machine, NULL, &err), NTD_E_MACHINE,
		     "no shell on its serial console: the guest was reset; log in with login()");
	ntd_loop_call(fixture->loop, log_in, ntd_serial_channel(ntd_machine_serial(machine)));
	connect_shell(machine);
}

static void after_a_serial_shell_another_channel_may_become_ready(void **state)
{
	struct ntd_machine *machine = with_lost_serial_shell(*state, true);

	ntd_machine_set_boot_timeout(machine, 0.5);
	assert_fails(ntd_machine_connect(machine, NULL, &err), NTD_E_TIMEOUT,
		     "Shell did not start in time (0.5 seconds)");
}

/* ---- SSH */

static void a_late_boot_names_sshd_and_its_address(void **state)
{
	struct fixture *fixture = *state;
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof address;
	_cleanup_fd_ int held = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); /* never listens */
	_cleanup_free_ char *text = NULL;
	struct ntd_machine *machine;

	assert_int_equal(bind(held, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(getsockname(held, (struct sockaddr *)&address, &len), 0);
	machine = machine_new(fixture, "server", NULL);
	ntd_machine_set_root_shell(machine, false);
	assert_null(ntd_machine_ssh(machine));
	assert_false(ntd_machine_has_channel(machine, NTD_CHANNEL_ANY));
	ntd_machine_use_ssh(
		machine,
		&(struct ntd_machine_ssh){.address = "127.0.0.1", .port = ntohs(address.sin_port)},
		NULL);
	assert_non_null(ntd_machine_ssh(machine));
	assert_int_equal(ntd_machine_ssh_port(machine), 0);
	text = ntd_asprintf("sshd at 127.0.0.1:%u did not answer in time (0.5 seconds)",
			    ntohs(address.sin_port));
	order_faults(fixture, machine, "FAKE_BANNER=no");
	start_impatiently(machine);
	assert_fails(ntd_machine_connect(machine, NULL, &err), NTD_E_TIMEOUT, text);
	assert_int_equal(ntd_machine_ssh_port(machine), ntohs(address.sin_port));
	/* It may be told of another address while the machine runs. */
	ntd_machine_use_ssh(machine, &(struct ntd_machine_ssh){.address = "::1", .port = 9}, NULL);
	assert_fails(ntd_machine_connect(machine, NULL, &err), NTD_E_TIMEOUT,
		     "sshd at [::1]:9 did not answer in time");
	assert_string_equal(ntd_machine_ssh_target(machine).user, "root");
}

static void a_machine_with_a_root_shell_waits_for_either(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_machine *machine = machine_new(fixture, "server", NULL);

	ntd_machine_use_ssh(machine, &(struct ntd_machine_ssh){.address = "127.0.0.1", .port = 9},
			    NULL);
	assert_output(machine, "echo $((1 + 1))", "2\n");
	assert_logged(fixture, "server: connected to guest root shell");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		channel_test(a_refusal_ends_this_wait_and_the_next),
		channel_test(another_channel_may_still_become_ready),
		channel_test(a_new_start_forgets_a_refusal),
		channel_test(a_command_waits_for_a_channel_that_was_lost),
		channel_test(a_panic_closes_all_channels),
		channel_test(only_a_login_brings_a_serial_shell_back),
		channel_test(after_a_serial_shell_another_channel_may_become_ready),
		channel_test(a_late_boot_names_sshd_and_its_address),
		channel_test(a_machine_with_a_root_shell_waits_for_either),
	};

	return run_life_tests(tests);
}
