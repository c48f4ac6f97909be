/* The part of a run-time directory that a run has for itself, while other runs use that directory,
 * too.
 *
 * Runs of one user share a file of locks: a byte for each place that a run can have, a byte for
 * each state directory. The kernel drops the locks when the process dies, however it dies, and
 * knows who has them; forked children have none of them.
 */
#pragma once

#include "base/error.h"

struct ntd_claim {
	char *base, *path; /* the run-time directory; the file of locks in it */
	int fd;
	char *place; /* a directory that was taken below `base`, or NULL */
};

/* Opens the file of locks in `base`, which is made if need be. */
int ntd_claim_open(struct ntd_claim *claim, const char *base, struct ntd_error **err);
/* Removes the file, if no other run has it, and the run's place, if nothing was left there. The
 * locks last. */
void ntd_claim_leave(const struct ntd_claim *claim);
/* Drops all locks. */
void ntd_claim_close(struct ntd_claim *claim);

/* Takes the state directory of a machine, base/vm-state-NAME; what is had already can be taken
 * again. Fails with NTD_E_USAGE, and says who has it. */
int ntd_claim_state(struct ntd_claim *claim, const char *machine, struct ntd_error **err);

/* Takes a place for the run's own sockets and state: `base` itself if no other run has it, or has
 * the state of one of `machines` (a list, or NULL), or another user has left files of these names;
 * else the first of base/ntd-run-2, -3 ... for which this holds, which is made if need be. Returns
 * its path, and in `*why` why it is not `base`, or NULL; new strings. NULL on error. */
char *ntd_claim_place(struct ntd_claim *claim, char *const *machines, char **why,
		      struct ntd_error **err);
