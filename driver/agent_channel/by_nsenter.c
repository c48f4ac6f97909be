/* The agent in a container. On the loop thread, but for the operations of the channel.
 *
 * Theory of operation
 *
 * nsenter(1) starts the agent as it starts a command, and waits for its end. The agent's program is
 * a file in memory, which is executed as its standard output, since the container may have no place
 * for it; its standard input is one end of a pair of sockets. A command by the agent costs a
 * process of bash, one by nsenter four processes, two of them of the driver's keeper. Commands that
 * the agent does not take are run by nsenter, and to a script there is no difference.
 *
 * The agent ends with the container, with nsenter, which the driver's keeper ends, and when its
 * socket is closed. A container that powers off sends SIGTERM to all processes; the agent then
 * tells how its commands have ended, and ends.
 *
 * A command that was killed, or an agent that is lost, may be all that is seen yet of a container's
 * end, of which systemd-nspawn says more: see ntd_nsenter_await_end().
 */
#include "agent_channel/agent_channel_internal.h"

#include "agent_channel/programs.h"
#include "base/memfd.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>

enum { KILLED = NTD_STATUS_SIGNALLED + SIGKILL };

/* ---- the launch */

/* Of the process's end the connection tells. */
static void process_changed(struct ntd_process *process, void *owner)
{
	_cleanup_free_ char *why = NULL;

	if (process->state != NTD_PROCESS_FAILED)
		return;
	why = ntd_asprintf("nsenter cannot be run: %s", strerror(process->start_errno));
	ntd_agent_launch_give_up(owner, why);
}

/* The descriptors are the program's, and the agent's end of the connection. */
static int start(struct ntd_agent_channel *agent, int program, int port, struct ntd_error **err)
{
	static char *const argv[] = {
		"/proc/self/fd/1", "--close", "1", "--container", "--fd", "0", NULL};

	agent->process = ntd_nsenter_start(
		agent->nsenter,
		&(struct ntd_nsenter_program){
			.argv = argv, .input = port, .output = program, .errors = -1},
		process_changed, agent, err);
	return agent->process ? 0 : -1;
}

static int launch(struct ntd_agent_channel *agent, const struct ntd_agent_program *program,
		  struct ntd_error **err)
{
	_cleanup_fd_ int file = ntd_memory_file((const char *)program->bytes, program->len, err);
	_cleanup_fd_ int ours = -1, theirs = -1;
	int pair[2];

	if (file < 0)
		return -1;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return ntd_error_sys(err, errno, "cannot make a pair of sockets");
	ours = pair[0];
	theirs = pair[1];
	if (start(agent, file, theirs, err) < 0)
		return -1;
	return ntd_agent_connection_open(agent, ntd_steal_fd(&ours), err);
}

static void begin(struct ntd_agent_channel *agent)
{
	const struct ntd_agent_program *program;
	_cleanup_error_ struct ntd_error *error = NULL;
	struct utsname host;

	uname(&host);
	program = ntd_agent_program_for(host.machine);
	if (!program)
		ntd_agent_launch_give_up(agent, "there is no program for this machine");
	else if (launch(agent, program, &error) < 0)
		ntd_agent_launch_give_up(agent, error->message);
}

static void leave(struct ntd_agent_channel *agent)
{
	if (agent->process)
		ntd_process_let_go(ntd_steal(&agent->process));
}

/* ---- the container */

static bool yields(struct ntd_agent_channel *agent)
{
	_cleanup_error_ struct ntd_error *refusal = ntd_nsenter_refusal(agent->nsenter);

	return refusal;
}

static struct ntd_error *too_much(const struct ntd_agent_channel *agent,
				  const struct ntd_command *command)
{
	return ntd_nsenter_too_much(agent->nsenter);
}

static unsigned grace(const struct ntd_agent_channel *agent)
{
	return 0;
}

static void lost(struct ntd_agent_channel *agent, const struct ntd_error *why)
{
	ntd_agent_end_calls(agent, NTD_LOSS_ENDED, why);
}

void ntd_agent_channel_booted(struct ntd_agent_channel *agent)
{
	_cleanup_error_ struct ntd_error *why = ntd_error_new(
		NTD_E_MACHINE, "machine '%s': the container has rebooted", agent->machine);

	ntd_agent_begin_anew(agent, why);
}

/* ---- operations; script threads */

/* The end of a command whose agent was lost, for `why`. One in a container that has rebooted was
 * killed. */
static int judge_loss(struct ntd_agent_channel *agent, pid_t leader, struct ntd_result *result,
		      struct ntd_error *why, struct ntd_waiter *waiter, struct ntd_error **err)
{
	if (ntd_nsenter_await_end(agent->nsenter, waiter, err) < 0) {
		ntd_error_free(why);
		return -1;
	}
	if (ntd_nsenter_leader(agent->nsenter) == leader)
		return ntd_error_move(err, why);
	ntd_error_free(why);
	result->status = KILLED;
	return 0;
}

/* As by nsenter, the status and the output come whether they are wanted or not. */
static int run_here(struct ntd_agent_channel *agent, const struct ntd_command *command,
		    struct ntd_result *result, enum ntd_agent_call_end *end,
		    struct ntd_waiter *waiter, struct ntd_error **err)
{
	pid_t leader = ntd_nsenter_leader(agent->nsenter);
	struct ntd_error *error = NULL;

	if (ntd_agent_run_command(agent, command, result, end, waiter, &error) < 0)
		return *end == NTD_CALL_LOST ? judge_loss(agent, leader, result, error, waiter, err)
					     : ntd_error_move(err, error);
	if (result->status == KILLED)
		return ntd_nsenter_await_end(agent->nsenter, waiter, err);
	return 0;
}

static int run(struct ntd_channel *channel, const struct ntd_command *command,
	       struct ntd_result *result, struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct ntd_agent_channel *agent =
		ntd_container_of(channel, struct ntd_agent_channel, channel);
	struct ntd_channel *nsenter = ntd_nsenter_channel(agent->nsenter);
	_cleanup_free_ char *text = ntd_channel_text_for_user(channel, command);
	_cleanup_error_ struct ntd_error *error = NULL;
	struct ntd_command sent = ntd_command_with_text(command, text);
	enum ntd_agent_call_end end;

	sent.no_status = sent.no_reply = false;
	if (ntd_nsenter_check(&sent, err) < 0)
		return -1;
	if (run_here(agent, &sent, result, &end, waiter, &error) == 0)
		return 0;
	if (end == NTD_CALL_NOT_BEGUN || end == NTD_CALL_FAILED)
		return nsenter->ops->run(nsenter, command, result, waiter, err);
	return ntd_error_move(err, ntd_steal(&error));
}

struct ntd_agent_channel *ntd_agent_channel_in_container(struct ntd_loop *loop,
							 struct ntd_report *report,
							 const char *machine,
							 struct ntd_nsenter *nsenter)
{
	static const struct ntd_channel_ops ops = {.run = run,
						   .prepare = ntd_agent_prepare,
						   .await = ntd_agent_await_condition,
						   .close = ntd_agent_close};
	static const struct ntd_agent_way way = {.stand_in = "nsenter",
						 .begin = begin,
						 .leave = leave,
						 .yields = yields,
						 .lost = lost,
						 .too_much = too_much,
						 .grace = grace};
	struct ntd_agent_channel *agent = ntd_agent_channel_make(loop, report, machine, &ops, &way);

	agent->nsenter = nsenter;
	return agent;
}
