/* The SSH backdoor: sshd of the guests, reached over vsock without the network. One process, the
 * program vhost-device-vsock, serves the vsock devices of all configured machines: QEMU connects to
 * a machine's `guest` socket, ssh on this host to its `host` socket.
 */
#pragma once

#include "loop/process.h"
#include "machine/machine.h"

struct ntd_ssh_backdoor;

struct ntd_ssh_backdoor_context {
	struct ntd_loop *loop;
	struct ntd_children *children;
	struct ntd_keeper *keeper;
	struct ntd_report *report;
	struct ntd_environment *environment;
	const char *socket_dir; /* a private directory for the sockets is made there */
};

/* Starts it for these machines, none of which has been started, and waits until its sockets are
 * there. NULL with an error, which names the program where it is missing. */
struct ntd_ssh_backdoor *ntd_ssh_backdoor_start(const struct ntd_ssh_backdoor_context *context,
						struct ntd_machine *const *machines, size_t count,
						struct ntd_error **err);
/* Ends the process and removes the sockets; NULL is allowed. */
void ntd_ssh_backdoor_stop(struct ntd_ssh_backdoor *backdoor);
