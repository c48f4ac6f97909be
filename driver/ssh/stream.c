/* Streams in an SSH session. Loop thread only.
 *
 * The callbacks only take note of what sshd sends: they run within libssh, where nothing can be
 * freed. The owners hear of it afterwards, in ntd_ssh_streams_step().
 */
#include "ssh/stream.h"

#include <signal.h>
#include <string.h>

enum {
	WRITE_SIZE = 128 << 10, /* that libssh encrypts at a time */
	STATUS_SIGNALLED = 128, /* plus the signal, as shells do */
};

static struct ntd_ssh_stream *stream_of(void *owner)
{
	struct ntd_ssh_stream *stream = owner;

	stream->session->again_now = true;
	return stream;
}

/* ---- what sshd sends */

static int data_came(ssh_session ssh, ssh_channel channel, void *bytes, uint32_t len, int is_error,
		     void *owner)
{
	struct ntd_ssh_stream *stream = stream_of(owner);

	stream->ops->output(stream, bytes, len, is_error);
	return (int)len;
}

static void end_came(ssh_session ssh, ssh_channel channel, void *owner)
{
	stream_of(owner)->ended = true;
}

static void close_came(ssh_session ssh, ssh_channel channel, void *owner)
{
	struct ntd_ssh_stream *stream = stream_of(owner);

	stream->ended = stream->closed = true;
}

static void status_came(ssh_session ssh, ssh_channel channel, int status, void *owner)
{
	stream_of(owner)->status = status & 0xff;
}

static int signal_number(const char *name)
{
	for (int number = 1; number < NSIG; number++) {
		const char *known = sigabbrev_np(number);

		if (known && strcmp(known, name) == 0)
			return number;
	}
	return 0;
}

static void signal_came(ssh_session ssh, ssh_channel channel, const char *name, int core,
			const char *message, const char *language, void *owner)
{
	stream_of(owner)->status = STATUS_SIGNALLED + (name ? signal_number(name) : 0);
}

/* ---- what is asked of sshd */

static int request(struct ntd_ssh_stream *stream)
{
	if (stream->command)
		return ntd_libssh.channel_request_exec(stream->channel, stream->command);
	if (stream->subsystem)
		return ntd_libssh.channel_request_subsystem(stream->channel, stream->subsystem);
	return ntd_libssh.channel_request_shell(stream->channel);
}

static int do_next(struct ntd_ssh_stream *stream)
{
	switch (stream->state) {
	case NTD_STREAM_OPENING:
		return ntd_libssh.channel_open_session(stream->channel);
	case NTD_STREAM_REQUESTING_TERMINAL:
		return ntd_libssh.channel_request_pty_size(stream->channel, "linux",
							   (int)stream->columns, (int)stream->rows);
	case NTD_STREAM_REQUESTING:
		return request(stream);
	case NTD_STREAM_RUNNING:
	case NTD_STREAM_REFUSED:
	case NTD_STREAM_FAILED:
	case NTD_STREAM_LOST:
	default:
		return SSH_AGAIN;
	}
}

static enum ntd_ssh_stream_state after(const struct ntd_ssh_stream *stream)
{
	if (stream->state == NTD_STREAM_OPENING && stream->rows)
		return NTD_STREAM_REQUESTING_TERMINAL;
	return stream->state == NTD_STREAM_REQUESTING ? NTD_STREAM_RUNNING : NTD_STREAM_REQUESTING;
}

static void begin(struct ntd_ssh_stream *stream)
{
	int done;

	while ((done = do_next(stream)) == SSH_OK)
		stream->state = after(stream);
	/* A session that has ended is for its owner to see. */
	if (done == SSH_ERROR && !ntd_ssh_session_ended(stream->session))
		stream->state = stream->state == NTD_STREAM_OPENING ? NTD_STREAM_REFUSED
								    : NTD_STREAM_FAILED;
}

static bool can_write(const struct ntd_ssh_stream *stream)
{
	return stream->input && stream->input->len &&
	       !(ntd_libssh.get_poll_flags(stream->session->ssh) & SSH_WRITE_PENDING);
}

static void write_input(struct ntd_ssh_stream *stream)
{
	struct ntd_buf *input = stream->input;

	if (can_write(stream)) {
		uint32_t len = input->len < WRITE_SIZE ? (uint32_t)input->len : WRITE_SIZE;
		int sent = ntd_libssh.channel_write(stream->channel, ntd_buf_bytes(input), len);

		if (sent > 0)
			ntd_buf_consume(input, (size_t)sent);
	}
	if (stream->finish_input && !stream->input_finished && !(input && input->len)) {
		ntd_libssh.channel_send_eof(stream->channel);
		stream->input_finished = true;
	}
}

static void step(struct ntd_ssh_stream *stream)
{
	if (!stream->channel || stream->closed)
		return;
	if (stream->state < NTD_STREAM_RUNNING)
		begin(stream);
	if (stream->state == NTD_STREAM_RUNNING && !stream->closed)
		write_input(stream);
}

/* Any stream may be ended by the function that is told of a change, so the list is walked by
 * moving its items to its end. */
void ntd_ssh_streams_step(struct ntd_ssh_session *session)
{
	struct ntd_list todo = {0};
	struct ntd_ssh_stream *stream;

	ntd_list_move(&todo, &session->streams);
	while ((stream = ntd_list_take(&todo, struct ntd_ssh_stream, link))) {
		ntd_list_append(&session->streams, &stream->link);
		step(stream);
		stream->ops->changed(stream);
	}
}

void ntd_ssh_streams_lose(struct ntd_ssh_session *session)
{
	struct ntd_ssh_stream *stream;

	while ((stream = ntd_list_first(&session->streams, struct ntd_ssh_stream, link))) {
		ntd_ssh_stream_end(stream);
		stream->state = NTD_STREAM_LOST;
		stream->ops->changed(stream);
	}
}

void ntd_ssh_stream_signal(struct ntd_ssh_stream *stream, const char *name)
{
	if (stream->channel && stream->state == NTD_STREAM_RUNNING && !stream->closed)
		ntd_libssh.channel_request_send_signal(stream->channel, name);
}

void ntd_ssh_stream_open(struct ntd_ssh_stream *stream, struct ntd_ssh_session *session)
{
	stream->session = session;
	stream->state = NTD_STREAM_OPENING;
	stream->ended = stream->closed = stream->input_finished = false;
	stream->status = -1;
	stream->callbacks = (struct ssh_channel_callbacks_struct){
		.userdata = stream,
		.channel_data_function = data_came,
		.channel_eof_function = end_came,
		.channel_close_function = close_came,
		.channel_exit_status_function = status_came,
		.channel_exit_signal_function = signal_came,
	};
	ssh_callbacks_init(&stream->callbacks);
	stream->channel = ntd_libssh.channel_new(session->ssh);
	if (stream->channel)
		ntd_libssh.set_channel_callbacks(stream->channel, &stream->callbacks);
	else
		stream->state = NTD_STREAM_FAILED;
	ntd_list_append(&session->streams, &stream->link);
	session->again_now = true;
}

void ntd_ssh_stream_end(struct ntd_ssh_stream *stream)
{
	ntd_list_unlink(&stream->link);
	if (stream->channel) {
		ntd_libssh.remove_channel_callbacks(stream->channel, &stream->callbacks);
		ntd_libssh.channel_free(ntd_steal(&stream->channel));
	}
	stream->session = NULL;
}
