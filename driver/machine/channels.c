/* The channels of a machine, in order of preference. The list only grows, so any thread reads it
 * without a lock; only the loop thread changes which channels are ready.
 */
#include "machine/internal.h"

/* How long a channel may take to be made ready, on a machine that is not slow. */
enum { PATIENCE_SECONDS = 5 };

static struct ntd_channel *first(const struct ntd_machine *machine)
{
	return machine->channels;
}

/* NOLINTBEGIN(bugprone-macro-parentheses): the name of a variable */
#define each_channel(channel, machine)                                                             \
	for (struct ntd_channel *channel = first(machine); channel; channel = channel->next)
/* NOLINTEND(bugprone-macro-parentheses) */

/* ---- any thread */

static bool can(const struct ntd_channel *channel, enum ntd_channel_want want)
{
	switch (want) {
	case NTD_CHANNEL_FILES:
		return channel->ops->put && channel->ops->get;
	case NTD_CHANNEL_WAY_IN:
		return !channel->ops->prepare;
	case NTD_CHANNEL_ANY:
	default:
		return true;
	}
}

struct ntd_channel *ntd_machine_channel(struct ntd_machine *machine, enum ntd_channel_want want)
{
	struct ntd_channel *silent = NULL;

	each_channel (channel, machine) {
		if (channel->absent || !can(channel, want))
			continue;
		if (channel->ready)
			return channel;
		if (!silent)
			silent = channel;
	}
	return want == NTD_CHANNEL_ANY || want == NTD_CHANNEL_WAY_IN ? silent : NULL;
}

struct ntd_channel *ntd_machine_waiting_channel(struct ntd_machine *machine)
{
	struct ntd_channel *channel = ntd_machine_channel(machine, NTD_CHANNEL_ANY);

	return channel && channel->ops->await && !channel->user ? channel : NULL;
}

int ntd_machine_prepare_channels(struct ntd_machine *machine, struct ntd_waiter *waiter,
				 struct ntd_error **err)
{
	double slowness = machine->kind->slowness ? machine->kind->slowness(machine) : 1;
	int64_t patience = ntd_span(PATIENCE_SECONDS * slowness);

	each_channel (channel, machine)
		if (channel->ops->prepare && !channel->ready &&
		    channel->ops->prepare(channel, patience, waiter, err) < 0)
			return -1;
	return 0;
}

bool ntd_machine_has_channel(const struct ntd_machine *machine, enum ntd_channel_want want)
{
	each_channel (channel, machine)
		if (!channel->absent && can(channel, want))
			return true;
	return false;
}

/* ---- loop */

struct ntd_channel *ntd_channels_unmet(const struct ntd_machine *machine)
{
	each_channel (channel, machine)
		if (channel->unmet)
			return channel;
	return NULL;
}

void ntd_channels_reboot(struct ntd_machine *machine)
{
	each_channel (channel, machine) {
		channel->unmet = false;
		if (!channel->ops->reboots)
			continue;
		channel->ready = false;
		channel->ops->reboots(channel);
	}
}

void ntd_channels_meet(struct ntd_machine *machine)
{
	each_channel (channel, machine)
		channel->unmet = false;
}

void ntd_channel_withdraw(struct ntd_channel *channel)
{
	channel->ready = channel->unmet = false;
}

void ntd_channels_close(struct ntd_machine *machine, const struct ntd_error *why)
{
	each_channel (channel, machine) {
		channel->ops->close(channel, why);
		ntd_channel_withdraw(channel);
		ntd_channel_refused(channel, NULL);
	}
}

void ntd_channel_refused(struct ntd_channel *channel, const struct ntd_error *why)
{
	struct ntd_error *before = channel->refusal;

	channel->refusal = ntd_error_copy(why);
	ntd_error_free(before);
}

const struct ntd_error *ntd_channels_refusal(const struct ntd_machine *machine)
{
	const struct ntd_error *refusal = NULL;

	each_channel (channel, machine) {
		if (channel->absent)
			continue;
		if (!channel->refusal)
			return NULL;
		if (!refusal)
			refusal = channel->refusal;
	}
	return refusal;
}

bool ntd_channels_ready(const struct ntd_machine *machine)
{
	each_channel (channel, machine)
		if (channel->ready && !channel->absent)
			return true;
	return false;
}

int64_t ntd_channels_heard(const struct ntd_machine *machine)
{
	int64_t heard = 0;

	each_channel (channel, machine)
		if (channel->heard > heard)
			heard = channel->heard;
	return heard;
}

void ntd_channels_forget(struct ntd_machine *machine)
{
	each_channel (channel, machine) {
		free(ntd_steal(&channel->said));
		ntd_channel_refused(channel, NULL);
		free(atomic_exchange(&channel->user, NULL));
	}
}
