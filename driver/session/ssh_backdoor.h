/* The SSH backdoor: ssh on this host reaches sshd in the guests over vsock, without the network.
 * One process, the program vhost-device-vsock, serves the vsock devices of all configured machines:
 * QEMU connects to a machine's `guest` socket, ssh to its `host` socket.
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
	const char *socket_dir; /* where a private directory for the sockets is made */
};

/* Starts the program for `count` machines, none of which has been started, and waits at most 10 s
 * until its sockets are there. The main thread. NULL on error: NTD_E_MACHINE when the program is
 * missing or ends, or when a path or a name cannot be given to it. */
struct ntd_ssh_backdoor *ntd_ssh_backdoor_start(const struct ntd_ssh_backdoor_context *context,
						struct ntd_machine *const *machines, size_t count,
						struct ntd_error **err);
/* Ends the process, removes the sockets and frees the backdoor; NULL is allowed. Any thread but the
 * loop's. */
void ntd_ssh_backdoor_stop(struct ntd_ssh_backdoor *backdoor);
