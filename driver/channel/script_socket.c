/* The pairs of sockets that let scripts speak to QEMU and the guest. The loop thread owns both
 * ends; a script's thread asks it for a copy of one.
 */
#include "channel/script_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

enum { WAITING_LIMIT = 16 << 20, READ_SIZE = 64 << 10 };

/* ---- loop */

static void hang_up(struct ntd_script_socket *socket)
{
	ntd_source_remove(&socket->ours);
	ntd_close_fd(&socket->ours.fd);
}

/* Sends the bytes that wait, as many as the pair takes. When none are left of a closed connection,
 * the loop's end is closed. */
static void flush(struct ntd_script_socket *socket)
{
	struct ntd_buf *waiting = &socket->waiting;

	if (socket->ours.fd < 0)
		return;
	while (waiting->len) {
		ssize_t sent = send(socket->ours.fd, ntd_buf_bytes(waiting), waiting->len,
				    MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent > 0)
			ntd_buf_consume(waiting, (size_t)sent);
		else if (errno == EAGAIN)
			break;
		else if (errno != EINTR) { /* the script has shut its end down */
			hang_up(socket);
			return;
		}
	}
	if (socket->connected || waiting->len)
		ntd_source_modify(&socket->ours, (socket->connected ? (uint32_t)EPOLLIN : 0) |
							 (waiting->len ? (uint32_t)EPOLLOUT : 0));
	else
		hang_up(socket);
}

/* Hangs up when the script has shut its end down, of which the loop would be told again and
 * again. */
void ntd_script_socket_pull(struct ntd_script_socket *socket)
{
	char bytes[READ_SIZE];

	while (socket->ours.fd >= 0 && socket->connected) {
		ssize_t got = recv(socket->ours.fd, bytes, sizeof bytes, MSG_DONTWAIT);

		if (got < 0 && errno == EINTR)
			continue;
		if (got == 0)
			hang_up(socket);
		if (got <= 0)
			break;
		socket->written(socket, bytes, (size_t)got);
	}
}

static void ready(struct ntd_source *source, uint32_t events)
{
	struct ntd_script_socket *socket = ntd_container_of(source, struct ntd_script_socket, ours);

	ntd_script_socket_pull(socket);
	flush(socket);
}

void ntd_script_socket_reset(struct ntd_script_socket *socket)
{
	hang_up(socket);
	ntd_close_fd(&socket->theirs);
	ntd_buf_free(&socket->waiting);
	socket->connected = socket->was_connected = false;
	socket->limit = 0;
}

void ntd_script_socket_open(struct ntd_script_socket *socket)
{
	ntd_script_socket_reset(socket);
	socket->connected = socket->was_connected = true;
}

void ntd_script_socket_close(struct ntd_script_socket *socket)
{
	if (!socket->connected)
		return;
	socket->connected = false;
	if (socket->ours.fd >= 0)
		shutdown(socket->ours.fd, SHUT_RD);
	flush(socket);
}

void ntd_script_socket_add(struct ntd_script_socket *socket, const char *bytes, size_t len)
{
	ntd_buf_append(&socket->waiting, bytes, len);
	flush(socket);
	if (socket->waiting.len > WAITING_LIMIT)
		ntd_buf_consume(&socket->waiting, socket->waiting.len - WAITING_LIMIT / 2);
}

void ntd_script_socket_take(struct ntd_script_socket *socket, struct ntd_buf *bytes)
{
	for (;;) {
		ssize_t got = socket->theirs < 0
				      ? 0
				      : recv(socket->theirs, ntd_buf_reserve(bytes, READ_SIZE),
					     READ_SIZE, MSG_DONTWAIT);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		ntd_buf_added(bytes, (size_t)got);
	}
	ntd_buf_append(bytes, ntd_buf_bytes(&socket->waiting), socket->waiting.len);
	ntd_buf_clear(&socket->waiting);
	flush(socket);
}

/* ---- a script asks for its end */

struct asked {
	struct ntd_script_socket *socket;
	int fd;
	struct ntd_error **err;
};

static int make_pair(struct ntd_script_socket *socket, struct ntd_error **err)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return ntd_error_sys(err, errno, "cannot make a pair of sockets");
	socket->theirs = ends[1];
	socket->ours.fd = ends[0];
	if (ntd_source_add(socket->loop, &socket->ours, EPOLLIN, err) < 0) {
		ntd_close_fd(&socket->ours.fd);
		ntd_close_fd(&socket->theirs);
		return -1;
	}
	if (!socket->connected)
		shutdown(socket->ours.fd, SHUT_RD);
	flush(socket);
	return 0;
}

static void give(void *arg)
{
	struct asked *asked = arg;
	struct ntd_script_socket *socket = asked->socket;

	if (!socket->was_connected || (socket->theirs < 0 && make_pair(socket, asked->err) < 0))
		return;
	asked->fd = fcntl(socket->theirs, F_DUPFD_CLOEXEC, 0);
	if (asked->fd < 0)
		ntd_error_sys(asked->err, errno, "cannot copy a socket");
}

int ntd_script_socket_fd(struct ntd_script_socket *socket, struct ntd_error **err)
{
	struct asked asked = {.socket = socket, .fd = -1, .err = err};

	ntd_loop_call(socket->loop, give, &asked);
	return asked.fd;
}

void ntd_script_socket_init(struct ntd_script_socket *socket, struct ntd_loop *loop,
			    void (*written)(struct ntd_script_socket *, const char *, size_t))
{
	*socket = (struct ntd_script_socket){
		.loop = loop, .written = written, .ours = {.fd = -1, .ready = ready}, .theirs = -1};
}

static void reset(void *arg)
{
	ntd_script_socket_reset(arg);
}

void ntd_script_socket_free(struct ntd_script_socket *socket)
{
	if (socket->theirs >= 0) /* there is a pair */
		ntd_loop_call(socket->loop, reset, socket);
	ntd_buf_free(&socket->waiting);
}
