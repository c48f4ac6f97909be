/* Forwarding. Loop thread.
 *
 * Theory of operation
 *
 * A readable port gives a batch of frames, in one system call where its kind can (net/link.h); each
 * other port passes the whole batch on. The frames lie in a pool of the switch; none is allocated
 * or copied for a port, all messages point to the same bytes. The pool is in use only inside one
 * callback. After a batch the loop serves its other descriptors; a port with more frames is still
 * readable then (level-triggered).
 *
 * The queue of a slow receiver is the kernel's. Frames that do not fit are dropped and counted, for
 * that receiver only; nothing waits for it. Waiting would be worse than loss: QEMU sends with its
 * main loop blocked, so two guests whose frames wait for each other would both stand still.
 *
 * But a port whose sender floods while a receiver is behind is not read for REST after each batch.
 * The sender does not notice, since its own queue holds the frames of that time; the receiver gets
 * the processor time to catch up. The rest depends on the clock only, never on the receiver. On two
 * processors, with a sender and a receiver that do nothing else, this brought loss from 7-12 % to
 * below 0.1 % and the rate of received frames up by a tenth. The same rest, of other lengths,
 * varies the order in which frames of different machines arrive, for tests that look for races.
 */
#include "net/switch.h"

#include "net/link.h"

#include <stdlib.h>

enum {
	FLOOD = NTD_BATCH_MAX / 4, /* a sender that fills this much of a batch counts as flooding */
	/* Batches of a port that the end of a cut drops: more frames than a socket or a tap
	 * interface queues. A client that floods meanwhile cannot make it more. */
	DISCARDS = 2048 / NTD_BATCH_MAX,
};

#define REST (NTD_MS / 10)
#define VARIATION (5 * NTD_MS)

struct ntd_port {
	struct ntd_source data;
	const struct ntd_link *link;
	struct ntd_timer rest;
	struct ntd_switch *hub;
	size_t index;
	int crowded;       /* bytes under way from which on the receiver is behind */
	uint64_t received; /* frames that came in here */
};

struct ntd_switch {
	struct ntd_loop *loop;
	struct ntd_port **ports;
	size_t port_count;
	unsigned cuts; /* not 0: all frames are dropped */
	bool varied;
	unsigned short random[3]; /* the generator's state, for nrand48() */
	struct ntd_switch_counts counts;
	struct ntd_batch batch;
};

struct ntd_switch *ntd_switch_new(struct ntd_loop *loop)
{
	struct ntd_switch *hub = ntd_calloc(1, sizeof *hub);
	struct ntd_batch *batch = &hub->batch;

	hub->loop = loop;
	for (unsigned i = 0; i < NTD_BATCH_MAX; i++) {
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

/* Fills the batch with the valid frames among those that are at `port`. Returns whether there were
 * any, valid or not. */
static bool receive(struct ntd_port *port, struct ntd_batch *batch)
{
	struct ntd_switch_counts *counts = &port->hub->counts;
	int count = port->link->receive(port->data.fd, batch);

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
	port->received += batch->count;
	if (count == NTD_LINK_GONE)
		ntd_source_remove(&port->data); /* the descriptor would be readable for ever */
	return count > 0;
}

/* Drops the batch, which has come in at one of the ports. */
static void drop(struct ntd_switch *hub)
{
	hub->counts.dropped += hub->batch.count * (hub->port_count - 1);
}

/* Sends the batch out at a port: the one place where frames pass from a port to another. */
static void pass(struct ntd_port *to, struct ntd_batch *batch)
{
	struct ntd_switch_counts *counts = &to->hub->counts;
	unsigned sent = to->link->send(to->data.fd, batch);

	counts->sent += sent;
	counts->dropped += batch->count - sent;
}

static bool is_behind(const struct ntd_port *to)
{
	return to->link->queued(to->data.fd) > to->crowded;
}

static void rest_ended(struct ntd_timer *timer)
{
	ntd_source_modify(&ntd_container_of(timer, struct ntd_port, rest)->data, EPOLLIN);
}

static void rest(struct ntd_port *port, int64_t span)
{
	ntd_source_modify(&port->data, 0);
	ntd_timer_set(port->hub->loop, &port->rest, ntd_after(span));
}

/* How long a port rests, whose batch has been passed on. */
static int64_t span_of_rest(struct ntd_switch *hub, bool too_fast)
{
	int64_t least = too_fast ? REST : 0;

	return hub->varied ? least + nrand48(hub->random) % VARIATION : least;
}

static void port_ready(struct ntd_source *source, uint32_t events)
{
	struct ntd_port *from = ntd_container_of(source, struct ntd_port, data);
	struct ntd_switch *hub = from->hub;
	bool too_fast = false;
	int64_t span;

	receive(from, &hub->batch);
	if (hub->cuts) {
		drop(hub);
		return;
	}
	for (size_t i = 0; i < hub->port_count; i++) {
		struct ntd_port *to = hub->ports[i];

		if (to == from)
			continue;
		pass(to, &hub->batch);
		too_fast = too_fast || (hub->batch.count >= FLOOD && is_behind(to));
	}
	span = span_of_rest(hub, too_fast);
	if (span)
		rest(from, span);
}

uint64_t ntd_port_received(const struct ntd_port *port)
{
	return port->received;
}

struct ntd_port *ntd_switch_plug(struct ntd_switch *hub, int fd, const struct ntd_link *link,
				 struct ntd_error **err)
{
	struct ntd_port *port = ntd_calloc(1, sizeof *port);

	*port = (struct ntd_port){.data = {.fd = fd, .ready = port_ready},
				  .link = link,
				  .rest.expired = rest_ended,
				  .hub = hub,
				  .index = hub->port_count,
				  .crowded = link->prepare(fd)};
	if (ntd_source_add(hub->loop, &port->data, EPOLLIN, err) < 0) {
		free(port);
		return NULL;
	}
	hub->ports = ntd_realloc(hub->ports, (hub->port_count + 1) * sizeof(struct ntd_port *));
	hub->ports[hub->port_count++] = port;
	return port;
}

void ntd_port_unplug(struct ntd_port *port)
{
	struct ntd_switch *hub = port->hub;
	struct ntd_port *last = hub->ports[--hub->port_count];

	hub->ports[port->index] = last;
	last->index = port->index;
	ntd_timer_cancel(&port->rest);
	ntd_source_remove(&port->data);
	ntd_close_fd(&port->data.fd);
	free(port);
}

/* ---- cuts */

void ntd_switch_cut(struct ntd_switch *hub)
{
	hub->cuts++;
}

/* Reads at most a batch of frames from each port and drops them. False: there was none. */
static bool discard(struct ntd_switch *hub)
{
	bool any = false;

	for (size_t i = 0; i < hub->port_count; i++) {
		struct ntd_port *port = hub->ports[i];

		if (!port->data.loop) /* nothing will ever come again */
			continue;
		any = receive(port, &hub->batch) || any;
		drop(hub);
	}
	return any;
}

void ntd_switch_join(struct ntd_switch *hub)
{
	for (int i = 0; i < DISCARDS && discard(hub); i++)
		;
	hub->cuts--;
}

/* ---- variation */

void ntd_switch_vary(struct ntd_switch *hub, unsigned long seed)
{
	hub->varied = seed;
	for (int i = 0; i < 3; i++)
		hub->random[i] = (unsigned short)(seed >> (16 * i));
}
