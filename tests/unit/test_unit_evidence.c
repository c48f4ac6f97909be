/* Tests of what a unit leaves behind when a wait has found it failed or inactive. The guest is the
 * stand-in, whose systemctl and journalctl are programs in the directory of the test.
 */
#include "channel_fixture.h"

#include "base/fd.h"
#include "guest/unit_evidence.h"
#include "guest/units.h"

#include <fcntl.h>

/* What the channel below was asked, and until when it might take. */
static struct {
	bool is_mute;
	char *text;
	int64_t deadline;
} asked;

/* The stand-in's channel; but one that is mute does not answer questions about journals. */
static int run_or_hang(struct ntd_channel *channel, const struct ntd_command *command,
		       struct ntd_result *result, struct ntd_waiter *waiter, struct ntd_error **err)
{
	if (!ntd_find(command->text, command->text_len, "journalctl"))
		return stand_in_run(channel, command, result, waiter, err);
	free(asked.text);
	asked.text = ntd_strndup(command->text, command->text_len);
	asked.deadline = waiter->deadline;
	if (asked.is_mute)
		return ntd_error_set(err, NTD_E_TIMEOUT, "timed out");
	return stand_in_run(channel, command, result, waiter, err);
}

static const struct ntd_channel_ops ops = {.run = run_or_hang, .close = stand_in_close};

static void write_program(const struct fixture *fixture, const char *name, const char *text)
{
	_cleanup_free_ char *path = ntd_asprintf("%s/%s", fixture->base, name);
	_cleanup_fd_ int program = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);

	assert_true(dprintf(program, "#!/bin/sh\n%s", text) > 0);
}

/* A machine whose guest can be reached, and whose units are in this state. */
static struct ntd_machine *machine_with_units(struct fixture *fixture, const char *state)
{
	struct ntd_machine *machine = with_stand_in(fixture, false);
	_cleanup_free_ char *text = ntd_asprintf("case $1 in\n"
						 "status) echo \"the status of $6\"; exit 3;;\n"
						 "list-jobs) echo No jobs running.;;\n"
						 "*) echo ActiveState=%s;;\n"
						 "esac\n",
						 state);

	write_program(fixture, "systemctl", text);
	write_program(fixture, "journalctl", "echo \"the journal of $3\"\n");
	assert_int_equal(setenv("PATH", ".:/usr/bin:/bin", 1), 0);
	stand_in.channel.ops = &ops;
	start(machine);
	be_ready(fixture);
	connect_shell(machine);
	return machine;
}

static int forget_and_end(void **state)
{
	int result = end(state);

	free(asked.text);
	memset(&asked, 0, sizeof asked);
	return result;
}

#define evidence_test(name) cmocka_unit_test_setup_teardown(name, set_up, forget_and_end)

static char *read_text(const char *path)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct ntd_buf text = {0};

	if (fd < 0)
		fail_msg("cannot open %s", path);
	assert_int_equal(ntd_fd_read_all(fd, &text, 1 << 20), 0);
	return ntd_buf_take_string(&text);
}

/* Asserts that the file has this text. */
static void assert_in_file(const char *path, const char *expected)
{
	_cleanup_free_ char *text = read_text(path);

	if (!strstr(text, expected))
		fail_msg("no \"%s\" in %s:\n%s", expected, path, text);
}

/* The file's path for the unit; checks the error of the wait. */
static char *wait_and_fail(struct fixture *fixture, struct ntd_machine *machine, const char *unit,
			   const char *message, const char *file)
{
	_cleanup_error_ struct ntd_error *err = NULL;
	char *path = ntd_asprintf("%s/failed-units/server/%s", fixture->base, file);
	_cleanup_free_ char *note = ntd_asprintf("The unit's status and journal are in %s.", path);

	assert_int_equal(ntd_machine_wait_for_unit(machine, unit, NULL, 20, NULL, &err), -1);
	assert_int_equal(err->code, NTD_E_ASSERTION);
	assert_string_equal(err->message, message);
	assert_string_equal(err->note, note);
	return path;
}

static void a_failed_unit_leaves_its_status_and_journal(void **state)
{
	struct ntd_machine *machine = machine_with_units(*state, "failed");
	_cleanup_free_ char *path =
		wait_and_fail(*state, machine, "x.service",
			      "unit \"x.service\" reached state \"failed\"", "x.service.txt");

	assert_in_file(path, "the status of x.service");
	assert_in_file(path, "the journal of --unit=x.service");
}

static void so_does_an_inactive_unit(void **state)
{
	struct ntd_machine *machine = machine_with_units(*state, "inactive");
	_cleanup_free_ char *path =
		wait_and_fail(*state, machine, "x",
			      "unit \"x\" is inactive and there are no pending jobs", "x.txt");

	assert_in_file(path, "the journal of --unit=x");
}

static void other_errors_of_the_wait_name_no_file(void **state)
{
	struct ntd_machine *machine = machine_with_units(*state, "activating");
	_cleanup_error_ struct ntd_error *err = NULL;

	assert_int_equal(ntd_machine_wait_for_unit(machine, "x", NULL, 0, NULL, &err), -1);
	assert_null(strstr(err->message, "journal"));
	assert_null(asked.text);
}

/* How often the programs were asked is how often the file was written. */
static void a_retry_does_not_ask_again(void **state)
{
	struct ntd_machine *machine = machine_with_units(*state, "failed");
	const char *message = "unit \"x\" reached state \"failed\"";

	free(wait_and_fail(*state, machine, "x", message, "x.txt"));
	assert_non_null(asked.text);
	free(ntd_steal(&asked.text));
	free(wait_and_fail(*state, machine, "x", message, "x.txt"));
	assert_null(asked.text);
	free(wait_and_fail(*state, machine, "y", "unit \"y\" reached state \"failed\"", "y.txt"));
	assert_non_null(asked.text);
}

/* A file of the time before is written anew. */
static void an_old_file_is_written_anew(void **state)
{
	struct ntd_machine *machine = machine_with_units(*state, "failed");
	const char *message = "unit \"x\" reached state \"failed\"";
	_cleanup_free_ char *path = wait_and_fail(*state, machine, "x", message, "x.txt");
	struct timespec times[2] = {{.tv_sec = time(NULL) - 60}, {.tv_sec = time(NULL) - 60}};

	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	free(ntd_steal(&asked.text));
	free(wait_and_fail(*state, machine, "x", message, "x.txt"));
	assert_non_null(asked.text);
}

static void a_name_leads_nowhere(void **state)
{
	struct ntd_machine *machine = machine_with_units(*state, "failed");
	_cleanup_free_ char *path =
		ntd_unit_evidence_collect(machine, "../../a 'b'; c", NULL, NULL);

	assert_true(ntd_has_suffix(path, "/failed-units/server/_._.._a 'b'; c.txt"));
	assert_in_file(path, "the status of ../../a 'b'; c");
	assert_in_file(path, "the journal of --unit=../../a 'b'; c");
}

/* As root for the journal, and as the user for the manager. */
static void a_users_unit_is_asked_for_as_the_user(void **state)
{
	struct ntd_machine *machine = machine_with_units(*state, "failed");
	_cleanup_free_ char *path = NULL;

	write_program(*state, "su", "shift 4; exec sh -c \"$2\"\n");
	path = ntd_unit_evidence_collect(machine, "x", "root", NULL);
	assert_true(ntd_has_suffix(path, "/failed-units/server/x@user-root.txt"));
	assert_in_file(path, "ActiveState=failed"); /* what systemctl --user says here */
	assert_non_null(strstr(asked.text, "su -l root --shell /bin/sh -c "));
	assert_non_null(
		strstr(asked.text, "$u USER_UNIT=x.service + $u _SYSTEMD_USER_UNIT=x.service"));
}

/* The error stays as it is, and the wait for the answer ends by itself. */
static void a_guest_that_does_not_answer(void **state)
{
	struct ntd_machine *machine = machine_with_units(*state, "failed");
	int64_t before = ntd_now();

	asked.is_mute = true;
	assert_fails(ntd_machine_wait_for_unit(machine, "x", NULL, 20, NULL, &err), NTD_E_ASSERTION,
		     "unit \"x\" reached state \"failed\"");
	assert_true(asked.deadline > before);
	assert_true(asked.deadline < ntd_after(60 * NTD_SECOND));
	assert_logged(*state, "server: the journal of unit x cannot be had: timed out");
}

static void a_machine_that_is_not_connected_is_not_asked(void **state)
{
	struct ntd_machine *machine = machine_new(*state, "server", NULL);

	assert_null(ntd_unit_evidence_collect(machine, "x", NULL, NULL));
	assert_int_equal(count_logged(*state, "journal"), 0);
}

static void files_of_an_earlier_run_can_be_removed(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_machine *machine = machine_with_units(fixture, "failed");
	_cleanup_free_ char *path = ntd_unit_evidence_collect(machine, "x", NULL, NULL);
	_cleanup_free_ char *directory = ntd_asprintf("%s/failed-units/server", fixture->base);
	_cleanup_free_ char *mine = ntd_asprintf("%s/mine", directory);

	assert_int_equal(close(open(mine, O_WRONLY | O_CREAT | O_CLOEXEC, 0644)), 0);
	ntd_unit_evidence_remove(directory);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(access(mine, F_OK), 0);
	unlink(mine);
	ntd_unit_evidence_remove(directory);
	assert_int_equal(access(directory, F_OK), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		evidence_test(a_failed_unit_leaves_its_status_and_journal),
		evidence_test(so_does_an_inactive_unit),
		evidence_test(other_errors_of_the_wait_name_no_file),
		evidence_test(a_retry_does_not_ask_again),
		evidence_test(an_old_file_is_written_anew),
		evidence_test(a_name_leads_nowhere),
		evidence_test(a_users_unit_is_asked_for_as_the_user),
		evidence_test(a_guest_that_does_not_answer),
		evidence_test(a_machine_that_is_not_connected_is_not_asked),
		evidence_test(files_of_an_earlier_run_can_be_removed),
	};

	return run_life_tests(tests);
}
