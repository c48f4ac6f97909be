/* One stream in an SSH session, which SSH calls a channel: a command, a subsystem or a terminal
 * with its input, its output and its end. Loop thread only.
 */
#pragma once

#include "base/buf.h"
#include "ssh/session.h"

struct ntd_ssh_stream;

struct ntd_ssh_stream_ops {
	/* Takes bytes of standard output, or of standard error. Called within libssh, so it calls
	 * no function of libssh, and ends no stream. */
	void (*output)(struct ntd_ssh_stream *stream, const char *bytes, size_t len, bool error);
	/* Something may have changed. The function may end any stream, and free its own. */
	void (*changed)(struct ntd_ssh_stream *stream);
};

enum ntd_ssh_stream_state {
	NTD_STREAM_OPENING,
	NTD_STREAM_REQUESTING_TERMINAL,
	NTD_STREAM_REQUESTING,
	NTD_STREAM_RUNNING,
	NTD_STREAM_REFUSED, /* sshd has no room for another stream */
	NTD_STREAM_FAILED,  /* sshd does not start what was asked for */
	NTD_STREAM_LOST,    /* the connection has ended, and the stream with it */
};

struct ntd_ssh_stream {
	/* The owner sets these before ntd_ssh_stream_open(). */
	const struct ntd_ssh_stream_ops *ops;
	const char *command;    /* what to run; NULL: the subsystem, or the login shell */
	const char *subsystem;  /* NULL: none */
	unsigned rows, columns; /* of its terminal; 0: it has none */
	struct ntd_buf *input;  /* what is still to be sent; NULL: nothing */
	bool finish_input;      /* end of file after the input */

	enum ntd_ssh_stream_state state;
	bool ended;  /* no more output comes */
	bool closed; /* sshd has forgotten the stream */
	int status;  /* exit status; -1: not known so far */

	struct ntd_ssh_session *session; /* NULL: the stream is not open */
	ssh_channel channel;
	struct ssh_channel_callbacks_struct callbacks;
	struct ntd_list_link link;
	bool input_finished;
};

/* Begins; the owner calls ntd_ssh_session_run() afterwards. */
void ntd_ssh_stream_open(struct ntd_ssh_stream *stream, struct ntd_ssh_session *session);
/* Goes on with all streams of a session. */
void ntd_ssh_streams_step(struct ntd_ssh_session *session);
/* Ends all streams of a session that is lost, and tells their owners. */
void ntd_ssh_streams_lose(struct ntd_ssh_session *session);
/* Sends a signal, such as "TERM", to the processes of a command; old versions of sshd ignore it. */
void ntd_ssh_stream_signal(struct ntd_ssh_stream *stream, const char *name);
/* Ends the stream, whatever its state. The owner may then free it, or open it again. */
void ntd_ssh_stream_end(struct ntd_ssh_stream *stream);
