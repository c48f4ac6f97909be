/* Commands over SSH. Each is a stream of its own, so any number of them run at the same time, as
 * many as sshd allows; the others wait. A script thread waits in ntd_ssh_exec_run(); everything
 * else is on the loop thread.
 *
 * A command is over when sshd says its exit status and the end of its output, which is when every
 * process that holds standard output or standard error has closed it. One whose time is up, or for
 * which nobody waits any more, is ended in the guest by another command, which finds all of its
 * processes. Where that is not possible, sshd is asked to end the process group, which is all that
 * sshd can do.
 *
 * When the connection ends under a command, the driver waits a moment for the end of the machine,
 * which says more.
 */
#include "ssh/exec_internal.h"

#include <string.h>

#define KILL_PATIENCE (4 * NTD_SECOND) /* of the guest, for ending a command */
#define RETRY_PAUSE (100 * NTD_MS)

enum {
	ROOM = 10, /* OpenSSH's MaxSessions, unless configured otherwise */
	OUTPUT_LIMIT = 1 << 30,
	STATUS_TIMED_OUT = 124, /* that of timeout(1) */
	STATUS_NONE = -2,
};

static void run_execs(struct ntd_ssh *ssh)
{
	ntd_ssh_execs_start(ssh);
	ntd_ssh_session_run(&ssh->session);
}

static void free_exec(struct ntd_ssh_exec *exec)
{
	ntd_list_each (struct ntd_ssh_exec, other, &exec->ssh->execs, link)
		if (other->victim == exec)
			other->victim = NULL;
	ntd_list_unlink(&exec->link);
	ntd_timer_cancel(&exec->timer);
	ntd_ssh_stream_end(&exec->stream);
	ntd_buf_free(&exec->input);
	ntd_buf_free(&exec->errors);
	free(exec->script.text);
	free(exec->sudo_says);
	free(exec);
}

static void complete(struct ntd_ssh_exec *exec, struct ntd_error *error)
{
	struct exec_job *job = ntd_steal(&exec->job);

	if (!job) {
		ntd_error_free(error);
		return;
	}
	job->exec = NULL;
	ntd_request_complete(&job->request, error);
}

static void complete_with(struct ntd_ssh_exec *exec, int status)
{
	if (exec->job)
		exec->job->result->status = status;
	complete(exec, NULL);
}

/* ---- output */

static void take_output(struct exec_job *job, const char *bytes, size_t len)
{
	ntd_buf_append(&job->result->output, bytes, len);
	ntd_command_tell(job->command, bytes, len);
}

/* Output is taken to its end, also when nobody wants it: sshd would wait, and the command with it.
 */
static void output(struct ntd_ssh_stream *stream, const char *bytes, size_t len, bool error)
{
	struct ntd_ssh_exec *exec = ntd_container_of(stream, struct ntd_ssh_exec, stream);

	if (error)
		ntd_ssh_exec_errors(exec, bytes, len);
	else if (exec->job && exec->job->result->output.len + len > OUTPUT_LIMIT)
		exec->overflown = true;
	else if (exec->job)
		take_output(exec->job, bytes, len);
}

/* ---- the end of a command that is to end */

static struct ntd_ssh_exec *make_exec(struct ntd_ssh *ssh);

/* Begins with a text of the driver's own, which is taken. */
static struct ntd_ssh_exec *start_own(struct ntd_ssh *ssh, char *text)
{
	struct ntd_ssh_exec *exec = make_exec(ssh);

	exec->script.text = text;
	exec->stream.command = text;
	exec->stream.finish_input = true;
	ntd_list_prepend(&ssh->execs, &exec->link);
	ntd_ssh_stream_open(&exec->stream, &ssh->session);
	return exec;
}

static void start_killer(struct ntd_ssh_exec *victim)
{
	start_own(victim->ssh, ntd_ssh_kill_text(victim->script.uses_sudo, victim->pid))->victim =
		victim;
}

/* The guest tells the number of a command's first process only when it has begun. */
static void hunt(struct ntd_ssh_exec *exec)
{
	if (!exec->killing || exec->hunted || !exec->pid)
		return;
	exec->hunted = true;
	start_killer(exec);
}

/* Ends a command that runs. A stream that sshd is about to open is opened, since sshd would keep
 * it, and runs nothing. */
static void kill_command(struct ntd_ssh_exec *exec)
{
	if (exec->killing)
		return;
	if (exec->stream.state < NTD_STREAM_REQUESTING)
		exec->stream.command = ":";
	exec->killing = true;
	ntd_timer_set(exec->ssh->loop, &exec->timer, ntd_after(KILL_PATIENCE));
	hunt(exec);
}

static void limit_expired(struct ntd_timer *timer)
{
	struct ntd_ssh_exec *exec = ntd_container_of(timer, struct ntd_ssh_exec, timer);
	struct ntd_ssh *ssh = exec->ssh;

	if (exec->killing) {
		ntd_ssh_stream_signal(&exec->stream, "KILL");
		if (exec->timed_out)
			complete_with(exec, STATUS_TIMED_OUT);
	} else {
		exec->timed_out = true;
		kill_command(exec);
	}
	run_execs(ssh);
}

/* ---- what happens to a command */

static struct ntd_error *sudo_refused(const struct ntd_ssh_exec *exec)
{
	return ntd_error_new(
		NTD_E_MACHINE,
		"machine '%s': the user %s cannot run commands as root by `sudo -n`%s%s",
		exec->ssh->machine, exec->ssh->guest.user, exec->sudo_says ? ": " : "",
		exec->sudo_says ? exec->sudo_says : "");
}

static void finish(struct ntd_ssh_exec *exec)
{
	ntd_ssh_exec_end_errors(exec);
	if (exec->timed_out)
		complete_with(exec, STATUS_TIMED_OUT);
	else if (exec->stream.status < 0)
		complete(exec, ntd_error_new(NTD_E_MACHINE,
					     "machine '%s': sshd ended a command without its exit "
					     "status",
					     exec->ssh->machine));
	else if (exec->script.uses_sudo && !exec->begun_as_root)
		complete(exec, sudo_refused(exec));
	else
		complete_with(exec, exec->stream.status);
}

/* sshd has no room. It may still count streams that have just ended, so the number that it allows
 * is learned only from those that go on. */
static void wait_for_room(struct ntd_ssh_exec *exec)
{
	struct ntd_ssh *ssh = exec->ssh;
	unsigned others = 0;

	ntd_ssh_stream_end(&exec->stream);
	ntd_list_each (struct ntd_ssh_stream, stream, &ssh->session.streams, link)
		others++;
	if (others && others < ssh->room && ntd_now() - ssh->made_room > NTD_SECOND)
		ssh->room = others;
	if (exec->victim) { /* sshd's own way needs no room */
		ntd_ssh_stream_signal(&exec->victim->stream, "KILL");
		free_exec(exec);
		return;
	}
	if (!exec->job) {
		free_exec(exec);
		return;
	}
	ntd_list_unlink(&exec->link);
	ntd_list_prepend(&ssh->execs, &exec->link);
	ntd_timer_set(ssh->loop, &ssh->retry, ntd_after(RETRY_PAUSE));
}

static void begun(struct ntd_ssh_exec *exec)
{
	double limit = exec->job ? exec->job->command->timeout : 0;

	if (limit > 0 && !exec->timer.loop)
		ntd_timer_set(exec->ssh->loop, &exec->timer, ntd_after(ntd_span(limit)));
	if (exec->job && exec->job->command->no_reply)
		complete_with(exec, STATUS_NONE);
}

static void runs(struct ntd_ssh_exec *exec)
{
	const struct ntd_ssh_stream *stream = &exec->stream;

	begun(exec);
	if (exec->overflown && exec->job) {
		complete(exec, ntd_error_new(NTD_E_VALUE,
					     "machine '%s': a command printed more than 1 GiB",
					     exec->ssh->machine));
		kill_command(exec);
	}
	hunt(exec);
	if ((stream->ended && stream->status >= 0) || stream->closed ||
	    (exec->timed_out && stream->status >= 0))
		finish(exec);
	if (stream->closed) {
		exec->ssh->made_room = ntd_now();
		free_exec(exec);
	}
}

static void changed(struct ntd_ssh_stream *stream)
{
	struct ntd_ssh_exec *exec = ntd_container_of(stream, struct ntd_ssh_exec, stream);
	struct ntd_ssh *ssh = exec->ssh;

	switch (stream->state) {
	case NTD_STREAM_RUNNING:
		runs(exec);
		break;
	case NTD_STREAM_REFUSED:
		wait_for_room(exec);
		break;
	case NTD_STREAM_FAILED:
		complete(exec,
			 ntd_error_new(NTD_E_MACHINE, "machine '%s': sshd does not run commands",
				       ssh->machine));
		free_exec(exec);
		break;
	case NTD_STREAM_LOST:
		ntd_ssh_exec_end_errors(exec);
		ntd_timer_cancel(&exec->timer);
		if (!exec->job)
			free_exec(exec);
		break;
	case NTD_STREAM_OPENING:
	case NTD_STREAM_REQUESTING_TERMINAL:
	case NTD_STREAM_REQUESTING:
	default:
		break;
	}
}

/* ---- the start of a command */

static struct ntd_ssh_exec *make_exec(struct ntd_ssh *ssh)
{
	static const struct ntd_ssh_stream_ops ops = {.output = output, .changed = changed};
	struct ntd_ssh_exec *exec = ntd_calloc(1, sizeof *exec);

	exec->ssh = ssh;
	exec->stream.ops = &ops;
	exec->stream.input = &exec->input;
	exec->timer.expired = limit_expired;
	return exec;
}

/* The text is made now: the channel's user may have changed, and the guest may be another one. */
static void start(struct ntd_ssh_exec *exec)
{
	const struct ntd_command *command = exec->job->command;
	struct ntd_ssh *ssh = exec->ssh;

	free(exec->script.text);
	exec->script = ntd_ssh_script_for(&ssh->guest, ssh->sudo, &ssh->channel, command);
	exec->stream.command = exec->script.text;
	exec->stream.finish_input = true;
	ntd_buf_clear(&exec->input);
	if (exec->script.reads_text)
		ntd_buf_append(&exec->input, command->text, command->text_len);
	else if (command->input)
		ntd_buf_append(&exec->input, command->input, command->input_len);
	ntd_ssh_stream_open(&exec->stream, &ssh->session);
}

void ntd_ssh_exec_unattended(struct ntd_ssh *ssh, char *text)
{
	start_own(ssh, text);
}

static bool waits(const struct ntd_ssh_exec *exec)
{
	return exec->job && !exec->stream.session && exec->stream.state != NTD_STREAM_LOST;
}

void ntd_ssh_execs_start(struct ntd_ssh *ssh)
{
	unsigned running = 0;

	if (ssh->state != NTD_SSH_READY || ssh->retry.loop)
		return;
	ntd_list_each (struct ntd_ssh_stream, stream, &ssh->session.streams, link)
		running++;
	ntd_list_each (struct ntd_ssh_exec, exec, &ssh->execs, link) {
		if (running >= ssh->room)
			break;
		if (waits(exec)) {
			start(exec);
			running++;
		}
	}
}

static void retry(struct ntd_timer *timer)
{
	run_execs(ntd_container_of(timer, struct ntd_ssh, retry));
}

static struct ntd_error *why_not(const struct ntd_ssh *ssh)
{
	if (ssh->refusal)
		return ntd_error_copy(ssh->refusal);
	return ntd_error_new(NTD_E_DEAD, "machine '%s' has no SSH connection: %s", ssh->machine,
			     ssh->state == NTD_SSH_CLOSED ? "it is not running"
							  : "sshd has not answered so far");
}

bool ntd_ssh_turns_away(const struct ntd_ssh *ssh, struct ntd_request *request)
{
	if (ssh->state == NTD_SSH_READY)
		return false;
	ntd_request_complete(request, why_not(ssh));
	return true;
}

static void job_begin(struct ntd_request *request)
{
	struct exec_job *job = ntd_container_of(request, struct exec_job, request);

	if (ntd_ssh_turns_away(job->ssh, request))
		return;
	job->exec = make_exec(job->ssh);
	job->exec->job = job;
	ntd_list_append(&job->ssh->execs, &job->exec->link);
	run_execs(job->ssh);
}

static void job_abandon(struct ntd_request *request)
{
	struct exec_job *job = ntd_container_of(request, struct exec_job, request);
	struct ntd_ssh_exec *exec = job->exec;
	struct ntd_ssh *ssh = job->ssh;

	exec->job = NULL;
	if (exec->stream.session)
		kill_command(exec);
	else
		free_exec(exec);
	run_execs(ssh);
}

/* no_status changes nothing: the status comes anyway. */
int ntd_ssh_exec_run(struct ntd_ssh *ssh, const struct ntd_command *command,
		     struct ntd_result *result, struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct exec_job job = {.request = {.begin = job_begin, .abandon = job_abandon},
			       .ssh = ssh,
			       .command = command,
			       .result = result};

	if (memchr(command->text, '\0', command->text_len))
		return ntd_error_set(err, NTD_E_VALUE, "a command cannot have a NUL character");
	if (ntd_ssh_command_is_long(command) && command->input)
		return ntd_error_set(err, NTD_E_VALUE,
				     "a command of %zu bytes cannot have standard input",
				     command->text_len);
	return ntd_request_run(ssh->loop, &job.request, NTD_FOREVER, waiter, err);
}

void ntd_ssh_execs_fail(struct ntd_ssh *ssh, const struct ntd_error *why)
{
	struct ntd_ssh_exec *exec;

	ntd_timer_cancel(&ssh->retry);
	while ((exec = ntd_list_take(&ssh->execs, struct ntd_ssh_exec, link))) {
		complete(exec, ntd_error_copy(why));
		free_exec(exec);
	}
}

void ntd_ssh_execs_init(struct ntd_ssh *ssh)
{
	ssh->room = ROOM;
	ssh->retry.expired = retry;
}
