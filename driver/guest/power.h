/* Sudden ends and restarts of a machine. Both block the calling script thread. */
#pragma once

#include "machine/machine.h"

/* Ends the machine's process at once, as by a power cut, and waits. No-op unless it is booted. */
int ntd_machine_crash(struct ntd_machine *machine, struct ntd_waiter *waiter,
		      struct ntd_error **err);
/* Presses ctrl-alt-delete; the root shell must be waited for again. */
int ntd_machine_reboot(struct ntd_machine *machine, struct ntd_waiter *waiter,
		       struct ntd_error **err);
