/* The agent as a channel: how it is made and closed, and when it can be used.
 *
 * When the agent is lost, the guest may be about to end: at a reboot all processes are killed, the
 * agent perhaps before the root shell. Then the calls have to end as commands of the root shell
 * would, by its next announcement or with the machine. So the root shell is asked first: if it
 * answers, the guest goes on, and the calls end since the agent has ended.
 */
#include "agent_channel/agent_channel_internal.h"

#include "agent_channel/await.h"
#include "agent_channel/copy.h"

static struct ntd_agent_channel *agent_of(struct ntd_channel *channel)
{
	return ntd_container_of(channel, struct ntd_agent_channel, channel);
}

/* ---- on the loop thread */

static void withdraw(struct ntd_agent_channel *agent)
{
	agent->channel.ready = false;
	agent->channel.absent = true;
}

static void drop_connection(struct ntd_agent_channel *agent, const struct ntd_error *why)
{
	withdraw(agent);
	ntd_agent_connection_close(agent, why);
	if (agent->port)
		agent->port->ops->close(agent->port);
}

static void end_calls(struct ntd_agent_channel *agent, enum ntd_agent_loss loss,
		      const struct ntd_error *why)
{
	ntd_shell_take_back(&agent->verdict);
	ntd_result_free(&agent->verdict.result);
	ntd_agent_calls_lost(agent, loss, why);
}

static void disconnect(struct ntd_agent_channel *agent, enum ntd_agent_loss loss,
		       const struct ntd_error *why)
{
	drop_connection(agent, why);
	end_calls(agent, loss, why);
}

static void connected(struct ntd_agent_channel *agent)
{
	agent->channel.absent = false;
	agent->channel.ready = true;
	ntd_agent_launch_connected(agent);
}

static void shell_answered(struct ntd_shell_question *question, const struct ntd_error *error)
{
	struct ntd_agent_channel *agent = question->owner;
	_cleanup_error_ struct ntd_error *why = ntd_error_copy(error ? error : agent->why);

	end_calls(agent, error ? NTD_LOSS_CLOSED : NTD_LOSS_ENDED, why);
}

static void ask_shell(struct ntd_agent_channel *agent)
{
	static char nothing[] = ":";

	agent->verdict = (struct ntd_shell_question){
		.text = nothing, .ended = shell_answered, .owner = agent};
	ntd_shell_ask(agent->shell, &agent->verdict);
}

static void lost(struct ntd_agent_channel *agent, const struct ntd_error *why)
{
	drop_connection(agent, why);
	/* Where the shell has gone, too, the channel is going to be closed. */
	if (ntd_list_empty(&agent->calls) || !ntd_shell_listens(agent->shell))
		;
	else if (ntd_shell_is_occupied(agent->shell))
		end_calls(agent, NTD_LOSS_ENDED, why);
	else if (!agent->verdict.job)
		ask_shell(agent);
	ntd_agent_launch_ended(agent, why->message);
}

static void shell_began_anew(void *owner)
{
	struct ntd_agent_channel *agent = owner;
	_cleanup_error_ struct ntd_error *why = ntd_error_new(
		NTD_E_MACHINE, "machine '%s': the root shell began anew (the guest rebooted?)",
		agent->machine);

	ntd_agent_connection_drain(agent);
	disconnect(agent, NTD_LOSS_ANEW, why);
	ntd_agent_launch_allow(agent);
}

static void shell_spoken_to(void *owner)
{
	struct ntd_agent_channel *agent = owner;
	_cleanup_error_ struct ntd_error *why = ntd_error_new(
		NTD_E_MACHINE, "machine '%s': a script speaks to the root shell", agent->machine);

	withdraw(agent);
	ntd_agent_launch_forbid(agent);
	if (!agent->connected)
		drop_connection(agent, why);
}

static void close_channel(struct ntd_channel *channel, const struct ntd_error *why)
{
	struct ntd_agent_channel *agent = agent_of(channel);

	ntd_agent_connection_drain(agent);
	ntd_agent_launch_forbid(agent);
	disconnect(agent, NTD_LOSS_CLOSED, why);
}

void ntd_agent_channel_forget(struct ntd_agent_channel *agent)
{
	_cleanup_error_ struct ntd_error *why = ntd_error_new(
		NTD_E_MACHINE, "machine '%s': QEMU saves the guest's state, or loads another",
		agent->machine);

	if (agent->launch.state != NTD_AGENT_LAUNCH_UNDER_WAY &&
	    agent->launch.state != NTD_AGENT_LAUNCH_DONE)
		return;
	disconnect(agent, NTD_LOSS_ENDED, why);
	ntd_agent_launch_allow(agent);
}

void ntd_agent_channel_set_report(struct ntd_agent_channel *agent, struct ntd_report *report)
{
	agent->report = report;
}

static const struct ntd_agent_events events = {
	.connected = connected, .lost = lost, .disconnect = disconnect};

/* ---- on other threads */

static int await(struct ntd_channel *channel, const struct ntd_condition *condition,
		 struct ntd_finding *finding, struct ntd_waiter *waiter, struct ntd_error **err)
{
	return ntd_agent_channel_await(agent_of(channel), condition, finding, waiter, err);
}

static int copy(struct ntd_channel *channel, enum ntd_sftp_direction direction, const char *source,
		const char *target, struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct ntd_agent_channel *agent = agent_of(channel);
	const struct ntd_agent_copy asked = {agent,     agent->report, agent->machine,
					     direction, source,        target};

	return ntd_agent_copy(&asked, waiter, err);
}

static int put(struct ntd_channel *channel, const char *source, const char *target,
	       struct ntd_waiter *waiter, struct ntd_error **err)
{
	return copy(channel, NTD_SFTP_PUT, source, target, waiter, err);
}

static int get(struct ntd_channel *channel, const char *source, const char *target,
	       struct ntd_waiter *waiter, struct ntd_error **err)
{
	return copy(channel, NTD_SFTP_GET, source, target, waiter, err);
}

static const struct ntd_channel_ops ops = {.run = ntd_agent_run,
					   .prepare = ntd_agent_prepare,
					   .put = put,
					   .get = get,
					   .await = await,
					   .close = close_channel};

struct ntd_agent_channel *ntd_agent_channel_new(struct ntd_loop *loop, struct ntd_report *report,
						const char *machine, struct ntd_shell *shell,
						struct ntd_port *port)
{
	struct ntd_agent_channel *agent = ntd_calloc(1, sizeof *agent);
	struct ntd_shell_watcher watcher = {
		.anew = shell_began_anew, .spoken_to = shell_spoken_to, .owner = agent};

	agent->channel.ops = &ops;
	agent->events = &events;
	agent->channel.name = "agent";
	agent->channel.parallel = true;
	agent->channel.prefers_shared = true;
	agent->channel.absent = true;
	agent->loop = loop;
	agent->report = report;
	agent->machine = ntd_strdup(machine);
	agent->shell = shell;
	agent->port = port;
	agent->socket.fd = -1;
	ntd_agent_launch_init(&agent->launch);
	ntd_shell_watch(shell, &watcher);
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
