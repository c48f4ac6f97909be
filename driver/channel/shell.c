/* Commands wait in a queue; one is on the wire at a time, framed by channel/framing.c, and answered
 * by what comes back (shell_read.c). One that is abandoned (Ctrl-C) is killed in the guest. It, or
 * one whose reply nobody wants, keeps the wire until its reply has come, or a new root shell: until
 * then the guest would not read the next, and what was written early could be taken for its input.
 */
#include "channel/shell_internal.h"

#include "loop/output.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

enum {
	OUTPUT_LIMIT = 1 << 30,
	GUEST_GRACE = 10, /* seconds after the guest's time-out until its output is given up */
	HOST_GRACE = 30,  /* seconds after that until the driver gives up waiting for the guest */
};

#define INTERRUPT_PAUSE (1 * NTD_SECOND)

/* ---- the queue */

void ntd_shell_clear_wire(struct ntd_shell *shell, struct ntd_error *error)
{
	struct ntd_shell_job *job = ntd_steal(&shell->current);

	shell->on_wire = false;
	ntd_timer_cancel(&shell->overdue);
	ntd_timer_cancel(&shell->silence);
	ntd_timer_cancel(&shell->insist);
	ntd_reply_expect(&shell->reply, "");
	if (job)
		ntd_request_complete(&job->request, error);
	else
		ntd_error_free(error);
}

static struct ntd_shell_job *take_first(struct ntd_shell *shell)
{
	struct ntd_shell_job *job = shell->first;

	shell->first = job->next;
	if (!shell->first)
		shell->last = &shell->first;
	return job;
}

void ntd_shell_pump(struct ntd_shell *shell)
{
	struct ntd_shell_job *job;

	if (!shell->first || shell->on_wire || !shell->socket.loop)
		return;
	job = take_first(shell);
	ntd_framing_write(&shell->framing, job->command, job->number, &shell->out);
	ntd_reply_expect(&shell->reply, job->token);
	shell->on_wire = true;
	shell->wire_number = job->number;
	if (job->command->timeout > 0) /* timeout(1) takes 0 as none */
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

static struct ntd_error *cannot_run(const struct ntd_shell *shell)
{
	if (shell->refusal)
		return ntd_error_copy(shell->refusal);
	if (!shell->socket.loop)
		return ntd_error_new(NTD_E_DEAD, "machine '%s' has no root shell: %s",
				     shell->machine,
				     shell->socket.fd < 0 ? "it is not running" : "it hung up");
	return NULL;
}

static void job_begin(struct ntd_request *request)
{
	struct ntd_shell_job *job = ntd_container_of(request, struct ntd_shell_job, request);
	struct ntd_shell *shell = job->shell;
	struct ntd_error *error = cannot_run(shell);

	ntd_script_socket_pull(&shell->script);
	if (error) {
		ntd_request_complete(request, error);
		return;
	}
	job->number = ++shell->sequence;
	ntd_framing_token(&shell->framing, job->number, job->token);
	*shell->last = job;
	shell->last = &job->next;
	ntd_shell_pump(shell);
}

/* The command itself may read what is sent. */
static void interrupt(struct ntd_timer *timer)
{
	struct ntd_shell *shell = ntd_container_of(timer, struct ntd_shell, insist);

	if (!shell->socket.loop)
		return;
	ntd_framing_write_interrupt(&shell->out);
	ntd_output_flush(&shell->socket, &shell->out);
	ntd_timer_set(shell->loop, timer, ntd_after(INTERRUPT_PAUSE));
}

/* Nobody waits for the command on the wire any more, which is free when its reply has come. */
static void give_up_current(struct ntd_shell *shell)
{
	const struct ntd_shell_job *job = ntd_steal(&shell->current);

	if (ntd_framing_can_interrupt(job->command))
		interrupt(&shell->insist);
	if (!shell->overdue.loop)
		ntd_timer_set(shell->loop, &shell->overdue,
			      ntd_after((shell->framing.grace + HOST_GRACE) * NTD_SECOND));
}

static void job_abandon(struct ntd_request *request)
{
	struct ntd_shell_job *job = ntd_container_of(request, struct ntd_shell_job, request);
	struct ntd_shell *shell = job->shell;
	struct ntd_shell_job **link = &shell->first;

	if (shell->current == job) {
		give_up_current(shell);
		return;
	}
	while (*link && *link != job)
		link = &(*link)->next;
	if (!*link)
		return;
	*link = job->next;
	if (!*link)
		shell->last = link;
}

static void fail_pending(struct ntd_shell *shell, const struct ntd_error *why)
{
	ntd_shell_clear_wire(shell, ntd_error_copy(why));
	while (shell->first)
		ntd_request_complete(&take_first(shell)->request, ntd_error_copy(why));
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

/* The guest should have ended the command long ago. As long as it does not answer, no other command
 * can run either. */
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
	if (job)
		ntd_request_complete(&job->request, ntd_error_copy(shell->refusal));
	while (shell->first)
		ntd_request_complete(&take_first(shell)->request, ntd_error_copy(shell->refusal));
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
	give_up_current(shell);
	ntd_request_complete(&job->request, error);
}

/* ---- the channel */

static int run(struct ntd_channel *channel, const struct ntd_command *command,
	       struct ntd_result *result, struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct ntd_shell *shell = ntd_container_of(channel, struct ntd_shell, channel);
	struct ntd_shell_job job = {.request = {.begin = job_begin, .abandon = job_abandon},
				    .shell = shell,
				    .command = command,
				    .result = result};

	if (ntd_framing_check(command, err) < 0)
		return -1;
	return ntd_request_run(shell->loop, &job.request, NTD_FOREVER, waiter, err);
}

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

char *ntd_shell_running(struct ntd_shell *shell)
{
	struct running running = {.shell = shell};

	ntd_loop_call(shell->loop, copy_running, &running);
	return running.text;
}

struct ntd_channel *ntd_shell_channel(struct ntd_shell *shell)
{
	return &shell->channel;
}

/* ---- life */

struct ntd_shell *ntd_shell_new(struct ntd_loop *loop, const char *machine,
				const struct ntd_shell_owner *owner)
{
	static const struct ntd_channel_ops ops = {.run = run};
	struct ntd_shell *shell = ntd_calloc(1, sizeof *shell);

	*shell = (struct ntd_shell){.channel.ops = &ops,
				    .loop = loop,
				    .owner = *owner,
				    .machine = ntd_strdup(machine),
				    .socket = {.fd = -1, .ready = ntd_shell_ready},
				    .overdue.expired = reply_overdue,
				    .silence.expired = silent_too_long,
				    .insist.expired = interrupt,
				    .reply.limit = OUTPUT_LIMIT};
	shell->last = &shell->first;
	ntd_script_socket_init(&shell->script, loop, script_wrote);
	ntd_framing_init(&shell->framing, GUEST_GRACE);
	return shell;
}

int ntd_shell_open(struct ntd_shell *shell, int fd, struct ntd_error **err)
{
	ntd_reply_expect(&shell->reply, "");
	ntd_buf_clear(&shell->out);
	ntd_buf_clear(&shell->said);
	ntd_framing_forget(&shell->framing);
	ntd_shell_set_refusal(shell, NULL);
	shell->on_wire = false;
	shell->heard = 0;
	ntd_script_socket_open(&shell->script);
	shell->socket.fd = fd;
	return ntd_source_add(shell->loop, &shell->socket, EPOLLIN, err);
}

static bool has_bytes(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) > 0;
}

void ntd_shell_close(struct ntd_shell *shell, const struct ntd_error *why)
{
	if (shell->socket.fd >= 0) {
		while (has_bytes(shell->socket.fd) && ntd_shell_read(shell, 1))
			;
		ntd_source_remove(&shell->socket);
		ntd_close_fd(&shell->socket.fd);
	}
	ntd_script_socket_close(&shell->script);
	ntd_shell_refuse(shell, why); /* also for a command that is just on its way */
}

void ntd_shell_set_grace(struct ntd_shell *shell, unsigned seconds)
{
	shell->framing.grace = seconds;
}

void ntd_shell_free(struct ntd_shell *shell)
{
	if (!shell)
		return;
	ntd_shell_set_refusal(shell, NULL);
	ntd_reply_free(&shell->reply);
	ntd_buf_free(&shell->out);
	ntd_buf_free(&shell->said);
	ntd_script_socket_free(&shell->script);
	free(shell->machine);
	free(shell);
}
