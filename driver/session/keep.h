/* Keeping the state of a run's machines in a directory (session/kept.h), and beginning a run with
 * one. Script threads, or the main thread. */
#pragma once

#include "session/session.h"

/* How a state is kept. */
struct ntd_keeping {
	const char *directory; /* it is made, and an earlier state in it removed */
	const char *name;      /* of the snapshot */
	/* Machines are kept as they are, and what cannot be kept is a warning; else all machines
	 * run and are kept, or it is an error. */
	bool as_they_are;
};

/* Keeps the state of all machines at this moment; they go on. When it fails, nothing is kept.
 * Returns whether something is kept; -1 on error, as they are only when the thread was
 * interrupted. */
int ntd_keep(struct ntd_session *session, const struct ntd_keeping *keeping,
	     struct ntd_waiter *waiter, struct ntd_error **err);
/* Keeps the state of a run that has failed in OUT/failure/snapshot, if that is wanted. The first
 * call counts; others wait for its end, and do nothing. -1 when the thread was interrupted. */
int ntd_keep_failure(struct ntd_session *session, struct ntd_waiter *waiter,
		     struct ntd_error **err);

/* Boots the machines that are not up, and keeps the state of all for --boot-from. */
int ntd_keep_boot(struct ntd_session *session, struct ntd_waiter *waiter, struct ntd_error **err);

/* Gives the machines of the configuration copies of the images that its kept state has for them,
 * before they are started. */
int ntd_reopen_prepare(struct ntd_session *session, struct ntd_error **err);
/* Brings the machines to that state. NTD_E_USAGE, which says what differs, when QEMU is not what it
 * was; then no guest has run. */
int ntd_reopen_restore(struct ntd_session *session, struct ntd_waiter *waiter,
		       struct ntd_error **err);
