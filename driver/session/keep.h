/* Keeping the state of a run's machines in a directory (session/kept.h), and beginning a run with
 * one. Script threads, or the main thread. */
#pragma once

#include "session/session.h"

/* Keeps the state of a run that has failed in OUT/failure/snapshot, if that is wanted. The first
 * call counts; others wait for its end, and do nothing. -1 when the thread was interrupted. */
int ntd_keep_failure(struct ntd_session *session, struct ntd_waiter *waiter,
		     struct ntd_error **err);

/* Boots the machines that are not up, and keeps the state of all for --boot-from, or none after an
 * error. They go on. */
int ntd_keep_boot(struct ntd_session *session, struct ntd_waiter *waiter, struct ntd_error **err);

/* Gives the machines of the configuration copies of the images that its kept state has for them,
 * before they are started. */
int ntd_reopen_prepare(struct ntd_session *session, struct ntd_error **err);
/* Brings the machines to that state. NTD_E_USAGE, which says what differs, when QEMU is not what it
 * was; then no guest has run. */
int ntd_reopen_restore(struct ntd_session *session, struct ntd_waiter *waiter,
		       struct ntd_error **err);
