/* Limits of time, at which the run is ended: the session has one, and scripts may make others. */
#pragma once

#include "loop/loop.h"

#include <stdatomic.h>

struct ntd_session;

/* The fields `session` and `seconds` are set before the start, the others are zeros. Loop thread:
 * `timer`. */
struct ntd_deadline {
	struct ntd_timer timer;
	struct ntd_session *session;
	double seconds; /* from the start on */
	atomic_bool running;
};

/* Starts a deadline, or starts it again. Any thread but the loop's. When it expires, the run is
 * ended by ntd_session_abort() with SIGTERM. */
void ntd_deadline_start(struct ntd_deadline *deadline);
/* Stops a deadline, also one that was never started. Any thread but the loop's. The process may
 * then take any time, if this was the deadline of the session itself. */
void ntd_deadline_stop(struct ntd_deadline *deadline);
