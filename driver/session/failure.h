/* What a failed run leaves behind: OUT/failure, with a directory for each machine. */
#pragma once

#include "session/session.h"

/* Collects what can be had of all machines that were started, at the same time, in a few seconds at most. The
 * first call counts; nothing happens when no machine was started. -1 when `waiter` was interrupted. */
int ntd_session_collect(struct ntd_session *session, struct ntd_waiter *waiter,
			struct ntd_error **err);
/* Removes what an earlier run has left there, if the output directory is one that the user has named. */
void ntd_session_forget_failure(const struct ntd_session *session);
