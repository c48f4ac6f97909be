/* Tests of several ways into one guest. The fake QEMU's root shell is the first channel; the
 * second, or the only one, is the stand-in, which shows that a channel needs only the interface of
 * channel/channel.h.
 */
#include "channel_fixture.h"

#include "guest/files.h"
#include "guest/power.h"
#include "guest/units.h"

#include <fcntl.h>

static struct ntd_bytes bytes(const char *text)
{
	return (struct ntd_bytes){.data = text, .len = strlen(text)};
}

static void a_machine_without_any_channel_says_so(void **state)
{
	struct ntd_machine *machine = machine_new(*state, "server", NULL);

	stand_in_init(&stand_in, "/");
	ntd_machine_set_root_shell(machine, false);
	assert_false(ntd_machine_has_channel(machine, NTD_CHANNEL_ANY));
	assert_fails(ntd_machine_connect(machine, NULL, &err), NTD_E_MACHINE,
		     "this needs a root shell in the guest");
}

static void commands_run_by_another_channel(void **state)
{
	struct ntd_machine *machine = with_stand_in(*state, false);
	_cleanup_buf_ struct ntd_buf output = {0};

	start(machine);
	be_ready(*state);
	assert_int_equal(ntd_machine_succeed(
				 machine, &(struct ntd_check){.command = bytes("echo $((6 * 7))")},
				 &output, NULL, NULL),
			 0);
	assert_int_equal(output.len, 3);
	assert_memory_equal(ntd_buf_bytes(&output), "42\n", 3);
	assert_logged(*state, "server: connected to guest stand-in");
	assert_logged(*state, "server: Guest shell says: b'hello'");
	assert_fails(ntd_machine_succeed(machine, &(struct ntd_check){.command = bytes("exit 3")},
					 &output, NULL, &err),
		     NTD_E_ASSERTION, "command `exit 3` failed (exit code 3)");
}

/* The stand-in's systemctl is a program in the directory of the test. */
static void units_are_waited_for_by_another_channel(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_machine *machine = with_stand_in(fixture, false);
	struct ntd_error *err = NULL;
	_cleanup_free_ char *path = ntd_asprintf("%s/systemctl", fixture->base);
	_cleanup_fd_ int program = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);

	assert_true(dprintf(program, "#!/bin/sh\n"
				     "test -e asked && state=active || state=inactive\n"
				     ": > asked\n"
				     "echo ActiveState=$state\n") > 0);
	ntd_close_fd(&program);
	assert_int_equal(setenv("PATH", ".:/usr/bin:/bin", 1), 0);
	start(machine);
	be_ready(fixture);
	ntd_machine_wait_for_unit(machine, "x.service", NULL, 20, NULL, &err);
	assert_no_error(err);
	assert_true(stand_in.commands >= 2);
}

static void files_are_copied_by_a_channels_own_way(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_machine *machine = with_stand_in(fixture, false);
	struct ntd_copy copy = {.machine = machine};
	struct ntd_error *err = NULL;

	start(machine);
	be_ready(fixture);
	ntd_machine_copy_from_host(&copy, "tests/unit/stand_in.h", "/copied", NULL, &err);
	assert_no_error(err);
	assert_output(machine, "head -c 2 copied", "/*");
	ntd_machine_copy_from_guest(&copy, "/copied", "back", NULL, &err);
	assert_no_error(err);
	assert_int_equal(stand_in.copies, 2);
	assert_output(machine, "cmp copied back/copied", "");
}

/* A guest that has the directory /tmp/shared, but does not share it with the host. */
static int run_without_sharing(struct ntd_channel *channel, const struct ntd_command *command,
			       struct ntd_result *result, struct ntd_waiter *waiter,
			       struct ntd_error **err)
{
	result->status = !strncmp(command->text, "test -e /tmp/shared/copy-", 25) ||
			 memmem(command->text, command->text_len, "cp -r ", 6);
	return 0;
}

static void a_guest_that_shares_no_directory(void **state)
{
	static const struct ntd_channel_ops ops = {.run = run_without_sharing,
						   .close = stand_in_close};
	struct ntd_machine *machine = with_stand_in(*state, false);
	struct ntd_copy copy = {.machine = machine};

	stand_in.channel.ops = &ops;
	start(machine);
	be_ready(*state);
	assert_fails(
		ntd_machine_copy_from_host(&copy, "tests/unit/stand_in.h", "/copied", NULL, &err),
		NTD_E_MACHINE, "which the guest does not share with the host; after use_ssh()");
	assert_fails(ntd_machine_copy_from_guest(&copy, "/etc/hostname", "back", NULL, &err),
		     NTD_E_MACHINE,
		     "which the guest does not share with the host; after use_ssh()");
}

static void a_user_belongs_to_the_channel(void **state)
{
	struct ntd_machine *machine = with_stand_in(*state, false);
	_cleanup_free_ char *text = NULL;
	struct ntd_command command = {.text = "id -un", .text_len = 6};

	assert_null(ntd_channel_text_for_user(&stand_in.channel, &command));
	ntd_machine_set_user(machine, "some one");
	assert_string_equal(ntd_machine_user(machine), "some one");
	text = ntd_channel_text_for_user(&stand_in.channel, &command);
	assert_string_equal(text, "su -l 'some one' -c "
				  "'exec bash --norc -euo pipefail -c '\"'\"'id -un'\"'\"''");
	command.as_root = true;
	assert_null(ntd_channel_text_for_user(&stand_in.channel, &command));
	ntd_machine_set_user(machine, NULL);
	assert_null(ntd_machine_user(machine));
}

static void a_later_channel_has_the_user_of_the_others(void **state)
{
	struct ntd_machine *machine = machine_new(*state, "server", NULL);

	ntd_machine_set_user(machine, "alice");
	stand_in_init(&stand_in, "/");
	ntd_machine_add_channel(machine, &stand_in.channel);
	assert_string_equal(stand_in.channel.user, "alice");
}

static void the_first_channel_that_is_ready_is_used(void **state)
{
	struct ntd_machine *machine = machine_new(*state, "server", NULL);

	stand_in_init(&stand_in, ((struct fixture *)*state)->base);
	ntd_machine_add_channel(machine, &stand_in.channel);
	start(machine);
	be_ready(*state);
	connect_shell(machine);
	while (ntd_machine_channel(machine, NTD_CHANNEL_ANY) == &stand_in.channel)
		assert_output(machine, "echo $((1 + 1))", "2\n");
	assert_true(ntd_machine_channel(machine, NTD_CHANNEL_ANY) ==
		    ntd_shell_channel(ntd_machine_shell(machine)));
	/* The second channel is chosen for operations that only it has. */
	assert_true(ntd_machine_channel(machine, NTD_CHANNEL_FILES) == &stand_in.channel);
	assert_output(machine, "echo $((2 + 2))", "4\n");
}

static void the_end_of_the_machine_closes_all_channels(void **state)
{
	struct ntd_machine *machine = with_stand_in(*state, false);
	_cleanup_result_ struct ntd_result result = {0};
	struct ntd_command command = {.text = "true", .text_len = 4};

	start(machine);
	be_ready(*state);
	assert_output(machine, "echo here", "here\n");
	assert_int_equal(ntd_machine_crash(machine, NULL, NULL), 0);
	assert_false(stand_in.channel.ready);
	assert_fails(stand_in_run(&stand_in.channel, &command, &result, NULL, &err), NTD_E_DEAD,
		     "machine 'server'");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		channel_test(a_machine_without_any_channel_says_so),
		channel_test(commands_run_by_another_channel),
		channel_test(units_are_waited_for_by_another_channel),
		channel_test(files_are_copied_by_a_channels_own_way),
		channel_test(a_guest_that_shares_no_directory),
		channel_test(a_user_belongs_to_the_channel),
		channel_test(a_later_channel_has_the_user_of_the_others),
		channel_test(the_first_channel_that_is_ready_is_used),
		channel_test(the_end_of_the_machine_closes_all_channels),
	};

	return run_life_tests(tests);
}
