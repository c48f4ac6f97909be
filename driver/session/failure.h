/* What a failed run leaves behind: OUT/failure, with a directory for each machine. */
#pragma once

#include "session/session.h"

/* Collects what can be had of all machines that were started, at the same time, in a few seconds at
 * most. The first call counts; nothing happens when no machine was started. -1 when `waiter` was
 * interrupted. */
int ntd_session_collect(struct ntd_session *session, struct ntd_waiter *waiter,
			struct ntd_error **err);
/* Removes what the last run has left there without being asked, console logs too, if the output
 * directory is one that the user has named. */
void ntd_session_forget_last_run(const struct ntd_session *session);
