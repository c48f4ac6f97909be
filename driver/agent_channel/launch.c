/* The start of the agent in the guest, a state machine on the loop thread; other threads wait for
 * its end in ntd_agent_prepare(). How the agent gets into the guest is in by_shell.c and
 * by_nsenter.c.
 *
 * A boot of the guest makes a launch possible; the first command, wait or copy of a script begins
 * it. It ends with the agent's greeting; or it is given up, at the latest when its time is over,
 * and what runs commands without an agent has its work back. A line at the level debug then says
 * why.
 *
 * An agent that has ended by itself is launched again by the next call that could use it, but not
 * more often than LAUNCHES in a boot. An agent that does not serve is only launched for a refresh
 * (refresh.c), which also launches one that was given up: the state of the guest is another one.
 */
#include "agent_channel/agent_channel_internal.h"

#include "agent_channel/programs.h"
#include <string.h>

enum { LAUNCHES = 3 };

/* ---- its end */

static void tell_attendants(struct ntd_agent_launch *launch)
{
	struct ntd_agent_attendant *attendant;

	while ((attendant = ntd_list_take(&launch->attendants, struct ntd_agent_attendant, link)))
		ntd_request_complete(&attendant->request, NULL);
}

static void enter(struct ntd_agent_channel *agent, enum ntd_agent_launch_state state)
{
	struct ntd_agent_launch *launch = &agent->launch;

	launch->state = state;
	launch->may_help =
		state == NTD_AGENT_LAUNCH_POSSIBLE || state == NTD_AGENT_LAUNCH_UNDER_WAY;
	if (state == NTD_AGENT_LAUNCH_UNDER_WAY)
		return;
	ntd_timer_cancel(&launch->limit);
	if (agent->way->over)
		agent->way->over(agent);
	tell_attendants(launch);
}

void ntd_agent_launch_give_up(struct ntd_agent_channel *agent, const char *why)
{
	_cleanup_error_ struct ntd_error *error =
		ntd_error_new(NTD_E_DEAD, "machine '%s' has no agent: %s", agent->machine, why);

	ntd_log(agent->report, NTD_LEVEL_DEBUG, agent->machine,
		"%s runs the commands, as the guest has no agent: %s", agent->way->stand_in, why);
	enter(agent, NTD_AGENT_LAUNCH_IMPOSSIBLE);
	agent->events->disconnect(agent, NTD_LOSS_ENDED, error);
}

static void late(struct ntd_timer *timer)
{
	struct ntd_agent_channel *agent =
		ntd_container_of(timer, struct ntd_agent_channel, launch.limit);

	ntd_agent_launch_give_up(agent, "it took too long to start it");
}

static void begin_launch(struct ntd_agent_channel *agent, int64_t patience)
{
	struct ntd_agent_launch *launch = &agent->launch;

	launch->count++;
	enter(agent, NTD_AGENT_LAUNCH_UNDER_WAY);
	ntd_timer_set(agent->loop, &launch->limit, ntd_after(patience));
	agent->way->begin(agent);
}

/* ---- for the channel and the ways; loop */

void ntd_agent_launch_init(struct ntd_agent_launch *launch)
{
	launch->fd = -1;
	launch->limit.expired = late;
}

const struct ntd_agent_program *ntd_agent_program_for(const char *machine)
{
	for (const struct ntd_agent_program *each = ntd_agent_programs; each->machine; each++)
		if (!strcmp(each->machine, machine))
			return each;
	return NULL;
}

void ntd_agent_launch_allow(struct ntd_agent_channel *agent)
{
	agent->launch.count = 0;
	enter(agent, agent->serves ? NTD_AGENT_LAUNCH_POSSIBLE : NTD_AGENT_LAUNCH_IMPOSSIBLE);
}

void ntd_agent_launch_forbid(struct ntd_agent_channel *agent)
{
	enter(agent, NTD_AGENT_LAUNCH_IMPOSSIBLE);
}

void ntd_agent_launch_connected(struct ntd_agent_channel *agent)
{
	enter(agent, NTD_AGENT_LAUNCH_DONE);
}

void ntd_agent_launch_ended(struct ntd_agent_channel *agent, const char *why)
{
	if (agent->launch.state == NTD_AGENT_LAUNCH_UNDER_WAY)
		ntd_agent_launch_give_up(agent, why);
	else if (agent->launch.state == NTD_AGENT_LAUNCH_DONE)
		enter(agent, agent->serves && agent->launch.count < LAUNCHES
				     ? NTD_AGENT_LAUNCH_POSSIBLE
				     : NTD_AGENT_LAUNCH_IMPOSSIBLE);
}

/* ---- script threads */

/* Whether the thread begins the launch. The root shell may be needed for something else. */
static bool is_to_begin(const struct ntd_agent_attendant *attendant)
{
	enum ntd_agent_launch_state state = attendant->agent->launch.state;

	return (state == NTD_AGENT_LAUNCH_POSSIBLE ||
		(state == NTD_AGENT_LAUNCH_IMPOSSIBLE && attendant->refreshes)) &&
	       !attendant->agent->way->yields(attendant->agent);
}

static void attend(struct ntd_request *request)
{
	struct ntd_agent_attendant *attendant =
		ntd_container_of(request, struct ntd_agent_attendant, request);
	struct ntd_agent_channel *agent = attendant->agent;
	struct ntd_agent_launch *launch = &agent->launch;

	if (is_to_begin(attendant)) {
		if (attendant->refreshes)
			launch->count = 0;
		ntd_list_append(&launch->attendants, &attendant->link);
		begin_launch(agent, attendant->patience);
	} else if (launch->state == NTD_AGENT_LAUNCH_UNDER_WAY) {
		ntd_list_append(&launch->attendants, &attendant->link);
	} else {
		ntd_request_complete(request, NULL);
	}
}

static void leave(struct ntd_request *request)
{
	ntd_list_unlink(&ntd_container_of(request, struct ntd_agent_attendant, request)->link);
}

static int attend_launch(struct ntd_agent_attendant *attendant, struct ntd_waiter *waiter,
			 struct ntd_error **err)
{
	attendant->request = (struct ntd_request){.begin = attend, .abandon = leave};
	return ntd_request_run(attendant->agent->loop, &attendant->request, NTD_FOREVER, waiter,
			       err);
}

int ntd_agent_prepare(struct ntd_channel *channel, int64_t patience, struct ntd_waiter *waiter,
		      struct ntd_error **err)
{
	struct ntd_agent_channel *agent =
		ntd_container_of(channel, struct ntd_agent_channel, channel);
	struct ntd_agent_attendant attendant = {.agent = agent, .patience = patience};

	return agent->launch.may_help ? attend_launch(&attendant, waiter, err) : 0;
}

int ntd_agent_launch_to_refresh(struct ntd_agent_channel *agent, int64_t patience,
				struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct ntd_agent_attendant attendant = {
		.agent = agent, .patience = patience, .refreshes = true};

	return attend_launch(&attendant, waiter, err);
}
