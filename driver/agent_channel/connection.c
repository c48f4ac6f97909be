/* The connection with the agent: frames on the data port. On the loop thread.
 *
 * It is open from when the agent is started. HELLO is the first frame; then the agent takes calls.
 * The connection ends with the port, with bytes that are no frames, or when the channel is closed.
 */
#include "agent_channel/agent_channel_internal.h"

#include "base/fd.h"

enum { READ_SIZE = 64 << 10 };

/* How much is read at a time, so that one agent that sends a lot does not keep the others waiting;
 * and how much of what an agent has sent before it ended. */
enum { BATCHES = 4, LAST_BATCHES = 64 };

/* ---- frames */

static struct ntd_error *broken(const struct ntd_agent_channel *agent, const char *what)
{
	return ntd_error_new(NTD_E_PROTOCOL,
			     "machine '%s': %s on the port of the agent in the guest",
			     agent->machine, what);
}

static struct ntd_error *take_hello(struct ntd_agent_channel *agent, const struct ntd_frame *frame)
{
	struct ntd_agent_hello hello;

	if (frame->stream || frame->kind != NTD_FRAME_HELLO ||
	    !ntd_agent_hello_unpack(frame->bytes, frame->len, &hello))
		return broken(agent, "something else than a greeting came");
	if (hello.version != NTD_AGENT_VERSION)
		return broken(agent, "the greeting of another version came");
	agent->connected = true;
	agent->left = false;
	agent->events->connected(agent);
	return NULL;
}

struct ntd_error *ntd_agent_end_error(const struct ntd_agent_channel *agent)
{
	return ntd_error_new(NTD_E_DEAD, "machine '%s': the agent in the guest has ended",
			     agent->machine);
}

static struct ntd_error *take_frame(struct ntd_agent_channel *agent, const struct ntd_frame *frame)
{
	if (!agent->connected)
		return take_hello(agent, frame);
	if (frame->stream || frame->kind != NTD_FRAME_END)
		return ntd_agent_calls_frame(agent, frame);
	agent->left = true;
	return ntd_agent_end_error(agent);
}

/* Takes the frames that are whole. NULL, or why the connection has to end. */
static struct ntd_error *take_frames(struct ntd_agent_channel *agent)
{
	struct ntd_frame frame;
	struct ntd_error *error = NULL;

	while (!error && agent->socket.fd >= 0) {
		enum ntd_frame_verdict verdict = ntd_frame_take(&agent->in, &frame);

		if (verdict == NTD_FRAME_PARTIAL)
			return NULL;
		if (verdict == NTD_FRAME_BROKEN)
			return broken(agent, "bytes that are no frame came");
		error = take_frame(agent, &frame);
		/* what a frame tells may have ended the connection, and freed the bytes */
		if (agent->socket.fd >= 0)
			ntd_buf_consume(&agent->in, NTD_FRAME_HEADER + frame.len);
	}
	return error;
}

/* ---- bytes */

/* NULL, or why the connection has ended or has to end. */
static struct ntd_error *read_some(struct ntd_agent_channel *agent, int batches)
{
	struct ntd_error *error = NULL;

	while (batches-- && !error && agent->socket.fd >= 0) {
		char *room = ntd_buf_reserve(&agent->in, READ_SIZE);
		ssize_t got = ntd_fd_receive(agent->socket.fd, room, READ_SIZE);

		if (got == 0)
			return NULL;
		if (got < 0)
			return ntd_agent_end_error(agent);
		ntd_buf_added(&agent->in, (size_t)got);
		agent->channel.heard = ntd_now();
		error = take_frames(agent);
	}
	return error;
}

static void ready(struct ntd_source *source, uint32_t events)
{
	struct ntd_agent_channel *agent =
		ntd_container_of(source, struct ntd_agent_channel, socket);
	_cleanup_error_ struct ntd_error *error = NULL;

	if (events & EPOLLOUT)
		ntd_agent_flush(agent);
	if (events & ~(uint32_t)EPOLLOUT)
		error = read_some(agent, BATCHES);
	if (error)
		agent->events->lost(agent, error);
}

void ntd_agent_connection_drain(struct ntd_agent_channel *agent)
{
	if (agent->socket.fd >= 0)
		ntd_error_free(read_some(agent, LAST_BATCHES));
}

/* ---- its beginning and its end */

/* The agent had the port open as long as it lived. */
void ntd_agent_port_left(void *owner)
{
	struct ntd_agent_channel *agent = owner;
	_cleanup_error_ struct ntd_error *why = ntd_agent_end_error(agent);

	ntd_agent_connection_drain(agent);
	agent->events->lost(agent, why);
}

int ntd_agent_connection_open(struct ntd_agent_channel *agent, int fd, struct ntd_error **err)
{
	agent->socket.fd = fd;
	agent->socket.ready = ready;
	if (ntd_source_add(agent->loop, &agent->socket, EPOLLIN, err) == 0)
		return 0;
	ntd_close_fd(&agent->socket.fd);
	return -1;
}

void ntd_agent_connection_close(struct ntd_agent_channel *agent, const struct ntd_error *why)
{
	struct ntd_error *before = agent->why;

	agent->why = ntd_error_copy(why);
	ntd_error_free(before);
	agent->connected = agent->resumed = false;
	ntd_source_remove(&agent->socket);
	ntd_close_fd(&agent->socket.fd);
	ntd_buf_free(&agent->in);
	ntd_buf_free(&agent->out);
}
