/* The shell on the serial console as a channel. Script threads have the console in turn, which the
 * loop thread gives out; the thread whose turn it is does everything else by itself, in
 * serial_login.c, serial_setup.c and serial_wire.c.
 */
#include "channel/serial_internal.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

/* The text of the console that waits for the thread whose turn it is. */
#define READER_LIMIT (32 << 20)
/* Until a command that was given up has ended. */
#define SETTLE_PATIENCE (120 * NTD_SECOND)

/* ---- turns */

struct serial_turn {
	struct ntd_request request;
	struct ntd_serial *serial;
	const struct ntd_command *command; /* NULL: a login, for which there need be no shell */
	struct ntd_list_link link;
};

static void take_turn(struct serial_turn *turn)
{
	struct ntd_serial *serial = turn->serial;
	const struct ntd_command *command = turn->command;

	ntd_list_unlink(&turn->link);
	if (command && serial->refusal) {
		ntd_request_complete(&turn->request, ntd_error_copy(serial->refusal));
		return;
	}
	serial->taken = true;
	serial->running = command ? ntd_strndup(command->text, command->text_len) : NULL;
	ntd_request_complete(&turn->request, NULL);
}

static void turn_begin(struct ntd_request *request)
{
	struct serial_turn *turn = ntd_container_of(request, struct serial_turn, request);

	if (turn->serial->taken)
		ntd_list_append(&turn->serial->turns, &turn->link);
	else
		take_turn(turn);
}

static void turn_abandon(struct ntd_request *request)
{
	ntd_list_unlink(&ntd_container_of(request, struct serial_turn, request)->link);
}

static int begin_turn(struct ntd_serial *serial, const struct ntd_command *command,
		      int64_t deadline, struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct serial_turn turn = {.request = {.begin = turn_begin, .abandon = turn_abandon},
				   .serial = serial,
				   .command = command};

	return ntd_request_run(serial->loop, &turn.request, deadline, waiter, err);
}

static void next_turn(struct ntd_serial *serial)
{
	serial->taken = false;
	free(ntd_steal(&serial->running));
	while (!serial->taken && !ntd_list_empty(&serial->turns))
		take_turn(ntd_container_of(serial->turns.first, struct serial_turn, link));
}

static void set_refusal(struct ntd_serial *serial, struct ntd_error *why)
{
	ntd_error_free(serial->refusal);
	serial->refusal = why;
}

static struct ntd_error *no_shell(const struct ntd_serial *serial, const char *why)
{
	return ntd_error_new(NTD_E_MACHINE,
			     "machine '%s' has no shell on its serial console: %s; log in with "
			     "login()",
			     serial->machine, why);
}

/* The shell has gone, though the machine goes on. Only a login helps. */
static void lose(struct ntd_serial *serial, const char *why)
{
	const struct ntd_channel_owner *owner = &serial->channel.owner;

	set_refusal(serial, no_shell(serial, why));
	owner->refused(owner->owner, &serial->channel, serial->refusal);
	owner->lost(owner->owner, &serial->channel);
}

struct end {
	struct ntd_serial *serial;
	bool lost;
	struct ntd_error **err; /* of the turn; may have been set */
};

/* The console only knows that it is closed; why is known here. */
static void tell_why(const struct end *end)
{
	struct ntd_error *error = end->err ? *end->err : NULL;

	if (!error || error->code != NTD_E_DEAD || !end->serial->refusal)
		return;
	*end->err = ntd_error_copy(end->serial->refusal);
	ntd_error_free(error);
}

static void finish_turn(void *arg)
{
	const struct end *end = arg;

	if (end->lost && end->serial->channel.ready)
		lose(end->serial, "it has ended");
	else
		tell_why(end);
	next_turn(end->serial);
}

static void end_turn(struct ntd_serial *serial, bool lost, struct ntd_error **err)
{
	ntd_loop_call(serial->loop, finish_turn,
		      &(struct end){.serial = serial, .lost = lost, .err = err});
}

/* ---- commands */

/* The driver's own commands are root's, also in another user's shell. */
static char *text_for_root(const struct ntd_serial *serial, const struct ntd_command *command)
{
	struct ntd_buf text = {0};

	if (!command->as_root || !strcmp(serial->user, "root"))
		return NULL;
	ntd_buf_puts(&text, "sudo -n sh -c ");
	ntd_shell_quote(&text, command->text, command->text_len);
	return ntd_buf_take_string(&text);
}

static int run_in_turn(struct ntd_serial *serial, const struct ntd_command *command,
		       struct ntd_result *result, struct ntd_waiter *waiter, struct ntd_error **err)
{
	_cleanup_free_ char *text = ntd_channel_text_for_user(&serial->channel, command);
	struct ntd_command sent;

	if (!text)
		text = text_for_root(serial, command);
	sent = ntd_command_with_text(command, text);
	if (ntd_serial_settle(serial, serial->abandoned ? ntd_after(SETTLE_PATIENCE) : NTD_FOREVER,
			      waiter, err) < 0)
		return -1;
	return ntd_serial_run(serial, &sent, result, waiter, err);
}

static int run(struct ntd_channel *channel, const struct ntd_command *command,
	       struct ntd_result *result, struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct ntd_serial *serial = ntd_container_of(channel, struct ntd_serial, channel);
	int status;

	if (memchr(command->text, '\0', command->text_len))
		return ntd_error_set(err, NTD_E_VALUE, "a command cannot have a NUL character");
	if (command->errors)
		return ntd_error_set(err, NTD_E_VALUE,
				     "machine '%s': the %s does not keep standard error apart",
				     serial->machine, channel->name);
	if (begin_turn(serial, command, NTD_FOREVER, waiter, err) < 0)
		return -1;
	status = run_in_turn(serial, command, result, waiter, err);
	end_turn(serial, !*serial->identity, status < 0 ? err : NULL);
	return status;
}

struct running {
	struct ntd_serial *serial;
	char *text;
};

static void copy_running(void *arg)
{
	struct running *running = arg;
	const char *text = running->serial->running;

	running->text = text ? ntd_strdup(text) : NULL;
}

static char *busy(struct ntd_channel *channel)
{
	struct ntd_serial *serial = ntd_container_of(channel, struct ntd_serial, channel);
	struct running running = {.serial = serial};

	ntd_loop_call(serial->loop, copy_running, &running);
	return running.text;
}

/* ---- login */

static void announce(void *arg)
{
	struct ntd_serial *serial = arg;

	set_refusal(serial, NULL);
	serial->channel.heard = ntd_now();
	serial->channel.absent = false;
	serial->channel.owner.ready(serial->channel.owner.owner, &serial->channel, NULL, 0);
}

static void new_identity(struct ntd_serial *serial)
{
	uint32_t random = 0;

	while (getrandom(&random, sizeof random, 0) != sizeof random)
		;
	snprintf(serial->identity, sizeof serial->identity, "ntd%08x", random);
}

/* Whether the user's shell still answers from an earlier login. If it is another's, its loop is
 * ended, so that the guest asks for a login again. */
static int try_old_shell(struct ntd_serial *serial, const struct ntd_serial_login *login,
			 struct ntd_waiter *waiter)
{
	struct ntd_command command = {.text = ":", .text_len = 1, .timeout = 60};
	struct ntd_result result = {0};
	int status;

	if (!*serial->identity || !serial->channel.ready)
		return -1;
	status = ntd_serial_settle(serial, ntd_after(SETTLE_PATIENCE), waiter, NULL);
	if (status == 0)
		status = ntd_serial_run(serial, &command, &result, waiter, NULL);
	ntd_result_free(&result);
	if (status == 0 && strcmp(serial->user, login->user) != 0) {
		ntd_serial_type(serial, "0 q 0 \n", NULL);
		status = -1;
	}
	return status;
}

static int wrong_user(const struct ntd_serial *serial, const struct ntd_serial_login *login,
		      struct ntd_error **err)
{
	return ntd_error_set(
		err, NTD_E_ASSERTION,
		"machine '%s': the shell on the serial console is that of '%s', not of "
		"'%s'; log in as that user, or have it log out",
		serial->machine, serial->user, login->user);
}

static int log_in(struct ntd_serial *serial, const struct ntd_serial_login *login, int64_t deadline,
		  struct ntd_waiter *waiter, struct ntd_error **err)
{
	if (try_old_shell(serial, login, waiter) == 0)
		return 0;
	new_identity(serial);
	if (ntd_serial_find_shell(serial, login, deadline, waiter, err) < 0 ||
	    ntd_serial_set_up(serial, deadline, waiter, err) < 0)
		return -1;
	if (strcmp(serial->user, login->user) == 0 || !strcmp(serial->user, "?"))
		return 0;
	ntd_serial_type(serial, "0 q 0 \n", NULL);
	return wrong_user(serial, login, err);
}

int ntd_serial_login(struct ntd_serial *serial, const struct ntd_serial_login *login,
		     int64_t deadline, struct ntd_waiter *waiter, struct ntd_error **err)
{
	int result;

	if (begin_turn(serial, NULL, deadline, waiter, err) < 0)
		return -1;
	result = log_in(serial, login, deadline, waiter, err);
	if (result == 0)
		ntd_loop_call(serial->loop, announce, serial);
	else
		serial->identity[0] = '\0';
	end_turn(serial, result < 0, result < 0 ? err : NULL);
	return result;
}

/* ---- life */

void ntd_serial_reset(struct ntd_serial *serial)
{
	if (!serial->channel.ready)
		return;
	lose(serial, "the guest was reset");
	ntd_expect_interrupt(serial->reader, serial->refusal);
}

/* Without a login the guest has no such channel again. */
static void close_channel(struct ntd_channel *channel, const struct ntd_error *why)
{
	struct ntd_serial *serial = ntd_container_of(channel, struct ntd_serial, channel);

	channel->absent = true;
	channel->ready = channel->unmet = false;
	set_refusal(serial, ntd_error_copy(why));
	ntd_expect_interrupt(serial->reader, why);
}

static void reboots(struct ntd_channel *channel)
{
	const struct ntd_serial *serial = ntd_container_of(channel, struct ntd_serial, channel);
	_cleanup_error_ struct ntd_error *why = no_shell(serial, "the guest has rebooted");

	close_channel(channel, why);
}

struct ntd_serial *ntd_serial_new(struct ntd_loop *loop, struct ntd_console *console,
				  const char *machine)
{
	static const struct ntd_channel_ops ops = {
		.run = run, .busy = busy, .reboots = reboots, .close = close_channel};
	struct ntd_serial *serial = ntd_calloc(1, sizeof *serial);

	*serial = (struct ntd_serial){
		.channel = {.ops = &ops, .name = "shell on the serial console", .absent = true},
		.loop = loop,
		.console = console,
		.machine = ntd_strdup(machine),
		.reader = ntd_expect_new(console, READER_LIMIT)};
	return serial;
}

struct ntd_channel *ntd_serial_channel(struct ntd_serial *serial)
{
	return &serial->channel;
}

void ntd_serial_free(struct ntd_serial *serial)
{
	if (!serial)
		return;
	ntd_expect_free(serial->reader);
	ntd_serial_lines_free(&serial->lines);
	ntd_buf_free(&serial->text);
	ntd_error_free(serial->refusal);
	free(serial->machine);
	free(serial);
}
