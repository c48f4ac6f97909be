/* Data ports: a stream of bytes between a channel and the guest beside the root shell's console.
 * QEMU throttles a data port, so nothing is lost however late either side reads, and its bytes are
 * passed on as they are. The machine's kind makes ports (machine/qemu_port.c) and gives them to the
 * channels that can use one. All functions are for the loop thread.
 *
 * A port is added to the guest when its channel asks for it, and taken away when the channel closes
 * it. It outlives a reboot of the guest. In the guest it is the device /dev/NODE, where NODE is the
 * directory below /sys/class/virtio-ports whose file `name` holds the port's name. The directories
 * are there a moment after the port has been opened, or later if the guest is busy or stopped.
 *
 * Bytes are lost where an end is closed: what the guest has not read when its process closes the
 * device, or when the driver closes the socket, may never be read, and QEMU may not have passed on
 * what the guest has written when the port is closed. So each side tells the other that it has
 * everything before that one closes its end. One process of the guest can have the device open at a
 * time, others get EBUSY. When the driver has closed its socket, the guest reads the end, and its
 * writes block until the port is closed; then both fail.
 */
#pragma once

#include "base/error.h"

struct ntd_port;

/* What a port tells the channel that opened it. */
struct ntd_port_user {
	/* The port has been added to the guest. `fd` is a connected, non-blocking socket, which the
	 * user takes. `name` is the port's name in the guest, letters, digits and hyphens, another
	 * one at each opening; it is valid during the call. */
	void (*opened)(void *owner, int fd, const char *name);
	/* The port cannot be had: QEMU has no virtio-serial bus or no QMP, or refuses. */
	void (*failed)(void *owner, const struct ntd_error *why);
	/* The guest has closed the port after it had opened it: what was written before has been
	 * sent, and nobody reads what comes from now on. NULL: nobody wants to know. */
	void (*left)(void *owner);
	void *owner;
	/* The number that the port is to have on its bus, as in a state of the guest that is about
	 * to be loaded; 0: any. It has failed when another device has that number. */
	unsigned number;
};

struct ntd_port_ops {
	/* Asks for the port. One call of the user's follows, later, unless the port is closed
	 * before. The port must be closed. */
	void (*open)(struct ntd_port *port, const struct ntd_port_user *user);
	/* Takes the port away from the guest, whatever has come of opening it; the user is told
	 * nothing any more, and closes its own socket. Does nothing to a port that is closed. */
	void (*close)(struct ntd_port *port);
};

/* The part that all ports have. */
struct ntd_port {
	const struct ntd_port_ops *ops;
};
