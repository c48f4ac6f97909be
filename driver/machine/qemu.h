/* What only QEMU machines have. For a container, all of this is NULL or false. Any thread. */
#pragma once

#include "channel/shell.h"
#include "console/expect.h"
#include "machine/machine.h"
#include "qemu/monitor.h"
#include "qemu/qmp.h"

struct ntd_monitor *ntd_machine_monitor(struct ntd_machine *machine);
struct ntd_qmp *ntd_machine_qmp(struct ntd_machine *machine);
struct ntd_shell *ntd_machine_shell(struct ntd_machine *machine);
/* The reader of the console that is for scripts. */
struct ntd_expect *ntd_machine_expect(struct ntd_machine *machine);

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
