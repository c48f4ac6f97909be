/* Ports and forwarding: a hub for Ethernet frames.
 *
 * Every frame that comes in at a port goes out at all others, unchanged (802.1Q tags pass). A
 * switch belongs to one loop and shares nothing with other switches, so each may have a loop of its
 * own. All functions are for the loop's thread, except ntd_switch_new().
 *
 * A switch can be cut: it goes on reading its ports, so that no sender stands still, and drops
 * everything. Machines that go back to an earlier moment must not get frames of the time that is
 * given up, so the switch is cut before they are stopped, and joined before they go on: what is
 * under way is lost, as by a wire that was pulled. Saving a moment needs no cut, though machines
 * are stopped one after the other: a frame that a machine has got before was sent before its sender
 * was stopped, and one that was sent and not got is lost, as above, to those who go back; the
 * machines that go on get it.
 */
#pragma once

#include "loop/loop.h"

struct ntd_switch;
struct ntd_port;
struct ntd_link;

struct ntd_switch_counts {
	uint64_t received; /* frames that came in */
	uint64_t sent;     /* copies that went out */
	uint64_t dropped;  /* copies that a full or vanished receiver did not take, or of a cut */
	uint64_t invalid;  /* frames shorter than an Ethernet header or longer than a jumbo frame */
};

enum {
	NTD_FRAME_MIN = 14,  /* an Ethernet header */
	NTD_FRAME_MAX = 9216 /* a jumbo frame of 9000 bytes with its headers, rounded up */
};

struct ntd_switch *ntd_switch_new(struct ntd_loop *loop);
/* Unplugs all ports and frees the switch; NULL is allowed. */
void ntd_switch_free(struct ntd_switch *hub);
/* The counts since the switch was made. */
struct ntd_switch_counts ntd_switch_counts(const struct ntd_switch *hub);

/* Adds a port on a descriptor of the kind that `link` is for (ntd_datagram_link, ntd_tap_link). The
 * descriptor belongs to the port, unless NULL is returned with NTD_E_SYS. */
struct ntd_port *ntd_switch_plug(struct ntd_switch *hub, int fd, const struct ntd_link *link,
				 struct ntd_error **err);
/* How many frames have come in at the port. */
uint64_t ntd_port_received(const struct ntd_port *port);
/* Closes the descriptor and frees the port. */
void ntd_port_unplug(struct ntd_port *port);

/* Drops all frames from now on, until as many calls of ntd_switch_join() as of this function have
 * been made. That drops what waits at the ports, first. */
void ntd_switch_cut(struct ntd_switch *hub);
void ntd_switch_join(struct ntd_switch *hub);

/* Varies when frames pass, and so the order between frames of different ports; those of one port
 * keep theirs, and none is lost: after each batch of frames a port is not read for a while, of 5 ms
 * at most, drawn by a generator that begins with the seed. 0: not any more. */
void ntd_switch_vary(struct ntd_switch *hub, unsigned long seed);
