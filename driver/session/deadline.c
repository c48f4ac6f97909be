/* Deadlines are timers of the loop. The keeper process learns of the session's own deadline, too,
 * and kills a driver that hangs after that.
 */
#include "session/session.h"

#include <signal.h>

static void expired(struct ntd_timer *timer)
{
	struct ntd_deadline *deadline = ntd_container_of(timer, struct ntd_deadline, timer);

	deadline->running = false;
	deadline->session->ending.timed_out = true;
	ntd_session_abort(deadline->session, SIGTERM, NTD_TIMEOUT_REACHED);
}

static void tell_keeper(const struct ntd_deadline *deadline, int64_t at)
{
	if (deadline == &deadline->session->deadline)
		ntd_session_expect_end(deadline->session, at);
}

static void start(void *arg)
{
	struct ntd_deadline *deadline = arg;
	int64_t at = ntd_after(ntd_span(deadline->seconds));

	deadline->timer.expired = expired;
	ntd_timer_set(deadline->session->loop, &deadline->timer, at);
	deadline->running = true;
	tell_keeper(deadline, at);
}

static void stop(void *arg)
{
	struct ntd_deadline *deadline = arg;

	ntd_timer_cancel(&deadline->timer);
	deadline->running = false;
	tell_keeper(deadline, NTD_FOREVER);
}

void ntd_deadline_start(struct ntd_deadline *deadline)
{
	ntd_loop_call(deadline->session->loop, start, deadline);
}

void ntd_deadline_stop(struct ntd_deadline *deadline)
{
	ntd_loop_call(deadline->session->loop, stop, deadline);
}
