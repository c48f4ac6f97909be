/* What only QEMU machines have. For a container, all of this is NULL or false. Any thread. */
#pragma once

#include "channel/serial.h"
#include "channel/shell.h"
#include "console/expect.h"
#include "machine/machine.h"
#include "qemu/monitor.h"
#include "qemu/qmp.h"
#include "ssh/ssh.h"

struct ntd_monitor *ntd_machine_monitor(struct ntd_machine *machine);
struct ntd_qmp *ntd_machine_qmp(struct ntd_machine *machine);
struct ntd_shell *ntd_machine_shell(struct ntd_machine *machine);
/* The reader of the console that is for scripts. */
struct ntd_expect *ntd_machine_expect(struct ntd_machine *machine);
/* The shell on the serial console, which is absent until a login. */
struct ntd_serial *ntd_machine_serial(struct ntd_machine *machine);

/* Whether the guest has a root shell on hvc0 for the driver: it has one unless a script has said
 * that it has none. Without a root shell and another channel, calls that need one fail at once. */
bool ntd_machine_has_root_shell(const struct ntd_machine *machine);
void ntd_machine_set_root_shell(struct ntd_machine *machine, bool has);

/* Sets the sockets of a vsock device that another process serves for QEMU (`guest`) and for this
 * host (`host`, which may be missing), before the start. The paths are copied; NULL: there is no
 * device. */
void ntd_machine_set_vsock(struct ntd_machine *machine, const char *guest, const char *host);
const char *ntd_machine_vsock_guest(const struct ntd_machine *machine);
const char *ntd_machine_vsock_host(const struct ntd_machine *machine);

/* ---- snapshots (machine/qemu_snapshot.c); script threads */

/* To be called before a line of a script for QEMU's monitor, and before a command of a script for
 * QMP: if it saves or loads the guest's state, QEMU is freed of the driver's data ports. Return 0,
 * or -1 when the thread is to stop waiting. */
int ntd_machine_before_monitor(struct ntd_machine *machine, const char *line,
			       struct ntd_waiter *waiter, struct ntd_error **err);
int ntd_machine_before_qmp(struct ntd_machine *machine, const char *command, const cJSON *arguments,
			   struct ntd_waiter *waiter, struct ntd_error **err);

/* ---- SSH (machine/qemu_ssh.c) */

/* How the guest is reached by SSH. */
struct ntd_machine_ssh {
	struct ntd_ssh_login login;
	/* An address in text form; NULL: 127.0.0.1 and the port that QEMU forwards to the guest's
	 * port 22. QEMU is told to forward one if it forwards none. */
	const char *address;
	unsigned port; /* of that address */
};

/* Has commands and copies go by SSH where the root shell is not there, for connections from now on;
 * everything is copied. The machine may run already. Does nothing for a container. Returns 0, or -1
 * when this host has no libssh. Not for the loop thread. */
int ntd_machine_use_ssh(struct ntd_machine *machine, const struct ntd_machine_ssh *ssh,
			struct ntd_error **err);
/* The channel; NULL: the machine does not use SSH. */
struct ntd_ssh *ntd_machine_ssh(struct ntd_machine *machine);
/* The port at which sshd is reached: of 127.0.0.1, unless ntd_machine_use_ssh() was given an
 * address. 0: it is not known. */
unsigned ntd_machine_ssh_port(struct ntd_machine *machine);

/* Where and as whom the guest is reached, for commands that people call. The strings live as long
 * as the machine. */
struct ntd_machine_ssh_target {
	const char *user, *address;
	const char *key; /* NULL: none was given */
	unsigned port;   /* 0: it is not known */
};
struct ntd_machine_ssh_target ntd_machine_ssh_target(struct ntd_machine *machine);
