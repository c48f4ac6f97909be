/* Attempts of waits that the channel makes. */
#include "guest/await.h"

#include "machine/machine.h"

/* The longest attempt, in seconds: between attempts the hook for commands is called. */
#define ATTEMPT_MOST 1.0

/* A channel that answers sooner that a condition does not hold has not waited. */
#define WAITED (50 * NTD_MS)

int ntd_await_verdict(enum ntd_sight sight)
{
	switch (sight) {
	case NTD_MEETS:
	case NTD_MEETS_NOW:
		return NTD_HOLDS;
	case NTD_UNSETTLED:
		return NTD_FRESH;
	case NTD_UNSEEN:
	case NTD_FAILS:
	case NTD_SIGHT_COUNT:
	default:
		return NTD_NOT_YET;
	}
}

/* Has the channel wait. An error of the channel is not one of the wait, as a command may tell more,
 * but an interruption is. */
static int wait_in_guest(struct ntd_channel *channel, struct ntd_awaited *awaited,
			 struct ntd_finding *finding, struct ntd_waiter *waiter,
			 struct ntd_error **err)
{
	_cleanup_error_ struct ntd_error *error = NULL;

	if (channel->ops->await(channel, &awaited->condition, finding, waiter, &error) == 0) {
		awaited->given_up = finding->sight == NTD_UNSEEN && !awaited->fickle;
		return 0;
	}
	if (error->code == NTD_E_CANCELLED)
		return ntd_error_move(err, ntd_steal(&error));
	awaited->given_up = error->code == NTD_E_TIMEOUT || error->code == NTD_E_PROTOCOL;
	finding->sight = NTD_UNSEEN;
	return 0;
}

static void set_limit(const struct ntd_wait *wait, struct ntd_awaited *awaited)
{
	int64_t now = ntd_now(), deadline;

	awaited->condition.first = !awaited->began;
	if (!awaited->began)
		awaited->began = now;
	deadline = ntd_wait_deadline(wait, awaited->began);
	awaited->condition.limit = ATTEMPT_MOST;
	if (deadline - now < ntd_span(ATTEMPT_MOST))
		awaited->condition.limit = deadline > now ? ntd_seconds(deadline - now) : 0;
}

int ntd_machine_await(struct ntd_wait *wait, struct ntd_awaited *awaited, bool last,
		      struct ntd_finding *finding, struct ntd_waiter *waiter,
		      struct ntd_error **err)
{
	const struct ntd_condition *condition = &awaited->condition;
	_cleanup_user_ struct ntd_machine *used = NULL;
	struct ntd_channel *channel;
	int64_t began;
	bool waited;

	wait->pace = NTD_PACE_ADAPTIVE;
	set_limit(wait, awaited);
	if (last || awaited->given_up || (!condition->subject && !condition->port) ||
	    !ntd_machine_waiting_channel(wait->machine))
		return NTD_UNSEEN;
	if (ntd_machine_before_command(wait->machine, waiter, err) < 0)
		return -1;
	used = ntd_machine_enter(wait->machine, waiter, err);
	if (!used)
		return -1;
	channel = ntd_machine_waiting_channel(wait->machine);
	if (!channel)
		return NTD_UNSEEN;
	began = ntd_now();
	if (wait_in_guest(channel, awaited, finding, waiter, err) < 0)
		return -1;
	waited = !ntd_sight_holds(finding->sight) && ntd_now() - began >= WAITED;
	wait->waited |= waited || finding->sight == NTD_MEETS_NOW;
	if (waited && finding->sight != NTD_UNSEEN)
		wait->pace = NTD_PACE_NONE;
	return finding->sight;
}

int ntd_machine_await_change(struct ntd_wait *wait, struct ntd_awaited *awaited, bool last,
			     struct ntd_waiter *waiter, struct ntd_error **err)
{
	_cleanup_finding_ struct ntd_finding finding = {0};
	int sight = ntd_machine_await(wait, awaited, last, &finding, waiter, err);

	if (!ntd_sight_holds(sight))
		return sight;
	free(awaited->mark);
	awaited->mark = ntd_buf_take_string(&finding.seen);
	awaited->condition.subject = awaited->mark;
	return sight;
}
