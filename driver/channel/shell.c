/* The root shell as a channel: how it is made, opened and closed, on the loop thread; and, on
 * script threads, running a command and writing raw bytes. The queue of commands is in
 * shell_queue.c, what the guest answers in shell_read.c.
 */
#include "channel/shell_internal.h"

#include "loop/output.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

enum {
	OUTPUT_LIMIT = 1 << 30,
	GUEST_GRACE = 10, /* seconds after a command's time-out until its output is given up */
};

/* ---- bytes that are no command of the driver's */

struct raw {
	struct ntd_shell *shell;
	const char *bytes;
	size_t len;
	bool closed;
};

static void write_raw(struct ntd_shell *shell, const char *bytes, size_t len)
{
	if (shell->socket.fd < 0)
		return;
	if (!shell->spoken_to && shell->watcher.spoken_to)
		shell->watcher.spoken_to(shell->watcher.owner);
	shell->spoken_to = true;
	ntd_buf_append(&shell->out, bytes, len);
	ntd_output_flush(&shell->socket, &shell->out);
}

static void script_wrote(struct ntd_script_socket *socket, const char *bytes, size_t len)
{
	write_raw(ntd_container_of(socket, struct ntd_shell, script), bytes, len);
}

static void send_raw(void *arg)
{
	struct raw *raw = arg;

	raw->closed = raw->shell->socket.fd < 0;
	ntd_script_socket_pull(&raw->shell->script);
	write_raw(raw->shell, raw->bytes, raw->len);
}

int ntd_shell_send(struct ntd_shell *shell, const char *bytes, size_t len, struct ntd_error **err)
{
	struct raw raw = {.shell = shell, .bytes = bytes, .len = len};

	ntd_loop_call(shell->loop, send_raw, &raw);
	if (raw.closed)
		return ntd_error_set(err, NTD_E_DEAD,
				     "machine '%s' has no root shell: it is not running",
				     shell->machine);
	return 0;
}

/* ---- who else works with the shell */

void ntd_shell_watch(struct ntd_shell *shell, const struct ntd_shell_watcher *watcher)
{
	shell->watcher = *watcher;
}

bool ntd_shell_listens(const struct ntd_shell *shell)
{
	return shell->socket.loop && !shell->refusal;
}

bool ntd_shell_is_occupied(struct ntd_shell *shell)
{
	ntd_script_socket_pull(&shell->script);
	return shell->spoken_to || shell->script.limit || (shell->on_wire && !shell->current);
}

/* ---- the channel */

static int run(struct ntd_channel *channel, const struct ntd_command *command,
	       struct ntd_result *result, struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct ntd_shell *shell = ntd_container_of(channel, struct ntd_shell, channel);
	_cleanup_free_ char *text = ntd_channel_text_for_user(channel, command);
	struct ntd_command sent = ntd_command_with_text(command, text);

	if (sent.errors)
		return ntd_error_set(err, NTD_E_VALUE,
				     "machine '%s': the root shell does not keep standard error "
				     "apart; the agent does, where it runs",
				     shell->machine);
	if (ntd_framing_check(&sent, err) < 0)
		return -1;
	return ntd_shell_queue_run(shell, &sent, result, waiter, err);
}

struct running {
	struct ntd_shell *shell;
	char *text;
};

static void copy_running(void *arg)
{
	struct running *running = arg;
	const struct ntd_shell_job *job = running->shell->current;

	running->text = job ? ntd_strndup(job->command->text, job->command->text_len) : NULL;
}

static char *busy(struct ntd_channel *channel)
{
	struct ntd_shell *shell = ntd_container_of(channel, struct ntd_shell, channel);
	struct running running = {.shell = shell};

	ntd_loop_call(shell->loop, copy_running, &running);
	return running.text;
}

/* ---- life */

static bool has_bytes(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) > 0;
}

static void close_shell(struct ntd_channel *channel, const struct ntd_error *why)
{
	struct ntd_shell *shell = ntd_container_of(channel, struct ntd_shell, channel);

	if (shell->socket.fd >= 0) {
		while (has_bytes(shell->socket.fd) && ntd_shell_read(shell, 1))
			;
		ntd_source_remove(&shell->socket);
		ntd_close_fd(&shell->socket.fd);
	}
	ntd_shell_port_forget(shell);
	ntd_script_socket_close(&shell->script);
	/* Commands fail from now on, also one whose request has not reached the loop thread yet. */
	ntd_shell_refuse(shell, why);
}

void ntd_shell_leave_port(struct ntd_shell *shell)
{
	if (shell->current)
		return;
	ntd_shell_port_close(shell);
	ntd_shell_pump(shell); /* a command may have waited for the port */
}

static const struct ntd_channel_ops ops = {.run = run, .busy = busy, .close = close_shell};

struct ntd_shell *ntd_shell_new(struct ntd_loop *loop, const char *machine)
{
	struct ntd_shell *shell = ntd_calloc(1, sizeof *shell);

	*shell = (struct ntd_shell){.channel = {.ops = &ops, .name = "root shell"},
				    .loop = loop,
				    .machine = ntd_strdup(machine),
				    .socket = {.fd = -1, .ready = ntd_shell_ready},
				    .reply.limit = OUTPUT_LIMIT};
	ntd_shell_queue_init(shell);
	ntd_shell_data_init(shell);
	ntd_script_socket_init(&shell->script, loop, script_wrote);
	ntd_framing_init(&shell->framing, GUEST_GRACE);
	return shell;
}

struct ntd_channel *ntd_shell_channel(struct ntd_shell *shell)
{
	return &shell->channel;
}

int ntd_shell_open(struct ntd_shell *shell, int fd, struct ntd_error **err)
{
	ntd_reply_expect(&shell->reply, "");
	ntd_buf_clear(&shell->out);
	ntd_buf_clear(&shell->said);
	ntd_framing_forget(&shell->framing);
	ntd_shell_set_refusal(shell, NULL);
	shell->on_wire = shell->port_spoilt = shell->spoken_to = false;
	shell->exchange = NTD_SHELL_RUNS;
	shell->channel.heard = 0;
	ntd_script_socket_open(&shell->script);
	shell->socket.fd = fd;
	return ntd_source_add(shell->loop, &shell->socket, EPOLLIN, err);
}

void ntd_shell_set_grace(struct ntd_shell *shell, unsigned seconds)
{
	shell->framing.grace = seconds;
}

unsigned ntd_shell_grace(const struct ntd_shell *shell)
{
	return shell->framing.grace;
}

void ntd_shell_free(struct ntd_shell *shell)
{
	if (!shell)
		return;
	ntd_shell_set_refusal(shell, NULL);
	ntd_reply_free(&shell->reply);
	ntd_buf_free(&shell->out);
	ntd_buf_free(&shell->said);
	ntd_buf_free(&shell->data_out);
	ntd_script_socket_free(&shell->script);
	free(shell->machine);
	free(shell);
}
