/* The queue of the root shell's commands, on the loop thread. One command is on the wire at a time,
 * framed by channel/framing.c and answered by what channel/shell_read.c finds; the others wait. A
 * command that is abandoned (Ctrl-C) is killed in the guest. An abandoned command, and one that was
 * sent with no_reply, keeps the wire until its reply has come or a new root shell has announced
 * itself: the guest would not read the next command before, and could take it for the input of this
 * one.
 */
#include "channel/shell_internal.h"

#include "loop/output.h"

#include <string.h>

enum { HOST_GRACE = 30 }; /* seconds after the guest's own limits until the driver gives up */

#define INTERRUPT_PAUSE (1 * NTD_SECOND)

/* ---- the end of a job */

/* Ends a job that is in no list any more, with `error`, which this function takes; NULL: with
 * success. */
static void finish(struct ntd_shell_job *job, struct ntd_error *error)
{
	struct ntd_shell_question *question = job->question;

	if (!question) {
		ntd_request_complete(&job->request, error);
		return;
	}
	question->job = NULL;
	free(job);
	question->ended(question, error);
	ntd_error_free(error);
}

/* ---- the wire */

/* Has the guest forget the rest of an output that comes in pieces. */
static void leave(struct ntd_shell *shell)
{
	if (!shell->socket.loop)
		return;
	ntd_framing_write_leave(&shell->framing, &shell->out);
	ntd_output_flush(&shell->socket, &shell->out);
}

void ntd_shell_clear_wire(struct ntd_shell *shell, struct ntd_error *error)
{
	struct ntd_shell_job *job = ntd_steal(&shell->current);

	shell->on_wire = false;
	ntd_timer_cancel(&shell->overdue);
	ntd_timer_cancel(&shell->silence);
	ntd_timer_cancel(&shell->insist);
	ntd_timer_cancel(&shell->missing);
	ntd_reply_expect(&shell->reply, "");
	if (error || shell->port_spoilt)
		ntd_shell_port_close(shell);
	if (shell->exchange == NTD_SHELL_FETCHES)
		leave(shell);
	shell->exchange = NTD_SHELL_RUNS;
	shell->port_spoilt = shell->data_overflown = false;
	if (job)
		finish(job, error);
	else
		ntd_error_free(error);
}

/* Writes a command, with its input by the port if there is one. */
static void write_command(struct ntd_shell *shell, const struct ntd_shell_job *job)
{
	size_t len = 0;
	const char *input = ntd_framing_input(job->command, &len);

	ntd_framing_write(&shell->framing, job->command, job->number, &shell->out);
	if (input && shell->framing.port && !ntd_framing_can_interrupt(job->command))
		ntd_shell_port_write(shell, input, len);
}

/* Whether the command goes by the port, if there is one, from its beginning. */
static bool wants_port(const struct ntd_command *command)
{
	return command->on_output || (!command->in_shell && !ntd_framing_can_interrupt(command));
}

void ntd_shell_ask_for_port(struct ntd_shell *shell, const char *name)
{
	char token[NTD_TOKEN_SIZE];
	unsigned number = ++shell->sequence;

	ntd_framing_token(&shell->framing, number, token);
	ntd_framing_write_port(&shell->framing, number, name, &shell->out);
	ntd_reply_expect(&shell->reply, token);
	if (!shell->on_wire)
		ntd_timer_set(shell->loop, &shell->overdue, ntd_after(HOST_GRACE * NTD_SECOND));
	shell->on_wire = true;
	ntd_output_flush(&shell->socket, &shell->out);
}

void ntd_shell_pump(struct ntd_shell *shell)
{
	struct ntd_shell_job *job;

	if (ntd_list_empty(&shell->queue) || shell->on_wire || !shell->socket.loop)
		return;
	job = ntd_list_first(&shell->queue, struct ntd_shell_job, link);
	if (shell->port_stage == NTD_SHELL_PORT_OPENING ||
	    (wants_port(job->command) && !ntd_shell_port_open(shell)))
		return;
	job = ntd_list_take(&shell->queue, struct ntd_shell_job, link);
	write_command(shell, job);
	ntd_reply_expect(&shell->reply, job->token);
	shell->on_wire = true;
	shell->wire_number = job->number;
	if (job->command->timeout > 0) /* for timeout(1), 0 is no limit */
		ntd_timer_set(shell->loop, &shell->overdue,
			      ntd_after(ntd_span(job->command->timeout + shell->framing.grace +
						 HOST_GRACE)));
	ntd_output_flush(&shell->socket, &shell->out);
	if (job->command->no_reply) {
		job->result->status = -2;
		ntd_request_complete(&job->request, NULL);
	} else {
		shell->current = job;
		ntd_shell_await_bytes(shell);
	}
}

bool ntd_shell_hung_up(const struct ntd_shell *shell)
{
	return shell->socket.fd >= 0 && !shell->socket.loop && !shell->refusal;
}

/* A command that comes after the shell hung up is queued: the owner of the shell will have the
 * queue fail, with the reason why the shell hung up. */
static struct ntd_error *cannot_run(const struct ntd_shell *shell)
{
	if (shell->refusal)
		return ntd_error_copy(shell->refusal);
	if (!shell->socket.loop && !ntd_shell_hung_up(shell))
		return ntd_error_new(NTD_E_DEAD,
				     "machine '%s' has no root shell: it is not running",
				     shell->machine);
	return NULL;
}

static void begin(struct ntd_shell_job *job)
{
	struct ntd_shell *shell = job->shell;
	struct ntd_error *error = cannot_run(shell);

	ntd_script_socket_pull(&shell->script);
	if (error) {
		finish(job, error);
		return;
	}
	job->number = ++shell->sequence;
	ntd_framing_token(&shell->framing, job->number, job->token);
	ntd_list_append(&shell->queue, &job->link);
	ntd_shell_pump(shell);
}

static void job_begin(struct ntd_request *request)
{
	begin(ntd_container_of(request, struct ntd_shell_job, request));
}

/* Interrupts the command on the wire, and goes on doing so: the command itself may read what is
 * sent. */
static void interrupt(struct ntd_timer *timer)
{
	struct ntd_shell *shell = ntd_container_of(timer, struct ntd_shell, insist);

	if (!shell->socket.loop)
		return;
	ntd_framing_write_interrupt(&shell->out);
	ntd_output_flush(&shell->socket, &shell->out);
	ntd_timer_set(shell->loop, timer, ntd_after(INTERRUPT_PAUSE));
}

/* Takes note that no thread waits for the command on the wire any more, and interrupts the command.
 * The wire is free when its reply has come. */
static void give_up_current(struct ntd_shell *shell)
{
	const struct ntd_shell_job *job = ntd_steal(&shell->current);

	/* The guest has nothing to say, or has said it. */
	if (shell->exchange == NTD_SHELL_DRAINS || (shell->exchange == NTD_SHELL_AWAITS_PORT &&
						    shell->port_stage == NTD_SHELL_PORT_OPENING)) {
		ntd_shell_port_close(shell);
		ntd_shell_clear_wire(shell, NULL);
		return;
	}
	/* A command whose input ends early would take it for all of the input. */
	shell->port_spoilt = true;
	if (ntd_framing_can_interrupt(job->command)) {
		interrupt(&shell->insist);
		if (shell->port_stage == NTD_SHELL_PORT_OPEN)
			ntd_shell_port_close(shell);
	}
	if (!shell->overdue.loop)
		ntd_timer_set(shell->loop, &shell->overdue,
			      ntd_after((shell->framing.grace + HOST_GRACE) * NTD_SECOND));
}

void ntd_shell_give_up(struct ntd_shell *shell, struct ntd_error *error)
{
	struct ntd_shell_job *job = shell->current;

	give_up_current(shell);
	finish(job, error);
}

static void abandon(struct ntd_shell_job *job)
{
	if (job->shell->current == job)
		give_up_current(job->shell);
	else
		ntd_list_unlink(&job->link);
	ntd_shell_pump(job->shell);
}

static void job_abandon(struct ntd_request *request)
{
	abandon(ntd_container_of(request, struct ntd_shell_job, request));
}

static void fail_waiting(struct ntd_shell *shell, const struct ntd_error *why)
{
	struct ntd_shell_job *job;

	while ((job = ntd_list_take(&shell->queue, struct ntd_shell_job, link)))
		finish(job, ntd_error_copy(why));
}

static void fail_pending(struct ntd_shell *shell, const struct ntd_error *why)
{
	ntd_shell_clear_wire(shell, ntd_error_copy(why));
	fail_waiting(shell, why);
}

void ntd_shell_set_refusal(struct ntd_shell *shell, struct ntd_error *why)
{
	ntd_error_free(shell->refusal);
	shell->refusal = why;
}

void ntd_shell_refuse(struct ntd_shell *shell, const struct ntd_error *why)
{
	ntd_shell_set_refusal(shell, ntd_error_copy(why));
	fail_pending(shell, why);
}

/* The guest should have ended the command long ago. As long as the guest does not answer, no other
 * command can run either. */
static void reply_overdue(struct ntd_timer *timer)
{
	struct ntd_shell *shell = ntd_container_of(timer, struct ntd_shell, overdue);
	struct ntd_shell_job *job = ntd_steal(&shell->current);

	if (job)
		ntd_shell_set_refusal(
			shell,
			ntd_error_new(
				NTD_E_TIMEOUT,
				"machine '%s': no reply from the guest to `%.*s`, which it should "
				"have ended after %g seconds; waited %u seconds longer",
				shell->machine, ntd_shell_shown(job->command), job->command->text,
				job->command->timeout, shell->framing.grace + HOST_GRACE));
	else
		ntd_shell_set_refusal(
			shell,
			ntd_error_new(NTD_E_TIMEOUT,
				      "machine '%s': the root shell is still busy with a command "
				      "that was given up",
				      shell->machine));
	shell->port_spoilt = true;
	if (job)
		finish(job, ntd_error_copy(shell->refusal));
	fail_waiting(shell, shell->refusal);
}

/* ---- a script's own limit */

void ntd_shell_await_bytes(struct ntd_shell *shell)
{
	int64_t limit = shell->script.limit;

	if (limit && shell->current)
		ntd_timer_set(shell->loop, &shell->silence, ntd_after(limit));
}

static void silent_too_long(struct ntd_timer *timer)
{
	struct ntd_shell *shell = ntd_container_of(timer, struct ntd_shell, silence);
	struct ntd_shell_job *job = shell->current;
	struct ntd_error *error;

	if (!job)
		return;
	error = ntd_error_new(NTD_E_TIMEOUT,
			      "machine '%s': command `%.*s`: timed out: nothing came for %g "
			      "seconds, the limit that was set on the shell's socket",
			      shell->machine, ntd_shell_shown(job->command), job->command->text,
			      ntd_seconds(shell->script.limit));
	ntd_shell_give_up(shell, error);
}

/* ---- questions of the loop thread */

/* The job of a question, with its command. */
struct asked {
	struct ntd_shell_job job;
	struct ntd_command command;
};

void ntd_shell_ask(struct ntd_shell *shell, struct ntd_shell_question *question)
{
	struct asked *asked = ntd_calloc(1, sizeof *asked);

	asked->command = (struct ntd_command){
		.text = question->text, .text_len = strlen(question->text), .in_shell = true};
	asked->job = (struct ntd_shell_job){.shell = shell,
					    .question = question,
					    .command = &asked->command,
					    .result = &question->result};
	question->job = &asked->job;
	begin(&asked->job);
}

void ntd_shell_take_back(struct ntd_shell_question *question)
{
	struct ntd_shell_job *job = ntd_steal(&question->job);

	if (!job)
		return;
	abandon(job);
	free(job);
}

/* ---- for the channel */

void ntd_shell_queue_init(struct ntd_shell *shell)
{
	shell->overdue.expired = reply_overdue;
	shell->silence.expired = silent_too_long;
	shell->insist.expired = interrupt;
}

int ntd_shell_queue_run(struct ntd_shell *shell, const struct ntd_command *command,
			struct ntd_result *result, struct ntd_waiter *waiter,
			struct ntd_error **err)
{
	struct ntd_shell_job job = {.request = {.begin = job_begin, .abandon = job_abandon},
				    .shell = shell,
				    .command = command,
				    .result = result};

	return ntd_request_run(shell->loop, &job.request, NTD_FOREVER, waiter, err);
}
