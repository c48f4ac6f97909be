/* Ports and forwarding: a hub for Ethernet frames.
 *
 * Every frame that comes in at a port goes out at all others, unchanged (802.1Q tags pass). A
 * switch belongs to one loop and shares nothing with other switches, so each may have a loop of its
 * own. All functions are for the loop's thread, except ntd_switch_new().
 *
 * A switch can be held, for a moment at which the machines stand still. Frames under way are then
 * kept where they are: in the kernel's queues. At a snapshot of all machines they are no part of
 * the snapshot, and pass when the machines go on. At a restore they are dropped, as if the wire had
 * lost them. Frames that the switch has passed on before are the receivers', and not the switch's.
 */
#pragma once

#include "loop/loop.h"

struct ntd_switch;
struct ntd_port;
struct ntd_link;

struct ntd_switch_counts {
	uint64_t received; /* frames that came in */
	uint64_t sent;     /* copies that went out */
	uint64_t dropped;  /* copies that a full or vanished receiver did not take, or discarded */
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
/* Closes the descriptor and frees the port. */
void ntd_port_unplug(struct ntd_port *port);

/* Reads no port from now on, whether it is plugged in already or only then, until as many calls of
 * ntd_switch_resume() as of this function have been made. A sender that goes on meanwhile fills its
 * queue: a QEMU whose guest runs then stands still with its main loop, and a tap loses frames. So
 * stop machines first. */
void ntd_switch_hold(struct ntd_switch *hub);
void ntd_switch_resume(struct ntd_switch *hub);
/* Reads at most a batch of frames from each port and drops them. False: there was none. */
bool ntd_switch_discard(struct ntd_switch *hub);
