/* Rest of a guest. On script threads.
 *
 * A wait of the driver's that looks each few milliseconds ends in the middle of what it waited for:
 * logind makes a user's file in /var/lib/systemd/linger and then has systemd start the user's
 * slice; a service accepts connections and then says that it is ready. Scripts were written for
 * waits that look once a second, and go on with what comes next. So what has come to hold during a
 * wait counts when the guest is at rest: no task is ready to run and none waits for a disk. An idle
 * guest is at rest at once. One that never is has half a second, what a look each second takes on
 * average, or a whole second where QEMU emulates the processor, so that everything takes longer.
 */
#pragma once

#include "machine/machine.h"

/* Waits until the guest is at rest, for a second at most. Does nothing where that cannot be
 * seen: in a container, whose kernel is the host's, and in a guest without /proc/stat. -1 with
 * NTD_E_CANCELLED when interrupted; nothing else is an error. */
int ntd_machine_rest(struct ntd_machine *machine, struct ntd_waiter *waiter,
		     struct ntd_error **err);
