/* A data port of QEMU's (channel/port.h): a virtserialport that is added by QMP while the guest
 * runs, and its chardev, a socket. All functions are for the loop thread, unless they say
 * otherwise.
 */
#pragma once

#include "channel/port.h"
#include "qemu/qmp.h"

struct ntd_data_port;

/* With what QEMU's names of the driver's ports begin, and those of no other device. */
#define NTD_DATA_PORT_PREFIX "ntd-"

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
/* Whether QEMU has nothing of the port, or nothing but the device that is open. */
bool ntd_data_port_is_settled(const struct ntd_data_port *port);
/* Any thread, before the first connection of the port's QMP is opened: sets whom to tell each time
 * that QEMU has less of the port than before. `gone` must not open the port. */
void ntd_data_port_on_gone(struct ntd_data_port *port, void (*gone)(void *owner), void *owner);

/* QEMU's name of the device that is open, until it is closed; NULL: none is. */
const char *ntd_data_port_device(const struct ntd_data_port *port);
/* The number on its bus that the open device has been learned to have; 0: it is not known, or no
 * device is open. Nothing is learned of a device that is not open any more. */
unsigned ntd_data_port_number(const struct ntd_data_port *port);
void ntd_data_port_learn_number(struct ntd_data_port *port, const char *device, unsigned number);

/* QEMU has ended, its QMP connection is closed, and so are the channels: the port is closed, and
 * nothing of it is left anywhere. */
void ntd_data_port_forget(struct ntd_data_port *port);
