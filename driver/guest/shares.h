/* The directories that the host shares with a guest, while the guest's state is saved: QEMU saves
 * no machine whose guest has one mounted. Script threads.
 */
#pragma once

#include "machine/machine.h"

/* Runs a command of the driver's own in a machine that is SAVING or RESTORING, and appends its
 * output to `output`. NTD_E_MACHINE with the output when its status is not 0. */
int ntd_guest_tell(struct ntd_machine *machine, const char *text, struct ntd_buf *output,
		   struct ntd_waiter *waiter, struct ntd_error **err);

/* Unmounts the driver's own shares, `shared` and `xchg`. *shares becomes how they were mounted, a
 * new string. Others stay: *others becomes what is to be said of them in an error, a new string, or
 * "". NTD_E_MACHINE when one of the driver's own is in use; *shares then has what was unmounted. */
int ntd_shares_unmount(struct ntd_machine *machine, char **shares, char **others,
		       struct ntd_waiter *waiter, struct ntd_error **err);
/* Mounts them again as they were. */
int ntd_shares_mount(struct ntd_machine *machine, const char *shares, struct ntd_waiter *waiter,
		     struct ntd_error **err);
