/* The start of the agent in the guest, a state machine on the loop thread; other threads wait for
 * its end in ntd_agent_prepare().
 *
 * Theory of operation
 *
 * A new root shell makes a launch possible; the first command, wait or copy of a script begins it.
 * The port is added to the guest, while the root shell is asked what machine it runs on. Then the
 * bytes of the program for that machine are written to the port, and the root shell starts it
 * (launch.sh). The launch ends with the agent's greeting on the port; or it is given up,
 * at the latest when its time is over, and the root shell has its work back. A line at the level
 * debug then says why.
 *
 * An agent that has ended by itself is launched again by the next call that could use it, but not
 * more often than LAUNCHES for a root shell.
 */
#include "agent_channel/agent_channel_internal.h"

#include "agent_channel/programs.h"
#include "base/text.h"

#include <math.h>
#include <string.h>

enum { LAUNCHES = 3 };

/* ---- its end */

static void tell_attendants(struct ntd_agent_launch *launch)
{
	struct ntd_agent_attendant *attendant;

	while ((attendant = ntd_list_take(&launch->attendants, struct ntd_agent_attendant, link)))
		ntd_request_complete(&attendant->request, NULL);
}

static void take_back(struct ntd_shell_question *question)
{
	ntd_shell_take_back(question);
	ntd_result_free(&question->result);
	free(ntd_steal(&question->text));
}

static void enter(struct ntd_agent_launch *launch, enum ntd_agent_launch_state state)
{
	launch->state = state;
	launch->may_help =
		state == NTD_AGENT_LAUNCH_POSSIBLE || state == NTD_AGENT_LAUNCH_UNDER_WAY;
	if (state == NTD_AGENT_LAUNCH_UNDER_WAY)
		return;
	ntd_timer_cancel(&launch->limit);
	/* The agent greets before the shell that has started it answers. */
	if (state != NTD_AGENT_LAUNCH_DONE)
		take_back(&launch->start);
	take_back(&launch->survey);
	ntd_close_fd(&launch->fd);
	free(ntd_steal(&launch->port_name));
	tell_attendants(launch);
}

/* Ends the launch without an agent, for which the caller closes the connection. */
static void give_up(struct ntd_agent_channel *agent, const char *why)
{
	_cleanup_error_ struct ntd_error *error =
		ntd_error_new(NTD_E_DEAD, "machine '%s' has no agent: %s", agent->machine, why);

	ntd_log(agent->report, NTD_LEVEL_DEBUG, agent->machine,
		"the root shell runs the commands, as the guest has no agent: %s", why);
	enter(&agent->launch, NTD_AGENT_LAUNCH_IMPOSSIBLE);
	agent->events->disconnect(agent, NTD_LOSS_ENDED, error);
}

static void late(struct ntd_timer *timer)
{
	struct ntd_agent_channel *agent =
		ntd_container_of(timer, struct ntd_agent_channel, launch.limit);

	give_up(agent, "it took too long to start it");
}

/* ---- its steps */

static void started(struct ntd_shell_question *question, const struct ntd_error *error)
{
	struct ntd_agent_channel *agent = question->owner;
	const struct ntd_buf *output = &question->result.output;
	_cleanup_free_ char *why = ntd_shown(ntd_buf_bytes(output), output->len);

	if (agent->launch.state != NTD_AGENT_LAUNCH_UNDER_WAY)
		take_back(question);
	else if (error)
		give_up(agent, error->message);
	else if (question->result.status)
		give_up(agent, why);
}

/* Everything that the root shell needs is there. */
static void start(struct ntd_agent_channel *agent)
{
	struct ntd_agent_launch *launch = &agent->launch;
	const struct ntd_agent_program *program = launch->program;
	_cleanup_error_ struct ntd_error *error = NULL;

	if (ntd_agent_connection_open(agent, ntd_steal_fd(&launch->fd), &error) < 0) {
		give_up(agent, error->message);
		return;
	}
	ntd_buf_append(&agent->out, program->bytes, program->len);
	ntd_agent_flush(agent);
	launch->start = (struct ntd_shell_question){
		.text = ntd_asprintf("%sntd_agent %s %.0f %zu", ntd_launch_sh, launch->port_name,
				     ceil(ntd_seconds(launch->limit.at - ntd_now()) * 0.8),
				     program->len),
		.ended = started,
		.owner = agent};
	ntd_shell_ask(agent->shell, &launch->start);
}

static void start_if_complete(struct ntd_agent_channel *agent)
{
	if (agent->launch.program && agent->launch.fd >= 0)
		start(agent);
}

static const struct ntd_agent_program *program_for(const char *machine)
{
	for (const struct ntd_agent_program *each = ntd_agent_programs; each->machine; each++)
		if (!strcmp(each->machine, machine))
			return each;
	return NULL;
}

static void surveyed(struct ntd_shell_question *question, const struct ntd_error *error)
{
	struct ntd_agent_channel *agent = question->owner;
	const struct ntd_buf *output = &question->result.output;
	_cleanup_free_ char *machine = ntd_shown(ntd_buf_bytes(output), output->len);
	_cleanup_free_ char *none =
		ntd_asprintf("there is no program for its machine, %s", machine);

	if (error) {
		give_up(agent, error->message);
		return;
	}
	agent->launch.program = program_for(machine);
	if (agent->launch.program)
		start_if_complete(agent);
	else
		give_up(agent, none);
}

static void port_opened(void *owner, int fd, const char *name)
{
	struct ntd_agent_channel *agent = owner;

	agent->launch.fd = fd;
	agent->launch.port_name = ntd_strdup(name);
	start_if_complete(agent);
}

static void port_failed(void *owner, const struct ntd_error *why)
{
	give_up(owner, why->message);
}

/* The agent had the port open as long as it lived. */
static void port_left(void *owner)
{
	struct ntd_agent_channel *agent = owner;
	_cleanup_error_ struct ntd_error *why = ntd_agent_end_error(agent);

	ntd_agent_connection_drain(agent);
	agent->events->lost(agent, why);
}

static void begin_launch(struct ntd_agent_channel *agent, int64_t patience)
{
	struct ntd_agent_launch *launch = &agent->launch;
	struct ntd_port_user user = {
		.opened = port_opened, .failed = port_failed, .left = port_left, .owner = agent};

	launch->count++;
	launch->program = NULL;
	launch->survey = (struct ntd_shell_question){
		.text = ntd_strdup("x=$HOSTTYPE"), .ended = surveyed, .owner = agent};
	enter(launch, NTD_AGENT_LAUNCH_UNDER_WAY);
	ntd_timer_set(agent->loop, &launch->limit, ntd_after(patience));
	agent->port->ops->open(agent->port, &user);
	ntd_shell_ask(agent->shell, &launch->survey);
}

/* ---- for the channel; loop */

void ntd_agent_launch_init(struct ntd_agent_launch *launch)
{
	launch->fd = -1;
	launch->limit.expired = late;
}

void ntd_agent_launch_allow(struct ntd_agent_channel *agent)
{
	agent->launch.count = 0;
	enter(&agent->launch,
	      agent->port ? NTD_AGENT_LAUNCH_POSSIBLE : NTD_AGENT_LAUNCH_IMPOSSIBLE);
}

void ntd_agent_launch_forbid(struct ntd_agent_channel *agent)
{
	enter(&agent->launch, NTD_AGENT_LAUNCH_IMPOSSIBLE);
}

void ntd_agent_launch_connected(struct ntd_agent_channel *agent)
{
	enter(&agent->launch, NTD_AGENT_LAUNCH_DONE);
}

void ntd_agent_launch_ended(struct ntd_agent_channel *agent, const char *why)
{
	if (agent->launch.state == NTD_AGENT_LAUNCH_UNDER_WAY)
		give_up(agent, why);
	else if (agent->launch.state == NTD_AGENT_LAUNCH_DONE)
		enter(&agent->launch, agent->launch.count < LAUNCHES ? NTD_AGENT_LAUNCH_POSSIBLE
								     : NTD_AGENT_LAUNCH_IMPOSSIBLE);
}

/* ---- script threads */

static void attend(struct ntd_request *request)
{
	struct ntd_agent_attendant *attendant =
		ntd_container_of(request, struct ntd_agent_attendant, request);
	struct ntd_agent_channel *agent = attendant->agent;
	struct ntd_agent_launch *launch = &agent->launch;

	/* Bytes of a script's own may wait to be written to the shell. */
	if (launch->state == NTD_AGENT_LAUNCH_POSSIBLE && !ntd_shell_is_occupied(agent->shell)) {
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

int ntd_agent_prepare(struct ntd_channel *channel, int64_t patience, struct ntd_waiter *waiter,
		      struct ntd_error **err)
{
	struct ntd_agent_channel *agent =
		ntd_container_of(channel, struct ntd_agent_channel, channel);
	struct ntd_agent_attendant attendant = {.request = {.begin = attend, .abandon = leave},
						.agent = agent,
						.patience = patience};

	if (!agent->launch.may_help)
		return 0;
	return ntd_request_run(agent->loop, &attendant.request, NTD_FOREVER, waiter, err);
}
