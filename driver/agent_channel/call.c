/* The calls of the agent channel: streams of frames, on the loop thread, and the threads of scripts
 * that wait for their ends. What the agent sends is not trusted: a frame that it must not send ends
 * the connection (connection.c), and so all calls.
 */
#include "agent_channel/agent_channel_internal.h"

#include "base/text.h"
#include "loop/output.h"

#include <assert.h>

/* ---- to the agent */

void ntd_agent_flush(struct ntd_agent_channel *agent)
{
	if (agent->socket.loop)
		ntd_output_flush(&agent->socket, &agent->out);
}

static void send_frame(struct ntd_agent_channel *agent, uint32_t stream, uint8_t kind,
		       const char *bytes, size_t len)
{
	ntd_frame_append(
		&agent->out,
		&(struct ntd_frame){.stream = stream, .kind = kind, .bytes = bytes, .len = len});
}

size_t ntd_agent_call_room(const struct ntd_agent_call *call)
{
	return call->finished ? 0 : NTD_FRAME_WINDOW - call->unused;
}

void ntd_agent_call_send(struct ntd_agent_call *call, uint8_t kind, const char *bytes, size_t len)
{
	assert(!call->finished);
	if (kind == NTD_FRAME_DATA) {
		assert(len <= ntd_agent_call_room(call));
		call->unused += len;
	}
	do {
		size_t piece = len < NTD_FRAME_MOST ? len : NTD_FRAME_MOST;

		send_frame(call->channel, call->stream, kind, bytes, piece);
		bytes += piece;
		len -= piece;
	} while (len);
	ntd_agent_flush(call->channel);
}

void ntd_agent_call_finish(struct ntd_agent_call *call)
{
	if (call->finished)
		return;
	call->finished = true;
	send_frame(call->channel, call->stream, NTD_FRAME_END, NULL, 0);
	ntd_agent_flush(call->channel);
}

static void fill(struct ntd_agent_call *call)
{
	size_t room = ntd_agent_call_room(call);

	if (room && call->ops->fill)
		call->ops->fill(call, room);
}

/* ---- the beginning and the end */

static struct ntd_error *not_connected(const struct ntd_agent_channel *agent)
{
	if (agent->why)
		return ntd_error_copy(agent->why);
	return ntd_error_new(NTD_E_DEAD, "machine '%s' has no agent: it was not started",
			     agent->machine);
}

static void begin(struct ntd_request *request)
{
	struct ntd_agent_call *call = ntd_container_of(request, struct ntd_agent_call, request);
	struct ntd_agent_channel *agent = call->channel;

	if (!agent->connected || (call->yields && agent->way->yields(agent))) {
		ntd_request_complete(request, not_connected(agent));
		return;
	}
	call->stream = ++agent->streams;
	call->how = NTD_CALL_GOES_ON;
	ntd_list_append(&agent->calls, &call->link);
	send_frame(agent, call->stream, call->kind, ntd_buf_bytes(&call->payload),
		   call->payload.len);
	ntd_agent_flush(agent);
	fill(call);
}

/* Ends the call with `error`, which this function takes; NULL: with success. */
static void end(struct ntd_agent_call *call, enum ntd_agent_call_end how, struct ntd_error *error)
{
	call->how = how;
	ntd_list_unlink(&call->link);
	ntd_request_complete(&call->request, error);
}

static void cancel(struct ntd_agent_call *call)
{
	send_frame(call->channel, call->stream, NTD_FRAME_CANCEL, NULL, 0);
	ntd_agent_flush(call->channel);
}

static void abandon(struct ntd_request *request)
{
	struct ntd_agent_call *call = ntd_container_of(request, struct ntd_agent_call, request);

	if (!ntd_list_linked(&call->link))
		return;
	if (!call->outlives)
		cancel(call);
	ntd_list_unlink(&call->link);
}

/* Whether the thread stopped waiting, so that nobody may make the call in another way. */
static bool has_given_up(const struct ntd_error *error)
{
	return error->code == NTD_E_CANCELLED || error->code == NTD_E_TIMEOUT;
}

int ntd_agent_call_run(struct ntd_agent_channel *channel, struct ntd_agent_call *call,
		       int64_t deadline, struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct ntd_error *error = NULL;

	if (call->payload.len > NTD_FRAME_MOST)
		return ntd_error_set(err, NTD_E_VALUE,
				     "%zu bytes are too many for a question to the agent",
				     call->payload.len);
	call->request = (struct ntd_request){.begin = begin, .abandon = abandon};
	call->channel = channel;
	call->link = (struct ntd_list_link){0};
	call->stream = 0;
	call->how = NTD_CALL_NOT_BEGUN;
	call->unused = 0;
	call->finished = false;
	if (ntd_request_run(channel->loop, &call->request, deadline, waiter, &error) == 0)
		return 0;
	if (call->how == NTD_CALL_NOT_BEGUN && has_given_up(error))
		call->how = NTD_CALL_GOES_ON;
	return ntd_error_move(err, error);
}

void ntd_agent_calls_lost(struct ntd_agent_channel *agent, enum ntd_agent_loss loss,
			  const struct ntd_error *why)
{
	static const enum ntd_agent_call_end ends[] = {[NTD_LOSS_ENDED] = NTD_CALL_LOST,
						       [NTD_LOSS_LEFT] = NTD_CALL_FAILED,
						       [NTD_LOSS_ANEW] = NTD_CALL_LOST,
						       [NTD_LOSS_CLOSED] = NTD_CALL_ANSWERED};
	struct ntd_agent_call *call;

	agent->loss = loss;
	while ((call = ntd_list_take(&agent->calls, struct ntd_agent_call, link)))
		end(call, ends[loss],
		    call->ops->lost ? call->ops->lost(call, why) : ntd_error_copy(why));
}

/* ---- from the agent */

static struct ntd_error *nonsense(const struct ntd_agent_channel *agent, const char *what)
{
	return ntd_error_new(NTD_E_PROTOCOL, "machine '%s': the agent in the guest sent %s",
			     agent->machine, what);
}

static struct ntd_error *take_credit(struct ntd_agent_call *call, const struct ntd_frame *frame)
{
	struct ntd_unpack in = {.at = frame->bytes, .left = frame->len};
	uint32_t used = ntd_unpack_u32(&in);

	if (!ntd_unpack_is_whole(&in) || used > call->unused)
		return nonsense(call->channel, "credit for bytes that it was not given");
	call->unused -= used;
	fill(call);
	return NULL;
}

static struct ntd_error *failure(const struct ntd_agent_call *call, const struct ntd_frame *frame)
{
	_cleanup_free_ char *text = ntd_shown(frame->bytes, frame->len);

	return ntd_error_new(NTD_E_MACHINE, "machine '%s': %s", call->channel->machine, text);
}

static void pass_on(struct ntd_agent_call *call, const struct ntd_frame *frame)
{
	struct ntd_error *error =
		call->ops->frame
			? call->ops->frame(call, frame)
			: nonsense(call->channel, "more than the end of what it was asked for");

	if (!error)
		return;
	cancel(call);
	end(call, NTD_CALL_ANSWERED, error);
}

static struct ntd_agent_call *find(const struct ntd_agent_channel *agent, uint32_t stream)
{
	ntd_list_each (struct ntd_agent_call, call, &agent->calls, link)
		if (call->stream == stream)
			return call;
	return NULL;
}

struct ntd_error *ntd_agent_calls_frame(struct ntd_agent_channel *agent,
					const struct ntd_frame *frame)
{
	struct ntd_agent_call *call = find(agent, frame->stream);

	if (!frame->stream || frame->stream > agent->streams)
		return nonsense(agent, "a frame of a stream that has not begun");
	if (!call) /* it was cancelled, which the agent may not know yet */
		return NULL;
	switch (frame->kind) {
	case NTD_FRAME_DATA:
	case NTD_FRAME_ERROR_DATA:
	case NTD_FRAME_ITEM:
	case NTD_FRAME_END:
		pass_on(call, frame);
		return NULL;
	case NTD_FRAME_CREDIT:
		return take_credit(call, frame);
	case NTD_FRAME_DONE:
		end(call, NTD_CALL_ANSWERED,
		    call->ops->done ? call->ops->done(call, frame->bytes, frame->len) : NULL);
		return NULL;
	case NTD_FRAME_FAILED:
		end(call, NTD_CALL_FAILED, failure(call, frame));
		return NULL;
	default:
		return nonsense(agent, "a frame of a kind that is not its own");
	}
}
