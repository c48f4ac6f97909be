/* The agent in saved states of the guest.
 *
 * Theory of operation
 *
 * An agent that has nothing to do when the guest's state is saved waits for a frame, in memory, and
 * so it does when that state has been loaded: it need not be launched anew, and what it executes
 * first has been read from the disk, linked and so on. QEMU saves the guest's side of the port, and
 * whether there was a socket at the other side, but not which. So before QEMU loads the state, it
 * is given a port of the same number with a socket of its own, and neither the guest nor the agent
 * sees a difference: nothing that was sent before the load comes out of that socket, and what it is
 * asked from then on has numbers of streams that were not used before.
 *
 * Only the guest's answer tells that the agent goes on: it may have been killed between the last
 * look at it and the moment of the state, or be stuck. A refresh asks (refresh.c), and launches
 * another agent if need be. An agent of another version is not asked for anything: the state is one
 * of another driver's. Nor is one that was not fit to go on any more at the moment of the state, as
 * when a script spoke to the root shell just then; the port is needed all the same.
 */
#include "agent_channel/agent_channel_internal.h"

/* QEMU answers in milliseconds, unless it is very busy. */
#define PATIENCE (10 * NTD_SECOND)

/* ---- saving; loop */

bool ntd_agent_channel_rests(const struct ntd_agent_channel *agent, struct ntd_agent_saved *saved)
{
	if (!agent->connected || !agent->channel.ready || !ntd_list_empty(&agent->calls) ||
	    agent->in.len || agent->out.len)
		return false;
	saved->streams = agent->streams;
	saved->version = NTD_AGENT_VERSION;
	return true;
}

/* ---- loading; loop */

void ntd_agent_unplug(struct ntd_agent_channel *agent, const struct ntd_error *why)
{
	struct ntd_request *plugging = ntd_steal(&agent->plugging);

	if (!plugging && agent->plugged < 0)
		return;
	ntd_close_fd(&agent->plugged);
	agent->port->ops->close(agent->port);
	if (plugging)
		ntd_request_complete(plugging, ntd_error_copy(why));
}

static void opened(void *owner, int fd, const char *name)
{
	struct ntd_agent_channel *agent = owner;

	agent->plugged = fd;
	ntd_request_complete(ntd_steal(&agent->plugging), NULL);
}

static void failed(void *owner, const struct ntd_error *why)
{
	struct ntd_agent_channel *agent = owner;

	ntd_request_complete(ntd_steal(&agent->plugging), ntd_error_copy(why));
}

/* A thread that waits for the port. */
struct plugging {
	struct ntd_request request;
	struct ntd_agent_channel *agent;
	unsigned number;
};

static void begin(struct ntd_request *request)
{
	const struct plugging *plugging = ntd_container_of(request, struct plugging, request);
	struct ntd_agent_channel *agent = plugging->agent;
	struct ntd_port_user user = {.opened = opened,
				     .failed = failed,
				     .left = ntd_agent_port_left,
				     .owner = agent,
				     .number = plugging->number};

	agent->plugging = request;
	agent->port->ops->open(agent->port, &user);
}

static void abandon(struct ntd_request *request)
{
	struct ntd_agent_channel *agent =
		ntd_container_of(request, struct plugging, request)->agent;

	agent->plugging = NULL;
	agent->port->ops->close(agent->port);
}

void ntd_agent_channel_resume(struct ntd_agent_channel *agent, const struct ntd_agent_saved *saved)
{
	if (agent->plugged < 0)
		return;
	if (saved->version != NTD_AGENT_VERSION) {
		ntd_agent_unplug(agent, NULL);
		return;
	}
	if (ntd_agent_connection_open(agent, ntd_steal_fd(&agent->plugged), NULL) < 0) {
		agent->port->ops->close(agent->port);
		return;
	}
	if (agent->streams < saved->streams)
		agent->streams = saved->streams;
	agent->connected = agent->resumed = true;
	agent->left = false;
	agent->events->connected(agent);
}

/* ---- script threads */

int ntd_agent_channel_plug(struct ntd_agent_channel *agent, const struct ntd_agent_saved *saved,
			   struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct plugging plugging = {.request = {.begin = begin, .abandon = abandon},
				    .agent = agent,
				    .number = saved->port};

	if (!saved->port || !agent->port)
		return 0;
	return ntd_request_run(agent->loop, &plugging.request, ntd_after(PATIENCE), waiter, err);
}
