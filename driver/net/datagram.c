/* Frames on datagram sockets, many a system call. Loop thread.
 *
 * The queue of a slow receiver is the kernel's, and its bound is the send buffer of the switch's
 * socket: a datagram is charged to the sending socket until it is read. (Where two datagram sockets
 * are connected to each other, net.unix.max_dgram_qlen does not apply.)
 */
#include "net/datagram.h"

#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

enum { SEND_BUFFER = 1 << 20 };

/* The buffer goes past the limit of the system where the driver may do so, else up to it. */
static int prepare(int fd)
{
	int size = SEND_BUFFER;
	socklen_t len = sizeof size;

	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, &len);
	return size / 2;
}

static int receive(int fd, struct ntd_batch *batch)
{
	return recvmmsg(fd, batch->in, NTD_BATCH_MAX, MSG_DONTWAIT, NULL);
}

static unsigned send_batch(int fd, struct ntd_batch *batch)
{
	unsigned sent = 0;

	while (sent < batch->count) {
		int count = sendmmsg(fd, batch->out + sent, batch->count - sent,
				     MSG_DONTWAIT | MSG_NOSIGNAL);

		if (count < 0 && errno != EINTR)
			break;
		sent += count > 0 ? (unsigned)count : 0;
	}
	return sent;
}

static int queued(int fd)
{
	int bytes = 0;

	return ioctl(fd, SIOCOUTQ, &bytes) == 0 ? bytes : 0;
}

const struct ntd_link ntd_datagram_link = {
	.prepare = prepare, .receive = receive, .send = send_batch, .queued = queued};
