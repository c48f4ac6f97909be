/* The agent: its port, its streams, and the bytes that wait to be sent. One thread.
 *
 * The port is the guest's end of a virtio-serial port, or a socket in tests. It has ended when it
 * can be read and there is nothing: the host has closed its side, or QEMU has unplugged the device.
 * Commands go on when the agent ends, as they do when a root shell ends: the last one may be just
 * what reboots the guest or takes the root shell away.
 */
#include "agent/agent_internal.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

enum {
	STUCK = 4 << 20, /* so many bytes wait that no frame of the driver's is read */
	STREAM_LIMIT = 1000,
	BROKEN_STATUS = 1,
};

const struct ntd_agent_setup *ntd_agent_setup(const struct ntd_agent *agent)
{
	return &agent->setup;
}

static void end(struct ntd_agent *agent, int status)
{
	agent->ended = true;
	agent->status = status;
}

/* ---- sending */

static void append(struct ntd_agent *agent, uint32_t stream, uint8_t kind, const char *bytes,
		   size_t len)
{
	ntd_frame_append(
		&agent->out,
		&(struct ntd_frame){.stream = stream, .kind = kind, .bytes = bytes, .len = len});
}

void ntd_agent_send(struct ntd_agent_stream *stream, uint8_t kind, const char *bytes, size_t len)
{
	for (; len > NTD_FRAME_MOST; bytes += NTD_FRAME_MOST, len -= NTD_FRAME_MOST)
		append(stream->agent, stream->number, kind, bytes, NTD_FRAME_MOST);
	append(stream->agent, stream->number, kind, bytes, len);
}

ssize_t ntd_agent_send_read(struct ntd_agent_stream *stream, uint8_t kind, int fd)
{
	struct ntd_buf *out = &stream->agent->out;
	char *header = ntd_buf_reserve(out, NTD_FRAME_HEADER + NTD_FRAME_MOST);
	char *bytes = header + NTD_FRAME_HEADER;
	ssize_t len = read(fd, bytes, NTD_FRAME_MOST);

	if (len <= 0)
		return len;
	ntd_frame_header(header, &(struct ntd_frame){.stream = stream->number,
						     .kind = kind,
						     .bytes = bytes,
						     .len = (size_t)len});
	ntd_buf_added(out, NTD_FRAME_HEADER + (size_t)len);
	return len;
}

void ntd_agent_used(struct ntd_agent_stream *stream, size_t len)
{
	_cleanup_buf_ struct ntd_buf payload = {0};

	if (!len)
		return;
	assert(len <= stream->unused);
	stream->unused -= len;
	ntd_pack_u32(&payload, (uint32_t)len);
	ntd_agent_send(stream, NTD_FRAME_CREDIT, ntd_buf_bytes(&payload), payload.len);
}

/* Tells the streams that wait for room, in turns: those that were told go to the end. */
static void tell_drained(struct ntd_agent *agent)
{
	size_t count = agent->stream_count;

	while (count-- && !ntd_agent_is_full(agent)) {
		struct ntd_agent_stream *stream =
			ntd_list_take(&agent->streams, struct ntd_agent_stream, link);

		if (!stream)
			return;
		ntd_list_append(&agent->streams, &stream->link);
		if (stream->service->drained)
			stream->service->drained(stream);
	}
}

static void flush(struct ntd_agent *agent)
{
	bool full = ntd_agent_is_full(agent);

	while (agent->out.len) {
		ssize_t sent = write(agent->port.fd, ntd_buf_bytes(&agent->out), agent->out.len);

		if (sent < 0) {
			if (errno != EAGAIN && errno != EINTR)
				end(agent, 0);
			break;
		}
		ntd_buf_consume(&agent->out, (size_t)sent);
	}
	if (full && !ntd_agent_is_full(agent))
		tell_drained(agent);
}

/* ---- streams */

void ntd_agent_stream_add(struct ntd_agent *agent, struct ntd_agent_stream *stream,
			  const struct ntd_agent_service *service, uint32_t number)
{
	*stream = (struct ntd_agent_stream){.agent = agent, .service = service, .number = number};
	ntd_list_append(&agent->streams, &stream->link);
	agent->stream_count++;
}

void ntd_agent_drop(struct ntd_agent_stream *stream)
{
	stream->agent->stream_count--;
	ntd_list_unlink(&stream->link);
	stream->service->free(stream);
}

void ntd_agent_done(struct ntd_agent_stream *stream, const struct ntd_buf *payload)
{
	append(stream->agent, stream->number, NTD_FRAME_DONE, payload ? ntd_buf_bytes(payload) : "",
	       payload ? payload->len : 0);
	ntd_agent_drop(stream);
}

static void append_failure(struct ntd_agent *agent, uint32_t number, const char *why)
{
	append(agent, number, NTD_FRAME_FAILED, why, strnlen(why, NTD_FRAME_MOST));
}

void ntd_agent_failed(struct ntd_agent_stream *stream, const char *fmt, ...)
{
	_cleanup_free_ char *why = ntd_formatted(fmt);

	append_failure(stream->agent, stream->number, why);
	ntd_agent_drop(stream);
}

static struct ntd_agent_stream *find_stream(struct ntd_agent *agent, uint32_t number)
{
	ntd_list_each (struct ntd_agent_stream, stream, &agent->streams, link)
		if (stream->number == number)
			return stream;
	return NULL;
}

/* ---- the driver's frames */

static void serve(struct ntd_agent *agent, const struct ntd_agent_service *service,
		  const struct ntd_frame *frame)
{
	_cleanup_free_ char *why = service->serve(frame->bytes, frame->len);

	if (why)
		append_failure(agent, frame->stream, why);
	else
		append(agent, frame->stream, NTD_FRAME_DONE, NULL, 0);
}

static void begin_stream(struct ntd_agent *agent, const struct ntd_frame *frame)
{
	const struct ntd_agent_service *const *service = agent->setup.services;

	while (*service && (*service)->kind != frame->kind)
		service++;
	if (!*service)
		append_failure(agent, frame->stream, "the agent has no such service");
	else if (agent->leaving)
		append_failure(agent, frame->stream, "the agent is about to end");
	else if (agent->stream_count >= STREAM_LIMIT)
		append_failure(agent, frame->stream, "the agent does too many things at once");
	else if ((*service)->serve)
		serve(agent, *service, frame);
	else
		(*service)->begin(agent, frame->stream, frame->bytes, frame->len);
}

static void pass_frame(struct ntd_agent *agent, const struct ntd_frame *frame)
{
	struct ntd_agent_stream *stream = find_stream(agent, frame->stream);

	if (!stream)
		return;
	if (frame->kind == NTD_FRAME_CANCEL) {
		stream->service->cancel(stream);
		return;
	}
	if (frame->kind == NTD_FRAME_DATA) {
		stream->unused += frame->len;
		if (stream->unused > NTD_FRAME_WINDOW) {
			end(agent, BROKEN_STATUS);
			return;
		}
	}
	if (stream->service->frame)
		stream->service->frame(stream, frame);
}

static void take_frame(struct ntd_agent *agent, const struct ntd_frame *frame)
{
	bool begins = frame->kind >= NTD_FRAME_RUN && frame->kind < NTD_FRAME_CANCEL;

	if (!frame->stream || frame->kind >= NTD_FRAME_HELLO ||
	    (begins && find_stream(agent, frame->stream)))
		end(agent, BROKEN_STATUS);
	else if (begins)
		begin_stream(agent, frame);
	else
		pass_frame(agent, frame);
}

static void take_frames(struct ntd_agent *agent)
{
	struct ntd_frame frame;
	enum ntd_frame_verdict verdict;

	while ((verdict = ntd_frame_take(&agent->in, &frame)) == NTD_FRAME_WHOLE) {
		take_frame(agent, &frame);
		if (agent->ended)
			return;
		ntd_buf_consume(&agent->in, NTD_FRAME_HEADER + frame.len);
	}
	if (verdict == NTD_FRAME_BROKEN)
		end(agent, BROKEN_STATUS);
}

static void port_ready(struct ntd_agent_source *source, short events)
{
	struct ntd_agent *agent = ntd_container_of(source, struct ntd_agent, port);
	char *room = ntd_buf_reserve(&agent->in, NTD_FRAME_MOST);
	ssize_t len;

	if (!(events & ~POLLOUT))
		return; /* what waits is sent before each turn */
	len = read(source->fd, room, NTD_FRAME_MOST);
	if (len > 0) {
		ntd_buf_added(&agent->in, (size_t)len);
		take_frames(agent);
	} else if (!len || events & POLLHUP || (errno != EAGAIN && errno != EINTR)) {
		end(agent, 0);
	}
}

/* ---- the agent */

static void begin_port(struct ntd_agent *agent)
{
	const struct ntd_agent_hello hello = {NTD_AGENT_VERSION, (uint32_t)getpid()};
	_cleanup_buf_ struct ntd_buf payload = {0};

	agent->port = (struct ntd_agent_source){.fd = agent->setup.port, .ready = port_ready};
	ntd_agent_source_add(agent, &agent->port);
	ntd_agent_hello_pack(&payload, &hello);
	append(agent, 0, NTD_FRAME_HELLO, ntd_buf_bytes(&payload), payload.len);
}

/* Signals that the agent ignores, and that programs which it starts must not. */
static void ignore_signals(struct ntd_agent *agent)
{
	sigset_t *defaults = &agent->setup.defaults;

	sigemptyset(defaults);
	if (signal(SIGPIPE, SIG_IGN) == SIG_DFL)
		sigaddset(defaults, SIGPIPE);
	/* A shell without job control has its background processes ignore them. */
	sigaddset(defaults, SIGINT);
	sigaddset(defaults, SIGQUIT);
}

static void free_agent(struct ntd_agent *agent)
{
	struct ntd_agent_stream *stream;

	while ((stream = ntd_list_first(&agent->streams, struct ntd_agent_stream, link)))
		ntd_agent_drop(stream);
	ntd_agent_loop_free(agent);
	if (sigismember(&agent->setup.defaults, SIGPIPE))
		signal(SIGPIPE, SIG_DFL);
	ntd_buf_free(&agent->in);
	ntd_buf_free(&agent->out);
}

/* Ends when everything that goes on has ended, and the driver has been told so: what it asks for
 * meanwhile is not read any more. */
static void leave(struct ntd_agent *agent)
{
	if (!agent->stream_count && !agent->left) {
		agent->left = true;
		append(agent, 0, NTD_FRAME_END, NULL, 0);
		flush(agent);
	}
	if (agent->left && !agent->out.len)
		end(agent, 0);
}

int ntd_agent_serve(const struct ntd_agent_setup *setup)
{
	struct ntd_agent agent = {.setup = *setup};

	if (!agent.setup.manner)
		agent.setup.manner = &ntd_agent_as_root_shell;
	ignore_signals(&agent);
	ntd_agent_loop_init(&agent);
	begin_port(&agent);
	while (!agent.ended) {
		flush(&agent);
		if (agent.leaving)
			leave(&agent);
		agent.port.events = (short)((agent.out.len < STUCK && !agent.left ? POLLIN : 0) |
					    (agent.out.len ? POLLOUT : 0));
		if (!agent.ended)
			ntd_agent_loop_turn(&agent);
	}
	free_agent(&agent);
	return agent.status;
}
