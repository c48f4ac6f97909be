/* Theory of operation
 *
 * A readable port gives up to BATCH frames in one recvmmsg(); one sendmmsg() per other port passes
 * the whole batch on. The frames lie in a pool of the switch and are never copied or allocated: all
 * ports' messages point to the same bytes. The pool is in use only inside one callback. After a
 * batch the loop looks after its other descriptors; a port with more to say is still readable then
 * (level-triggered).
 *
 * The queue of a slow receiver is the kernel's, and its bound is our socket's send buffer: a
 * datagram is charged to the sending socket until it is read. Where two datagram sockets are
 * connected to each other, net.unix.max_dgram_qlen does not apply. What does not fit is dropped and
 * counted, for that receiver only; nothing waits for it.
 */
#include "net/switch.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* Measured: a blocking sender with the default 208 KiB send buffer has at most 92 full frames under
 * way, so larger batches do not occur. */
enum { BATCH = 64, SEND_BUFFER = 1 << 20 };

struct batch {
	struct mmsghdr in[BATCH], out[BATCH];
	struct iovec space[BATCH], frames[BATCH];
	unsigned char bytes[BATCH][NTD_FRAME_MAX];
	unsigned count; /* of out */
};

struct ntd_port {
	struct ntd_source data;
	struct ntd_switch *hub;
	size_t index;
};

struct ntd_switch {
	struct ntd_loop *loop;
	struct ntd_port **ports;
	size_t port_count;
	struct ntd_switch_counts counts;
	struct batch batch;
};

struct ntd_switch *ntd_switch_new(struct ntd_loop *loop)
{
	struct ntd_switch *hub = ntd_calloc(1, sizeof *hub);
	struct batch *batch = &hub->batch;

	hub->loop = loop;
	for (unsigned i = 0; i < BATCH; i++) {
		batch->space[i] = (struct iovec){batch->bytes[i], NTD_FRAME_MAX};
		batch->in[i].msg_hdr.msg_iov = &batch->space[i];
		batch->in[i].msg_hdr.msg_iovlen = 1;
		batch->out[i].msg_hdr.msg_iov = &batch->frames[i];
		batch->out[i].msg_hdr.msg_iovlen = 1;
	}
	return hub;
}

void ntd_switch_free(struct ntd_switch *hub)
{
	if (!hub)
		return;
	while (hub->port_count)
		ntd_port_unplug(hub->ports[hub->port_count - 1]);
	free(hub->ports);
	free(hub);
}

struct ntd_switch_counts ntd_switch_counts(const struct ntd_switch *hub)
{
	return hub->counts;
}

/* Fills the batch with the valid ones of the frames that wait at `port`. */
static void receive(struct ntd_port *port, struct batch *batch)
{
	struct ntd_switch_counts *counts = &port->hub->counts;
	int count = recvmmsg(port->data.fd, batch->in, BATCH, MSG_DONTWAIT, NULL);

	batch->count = 0;
	for (int i = 0; i < count; i++) {
		const struct mmsghdr *in = &batch->in[i];

		if (in->msg_len < NTD_FRAME_MIN || in->msg_hdr.msg_flags & MSG_TRUNC) {
			counts->invalid++;
			continue;
		}
		batch->frames[batch->count++] = (struct iovec){batch->bytes[i], in->msg_len};
	}
	counts->received += batch->count;
}

/* The one place where frames pass from a port to another. */
static void pass(struct ntd_port *to, struct batch *batch)
{
	struct ntd_switch_counts *counts = &to->hub->counts;
	unsigned sent = 0;

	while (sent < batch->count) {
		int count = sendmmsg(to->data.fd, batch->out + sent, batch->count - sent,
				     MSG_DONTWAIT | MSG_NOSIGNAL);

		if (count < 0 && errno != EINTR)
			break;
		sent += count > 0 ? (unsigned)count : 0;
	}
	counts->sent += sent;
	counts->dropped += batch->count - sent;
}

static void port_ready(struct ntd_source *source, uint32_t events)
{
	struct ntd_port *from = ntd_container_of(source, struct ntd_port, data);
	struct ntd_switch *hub = from->hub;

	(void)events;
	receive(from, &hub->batch);
	for (size_t i = 0; i < hub->port_count; i++)
		if (hub->ports[i] != from)
			pass(hub->ports[i], &hub->batch);
}

/* Past the limit of the system where we are allowed to, else up to it. */
static void enlarge_send_buffer(int fd)
{
	int size = SEND_BUFFER;

	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

struct ntd_port *ntd_switch_plug(struct ntd_switch *hub, int fd, struct ntd_error **err)
{
	struct ntd_port *port = ntd_calloc(1, sizeof *port);

	port->hub = hub;
	port->data = (struct ntd_source){.fd = fd, .ready = port_ready};
	if (ntd_source_add(hub->loop, &port->data, EPOLLIN, err) < 0) {
		free(port);
		return NULL;
	}
	enlarge_send_buffer(fd);
	hub->ports = ntd_realloc(hub->ports, (hub->port_count + 1) * sizeof(struct ntd_port *));
	port->index = hub->port_count++;
	hub->ports[port->index] = port;
	return port;
}

void ntd_port_unplug(struct ntd_port *port)
{
	struct ntd_switch *hub = port->hub;
	struct ntd_port *last = hub->ports[--hub->port_count];

	hub->ports[port->index] = last;
	last->index = port->index;
	ntd_source_remove(&port->data);
	ntd_close_fd(&port->data.fd);
	free(port);
}
