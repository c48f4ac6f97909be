/* Sending without blocking. Loop thread. */
#include "loop/output.h"

#include <errno.h>
#include <sys/socket.h>

void ntd_output_flush(struct ntd_source *socket, struct ntd_buf *out)
{
	while (out->len) {
		ssize_t sent =
			send(socket->fd, ntd_buf_bytes(out), out->len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent > 0)
			ntd_buf_consume(out, (size_t)sent);
		else if (errno != EINTR)
			break;
	}
	ntd_source_modify(socket, EPOLLIN | (out->len ? (uint32_t)EPOLLOUT : 0));
}
