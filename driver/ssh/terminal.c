/* Terminals over SSH: the login shell on a terminal of the guest, as `ssh` gives it to people. Its
 * bytes go through a pair of sockets: the script's thread gets one end, and the loop thread moves
 * bytes between the other end and a stream of the session.
 *
 * A terminal ends when the shell has ended, when the connection is lost, or when the script closes
 * its end, upon which sshd hangs up. What the shell has printed before its end is kept until the
 * script has read it; of a lost connection, as much as the sockets take.
 */
#include "ssh/ssh_internal.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>

enum {
	KEYS_LIMIT = 64 << 10,   /* that wait for the guest; then, the script has to wait */
	OUTPUT_LIMIT = 64 << 20, /* that waits for the script; a terminal with more is ended */
};

struct terminal_job {
	struct ntd_request request;
	struct ntd_ssh *ssh;
	unsigned rows, columns;
	int fd; /* the script's end */
	struct ssh_terminal *terminal;
};

struct ssh_terminal {
	struct ntd_ssh_stream stream;
	struct ntd_ssh *ssh;
	struct terminal_job *job; /* NULL: nobody waits for the start */
	struct ntd_source end;    /* the loop's end; fd -1: none so far */
	struct ntd_buf keys, output;
	bool overflown;
};

static void free_terminal(struct ssh_terminal *terminal)
{
	ntd_ssh_stream_end(&terminal->stream);
	ntd_source_remove(&terminal->end);
	ntd_close_fd(&terminal->end.fd);
	ntd_buf_free(&terminal->keys);
	ntd_buf_free(&terminal->output);
	free(terminal);
}

/* Takes `error`; NULL: success. */
static void complete(struct ssh_terminal *terminal, struct ntd_error *error)
{
	struct terminal_job *job = ntd_steal(&terminal->job);

	if (!job) {
		ntd_error_free(error);
		return;
	}
	job->terminal = NULL;
	ntd_request_complete(&job->request, error);
}

static void fail(struct ssh_terminal *terminal, const char *why)
{
	complete(terminal, ntd_error_new(NTD_E_MACHINE, "machine '%s': no terminal over SSH: %s",
					 terminal->ssh->machine, why));
	free_terminal(terminal);
}

/* ---- the loop's end */

/* Whether the script still has its end. */
static bool write_output(struct ssh_terminal *terminal)
{
	struct ntd_buf *output = &terminal->output;

	while (output->len) {
		ssize_t written =
			send(terminal->end.fd, ntd_buf_bytes(output), output->len, MSG_NOSIGNAL);

		if (written < 0)
			return errno == EAGAIN || errno == EINTR;
		ntd_buf_consume(output, (size_t)written);
	}
	return true;
}

static bool read_keys(struct ssh_terminal *terminal)
{
	char bytes[4096];

	while (terminal->keys.len < KEYS_LIMIT) {
		ssize_t len = ntd_fd_receive(terminal->end.fd, bytes, sizeof bytes);

		if (len <= 0)
			return len == 0;
		ntd_buf_append(&terminal->keys, bytes, (size_t)len);
	}
	return true;
}

/* Moves what can be moved; frees a terminal that has ended. */
static void move_bytes(struct ssh_terminal *terminal)
{
	bool closed = terminal->stream.closed;
	uint32_t events = 0;

	if (!write_output(terminal) || terminal->overflown ||
	    (closed ? !terminal->output.len : !read_keys(terminal))) {
		free_terminal(terminal);
		return;
	}
	if (!closed && terminal->keys.len < KEYS_LIMIT)
		events |= EPOLLIN;
	if (terminal->output.len)
		events |= EPOLLOUT;
	ntd_source_modify(&terminal->end, events);
}

static void end_ready(struct ntd_source *source, uint32_t events)
{
	struct ssh_terminal *terminal = ntd_container_of(source, struct ssh_terminal, end);
	struct ntd_ssh *ssh = terminal->ssh;

	if (events & (EPOLLHUP | EPOLLERR))
		free_terminal(terminal);
	else
		move_bytes(terminal);
	ntd_ssh_session_run(&ssh->session); /* sends keys, or the end */
}

/* ---- the stream */

static void output(struct ntd_ssh_stream *stream, const char *bytes, size_t len, bool error)
{
	struct ssh_terminal *terminal = ntd_container_of(stream, struct ssh_terminal, stream);

	if (terminal->output.len + len > OUTPUT_LIMIT)
		terminal->overflown = true;
	else
		ntd_buf_append(&terminal->output, bytes, len);
}

/* The shell runs: gives the script its end. */
static void hand_out(struct ssh_terminal *terminal)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
		fail(terminal, "no descriptor is left");
		return;
	}
	terminal->end.fd = ends[0];
	terminal->job->fd = ends[1];
	if (fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0 ||
	    ntd_source_add(terminal->ssh->loop, &terminal->end, EPOLLIN, NULL) < 0) {
		ntd_close_fd(&terminal->job->fd);
		fail(terminal, "its descriptor cannot be watched");
		return;
	}
	complete(terminal, NULL);
	move_bytes(terminal);
}

static void runs(struct ssh_terminal *terminal)
{
	if (terminal->end.fd >= 0)
		move_bytes(terminal);
	else if (terminal->job)
		hand_out(terminal);
	else
		free_terminal(terminal); /* it was abandoned when sshd was about to open it */
}

static void changed(struct ntd_ssh_stream *stream)
{
	struct ssh_terminal *terminal = ntd_container_of(stream, struct ssh_terminal, stream);

	switch (stream->state) {
	case NTD_STREAM_RUNNING:
		runs(terminal);
		break;
	case NTD_STREAM_REFUSED:
		fail(terminal, "sshd has no room for another session");
		break;
	case NTD_STREAM_FAILED:
		fail(terminal, "sshd does not start a shell on one");
		break;
	case NTD_STREAM_LOST:
		if (terminal->end.fd >= 0)
			write_output(terminal);
		fail(terminal, "the connection has ended");
		break;
	case NTD_STREAM_OPENING:
	case NTD_STREAM_REQUESTING_TERMINAL:
	case NTD_STREAM_REQUESTING:
	default:
		break;
	}
}

/* ---- the start */

static void job_begin(struct ntd_request *request)
{
	static const struct ntd_ssh_stream_ops ops = {.output = output, .changed = changed};
	struct terminal_job *job = ntd_container_of(request, struct terminal_job, request);
	struct ssh_terminal *terminal;

	if (ntd_ssh_turns_away(job->ssh, request))
		return;
	terminal = ntd_calloc(1, sizeof *terminal);
	terminal->ssh = job->ssh;
	terminal->job = job;
	job->terminal = terminal;
	terminal->end = (struct ntd_source){.fd = -1, .ready = end_ready};
	terminal->stream.ops = &ops;
	terminal->stream.rows = job->rows;
	terminal->stream.columns = job->columns;
	terminal->stream.input = &terminal->keys;
	ntd_ssh_stream_open(&terminal->stream, &job->ssh->session);
	ntd_ssh_session_run(&job->ssh->session);
}

/* The stream is opened all the same, since sshd would keep it, and then ended. */
static void job_abandon(struct ntd_request *request)
{
	struct terminal_job *job = ntd_container_of(request, struct terminal_job, request);

	job->terminal->job = NULL;
}

int ntd_ssh_terminal(struct ntd_channel *channel, unsigned rows, unsigned columns,
		     struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct terminal_job job = {.request = {.begin = job_begin, .abandon = job_abandon},
				   .ssh = ntd_container_of(channel, struct ntd_ssh, channel),
				   .rows = rows,
				   .columns = columns,
				   .fd = -1};

	if (!rows || !columns)
		return ntd_error_set(err, NTD_E_VALUE, "a terminal has rows and columns");
	if (ntd_request_run(job.ssh->loop, &job.request, NTD_FOREVER, waiter, err) < 0) {
		ntd_close_fd(&job.fd);
		return -1;
	}
	return job.fd;
}
