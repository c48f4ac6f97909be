/* What a run has of a run-time directory that other runs use, too.
 *
 * Runs of one user share a file of locks: a byte for each place that a run can have, a byte for each state
 * directory. The kernel drops the locks when the process dies, however it dies, and knows who has them; forked
 * children have none of them.
 */
#pragma once

#include "base/error.h"

struct ntd_claim {
	char *base;
	int fd; /* of the file of locks */
};

/* Opens the file of locks in `base`. */
int ntd_claim_open(struct ntd_claim *claim, const char *base, struct ntd_error **err);
/* Drops all locks. */
void ntd_claim_close(struct ntd_claim *claim);

/* Takes the state directory of a machine, base/vm-state-NAME; what is had already can be taken again. Fails with
 * NTD_E_USAGE, and says who has it. */
int ntd_claim_state(struct ntd_claim *claim, const char *machine, struct ntd_error **err);

/* Takes a place for the run's own sockets and state: `base` itself if no other run has it, or has the state of one
 * of `machines` (a list, or NULL), or another user has left files of these names; else the first of
 * base/ntd-run-2, -3 ... for which this holds, which is made if need be. Returns its path, and in `*why` why it is
 * not `base`, or NULL; new strings. NULL on error. */
char *ntd_claim_place(struct ntd_claim *claim, char *const *machines, char **why,
		      struct ntd_error **err);
