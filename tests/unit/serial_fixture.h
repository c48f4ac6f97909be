/* A serial console whose other end is a terminal of this host, with a script on it that plays the
 * guest: a getty and its login, and then a real shell. The script is run by bash; its functions are
 * in `guest_functions`.
 */
#pragma once

#include "unit.h"

#include "channel/serial.h"
#include "console/console.h"

#include <fcntl.h>
#include <pthread.h>
#include <pty.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define PATIENCE (120 * NTD_SECOND)

/* getty PASSWORD COMMAND...: asks for a login as a getty does, and runs the command for the user of
 * the tests with the right one. kernel TEXT: prints as the kernel does. flood: does so again and
 * again. */
static const char guest_functions[] =
	"kernel() { printf '[   12.345678] %s\\n' \"$*\"; }\n"
	"flood() { ( n=0; while sleep 0.01; do n=$((n + 1)); kernel usb 1-1: event $n; done ) & }\n"
	"getty() {\n"
	"  local name=$(id -un) password=$1 user word; shift\n"
	"  while :; do\n"
	"    printf 'Some OS 1.0 host ttyS0\\n\\nhost login: '\n"
	"    read -r user || exit; [ \"$user\" ] || continue\n"
	"    word=\n"
	"    if [ \"$password\" ]; then\n"
	"      stty -echo; printf 'Password: '; read -r word; stty echo; echo\n"
	"    fi\n"
	"    if [ \"$user/$word\" = \"$name/$password\" ]; then\n"
	"      printf 'Last login: Mon Jan  1 00:00:00 on ttyS0\\nWelcome: all is well\\n'\n"
	"      \"$@\"; continue\n"
	"    fi\n"
	"    printf '\\nLogin incorrect\\n'\n"
	"  done\n"
	"}\n"
	"export PS1='[me@host ~]# '\n";

struct fixture {
	struct ntd_loop *loop;
	struct ntd_report *report;
	struct ntd_console *console;
	struct ntd_serial *serial;
	int terminal, raw;
	pid_t guest;
	int readies, losses;
};

static inline void on_panic(void *owner)
{
}

static inline void on_ready(void *owner, struct ntd_channel *channel, const char *said, size_t len)
{
	((struct fixture *)owner)->readies++;
	channel->ready = true;
}

static inline void on_refused(void *owner, struct ntd_channel *channel, const struct ntd_error *why)
{
}

static inline void on_lost(void *owner, struct ntd_channel *channel)
{
	((struct fixture *)owner)->losses++;
	channel->ready = false;
}

static inline void open_console(void *arg)
{
	struct fixture *fixture = arg;

	ntd_console_open(fixture->console, fcntl(fixture->terminal, F_DUPFD_CLOEXEC, 3),
			 fcntl(fixture->terminal, F_DUPFD_CLOEXEC, 3), fixture->raw, on_panic,
			 fixture, NULL);
}

static inline void close_console(void *arg)
{
	struct fixture *fixture = arg;
	_cleanup_error_ struct ntd_error *why = ntd_error_new(NTD_E_DEAD, "QEMU has ended");
	struct ntd_channel *channel = ntd_serial_channel(fixture->serial);

	channel->ops->close(channel, why);
	ntd_console_close(fixture->console, why);
}

static inline void make_serial(struct fixture *fixture)
{
	fixture->serial = ntd_serial_new(fixture->loop, fixture->console, "server");
	ntd_serial_channel(fixture->serial)->owner = (struct ntd_channel_owner){
		.ready = on_ready, .lost = on_lost, .refused = on_refused, .owner = fixture};
}

static inline int set_up(void **state)
{
	struct fixture *fixture = ntd_calloc(1, sizeof *fixture);

	signal(SIGPIPE, SIG_IGN);
	fixture->loop = ntd_loop_new(NULL);
	fixture->report = ntd_report_new(NULL);
	fixture->console = ntd_console_new(fixture->loop, fixture->report, "server");
	make_serial(fixture);
	*state = fixture;
	return 0;
}

/* Starts the guest, which runs the functions above and then `script`. */
static inline void play(struct fixture *fixture, const char *script)
{
	_cleanup_free_ char *text = ntd_asprintf("%s%s\n", guest_functions, script);
	char *argv[] = {(char *)"bash", (char *)"--norc", (char *)"-c", text, NULL};

	fixture->guest = forkpty(&fixture->terminal, NULL, NULL, NULL);
	assert_true(fixture->guest >= 0);
	if (!fixture->guest) {
		execvp("bash", argv);
		_exit(127);
	}
	fixture->raw = memfd_create("raw", MFD_CLOEXEC);
	ntd_loop_call(fixture->loop, open_console, fixture);
}

/* Ends the guest: its terminal hangs up. */
static inline void end_guest(struct fixture *fixture)
{
	if (!fixture->guest)
		return;
	ntd_loop_call(fixture->loop, close_console, fixture);
	ntd_close_fd(&fixture->terminal);
	kill(-fixture->guest, SIGKILL);
	waitpid(fixture->guest, NULL, 0);
	fixture->guest = 0;
}

static inline int tear_down(void **state)
{
	struct fixture *fixture = *state;

	end_guest(fixture);
	ntd_serial_free(fixture->serial);
	ntd_console_free(fixture->console);
	ntd_loop_free(fixture->loop);
	ntd_report_free(fixture->report);
	free(fixture);
	return 0;
}

static inline char *console_log(struct fixture *fixture)
{
	struct ntd_buf log = {0};

	ntd_console_copy_log(fixture->console, &log);
	return ntd_buf_take_string(&log);
}

/* ---- logging in and running commands */

/* Whose shell a guest has: the user who runs the tests. */
static inline const char *own_name(void)
{
	const struct passwd *entry = getpwuid(geteuid());

	assert_non_null(entry);
	return entry->pw_name;
}

static inline int try_login(struct fixture *fixture, const char *password, const char *new_password,
			    struct ntd_error **err)
{
	const struct ntd_serial_login login = {
		.user = own_name(), .password = password, .new_password = new_password};

	return ntd_serial_login(fixture->serial, &login, ntd_after(PATIENCE), NULL, err);
}

static inline void assert_login(struct fixture *fixture, const char *password)
{
	struct ntd_error *err = NULL;

	try_login(fixture, password, NULL, &err);
	assert_no_error(err);
	assert_true(ntd_serial_channel(fixture->serial)->ready);
	assert_false(ntd_serial_channel(fixture->serial)->absent);
}

static inline struct ntd_command command_of(const char *text)
{
	return (struct ntd_command){.text = text, .text_len = strlen(text), .timeout = -1};
}

static inline int run(struct fixture *fixture, const struct ntd_command *command,
		      struct ntd_result *result, struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct ntd_channel *channel = ntd_serial_channel(fixture->serial);

	return channel->ops->run(channel, command, result, waiter, err);
}

static inline void assert_command(struct fixture *fixture, struct ntd_command command, int status,
				  const char *output, size_t len)
{
	_cleanup_result_ struct ntd_result result = {0};
	struct ntd_error *err = NULL;

	run(fixture, &command, &result, NULL, &err);
	assert_no_error(err);
	assert_int_equal(result.output.len, len);
	assert_memory_equal(ntd_buf_bytes(&result.output), output, len);
	assert_int_equal(result.status, status);
}

static inline void assert_run(struct fixture *fixture, const char *text, int status,
			      const char *output)
{
	assert_command(fixture, command_of(text), status, output, strlen(output));
}

#define serial_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
