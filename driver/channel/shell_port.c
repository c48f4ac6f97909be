/* The root shell's data port, on the loop thread. A long output comes by it, and input for commands
 * goes by it, raw and without loss; without it both go by hvc0, in pieces or at the risk of the
 * terminal.
 *
 * The port is added to the guest when it is first needed. Its stages:
 *
 *	CLOSED    nobody has needed it, or something went wrong with it
 *	OPENING   QEMU has been asked for it
 *	FINDING   the root shell has been told its name, on hvc0, and looks for the device
 *	OPEN      both ends are open
 *	REFUSED   it cannot be had, in this boot of the guest
 *
 * Bytes on the port belong to one command, the one on the wire. Whatever ends that command before
 * its reply and all of its output have come closes the port, so that late bytes find no reader. The
 * next command that needs a port gets a new one.
 */
#include "channel/shell_internal.h"

#include "loop/output.h"

bool ntd_shell_port_usable(const struct ntd_shell *shell)
{
	return shell->port && shell->port_stage != NTD_SHELL_PORT_REFUSED;
}

static void end_port(struct ntd_shell *shell, enum ntd_shell_port_stage stage)
{
	if (shell->port_stage == NTD_SHELL_PORT_OPEN || shell->port_stage == NTD_SHELL_PORT_FINDING)
		shell->framing.port_left = true;
	shell->framing.port = false;
	shell->port_stage = stage;
	ntd_timer_cancel(&shell->missing);
	ntd_source_remove(&shell->data);
	ntd_close_fd(&shell->data.fd);
	ntd_buf_clear(&shell->data_out);
	if (shell->port)
		shell->port->ops->close(shell->port);
}

void ntd_shell_port_close(struct ntd_shell *shell)
{
	if (shell->port_stage != NTD_SHELL_PORT_REFUSED)
		end_port(shell, NTD_SHELL_PORT_CLOSED);
}

void ntd_shell_port_forget(struct ntd_shell *shell)
{
	end_port(shell, NTD_SHELL_PORT_CLOSED);
	shell->framing.port_left = shell->framing.sent[NTD_GUEST_PORT] = false;
}

/* ---- opening */

static void refuse(struct ntd_shell *shell)
{
	end_port(shell, NTD_SHELL_PORT_REFUSED);
	shell->port_settled(shell);
}

static void port_failed(void *owner, const struct ntd_error *why)
{
	refuse(owner);
}

static void port_opened(void *owner, int fd, const char *name)
{
	struct ntd_shell *shell = owner;

	shell->data.fd = fd;
	if (!shell->socket.loop || ntd_source_add(shell->loop, &shell->data, EPOLLIN, NULL) < 0) {
		refuse(shell);
		return;
	}
	shell->port_stage = NTD_SHELL_PORT_FINDING;
	shell->port_opened(shell, name);
}

void ntd_shell_port_found(struct ntd_shell *shell, bool found)
{
	if (!found) {
		refuse(shell);
		return;
	}
	shell->port_stage = NTD_SHELL_PORT_OPEN;
	shell->framing.port = true;
	shell->port_settled(shell);
}

bool ntd_shell_port_open(struct ntd_shell *shell)
{
	if (!ntd_shell_port_usable(shell) || shell->port_stage == NTD_SHELL_PORT_OPEN)
		return true;
	if (shell->port_stage == NTD_SHELL_PORT_CLOSED) {
		shell->port_stage = NTD_SHELL_PORT_OPENING;
		shell->port->ops->open(shell->port, &(struct ntd_port_user){.opened = port_opened,
									    .failed = port_failed,
									    .owner = shell});
	}
	return false;
}

void ntd_shell_port_write(struct ntd_shell *shell, const char *bytes, size_t len)
{
	ntd_buf_append(&shell->data_out, bytes, len);
	ntd_output_flush(&shell->data, &shell->data_out);
}

void ntd_shell_set_port(struct ntd_shell *shell, struct ntd_port *port)
{
	shell->port = port;
}
