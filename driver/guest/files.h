/* Copies of files between host and guest: by a channel that has an operation for it, else through
 * the directory that host and guest share; or through the root shell alone, for guests that have
 * not mounted that directory. The functions block a script thread.
 */
#pragma once

#include "guest/command.h"

/* The machine of a copy, and how commands are run for it. */
struct ntd_copy {
	struct ntd_machine *machine;
	/* Runs a command in the guest, which must succeed; `arg` is its own. NULL:
	 * ntd_machine_succeed(). */
	int (*succeed)(void *arg, struct ntd_bytes command, struct ntd_waiter *waiter,
		       struct ntd_error **err);
	void *arg;
};

/* Copies the file or tree `source` of the host to the path `target` in the guest, as `cp -r` would,
 * and makes the directories above `target`. NTD_E_VALUE when `source` ends in no name, such as
 * "..". */
int ntd_machine_copy_from_host(const struct ntd_copy *copy, const char *source, const char *target,
			       struct ntd_waiter *waiter, struct ntd_error **err);
/* Copies the file `source` of the host, of at most 1 GiB, as standard input of a command in the
 * guest. `target` may hold shell variables. NTD_E_VALUE when the file is larger, NTD_E_ASSERTION
 * when the command fails. */
int ntd_machine_copy_via_shell(struct ntd_machine *machine, const char *source, const char *target,
			       struct ntd_waiter *waiter, struct ntd_error **err);
/* Copies the file or tree `source` of the guest, under its own name, into the host's directory
 * `target_dir` (relative to the output directory), which is made if missing. A link is copied as
 * what it leads to in the guest. In a tree, a link that leads into the tree is one in the copy, so
 * that the host can follow all links; one that leads to neither a file nor a directory is not in
 * the copy, which is logged. NTD_E_VALUE as above. */
int ntd_machine_copy_from_guest(const struct ntd_copy *copy, const char *source,
				const char *target_dir, struct ntd_waiter *waiter,
				struct ntd_error **err);

/* Makes the links in `copy`, a copy of the directory `source` by `cp -r`, such ones. Both are paths
 * in the guest. */
int ntd_machine_copy_links(struct ntd_machine *machine, const char *source, const char *copy,
			   struct ntd_waiter *waiter, struct ntd_error **err);

/* copy_links.bash without comments and indentation; the Makefile makes it. */
extern const char ntd_copy_links_bash[];
