/* Files between host and guest. Small and large, through the directory that both share; or through
 * the root shell alone, where the guest does not have it mounted.
 */
#pragma once

#include "guest/command.h"

struct ntd_copy {
	struct ntd_machine *machine;
	/* Runs a command in the guest, which must succeed; NULL: ntd_machine_succeed(). */
	int (*succeed)(void *arg, struct ntd_bytes command, struct ntd_waiter *waiter,
		       struct ntd_error **err);
	void *arg;
};

/* A file or a tree from the host to `target`, the path it has in the guest then. */
int ntd_machine_copy_from_host(const struct ntd_copy *copy, const char *source, const char *target,
			       struct ntd_waiter *waiter, struct ntd_error **err);
/* A file, by its bytes on the root shell. `target` may hold shell variables. */
int ntd_machine_copy_via_shell(struct ntd_machine *machine, const char *source, const char *target,
			       struct ntd_waiter *waiter, struct ntd_error **err);
/* A file or a tree from the guest to `target_dir` (relative to the output directory), under its
 * name. */
int ntd_machine_copy_from_guest(const struct ntd_copy *copy, const char *source,
				const char *target_dir, struct ntd_waiter *waiter,
				struct ntd_error **err);
