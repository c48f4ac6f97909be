/* What comes back on the root shell: replies, found by channel/reply.c, banners, and bytes that
 * belong to no command. On the loop thread.
 */
#include "channel/shell_internal.h"

#include "base/fd.h"
#include "loop/output.h"

#include <string.h>

enum { READ_SIZE = 64 << 10, SAID_LIMIT = 1024 };

/* Why a command that the guest has answered has no result; NULL: it has one. */
static struct ntd_error *failure(const struct ntd_shell *shell, const struct ntd_command *command)
{
	const struct ntd_reply *reply = &shell->reply;

	if (reply->held)
		return ntd_error_new(
			NTD_E_TIMEOUT,
			"machine '%s': command `%.*s`: its standard output was still open "
			"%u seconds after its time-out of %g seconds; held by guest "
			"processes %s (redirect the output of background processes)",
			shell->machine, ntd_shell_shown(command), command->text,
			shell->framing.grace, command->timeout,
			*reply->held ? reply->held : "unknown");
	if (reply->reader_status)
		return ntd_error_new(NTD_E_MACHINE,
				     "machine '%s': the guest failed to keep the output, with "
				     "status %d; the output of `%.*s` is lost",
				     shell->machine, reply->reader_status, ntd_shell_shown(command),
				     command->text);
	return NULL;
}

/* Takes the status from the command's reply. Why the command has no result; NULL: it has one. */
static struct ntd_error *take_statuses(struct ntd_shell *shell)
{
	struct ntd_shell_job *job = shell->current;

	if (shell->exchange != NTD_SHELL_RUNS)
		return NULL; /* they came before */
	job->result->status = job->command->no_status ? -1 : shell->reply.command_status;
	return failure(shell, job->command);
}

static void complete(struct ntd_shell *shell)
{
	struct ntd_shell_job *job = shell->current;
	struct ntd_reply *reply = &shell->reply;
	struct ntd_error *error = NULL;

	if (job) {
		error = take_statuses(shell);
		shell->port_spoilt = job->result->output.len; /* nobody asked for it */
		ntd_buf_free(&job->result->output);
		job->result->output = reply->output;
		reply->output = (struct ntd_buf){0};
		ntd_command_tell(job->command, ntd_buf_bytes(&job->result->output),
				 job->result->output.len);
	}
	ntd_shell_set_refusal(shell, NULL); /* the guest answers, even if late */
	ntd_shell_clear_wire(shell, error);
}

/* Asks for the next piece of a long output, unless no thread waits for it any more. */
static void ask_for_more(struct ntd_shell *shell)
{
	shell->reply.piece_len = 0;
	if (!shell->current) {
		ntd_shell_set_refusal(shell, NULL);
		ntd_shell_clear_wire(shell, NULL);
		return;
	}
	ntd_framing_write_more(&shell->out);
	ntd_output_flush(&shell->socket, &shell->out);
}

/* The guest has kept a long output. */
static void kept(struct ntd_shell *shell)
{
	struct ntd_error *error = shell->current ? take_statuses(shell) : NULL;

	if (shell->current && !error) {
		ntd_shell_fetch(shell);
		return;
	}
	ntd_shell_set_refusal(shell, NULL);
	ntd_shell_clear_wire(shell, error);
}

/* The guest has sent an output by the port. */
static void sent(struct ntd_shell *shell)
{
	struct ntd_error *error = shell->current ? take_statuses(shell) : NULL;

	ntd_shell_set_refusal(shell, NULL);
	if (shell->current && !error) {
		ntd_shell_drain(shell);
		return;
	}
	shell->port_spoilt = true;
	ntd_shell_clear_wire(shell, error);
}

/* The reply to the question for the port. */
static void looked(struct ntd_shell *shell)
{
	bool found = shell->reply.command_status == 0;

	if (!shell->current)
		ntd_shell_clear_wire(shell, NULL);
	if (shell->port_stage == NTD_SHELL_PORT_FINDING)
		ntd_shell_port_found(shell, found);
}

/* A new root shell has announced itself. A command on the wire was the last shell's, and is
 * over. */
static void banner(struct ntd_shell *shell)
{
	struct ntd_shell_job *job;
	_cleanup_buf_ struct ntd_buf unread = {0}; /* by a script, of the last shell's bytes */
	struct ntd_error *error = NULL;

	shell->spoken_to = false;
	if (shell->watcher.anew)
		shell->watcher.anew(shell->watcher.owner);
	job = shell->current;
	ntd_shell_port_forget(shell);
	ntd_framing_forget(&shell->framing);
	ntd_shell_set_refusal(shell, NULL);
	if (job && job->command->no_status)
		job->result->status = -1;
	else if (job)
		error = ntd_error_new(NTD_E_MACHINE,
				      "machine '%s': the root shell began anew (the guest "
				      "rebooted?) while `%.*s` ran",
				      shell->machine, ntd_shell_shown(job->command),
				      job->command->text);
	ntd_shell_clear_wire(shell, error);
	shell->channel.owner.ready(shell->channel.owner.owner, &shell->channel,
				   ntd_buf_bytes(&shell->said), shell->said.len);
	ntd_buf_clear(&shell->said);
	ntd_script_socket_take(&shell->script, &unread);
}

void ntd_shell_assume(struct ntd_shell *shell)
{
	ntd_buf_clear(&shell->said);
	banner(shell);
	shell->framing.port_left = true; /* the shell of then may have one open */
}

void ntd_shell_go_back(struct ntd_shell *shell, const struct ntd_error *why)
{
	const struct ntd_shell_job *job = shell->current;
	struct ntd_error *error = NULL;

	if (job && !why)
		error = ntd_error_new(NTD_E_MACHINE,
				      "machine '%s': QEMU replaced the guest's state while "
				      "`%.*s` ran",
				      shell->machine, ntd_shell_shown(job->command),
				      job->command->text);
	ntd_shell_port_forget(shell);
	ntd_framing_forget(&shell->framing);
	shell->framing.port_left = true; /* the shell of then may have one open */
	if (why) {
		ntd_shell_refuse(shell, why);
		return;
	}
	ntd_shell_set_refusal(shell, NULL);
	ntd_shell_clear_wire(shell, error);
	ntd_shell_pump(shell);
}

static void garbled(struct ntd_shell *shell, enum ntd_reply_event event)
{
	const char *what = event == NTD_REPLY_TOO_LONG
				   ? "has more than 1 GiB of output"
				   : "got a reply that is not base64: something "
				     "else wrote to the root shell's console";
	const struct ntd_command *command = shell->current ? shell->current->command : NULL;
	struct ntd_error *error = NULL;

	if (command)
		error = ntd_error_new(NTD_E_PROTOCOL, "machine '%s': command `%.*s` %s",
				      shell->machine, ntd_shell_shown(command), command->text,
				      what);
	ntd_shell_clear_wire(shell, error);
}

static void handle(struct ntd_shell *shell, enum ntd_reply_event event)
{
	switch (event) {
	case NTD_REPLY_BANNER:
		banner(shell);
		break;
	case NTD_REPLY_COMPLETE:
		if (shell->port_stage == NTD_SHELL_PORT_FINDING)
			looked(shell);
		else
			complete(shell);
		break;
	case NTD_REPLY_MORE:
		kept(shell);
		break;
	case NTD_REPLY_PORT:
		sent(shell);
		break;
	case NTD_REPLY_PIECE:
		if (shell->reply.piece_len == NTD_PIECE_SIZE)
			ask_for_more(shell);
		else if (ntd_reply_is_whole(&shell->reply))
			complete(shell);
		else
			garbled(shell, NTD_REPLY_GARBLED);
		break;
	case NTD_REPLY_GARBLED:
	case NTD_REPLY_TOO_LONG:
		garbled(shell, event);
		break;
	case NTD_REPLY_HELD:
	case NTD_REPLY_NONE:
	default:
		break;
	}
	ntd_shell_pump(shell);
}

static void note_said(struct ntd_shell *shell, const char *bytes, size_t len)
{
	size_t room = shell->said.len < SAID_LIMIT ? SAID_LIMIT - shell->said.len : 0;

	shell->channel.heard = ntd_now();
	ntd_buf_append(&shell->said, bytes, len < room ? len : room);
}

bool ntd_shell_read(struct ntd_shell *shell, int batches)
{
	char bytes[READ_SIZE];

	while (batches--) {
		ssize_t got = ntd_fd_receive(shell->socket.fd, bytes, sizeof bytes);
		const char *at = bytes;
		size_t left = (size_t)got;

		if (got <= 0)
			return got == 0;
		note_said(shell, bytes, shell->on_wire ? 0 : left);
		if (!shell->on_wire)
			ntd_script_socket_add(&shell->script, bytes, left);
		else
			ntd_shell_await_bytes(shell);
		while (left)
			handle(shell, ntd_reply_feed(&shell->reply, &at, &left));
	}
	return true;
}

void ntd_shell_ready(struct ntd_source *source, uint32_t events)
{
	struct ntd_shell *shell = ntd_container_of(source, struct ntd_shell, socket);

	if (events & EPOLLOUT)
		ntd_output_flush(&shell->socket, &shell->out);
	if (events & ~(uint32_t)EPOLLOUT && !ntd_shell_read(shell, 4)) {
		ntd_source_remove(&shell->socket);
		ntd_script_socket_close(&shell->script);
		shell->channel.owner.lost(shell->channel.owner.owner, &shell->channel);
	}
}

struct ntd_script_socket *ntd_shell_socket(struct ntd_shell *shell)
{
	return &shell->script;
}
