/* The part of a run-time directory that a run has for itself while other runs use the same
 * directory.
 *
 * Runs of one user share a file of locks: a byte for each place that a run can have, a byte for
 * each state directory. The kernel drops the locks when the process dies, however it dies, and can
 * tell which process holds one; forked children hold none of them.
 *
 * The main thread opens and closes a claim. ntd_claim_state() may be called by any thread.
 */
#pragma once

#include "base/error.h"

struct ntd_claim {
	char *base, *path; /* the run-time directory; the file of locks in it */
	int fd;
	char *place; /* a directory that was taken below `base`, or NULL */
};

/* Opens the file of locks in the directory `base`; the file is made if there is none. Fails with
 * NTD_E_USAGE. */
int ntd_claim_open(struct ntd_claim *claim, const char *base, struct ntd_error **err);
/* Removes the run's place, if it is empty, and the file, if no other run has it open. The locks are
 * held until ntd_claim_close(). */
void ntd_claim_leave(const struct ntd_claim *claim);
/* Drops all locks and frees what the claim holds. */
void ntd_claim_close(struct ntd_claim *claim);

/* Locks the state directory of a machine, base/vm-state-NAME; a run may lock one that it has locked
 * already. Fails with NTD_E_USAGE when another process has it; the message names that process. */
int ntd_claim_state(struct ntd_claim *claim, const char *machine, struct ntd_error **err);

/* Finds a place for the run's own sockets and state, and locks it. It is `base` itself, unless
 * another run has it or has the state of one of `machines` (names, ended by NULL; or NULL), or
 * another user has left files of the same names; else the first of base/ntd-run-2, -3 ... that is
 * free, which is made if need be. Returns the path as a new string, or NULL with NTD_E_USAGE when
 * no directory can be made. *why is set to a new string that says why it is not `base`, or to
 * NULL. */
char *ntd_claim_place(struct ntd_claim *claim, char *const *machines, char **why,
		      struct ntd_error **err);
