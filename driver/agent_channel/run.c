/* Commands by the agent: the operation `run` of the channel. What is asked for and what comes back
 * is in agent/command.h.
 *
 * A command goes by the root shell after all when it cannot begin: the agent was lost a moment ago,
 * or the shell is occupied (channel/shell.h). So does one whose end the caller does not wait for,
 * since the commands after it are to come after it. One that wants standard error apart, which the
 * shell does not keep so, waits for the shell instead.
 */
#include "agent_channel/agent_channel_internal.h"

#include "agent/command.h"
#include "base/text.h"
#include "channel/framing.h"

#include <math.h>
#include <string.h>

enum {
	OUTPUT_LIMIT = 1 << 30,
	HOST_GRACE = 30,      /* seconds after the guest's own limits until the driver gives up */
	LONGEST = 1000000000, /* seconds */
};

/* Bytes that have not been sent yet. */
struct rest {
	const char *bytes;
	size_t len;
};

struct running {
	struct ntd_agent_call call;
	const struct ntd_command *command;
	struct ntd_result *result;
	/* Of a text that follows RUN, and of the input. */
	struct rest text, input;
};

static struct running *running_of(struct ntd_agent_call *call)
{
	return ntd_container_of(call, struct running, call);
}

/* How much of a command's text a message shows. */
static int shown(const struct ntd_command *command)
{
	return command->text_len < 200 ? (int)command->text_len : 200;
}

static unsigned grace_of(const struct running *running)
{
	return ntd_shell_grace(running->call.channel->shell);
}

/* ---- loop: to the agent */

static size_t send_some(struct running *running, struct rest *rest, size_t room)
{
	size_t len = rest->len < room ? rest->len : room;

	if (len)
		ntd_agent_call_send(&running->call, NTD_FRAME_DATA, rest->bytes, len);
	rest->bytes += len;
	rest->len -= len;
	return room - len;
}

static void fill(struct ntd_agent_call *call, size_t room)
{
	struct running *running = running_of(call);

	room = send_some(running, &running->text, room);
	send_some(running, &running->input, room);
	if (running->command->input && !running->text.len && !running->input.len)
		ntd_agent_call_finish(call);
}

/* ---- loop: from the agent */

static struct ntd_error *failed(const struct running *running, enum ntd_errc code, const char *what)
{
	return ntd_error_new(code, "machine '%s': command `%.*s` %s",
			     running->call.channel->machine, shown(running->command),
			     running->command->text, what);
}

static struct ntd_error *take_output(struct running *running, const struct ntd_frame *frame)
{
	struct ntd_buf *output = &running->result->output;

	if (output->len + frame->len > OUTPUT_LIMIT)
		return failed(running, NTD_E_PROTOCOL, "has more than 1 GiB of output");
	ntd_buf_append(output, frame->bytes, frame->len);
	ntd_command_tell(running->command, frame->bytes, frame->len);
	return NULL;
}

static struct ntd_error *take_frame(struct ntd_agent_call *call, const struct ntd_frame *frame)
{
	struct running *running = running_of(call);

	if (frame->kind == NTD_FRAME_DATA)
		return take_output(running, frame);
	if (frame->kind == NTD_FRAME_ERROR_DATA)
		ntd_result_add_errors(running->result, frame->bytes, frame->len);
	return NULL;
}

static struct ntd_error *still_open(const struct running *running, const struct ntd_agent_ran *ran)
{
	_cleanup_free_ char *holders = ntd_shown(ran->holders, ran->holders_len);
	_cleanup_free_ char *what = ntd_asprintf(
		"its standard output was still open %u seconds after its time-out of %g seconds; "
		"held by guest processes %s (redirect the output of background processes)",
		grace_of(running), running->command->timeout, *holders ? holders : "unknown");

	return ntd_error_new(NTD_E_TIMEOUT, "machine '%s': command `%.*s`: %s",
			     running->call.channel->machine, shown(running->command),
			     running->command->text, what);
}

static struct ntd_error *done(struct ntd_agent_call *call, const char *payload, size_t len)
{
	struct running *running = running_of(call);
	struct ntd_agent_ran ran;

	if (!ntd_agent_ran_unpack(payload, len, &ran) || ran.status > 255)
		return failed(running, NTD_E_PROTOCOL, "got a reply that is none");
	running->result->status = running->command->no_status ? -1 : (int)ran.status;
	return ran.how == NTD_AGENT_HELD ? still_open(running, &ran) : NULL;
}

/* The same as the root shell says (channel/shell_read.c) when it begins anew. */
static struct ntd_error *lost_anew(const struct running *running)
{
	return ntd_error_new(NTD_E_MACHINE,
			     "machine '%s': the root shell began anew (the guest rebooted?) while "
			     "`%.*s` ran",
			     running->call.channel->machine, shown(running->command),
			     running->command->text);
}

static struct ntd_error *lost_by_itself(const struct running *running, const struct ntd_error *why)
{
	if (why->code != NTD_E_PROTOCOL)
		return ntd_error_new(NTD_E_MACHINE,
				     "machine '%s': the agent in the guest ended while `%.*s` ran",
				     running->call.channel->machine, shown(running->command),
				     running->command->text);
	return ntd_error_new(NTD_E_PROTOCOL, "%s while `%.*s` ran", why->message,
			     shown(running->command), running->command->text);
}

static struct ntd_error *lost(struct ntd_agent_call *call, const struct ntd_error *why)
{
	struct running *running = running_of(call);

	if (call->channel->loss == NTD_LOSS_CLOSED)
		return ntd_error_copy(why);
	if (running->command->no_status) {
		running->result->status = -1;
		ntd_buf_clear(&running->result->output);
		return NULL;
	}
	return call->channel->loss == NTD_LOSS_ANEW ? lost_anew(running)
						    : lost_by_itself(running, why);
}

/* ---- script threads */

static const struct ntd_agent_call_ops ops = {
	.frame = take_frame, .done = done, .fill = fill, .lost = lost};

static uint64_t milliseconds(double seconds)
{
	return (uint64_t)ceil(fmin(seconds, LONGEST) * 1000);
}

static void pack(struct running *running)
{
	const struct ntd_command *command = running->command;
	bool follows = command->text_len > NTD_AGENT_TEXT_SHORT;
	struct ntd_agent_run run = {.text = follows ? "" : command->text,
				    .text_len = follows ? 0 : command->text_len,
				    .text_follows = follows ? command->text_len : 0,
				    .input = command->input,
				    .errors = command->errors,
				    .grace = milliseconds(grace_of(running))};

	if (command->timeout > 0)
		run.timeout = milliseconds(command->timeout);
	if (follows)
		running->text = (struct rest){command->text, command->text_len};
	if (command->input)
		running->input = (struct rest){command->input, command->input_len};
	ntd_agent_run_pack(&running->call.payload, &run);
}

/* Sets the error of a guest that does not answer; the waiter's own limits have their own errors. */
static int overdue(const struct running *running, struct ntd_error **err)
{
	return ntd_error_set(err, NTD_E_TIMEOUT,
			     "machine '%s': no reply from the guest to `%.*s`, which it should "
			     "have ended after %g seconds; waited %u seconds longer",
			     running->call.channel->machine, shown(running->command),
			     running->command->text, running->command->timeout,
			     grace_of(running) + HOST_GRACE);
}

/* 1: the command has not begun. */
static int run_by_agent(struct ntd_agent_channel *agent, const struct ntd_command *command,
			struct ntd_result *result, struct ntd_waiter *waiter,
			struct ntd_error **err)
{
	struct running running = {
		.call = {.ops = &ops, .kind = NTD_FRAME_RUN, .channel = agent, .yields = true},
		.command = command,
		.result = result};
	_cleanup_error_ struct ntd_error *error = NULL;
	int64_t deadline = NTD_FOREVER;
	int called;

	pack(&running);
	if (command->timeout > 0)
		deadline = ntd_after(ntd_span(command->timeout + grace_of(&running) + HOST_GRACE));
	called = ntd_agent_call_run(agent, &running.call, deadline, waiter, &error);
	ntd_buf_free(&running.call.payload);
	if (called == 0)
		return 0;
	if (!running.call.stream && error->code != NTD_E_CANCELLED && error->code != NTD_E_TIMEOUT)
		return 1;
	if (error->code == NTD_E_TIMEOUT && ntd_now() >= deadline)
		return overdue(&running, err);
	return ntd_error_move(err, ntd_steal(&error));
}

/* Runs a command that the root shell cannot run after what keeps the shell busy. */
static int run_after_shell(struct ntd_agent_channel *agent, const struct ntd_command *command,
			   struct ntd_result *result, struct ntd_waiter *waiter,
			   struct ntd_error **err)
{
	struct ntd_channel *shell = ntd_shell_channel(agent->shell);
	const struct ntd_command nothing = {.text = ":", .text_len = 1, .as_root = true};
	_cleanup_result_ struct ntd_result nothing_said = {0};

	if (shell->ops->run(shell, &nothing, &nothing_said, waiter, err) < 0)
		return -1;
	return run_by_agent(agent, command, result, waiter, err);
}

/* Copies a text without its NULs, which bash cannot be given, and which it skips when it reads the
 * text itself. */
static void copy_without_nul(const struct ntd_command *command, struct ntd_buf *copy)
{
	ntd_buf_append(copy, command->text, command->text_len);
	for (char *nul; (nul = memchr(ntd_buf_bytes(copy), 0, copy->len)); copy->len--)
		memmove(nul, nul + 1, copy->len - (size_t)(nul + 1 - ntd_buf_bytes(copy)));
}

int ntd_agent_run(struct ntd_channel *channel, const struct ntd_command *command,
		  struct ntd_result *result, struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct ntd_agent_channel *agent =
		ntd_container_of(channel, struct ntd_agent_channel, channel);
	struct ntd_channel *shell = ntd_shell_channel(agent->shell);
	_cleanup_free_ char *text = ntd_channel_text_for_user(channel, command);
	_cleanup_buf_ struct ntd_buf plain = {0};
	struct ntd_command sent = *command;
	int ran = 1;

	if (text) {
		sent.text = text;
		sent.text_len = strlen(text);
	} else if (memchr(command->text, 0, command->text_len)) {
		copy_without_nul(command, &plain);
		sent.text = ntd_buf_bytes(&plain);
		sent.text_len = plain.len;
	}
	if (ntd_framing_check(&sent, err) < 0)
		return -1;
	if (!command->no_reply)
		ran = run_by_agent(agent, &sent, result, waiter, err);
	if (ran > 0 && command->errors)
		ran = run_after_shell(agent, &sent, result, waiter, err);
	return ran > 0 ? shell->ops->run(shell, command, result, waiter, err) : ran;
}
