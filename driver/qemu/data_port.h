/* A data port of QEMU's (channel/port.h): a virtserialport that is added by QMP while the guest
 * runs, and its chardev, a socket. All functions are for the loop thread, unless they say
 * otherwise.
 */
#pragma once

#include "channel/port.h"
#include "qemu/qmp.h"

struct ntd_data_port;

/* Makes a port that is closed; any thread, before the first connection of `qmp` is opened. `name`
 * is a word of lower-case letters, with which the names of the port's devices begin. The driver
 * listens at `path` while the port is being opened. `who` is what errors begin with, such as
 * "machine 'server'". */
struct ntd_data_port *ntd_data_port_new(struct ntd_loop *loop, struct ntd_qmp *qmp,
					const char *name, const char *path, const char *who);
/* Frees a port of a connection that is closed, or NULL. */
void ntd_data_port_free(struct ntd_data_port *port);

/* Sets how long QEMU may take to give the port, or to take it away; 10 seconds from the start. */
void ntd_data_port_set_patience(struct ntd_data_port *port, int64_t patience);

struct ntd_port *ntd_data_port_port(struct ntd_data_port *port);

/* Whether QEMU has nothing of the port: it was never opened, or everything has been taken away. */
bool ntd_data_port_is_gone(const struct ntd_data_port *port);
/* Any thread, before the first connection of the port's QMP is opened: sets whom to tell each time
 * that QEMU has nothing of the port any more. `gone` must not open the port. */
void ntd_data_port_on_gone(struct ntd_data_port *port, void (*gone)(void *owner), void *owner);

/* QEMU has ended, its QMP connection is closed, and so are the channels: the port is closed, and
 * nothing of it is left anywhere. */
void ntd_data_port_forget(struct ntd_data_port *port);
