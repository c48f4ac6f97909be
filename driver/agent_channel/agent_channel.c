/* The agent as a channel: how it is made and closed, and when it can be used. The ways in which the
 * agent gets into guests make channels of it: by_shell.c and by_nsenter.c.
 */
#include "agent_channel/agent_channel_internal.h"

#include "agent_channel/await.h"

static struct ntd_agent_channel *agent_of(struct ntd_channel *channel)
{
	return ntd_container_of(channel, struct ntd_agent_channel, channel);
}

/* ---- on the loop thread */

void ntd_agent_withdraw(struct ntd_agent_channel *agent)
{
	agent->channel.ready = false;
	agent->channel.absent = true;
}

void ntd_agent_drop_connection(struct ntd_agent_channel *agent, const struct ntd_error *why)
{
	ntd_agent_withdraw(agent);
	ntd_agent_connection_close(agent, why);
	agent->way->leave(agent);
}

void ntd_agent_end_calls(struct ntd_agent_channel *agent, enum ntd_agent_loss loss,
			 const struct ntd_error *why)
{
	ntd_timer_cancel(&agent->verdict_limit);
	ntd_shell_take_back(&agent->verdict);
	ntd_result_free(&agent->verdict.result);
	ntd_agent_calls_lost(agent, loss, why);
}

static void disconnect(struct ntd_agent_channel *agent, enum ntd_agent_loss loss,
		       const struct ntd_error *why)
{
	ntd_agent_drop_connection(agent, why);
	ntd_agent_end_calls(agent, loss, why);
}

static void connected(struct ntd_agent_channel *agent)
{
	agent->channel.absent = !agent->serves;
	agent->channel.ready = agent->serves;
	ntd_agent_launch_connected(agent);
}

static void lost(struct ntd_agent_channel *agent, const struct ntd_error *why)
{
	ntd_agent_drop_connection(agent, why);
	if (agent->left)
		ntd_agent_end_calls(agent, NTD_LOSS_LEFT, why);
	else if (!ntd_list_empty(&agent->calls))
		agent->way->lost(agent, why);
	ntd_agent_launch_ended(agent, why->message);
}

void ntd_agent_begin_anew(struct ntd_agent_channel *agent, const struct ntd_error *why)
{
	ntd_agent_connection_drain(agent);
	disconnect(agent, NTD_LOSS_ANEW, why);
	ntd_agent_launch_allow(agent);
}

void ntd_agent_close(struct ntd_channel *channel, const struct ntd_error *why)
{
	struct ntd_agent_channel *agent = agent_of(channel);

	ntd_agent_connection_drain(agent);
	ntd_agent_launch_forbid(agent);
	disconnect(agent, NTD_LOSS_CLOSED, why);
	ntd_agent_unplug(agent, why);
}

/* An agent is still connected, and has its port, when a script has spoken to the root shell, which
 * forbids launches. */
static void take_away(struct ntd_agent_channel *agent, enum ntd_agent_loss loss,
		      const struct ntd_error *why)
{
	bool launched = agent->launch.state == NTD_AGENT_LAUNCH_UNDER_WAY ||
			agent->launch.state == NTD_AGENT_LAUNCH_DONE;

	if (!launched && !agent->connected)
		return;
	disconnect(agent, loss, why);
	if (launched)
		ntd_agent_launch_allow(agent);
}

void ntd_agent_take_away(struct ntd_agent_channel *agent, const struct ntd_error *why)
{
	take_away(agent, NTD_LOSS_ENDED, why);
}

void ntd_agent_channel_forget(struct ntd_agent_channel *agent, const struct ntd_error *why)
{
	_cleanup_error_ struct ntd_error *usual = ntd_error_new(
		NTD_E_MACHINE, "machine '%s': QEMU saves the guest's state, or loads another",
		agent->machine);

	if (why)
		take_away(agent, NTD_LOSS_CLOSED, why);
	else
		ntd_agent_take_away(agent, usual);
	ntd_agent_unplug(agent, why ? why : usual);
}

void ntd_agent_channel_set_report(struct ntd_agent_channel *agent, struct ntd_report *report)
{
	agent->report = report;
}

/* ---- on other threads */

int ntd_agent_await_condition(struct ntd_channel *channel, const struct ntd_condition *condition,
			      struct ntd_finding *finding, struct ntd_waiter *waiter,
			      struct ntd_error **err)
{
	return ntd_agent_channel_await(agent_of(channel), condition, finding, waiter, err);
}

struct ntd_agent_channel *ntd_agent_channel_make(struct ntd_loop *loop, struct ntd_report *report,
						 const char *machine,
						 const struct ntd_channel_ops *ops,
						 const struct ntd_agent_way *way)
{
	static const struct ntd_agent_events events = {
		.connected = connected, .lost = lost, .disconnect = disconnect};
	struct ntd_agent_channel *agent = ntd_calloc(1, sizeof *agent);

	agent->channel.ops = ops;
	agent->channel.name = "agent";
	agent->channel.parallel = true;
	agent->channel.absent = true;
	agent->events = &events;
	agent->way = way;
	agent->loop = loop;
	agent->report = report;
	agent->machine = ntd_strdup(machine);
	agent->serves = true;
	agent->socket.fd = agent->plugged = -1;
	ntd_agent_launch_init(&agent->launch);
	return agent;
}

void ntd_agent_channel_free(struct ntd_agent_channel *agent)
{
	if (!agent)
		return;
	ntd_error_free(agent->why);
	free(agent->machine);
	free(agent);
}

struct ntd_channel *ntd_agent_channel_of(struct ntd_agent_channel *agent)
{
	return &agent->channel;
}
