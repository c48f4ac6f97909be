/* What all waits of the agent have in common: their times, and their answers. */
#include "agent/await_internal.h"

void ntd_await_answer(struct ntd_await *await, enum ntd_sight sight, const struct ntd_buf *seen)
{
	_cleanup_buf_ struct ntd_buf payload = {0};

	if (sight == NTD_MEETS && (await->waited || !await->condition.first))
		sight = NTD_MEETS_NOW;
	ntd_finding_pack(&payload, sight, seen);
	ntd_agent_done(&await->stream, &payload);
}

int64_t ntd_await_lasted(const struct ntd_await *await)
{
	return ntd_agent_now() - await->began;
}

/* ---- timers */

static void set(struct ntd_await *await, struct ntd_agent_timer *timer, int64_t at)
{
	ntd_agent_timer_cancel(timer);
	ntd_agent_timer_set(await->stream.agent, timer, at);
}

void ntd_await_again(struct ntd_await *await, int64_t after)
{
	await->waited = true;
	set(await, &await->again, ntd_agent_now() + after);
}

void ntd_await_limit(struct ntd_await *await, int64_t after)
{
	set(await, &await->over, ntd_agent_now() + after);
}

static void again(struct ntd_agent_timer *timer)
{
	struct ntd_await *await = ntd_container_of(timer, struct ntd_await, again);

	await->kind->again(await);
}

static void over(struct ntd_agent_timer *timer)
{
	struct ntd_await *await = ntd_container_of(timer, struct ntd_await, over);

	if (await->kind->over)
		await->kind->over(await);
	else
		ntd_await_answer(await, NTD_FAILS, NULL);
}

void ntd_await_start(struct ntd_await *await)
{
	await->began = ntd_agent_now();
	await->again.expired = again;
	await->over.expired = over;
	ntd_await_limit(await, (int64_t)(await->condition.limit * 1000));
}

void ntd_await_stop(struct ntd_await *await)
{
	ntd_agent_timer_cancel(&await->again);
	ntd_agent_timer_cancel(&await->over);
}
