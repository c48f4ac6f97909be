/* The services PUT and GET: copies of files (agent/files.h). Each copy has a process of its own, a
 * fork of the agent that serves SFTP on a socket; so a file system that does not answer keeps only
 * that copy waiting. This file moves bytes between the stream and the socket.
 *
 * The process ends when the socket does, by END, by a cancelled stream or with the agent, and then
 * removes what is half written. A process that does not end, since it waits for a file, is killed.
 */
#include "agent/files.h"

#include "agent/descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

enum { SOCKET_SIZE = 256 << 10, CLEAN_PATIENCE = 5000 /* ms */ };

struct copy {
	struct ntd_agent_stream stream;
	struct ntd_agent_source socket;
	struct ntd_agent_child child;
	struct ntd_agent_timer patience; /* with a process that is to end */
	struct ntd_buf input;            /* for the process */
	bool finished;                   /* END has come */
};

static struct copy *copy_of(struct ntd_agent_stream *stream)
{
	return ntd_container_of(stream, struct copy, stream);
}

/* ---- the process */

static _Noreturn void serve(int fd)
{
	enum { SOCKET = 3 };

	if (fd != SOCKET)
		dup2(fd, SOCKET);
	ntd_agent_close_from(SOCKET + 1);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN); /* of a terminal whose root shell has ended: there is work left */
	ntd_files_serve(SOCKET, SOCKET);
	_exit(0);
}

static int start(int *fd)
{
	const int size = SOCKET_SIZE;
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	for (int i = 0; i < 2; i++)
		setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	pid = fork();
	if (pid == 0)
		serve(pair[1]);
	close(pair[1]);
	fcntl(pair[0], F_SETFL, O_NONBLOCK);
	*fd = pair[0];
	return pid;
}

static void close_socket(struct copy *copy)
{
	ntd_agent_source_remove(&copy->socket);
	ntd_close_fd(&copy->socket.fd);
}

static void expired(struct ntd_agent_timer *timer)
{
	struct copy *copy = ntd_container_of(timer, struct copy, patience);

	kill(copy->child.pid, SIGKILL);
}

static void ended(struct ntd_agent_child *child, int status)
{
	struct copy *copy = ntd_container_of(child, struct copy, child);

	while (copy->socket.fd >= 0 &&
	       ntd_agent_send_read(&copy->stream, NTD_FRAME_DATA, copy->socket.fd) > 0)
		;
	ntd_agent_done(&copy->stream, NULL);
}

/* ---- the bytes */

static void write_input(struct copy *copy)
{
	size_t used = 0;
	ssize_t put;

	while (copy->input.len && copy->socket.fd >= 0 &&
	       (put = write(copy->socket.fd, ntd_buf_bytes(&copy->input), copy->input.len)) > 0) {
		ntd_buf_consume(&copy->input, (size_t)put);
		used += (size_t)put;
	}
	ntd_agent_used(&copy->stream, used);
	copy->socket.events = (short)(POLLIN | (copy->input.len ? POLLOUT : 0));
	if (copy->finished && !copy->input.len && copy->socket.fd >= 0)
		shutdown(copy->socket.fd, SHUT_WR);
}

static void ready(struct ntd_agent_source *source, short events)
{
	struct copy *copy = ntd_container_of(source, struct copy, socket);
	ssize_t got = 1;

	if (events & ~POLLOUT)
		got = ntd_agent_send_read(&copy->stream, NTD_FRAME_DATA, source->fd);
	if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
		close_socket(copy); /* the process is about to end */
		return;
	}
	if (events & POLLOUT)
		write_input(copy);
}

/* ---- the service */

static const struct ntd_agent_service *service_of(bool is_get)
{
	return is_get ? &ntd_agent_get : &ntd_agent_put;
}

static void begin(struct ntd_agent *agent, uint32_t number, bool is_get)
{
	struct copy *copy = ntd_calloc(1, sizeof *copy);
	pid_t pid;

	ntd_agent_stream_add(agent, &copy->stream, service_of(is_get), number);
	copy->socket = (struct ntd_agent_source){
		.fd = -1, .events = POLLIN, .sends = true, .ready = ready};
	copy->patience.expired = expired;
	pid = start(&copy->socket.fd);
	if (pid < 0) {
		ntd_agent_failed(&copy->stream, "cannot start the copy: %s", strerror(errno));
		return;
	}
	copy->child = (struct ntd_agent_child){.pid = pid, .ended = ended};
	ntd_agent_child_add(agent, &copy->child);
	ntd_agent_source_add(agent, &copy->socket);
}

static void begin_put(struct ntd_agent *agent, uint32_t number, const char *payload, size_t len)
{
	begin(agent, number, false);
}

static void begin_get(struct ntd_agent *agent, uint32_t number, const char *payload, size_t len)
{
	begin(agent, number, true);
}

static void frame(struct ntd_agent_stream *stream, const struct ntd_frame *got)
{
	struct copy *copy = copy_of(stream);

	if (got->kind == NTD_FRAME_DATA && !copy->finished)
		ntd_buf_append(&copy->input, got->bytes, got->len);
	else if (got->kind == NTD_FRAME_END)
		copy->finished = true;
	write_input(copy);
}

static void cancel(struct ntd_agent_stream *stream)
{
	struct copy *copy = copy_of(stream);

	close_socket(copy);
	ntd_agent_timer_set(stream->agent, &copy->patience, ntd_agent_now() + CLEAN_PATIENCE);
}

/* A process that goes on ends by itself, as its socket has. */
static void free_copy(struct ntd_agent_stream *stream)
{
	struct copy *copy = copy_of(stream);

	close_socket(copy);
	ntd_agent_timer_cancel(&copy->patience);
	ntd_agent_child_forget(&copy->child);
	ntd_buf_free(&copy->input);
	free(copy);
}

const struct ntd_agent_service ntd_agent_put = {.kind = NTD_FRAME_PUT,
						.begin = begin_put,
						.frame = frame,
						.cancel = cancel,
						.free = free_copy};
const struct ntd_agent_service ntd_agent_get = {.kind = NTD_FRAME_GET,
						.begin = begin_get,
						.frame = frame,
						.cancel = cancel,
						.free = free_copy};
