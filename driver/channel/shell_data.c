/* Long outputs of the root shell's commands, on the loop thread. The guest sends one by the data
 * port while the command runs; or it keeps it, and sends it when it is told to: by the port, or on
 * hvc0 in pieces.
 *
 * The bytes on the port and the reply on hvc0 come in any order. The reply says how many bytes
 * there are, and their checksum if the guest can tell.
 */
#include "channel/shell_internal.h"

#include "base/cksum.h"
#include "base/fd.h"
#include "loop/output.h"

enum { READ_SIZE = 64 << 10, BATCHES = 16 };

#define BYTES_PATIENCE (10 * NTD_SECOND) /* for bytes that the guest says it has written */

/* ---- what the guest has kept */

void ntd_shell_fetch(struct ntd_shell *shell)
{
	const char *token = shell->current->token;

	shell->exchange = NTD_SHELL_AWAITS_PORT;
	ntd_reply_expect(&shell->reply, "");
	if (!ntd_shell_port_open(shell))
		return;
	if (ntd_shell_port_usable(shell)) {
		shell->exchange = NTD_SHELL_SENDS;
		ntd_framing_write_send(shell->wire_number, &shell->out);
		ntd_reply_expect(&shell->reply, token);
	} else {
		shell->exchange = NTD_SHELL_FETCHES;
		ntd_framing_write_first(&shell->framing, shell->wire_number, &shell->out);
		ntd_reply_expect_pieces(&shell->reply, token);
	}
	ntd_output_flush(&shell->socket, &shell->out);
}

/* What has waited for the port goes on, with it or without it. */
static void settled(struct ntd_shell *shell)
{
	if (shell->exchange == NTD_SHELL_AWAITS_PORT)
		ntd_shell_fetch(shell);
	else
		ntd_shell_pump(shell);
}

/* ---- bytes on the port */

static void take(struct ntd_shell *shell, const char *bytes, size_t len)
{
	struct ntd_shell_job *job = shell->current;

	ntd_shell_await_bytes(shell);
	if (!job || shell->data_overflown)
		return;
	shell->data_overflown = job->result->output.len + len > shell->reply.limit;
	if (shell->data_overflown)
		return;
	ntd_buf_append(&job->result->output, bytes, len);
	ntd_command_tell(job->command, bytes, len);
}

/* False when the other end is gone. */
static bool read_some(struct ntd_shell *shell)
{
	char bytes[READ_SIZE];

	for (int i = 0; i < BATCHES; i++) {
		ssize_t got = ntd_fd_receive(shell->data.fd, bytes, sizeof bytes);

		if (got <= 0)
			return got == 0;
		take(shell, bytes, (size_t)got);
	}
	return true;
}

static struct ntd_error *damaged(const struct ntd_shell *shell, const char *what)
{
	const struct ntd_command *command = shell->current->command;

	return ntd_error_new(NTD_E_PROTOCOL, "machine '%s': command `%.*s`: its output %s",
			     shell->machine, ntd_shell_shown(command), command->text, what);
}

/* Ends the command on the wire if all of its output is there, or cannot come any more. */
static void check(struct ntd_shell *shell, bool gone)
{
	const struct ntd_reply *reply = &shell->reply;
	const struct ntd_buf *output;

	if (shell->exchange != NTD_SHELL_DRAINS)
		return;
	output = &shell->current->result->output;
	if (reply->count > shell->reply.limit)
		ntd_shell_clear_wire(shell, damaged(shell, "came by the data port, and the guest "
							   "could not tell how long it is"));
	else if (output->len < reply->count && !gone)
		ntd_timer_set(shell->loop, &shell->missing, ntd_after(BYTES_PATIENCE));
	else if (output->len != reply->count)
		ntd_shell_clear_wire(shell, damaged(shell, "is not complete: the data port was "
							   "closed, or lost some of it"));
	else if (reply->has_sum && reply->sum != ntd_cksum(ntd_buf_bytes(output), output->len))
		ntd_shell_clear_wire(shell, damaged(shell, "was damaged on the data port"));
	else
		ntd_shell_clear_wire(shell, NULL);
}

static void bytes_are_missing(struct ntd_timer *timer)
{
	struct ntd_shell *shell = ntd_container_of(timer, struct ntd_shell, missing);

	check(shell, true);
	ntd_shell_pump(shell);
}

static void too_long(struct ntd_shell *shell)
{
	shell->data_overflown = false;
	if (shell->current)
		ntd_shell_give_up(shell, damaged(shell, "has more than 1 GiB"));
	ntd_shell_pump(shell);
}

static void data_ready(struct ntd_source *source, uint32_t events)
{
	struct ntd_shell *shell = ntd_container_of(source, struct ntd_shell, data);
	bool gone;

	if (events & EPOLLOUT)
		ntd_output_flush(&shell->data, &shell->data_out);
	gone = events & ~(uint32_t)EPOLLOUT && !read_some(shell);
	if (shell->data_overflown) {
		too_long(shell);
		return;
	}
	check(shell, gone);
	if (gone)
		ntd_shell_port_close(shell);
	ntd_shell_pump(shell);
}

void ntd_shell_drain(struct ntd_shell *shell)
{
	shell->exchange = NTD_SHELL_DRAINS;
	check(shell, shell->port_stage != NTD_SHELL_PORT_OPEN);
}

/* ---- for the channel */

void ntd_shell_data_init(struct ntd_shell *shell)
{
	shell->data = (struct ntd_source){.fd = -1, .ready = data_ready};
	shell->port_opened = ntd_shell_ask_for_port;
	shell->port_settled = settled;
	shell->missing.expired = bytes_are_missing;
}
