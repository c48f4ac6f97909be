/* Tests of machines whose guests are reached by other channels than the root shell: refusals, lost
 * channels, panics, and what the errors of SSH name. Guests with sshd are in test_ssh.c and in
 * tests/e2e. QEMU is the fake one, and the other channel a stand-in.
 */
#include "life_fixture.h"

#include "stand_in.h"

#include "machine/qemu.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

static struct stand_in stand_in;

/* A machine whose guest shows no root shell; it may have one if `may`. */
static struct ntd_machine *with_stand_in(struct fixture *fixture, bool may)
{
	struct ntd_machine *machine = machine_new(fixture, "server", NULL);

	order_faults(fixture, machine, "FAKE_BANNER=no");
	ntd_machine_set_root_shell(machine, may);
	stand_in_init(&stand_in, fixture->base);
	ntd_machine_add_channel(machine, &stand_in.channel);
	return machine;
}

static int end(void **state)
{
	int result = tear_down(state);

	ntd_error_free(atomic_exchange(&stand_in.refusal, NULL));
	return result;
}

#define channel_test(name) cmocka_unit_test_setup_teardown(name, set_up, end)

static void be_ready(struct fixture *fixture)
{
	ntd_loop_call(fixture->loop, stand_in_ready, &stand_in);
}

static void be_refused(void *arg)
{
	_cleanup_error_ struct ntd_error *why = ntd_error_new(NTD_E_MACHINE, "wrong password");

	stand_in.channel.owner.refused(stand_in.channel.owner.owner, &stand_in.channel, why);
}

static void be_lost(void *arg)
{
	stand_in.channel.owner.lost(stand_in.channel.owner.owner, &stand_in.channel);
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
	struct ntd_machine *machine;

	fixture->context.boot_timeout = 0.5;
	machine = with_stand_in(fixture, true);
	start(machine);
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
	struct ntd_machine *machine;

	fixture->context.boot_timeout = 0.5;
	machine = with_stand_in(fixture, false);
	start(machine);
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
	static const char panicked[] = "{\"event\": \"GUEST_PANICKED\"}\n";
	struct fixture *fixture = *state;
	struct ntd_machine *machine = with_stand_in(fixture, false);
	_cleanup_free_ char *path = NULL;
	_cleanup_fd_ int qmp = -1;

	start(machine);
	be_ready(fixture);
	assert_output(machine, "echo 1", "1\n");
	path = ntd_asprintf("/proc/%d/fd/21", ntd_machine_status(machine).pid);
	qmp = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(write(qmp, panicked, strlen(panicked)), strlen(panicked));
	while (stand_in.channel.ready)
		;
	assert_fails(({
			     _cleanup_result_ struct ntd_result result = {0};

			     try_command(machine, "true", &result, &err);
		     }),
		     NTD_E_MACHINE, "the guest does not answer any more");
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
	fixture->context.boot_timeout = 0.5;
	machine = machine_new(fixture, "server", NULL);
	ntd_machine_set_root_shell(machine, false);
	assert_null(ntd_machine_ssh(machine));
	assert_false(ntd_machine_has_channel(machine, NTD_CHANNEL_ANY));
	ntd_machine_use_ssh(machine, &(struct ntd_machine_ssh){.address = "127.0.0.1",
							       .port = ntohs(address.sin_port)});
	assert_non_null(ntd_machine_ssh(machine));
	assert_int_equal(ntd_machine_ssh_port(machine), 0);
	text = ntd_asprintf("sshd at 127.0.0.1:%u did not answer in time (0.5 seconds)",
			    ntohs(address.sin_port));
	order_faults(fixture, machine, "FAKE_BANNER=no");
	assert_fails(ntd_machine_connect(machine, NULL, &err), NTD_E_TIMEOUT, text);
	assert_int_equal(ntd_machine_ssh_port(machine), ntohs(address.sin_port));
	/* It may be told of another address while the machine runs. */
	ntd_machine_use_ssh(machine, &(struct ntd_machine_ssh){.address = "::1", .port = 9});
	assert_fails(ntd_machine_connect(machine, NULL, &err), NTD_E_TIMEOUT,
		     "sshd at [::1]:9 did not answer in time");
	assert_string_equal(ntd_machine_ssh_target(machine).user, "root");
}

static void a_machine_with_a_root_shell_waits_for_either(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_machine *machine = machine_new(fixture, "server", NULL);

	ntd_machine_use_ssh(machine, &(struct ntd_machine_ssh){.address = "127.0.0.1", .port = 9});
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
		channel_test(a_late_boot_names_sshd_and_its_address),
		channel_test(a_machine_with_a_root_shell_waits_for_either),
	};

	return run_life_tests(tests);
}
