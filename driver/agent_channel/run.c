/* Commands by the agent. What is asked for and what comes back is in agent/command.h. */
#include "agent_channel/agent_channel_internal.h"

#include "agent/command.h"
#include "base/text.h"

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

int ntd_agent_text_shown(const struct ntd_command *command)
{
	return command->text_len < 200 ? (int)command->text_len : 200;
}

static unsigned grace_of(const struct running *running)
{
	const struct ntd_agent_channel *agent = running->call.channel;

	return agent->way->grace(agent);
}

/* ---- loop: to the agent */

static size_t send_some(struct running *running, struct rest *rest, size_t room)
{
	size_t len = rest->len < room ? rest->len : room;

	if (!len)
		return room;
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
			     running->call.channel->machine, ntd_agent_text_shown(running->command),
			     running->command->text, what);
}

static struct ntd_error *take_output(struct running *running, const struct ntd_frame *frame)
{
	const struct ntd_agent_channel *agent = running->call.channel;
	struct ntd_buf *output = &running->result->output;

	if (output->len + frame->len > OUTPUT_LIMIT)
		return agent->way->too_much(agent, running->command);
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
			     running->call.channel->machine, ntd_agent_text_shown(running->command),
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
			     running->call.channel->machine, ntd_agent_text_shown(running->command),
			     running->command->text);
}

static struct ntd_error *lost_by_itself(const struct running *running, const struct ntd_error *why)
{
	if (why->code != NTD_E_PROTOCOL)
		return ntd_error_new(NTD_E_MACHINE,
				     "machine '%s': the agent in the guest ended while `%.*s` ran",
				     running->call.channel->machine,
				     ntd_agent_text_shown(running->command),
				     running->command->text);
	return ntd_error_new(NTD_E_PROTOCOL, "%s while `%.*s` ran", why->message,
			     ntd_agent_text_shown(running->command), running->command->text);
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
			     running->call.channel->machine, ntd_agent_text_shown(running->command),
			     running->command->text, running->command->timeout,
			     grace_of(running) + HOST_GRACE);
}

int ntd_agent_run_command(struct ntd_agent_channel *agent, const struct ntd_command *command,
			  struct ntd_result *result, enum ntd_agent_call_end *end,
			  struct ntd_waiter *waiter, struct ntd_error **err)
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
	*end = running.call.how;
	ntd_buf_free(&running.call.payload);
	if (called == 0)
		return 0;
	if (error->code == NTD_E_TIMEOUT && ntd_now() >= deadline)
		return overdue(&running, err);
	return ntd_error_move(err, ntd_steal(&error));
}
