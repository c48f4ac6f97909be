/* Files between host and guest. Small and large, through the directory that both share; or through the
 * root shell alone, where the guest does not have it mounted.
 */
#pragma once

#include "machine/command.h"

/* A file or a tree from the host to `target`, the path it has in the guest then. */
int ntd_machine_copy_from_host(struct ntd_machine *machine, const char *source, const char *target,
			       struct ntd_waiter *waiter, struct ntd_error **err);
/* A file, by its bytes on the root shell. `target` may hold shell variables. */
int ntd_machine_copy_via_shell(struct ntd_machine *machine, const char *source, const char *target,
			       struct ntd_waiter *waiter, struct ntd_error **err);
/* A file or a tree from the guest to `target_dir` (relative to the output directory), under its name. */
int ntd_machine_copy_from_guest(struct ntd_machine *machine, const char *source,
				const char *target_dir, struct ntd_waiter *waiter,
				struct ntd_error **err);
