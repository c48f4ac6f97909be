/* Tests of logins on a serial console: what guests ask for, and what they refuse. */
#include "serial_fixture.h"

static void a_login_with_a_password(void **state)
{
	struct fixture *fixture = *state;

	play(fixture, "getty secret bash --norc");
	assert_login(fixture, "secret");
	assert_run(fixture, "echo hello; exit 3", 3, "hello\n");
	assert_int_equal(fixture->readies, 1);
}

static void a_login_without_a_password(void **state)
{
	struct fixture *fixture = *state;

	play(fixture, "getty '' bash --norc");
	assert_login(fixture, NULL);
	assert_run(fixture, "echo hello", 0, "hello\n");
}

static void a_getty_that_comes_late(void **state)
{
	struct fixture *fixture = *state;

	play(fixture, "for i in 1 2 3; do kernel booting $i; sleep 1; done\n"
		      "getty secret bash --norc");
	assert_login(fixture, "secret");
	assert_run(fixture, "echo hello", 0, "hello\n");
}

static void a_prompt_that_was_hidden(void **state)
{
	struct fixture *fixture = *state;

	play(fixture, "printf 'login: \\nStarted Something.\\n'\n"
		      "read -r line; getty secret bash --norc");
	assert_login(fixture, "secret");
}

static void prompts_that_the_kernel_cuts(void **state)
{
	struct fixture *fixture = *state;

	play(fixture,
	     "while :; do\n"
	     "printf 'host log'; kernel one; printf 'in: '; kernel two\n"
	     "read -r user; [ \"$user\" ] || continue; stty -echo; printf 'Pass'; kernel three; printf 'word: '\n"
	     "kernel four; read -r word; stty echo\n"
	     "[ \"$user/$word\" = \"$(id -un)/secret\" ] || { printf 'Login incorrect\\n'; continue; }\n"
	     "bash --norc; done");
	assert_login(fixture, "secret");
	assert_run(fixture, "echo hello", 0, "hello\n");
}

static void a_shell_that_is_there_already(void **state)
{
	struct fixture *fixture = *state;

	play(fixture, "exec bash --norc");
	assert_login(fixture, NULL);
	assert_run(fixture, "echo hello", 0, "hello\n");
	/* again, in the shell that has the loop */
	assert_login(fixture, NULL);
	assert_run(fixture, "echo again", 0, "again\n");
}

static void shells_without_a_usual_prompt(void **state)
{
	struct fixture *fixture = *state;

	play(fixture, "PS1='what now ' exec bash --norc");
	assert_login(fixture, NULL);
	end_guest(fixture);
	play(fixture, "PS1= exec bash --norc");
	assert_login(fixture, NULL);
	assert_run(fixture, "echo hello", 0, "hello\n");
}

static void a_wrong_password_is_an_error(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_free_ char *log = NULL;
	const char *first;

	play(fixture, "getty secret bash --norc");
	assert_fails(try_login(fixture, "wrong", NULL, &err), NTD_E_ASSERTION,
		     "on the serial console was refused");
	log = console_log(fixture);
	first = strstr(log, "Login incorrect");
	assert_non_null(first);
	assert_null(strstr(first + 1, "Login incorrect")); /* it was tried once */
	assert_fails(try_login(fixture, NULL, NULL, &err), NTD_E_ASSERTION,
		     "needs a password, and login() was given none");
	assert_true(ntd_serial_channel(fixture->serial)->absent);
	/* the right one, where a password is still asked for */
	assert_login(fixture, "secret");
}

#define CHANGE                                                                                       \
	"change() {\n"                                                                               \
	"  stty -echo\n"                                                                             \
	"  echo 'You are required to change your password immediately (administrator enforced).'\n"  \
	"  printf 'Current password: '; read -r old; echo\n"                                         \
	"  printf 'New password: '; read -r one; echo\n"                                             \
	"  printf 'Retype new password: '; read -r two; echo; stty echo\n"                           \
	"  [ \"$old/$one/$two\" = secret/newer/newer ] || { echo 'Sorry, passwords do not match.'; " \
	"return; }\n"                                                                                \
	"  bash --norc\n"                                                                            \
	"}\n"                                                                                        \
	"getty secret change"

static void a_password_that_must_be_changed(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_error *err = NULL;

	play(fixture, CHANGE);
	try_login(fixture, "secret", "newer", &err);
	assert_no_error(err);
	assert_run(fixture, "echo hello", 0, "hello\n");
}

static void a_change_without_a_new_password(void **state)
{
	struct fixture *fixture = *state;

	play(fixture, CHANGE);
	assert_fails(try_login(fixture, "secret", NULL, &err), NTD_E_ASSERTION,
		     "needs a change of the password, and login() was given no new_password");
}

static void a_new_password_that_is_not_accepted(void **state)
{
	struct fixture *fixture = *state;

	play(fixture, CHANGE);
	assert_fails(try_login(fixture, "secret", "other", &err), NTD_E_ASSERTION,
		     "does not accept the new password");
}

static void a_console_without_a_getty(void **state)
{
	struct fixture *fixture = *state;
	const struct ntd_serial_login login = {.user = own_name()};

	play(fixture, "stty -echo; echo nothing here; sleep 1000");
	assert_fails(ntd_serial_login(fixture->serial, &login, ntd_after(NTD_SECOND), NULL, &err),
		     NTD_E_TIMEOUT,
		     "is there a getty on it?; last console lines:\n    nothing here");
}

/* Its time is over before the driver gives the shell up. */
static void a_shell_that_runs_nothing(void **state)
{
	struct fixture *fixture = *state;
	const struct ntd_serial_login login = {.user = own_name()};

	play(fixture, "sh() { :; }; stty -echo\n"
		      "while read -r line; do case $line in\n"
		      "  exec*) ( while :; do echo noise; done ) & wait;;\n"
		      "  *) eval \"$line\"; printf '$ ';; esac; done");
	assert_fails(
		ntd_serial_login(fixture->serial, &login, ntd_after(6 * NTD_SECOND), NULL, &err),
		NTD_E_TIMEOUT, "did not run the driver's commands in time");
}

static void a_shell_of_another_user(void **state)
{
	struct fixture *fixture = *state;
	const struct ntd_serial_login login = {.user = "somebody"};

	play(fixture, "exec bash --norc");
	assert_fails(ntd_serial_login(fixture->serial, &login, ntd_after(PATIENCE), NULL, &err),
		     NTD_E_ASSERTION, "not of 'somebody'");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		serial_test(a_login_with_a_password),
		serial_test(a_login_without_a_password),
		serial_test(a_getty_that_comes_late),
		serial_test(a_prompt_that_was_hidden),
		serial_test(prompts_that_the_kernel_cuts),
		serial_test(a_shell_that_is_there_already),
		serial_test(shells_without_a_usual_prompt),
		serial_test(a_wrong_password_is_an_error),
		serial_test(a_password_that_must_be_changed),
		serial_test(a_change_without_a_new_password),
		serial_test(a_new_password_that_is_not_accepted),
		serial_test(a_console_without_a_getty),
		serial_test(a_shell_that_runs_nothing),
		serial_test(a_shell_of_another_user),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
