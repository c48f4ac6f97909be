/* Sudden ends and restarts of a machine. Both block the calling script thread. */
#pragma once

#include "machine/machine.h"

/* Ends the machine's process at once, as by a power cut, and waits for its end. Does nothing unless
 * the machine is booted. NTD_E_MACHINE for a container. */
int ntd_machine_crash(struct ntd_machine *machine, struct ntd_waiter *waiter,
		      struct ntd_error **err);
/* Presses ctrl-alt-delete. The next command waits for the root shell of the new boot. */
int ntd_machine_reboot(struct ntd_machine *machine, struct ntd_waiter *waiter,
		       struct ntd_error **err);
