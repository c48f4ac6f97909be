/* The agent in a virtual machine. On the loop thread, but for the operations of the channel.
 *
 * Theory of operation
 *
 * The root shell starts the agent, which has a data port. A new root shell makes a launch possible.
 * The port is added to the guest, while the root shell is asked what machine it runs on. Then the
 * bytes of the program for that machine are written to the port, and the root shell starts it
 * (launch.sh).
 *
 * When the agent is lost, the guest may be about to end: at a reboot all processes are killed, the
 * agent perhaps before the root shell. Then the calls have to end as commands of the root shell
 * would, by its next announcement or with the machine. So the root shell is asked first: if it
 * answers, the guest goes on, and the calls end since the agent has ended.
 *
 * A command goes by the root shell after all when it cannot begin: the agent was lost a moment ago,
 * or the shell is occupied (channel/shell.h). So does one whose end the caller does not wait for,
 * since the commands after it are to come after it. One that wants standard error apart, which the
 * shell does not keep so, waits for the shell instead.
 */
#include "agent_channel/agent_channel_internal.h"

#include "agent_channel/copy.h"
#include "agent_channel/copy_file.h"
#include "agent_channel/mount.h"
#include "agent_channel/programs.h"
#include "base/text.h"
#include "channel/framing.h"

#include <math.h>
#include <string.h>

/* From the end of the agent to that of QEMU, as this host hears of them. */
#define VERDICT_PATIENCE (300 * NTD_MS)

/* ---- the launch */

static void take_back(struct ntd_shell_question *question)
{
	ntd_shell_take_back(question);
	ntd_result_free(&question->result);
	free(ntd_steal(&question->text));
}

static void started(struct ntd_shell_question *question, const struct ntd_error *error)
{
	struct ntd_agent_channel *agent = question->owner;
	const struct ntd_buf *output = &question->result.output;
	_cleanup_free_ char *why = ntd_shown(ntd_buf_bytes(output), output->len);

	if (agent->launch.state != NTD_AGENT_LAUNCH_UNDER_WAY)
		take_back(question);
	else if (error)
		ntd_agent_launch_give_up(agent, error->message);
	else if (question->result.status)
		ntd_agent_launch_give_up(agent, why);
}

/* Everything that the root shell needs is there. */
static void start(struct ntd_agent_channel *agent)
{
	struct ntd_agent_launch *launch = &agent->launch;
	const struct ntd_agent_program *program = launch->program;
	_cleanup_error_ struct ntd_error *error = NULL;

	if (ntd_agent_connection_open(agent, ntd_steal_fd(&launch->fd), &error) < 0) {
		ntd_agent_launch_give_up(agent, error->message);
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

static void surveyed(struct ntd_shell_question *question, const struct ntd_error *error)
{
	struct ntd_agent_channel *agent = question->owner;
	const struct ntd_buf *output = &question->result.output;
	_cleanup_free_ char *machine = ntd_shown(ntd_buf_bytes(output), output->len);
	_cleanup_free_ char *none =
		ntd_asprintf("there is no program for its machine, %s", machine);

	if (error) {
		ntd_agent_launch_give_up(agent, error->message);
		return;
	}
	agent->launch.program = ntd_agent_program_for(machine);
	if (agent->launch.program)
		start_if_complete(agent);
	else
		ntd_agent_launch_give_up(agent, none);
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
	ntd_agent_launch_give_up(owner, why->message);
}

static void begin(struct ntd_agent_channel *agent)
{
	struct ntd_agent_launch *launch = &agent->launch;
	struct ntd_port_user user = {.opened = port_opened,
				     .failed = port_failed,
				     .left = ntd_agent_port_left,
				     .owner = agent};

	launch->program = NULL;
	if (!agent->port) {
		ntd_agent_launch_give_up(agent, "there is no port for it");
		return;
	}
	launch->survey = (struct ntd_shell_question){
		.text = ntd_strdup("x=$HOSTTYPE"), .ended = surveyed, .owner = agent};
	agent->port->ops->open(agent->port, &user);
	ntd_shell_ask(agent->shell, &launch->survey);
}

static void over(struct ntd_agent_channel *agent)
{
	struct ntd_agent_launch *launch = &agent->launch;

	/* The agent greets before the shell that has started it answers. */
	if (launch->state != NTD_AGENT_LAUNCH_DONE)
		take_back(&launch->start);
	take_back(&launch->survey);
	ntd_close_fd(&launch->fd);
	free(ntd_steal(&launch->port_name));
}

static void leave(struct ntd_agent_channel *agent)
{
	/* One that was plugged is not the connection's. */
	if (agent->port && agent->plugged < 0)
		agent->port->ops->close(agent->port);
}

/* ---- the root shell */

/* Bytes of a script's own may wait to be written to the shell. Nor is another agent launched while
 * calls of the last one wait for a verdict. */
static bool yields(struct ntd_agent_channel *agent)
{
	return agent->verdict.job || agent->verdict_limit.loop ||
	       ntd_shell_is_occupied(agent->shell);
}

static struct ntd_error *too_much(const struct ntd_agent_channel *agent,
				  const struct ntd_command *command)
{
	return ntd_error_new(NTD_E_PROTOCOL,
			     "machine '%s': command `%.*s` has more than 1 GiB of output",
			     agent->machine, ntd_agent_text_shown(command), command->text);
}

static unsigned grace(const struct ntd_agent_channel *agent)
{
	return ntd_shell_grace(agent->shell);
}

static void shell_answered(struct ntd_shell_question *question, const struct ntd_error *error)
{
	struct ntd_agent_channel *agent = question->owner;
	_cleanup_error_ struct ntd_error *why = ntd_error_copy(error ? error : agent->why);

	ntd_agent_end_calls(agent, error ? NTD_LOSS_CLOSED : NTD_LOSS_ENDED, why);
}

static void ask_shell(struct ntd_agent_channel *agent)
{
	static char nothing[] = ":";

	agent->verdict = (struct ntd_shell_question){
		.text = nothing, .ended = shell_answered, .owner = agent};
	ntd_shell_ask(agent->shell, &agent->verdict);
}

static void no_verdict(struct ntd_timer *timer)
{
	struct ntd_agent_channel *agent =
		ntd_container_of(timer, struct ntd_agent_channel, verdict_limit);
	_cleanup_error_ struct ntd_error *why = ntd_error_copy(agent->why);

	if (ntd_shell_listens(agent->shell))
		ntd_agent_end_calls(agent, NTD_LOSS_ENDED, why);
}

/* Whether the guest goes on, its shell tells. Where the shell has gone, too, the channel is going
 * to be closed. One that is occupied cannot be asked, but the end of QEMU is heard of in a moment.
 */
static void lost(struct ntd_agent_channel *agent, const struct ntd_error *why)
{
	if (!ntd_shell_listens(agent->shell))
		return;
	if (ntd_shell_is_occupied(agent->shell))
		ntd_timer_set(agent->loop, &agent->verdict_limit, ntd_after(VERDICT_PATIENCE));
	else if (!agent->verdict.job)
		ask_shell(agent);
}

static void shell_began_anew(void *owner)
{
	struct ntd_agent_channel *agent = owner;
	_cleanup_error_ struct ntd_error *why = ntd_error_new(
		NTD_E_MACHINE, "machine '%s': the root shell began anew (the guest rebooted?)",
		agent->machine);

	ntd_agent_begin_anew(agent, why);
}

static void shell_spoken_to(void *owner)
{
	struct ntd_agent_channel *agent = owner;
	_cleanup_error_ struct ntd_error *why = ntd_error_new(
		NTD_E_MACHINE, "machine '%s': a script speaks to the root shell", agent->machine);

	ntd_agent_withdraw(agent);
	ntd_agent_launch_forbid(agent);
	if (!agent->connected)
		ntd_agent_drop_connection(agent, why);
}

/* ---- operations; script threads */

/* 1: the command has not begun. */
static int run_by_agent(struct ntd_agent_channel *agent, const struct ntd_command *command,
			struct ntd_result *result, struct ntd_waiter *waiter,
			struct ntd_error **err)
{
	_cleanup_error_ struct ntd_error *error = NULL;
	enum ntd_agent_call_end end;

	if (ntd_agent_run_command(agent, command, result, &end, waiter, &error) == 0)
		return 0;
	if (end == NTD_CALL_NOT_BEGUN)
		return 1;
	return ntd_error_move(err, ntd_steal(&error));
}

/* Runs a command that the root shell cannot run after what keeps the shell busy. */
static int run_after_shell(struct ntd_agent_channel *agent, const struct ntd_command *command,
			   struct ntd_result *result, struct ntd_waiter *waiter,
			   struct ntd_error **err)
{
	struct ntd_channel *shell = ntd_shell_channel(agent->shell);
	const struct ntd_command nothing = {.text = ":", .text_len = 1, .as_root = true};
	_cleanup_result_ struct ntd_result nothing_said = {0};

	if (shell->ops->run(shell, &nothing, &nothing_said, waiter, err) < 0)
		return -1;
	return run_by_agent(agent, command, result, waiter, err);
}

/* Copies a text without its NULs, which bash cannot be given, and which it skips when it reads the
 * text itself. */
static void copy_without_nul(const struct ntd_command *command, struct ntd_buf *copy)
{
	ntd_buf_append(copy, command->text, command->text_len);
	for (char *nul; (nul = memchr(ntd_buf_bytes(copy), 0, copy->len)); copy->len--)
		memmove(nul, nul + 1, copy->len - (size_t)(nul + 1 - ntd_buf_bytes(copy)));
}

static int run(struct ntd_channel *channel, const struct ntd_command *command,
	       struct ntd_result *result, struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct ntd_agent_channel *agent =
		ntd_container_of(channel, struct ntd_agent_channel, channel);
	struct ntd_channel *shell = ntd_shell_channel(agent->shell);
	_cleanup_free_ char *text = ntd_channel_text_for_user(channel, command);
	_cleanup_buf_ struct ntd_buf plain = {0};
	struct ntd_command sent = ntd_command_with_text(command, text);
	int ran = 1;

	if (!text && memchr(command->text, 0, command->text_len)) {
		copy_without_nul(command, &plain);
		sent.text = ntd_buf_bytes(&plain);
		sent.text_len = plain.len;
	}
	if (ntd_framing_check(&sent, err) < 0)
		return -1;
	if (!command->no_reply)
		ran = run_by_agent(agent, &sent, result, waiter, err);
	if (ran > 0 && command->errors)
		ran = run_after_shell(agent, &sent, result, waiter, err);
	return ran > 0 ? shell->ops->run(shell, command, result, waiter, err) : ran;
}

static int copy(struct ntd_channel *channel, enum ntd_sftp_direction direction, const char *source,
		const char *target, struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct ntd_agent_channel *agent =
		ntd_container_of(channel, struct ntd_agent_channel, channel);
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

static int copy_in_guest(struct ntd_channel *channel, const char *source, const char *target,
			 struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct ntd_agent_channel *agent =
		ntd_container_of(channel, struct ntd_agent_channel, channel);

	return ntd_agent_copy_in_guest(agent, source, target, waiter, err);
}

static int mount(struct ntd_channel *channel, const char *shares, struct ntd_waiter *waiter,
		 struct ntd_error **err)
{
	struct ntd_agent_channel *agent =
		ntd_container_of(channel, struct ntd_agent_channel, channel);

	return ntd_agent_mount_shares(agent, shares, waiter, err);
}

struct ntd_agent_channel *ntd_agent_channel_new(struct ntd_loop *loop, struct ntd_report *report,
						const char *machine, struct ntd_shell *shell,
						struct ntd_port *port, bool serves)
{
	static const struct ntd_channel_ops ops = {.run = run,
						   .prepare = ntd_agent_prepare,
						   .put = put,
						   .get = get,
						   .copy_in_guest = copy_in_guest,
						   .mount = mount,
						   .await = ntd_agent_await_condition,
						   .close = ntd_agent_close};
	static const struct ntd_agent_way way = {.stand_in = "the root shell",
						 .begin = begin,
						 .over = over,
						 .leave = leave,
						 .yields = yields,
						 .lost = lost,
						 .too_much = too_much,
						 .grace = grace};
	struct ntd_agent_channel *agent = ntd_agent_channel_make(loop, report, machine, &ops, &way);
	struct ntd_shell_watcher watcher = {
		.anew = shell_began_anew, .spoken_to = shell_spoken_to, .owner = agent};

	agent->channel.prefers_shared = true;
	agent->verdict_limit.expired = no_verdict;
	agent->shell = shell;
	agent->port = port;
	agent->serves = serves;
	ntd_shell_watch(shell, &watcher);
	return agent;
}
