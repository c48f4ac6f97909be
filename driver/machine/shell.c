/* Commands wait in a queue; one is on the wire at a time, framed by machine/framing.c, and answered by
 * what machine/reply.c finds in the bytes that come back. One that is abandoned (Ctrl-C) is killed in the
 * guest. It, or one whose reply nobody wants, keeps the wire until its reply has come, or a new root shell: until then the guest would not
 * read the next, and what was written early could be taken for its input.
 */
#include "machine/shell.h"

#include "loop/output.h"
#include "machine/framing.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

enum {
	READ_SIZE = 64 << 10,
	OUTPUT_LIMIT = 1 << 30,
	GUEST_GRACE = 10, /* seconds after the guest's time-out until its output is given up */
	HOST_GRACE = 30,  /* seconds after that until the driver gives up waiting for the guest */
	SAID_LIMIT = 1024,
};

struct ntd_shell {
	struct ntd_channel channel;
	struct ntd_loop *loop;
	struct ntd_shell_owner owner;
	char *machine;
	struct ntd_source socket; /* fd -1: not connected */
	struct ntd_buf out;
	struct ntd_reply reply;
	struct job *first, **last; /* waiting for the wire */
	bool on_wire;              /* a command was sent whose reply has not come yet */
	unsigned wire_number;      /* its number */
	struct ntd_timer overdue;  /* when its reply should have come */
	struct job *current;       /* that command; NULL: nobody waits for its reply any more */
	struct ntd_framing framing;
	struct ntd_error *refusal; /* why commands cannot run; NULL: they can */
	struct ntd_buf said;       /* bytes before the banner, for the log */
	struct ntd_inbox inbox;
	unsigned activity;
	unsigned sequence;
};

struct job {
	struct ntd_request request;
	struct ntd_shell *shell;
	const struct ntd_command *command;
	struct ntd_result *result;
	struct job *next;
	char token[NTD_TOKEN_SIZE];
	unsigned number;
};

/* How much of a command's text a message shows. */
static int shown(const struct ntd_command *command)
{
	return command->text_len < 200 ? (int)command->text_len : 200;
}

/* ---- the queue */

/* The wire is free again; who waited for the reply, if anyone still does, is told. */
static void clear_wire(struct ntd_shell *shell, struct ntd_error *error)
{
	struct job *job = ntd_steal(&shell->current);

	shell->on_wire = false;
	ntd_timer_cancel(&shell->overdue);
	ntd_reply_expect(&shell->reply, "");
	if (job)
		ntd_request_complete(&job->request, error);
	else
		ntd_error_free(error);
}

static struct job *take_first(struct ntd_shell *shell)
{
	struct job *job = shell->first;

	shell->first = job->next;
	if (!shell->first)
		shell->last = &shell->first;
	return job;
}

/* Sends the next command when the wire is free. */
static void pump(struct ntd_shell *shell)
{
	struct job *job;

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
	struct job *job = ntd_container_of(request, struct job, request);
	struct ntd_shell *shell = job->shell;
	struct ntd_error *error = cannot_run(shell);

	if (error) {
		ntd_request_complete(request, error);
		return;
	}
	job->number = ++shell->sequence;
	ntd_framing_token(&shell->framing, job->number, job->token);
	*shell->last = job;
	shell->last = &job->next;
	pump(shell);
}

static void job_abandon(struct ntd_request *request)
{
	struct job *job = ntd_container_of(request, struct job, request);
	struct ntd_shell *shell = job->shell;
	struct job **link = &shell->first;

	if (shell->current == job) {
		shell->current = NULL; /* the wire is free when its reply has come */
		if (ntd_framing_can_interrupt(job->command)) {
			ntd_framing_write_interrupt(&shell->out);
			ntd_output_flush(&shell->socket, &shell->out);
		}
		if (!shell->overdue.loop)
			ntd_timer_set(shell->loop, &shell->overdue,
				      ntd_after((shell->framing.grace + HOST_GRACE) * NTD_SECOND));
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
	clear_wire(shell, ntd_error_copy(why));
	while (shell->first)
		ntd_request_complete(&take_first(shell)->request, ntd_error_copy(why));
}

static void refuse(struct ntd_shell *shell, struct ntd_error *why)
{
	ntd_error_free(shell->refusal);
	shell->refusal = why;
}

void ntd_shell_refuse(struct ntd_shell *shell, const struct ntd_error *why)
{
	refuse(shell, ntd_error_copy(why));
	fail_pending(shell, why);
}

/* The guest should have ended the command long ago. As long as it does not answer, no other command can
 * run either. */
static void reply_overdue(struct ntd_timer *timer)
{
	struct ntd_shell *shell = ntd_container_of(timer, struct ntd_shell, overdue);
	struct job *job = ntd_steal(&shell->current);

	if (job)
		refuse(shell,
		       ntd_error_new(
			       NTD_E_TIMEOUT,
			       "machine '%s': no reply from the guest to `%.*s`, which it should "
			       "have ended after %g seconds; waited %u seconds longer",
			       shell->machine, shown(job->command), job->command->text,
			       job->command->timeout, shell->framing.grace + HOST_GRACE));
	else
		refuse(shell,
		       ntd_error_new(NTD_E_TIMEOUT,
				     "machine '%s': the root shell is still busy with a command "
				     "that was given up",
				     shell->machine));
	if (job)
		ntd_request_complete(&job->request, ntd_error_copy(shell->refusal));
	while (shell->first)
		ntd_request_complete(&take_first(shell)->request, ntd_error_copy(shell->refusal));
}

/* ---- what is read */

static struct ntd_error *failure(const struct ntd_shell *shell, const struct ntd_command *command)
{
	const struct ntd_reply *reply = &shell->reply;

	if (reply->held)
		return ntd_error_new(
			NTD_E_TIMEOUT,
			"machine '%s': command `%.*s`: its standard output was still open "
			"%u seconds after its time-out of %g seconds; held by guest "
			"processes %s (redirect the output of background processes)",
			shell->machine, shown(command), command->text, shell->framing.grace,
			command->timeout, *reply->held ? reply->held : "unknown");
	if (reply->reader_status)
		return ntd_error_new(NTD_E_MACHINE,
				     "machine '%s': base64 in the guest failed with status %d; the "
				     "output of `%.*s` is lost",
				     shell->machine, reply->reader_status, shown(command),
				     command->text);
	return NULL;
}

static void complete(struct ntd_shell *shell)
{
	struct job *job = shell->current;
	struct ntd_reply *reply = &shell->reply;
	struct ntd_error *error = NULL;

	if (job) {
		error = failure(shell, job->command);
		job->result->status = job->command->no_status ? -1 : reply->command_status;
		job->result->output = reply->output;
		reply->output = (struct ntd_buf){0};
	}
	refuse(shell, NULL); /* it answers, if late */
	clear_wire(shell, error);
}

/* Of a long output nobody wants any more nothing is asked for. */
static void ask_for_more(struct ntd_shell *shell)
{
	shell->reply.piece_len = 0;
	if (!shell->current) {
		refuse(shell, NULL);
		clear_wire(shell, NULL);
		return;
	}
	ntd_framing_write_more(shell->wire_number, &shell->out);
	ntd_output_flush(&shell->socket, &shell->out);
}

/* A command that was under way belongs to a shell that is no more. */
static void banner(struct ntd_shell *shell)
{
	struct job *job = shell->current;
	struct ntd_error *error = NULL;

	ntd_framing_forget(&shell->framing);
	refuse(shell, NULL);
	if (job && job->command->no_status)
		job->result->status = -1;
	else if (job)
		error = ntd_error_new(NTD_E_MACHINE,
				      "machine '%s': the root shell began anew (the guest "
				      "rebooted?) while `%.*s` ran",
				      shell->machine, shown(job->command), job->command->text);
	clear_wire(shell, error);
	shell->owner.announced(shell->owner.owner, ntd_buf_bytes(&shell->said), shell->said.len);
	ntd_buf_clear(&shell->said);
	ntd_inbox_open(&shell->inbox);
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
				      shell->machine, shown(command), command->text, what);
	clear_wire(shell, error);
}

static void handle(struct ntd_shell *shell, enum ntd_reply_event event)
{
	switch (event) {
	case NTD_REPLY_BANNER:
		banner(shell);
		break;
	case NTD_REPLY_COMPLETE:
		complete(shell);
		break;
	case NTD_REPLY_MORE:
		ask_for_more(shell);
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
	pump(shell);
}

static void note_said(struct ntd_shell *shell, const char *bytes, size_t len)
{
	size_t room = shell->said.len < SAID_LIMIT ? SAID_LIMIT - shell->said.len : 0;

	shell->activity++;
	ntd_buf_append(&shell->said, bytes, len < room ? len : room);
}

/* Reads what is there; false at the end of the connection. At most `batches`, so that one machine with
 * much to say does not keep the others waiting. */
static bool read_socket(struct ntd_shell *shell, int batches)
{
	char bytes[READ_SIZE];

	while (batches--) {
		ssize_t got = recv(shell->socket.fd, bytes, sizeof bytes, MSG_DONTWAIT);
		const char *at = bytes;
		size_t left = got > 0 ? (size_t)got : 0;

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return errno == EAGAIN;
		if (!got)
			return false;
		note_said(shell, bytes, shell->on_wire ? 0 : left);
		if (!shell->on_wire)
			ntd_inbox_add(&shell->inbox, bytes, left);
		while (left)
			handle(shell, ntd_reply_feed(&shell->reply, &at, &left));
	}
	return true;
}

static bool has_bytes(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) > 0;
}

static void socket_ready(struct ntd_source *source, uint32_t events)
{
	struct ntd_shell *shell = ntd_container_of(source, struct ntd_shell, socket);

	if (events & EPOLLOUT)
		ntd_output_flush(&shell->socket, &shell->out);
	if (events & ~(uint32_t)EPOLLOUT && !read_socket(shell, 4)) {
		ntd_source_remove(&shell->socket);
		ntd_inbox_close(&shell->inbox);
		shell->owner.disconnected(shell->owner.owner);
	}
}

struct ntd_inbox *ntd_shell_inbox(struct ntd_shell *shell)
{
	return &shell->inbox;
}

unsigned ntd_shell_activity(const struct ntd_shell *shell)
{
	return shell->activity;
}

/* ---- the channel */

static int run(struct ntd_channel *channel, const struct ntd_command *command,
	       struct ntd_result *result, struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct ntd_shell *shell = ntd_container_of(channel, struct ntd_shell, channel);
	struct job job = {.request = {.begin = job_begin, .abandon = job_abandon},
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

static void send_raw(void *arg)
{
	struct raw *raw = arg;

	raw->closed = raw->shell->socket.fd < 0;
	if (raw->closed)
		return;
	ntd_buf_append(&raw->shell->out, raw->bytes, raw->len);
	ntd_output_flush(&raw->shell->socket, &raw->shell->out);
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
	const struct job *job = running->shell->current;

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
				    .inbox.loop = loop,
				    .owner = *owner,
				    .machine = ntd_strdup(machine),
				    .socket = {.fd = -1, .ready = socket_ready},
				    .overdue.expired = reply_overdue,
				    .reply.limit = OUTPUT_LIMIT};
	shell->last = &shell->first;
	ntd_framing_init(&shell->framing, GUEST_GRACE);
	return shell;
}

int ntd_shell_open(struct ntd_shell *shell, int fd, struct ntd_error **err)
{
	ntd_reply_expect(&shell->reply, "");
	ntd_buf_clear(&shell->out);
	ntd_buf_clear(&shell->said);
	ntd_framing_forget(&shell->framing);
	refuse(shell, NULL);
	shell->on_wire = false;
	shell->activity = 0;
	ntd_inbox_open(&shell->inbox);
	shell->socket.fd = fd;
	return ntd_source_add(shell->loop, &shell->socket, EPOLLIN, err);
}

void ntd_shell_close(struct ntd_shell *shell, const struct ntd_error *why)
{
	if (shell->socket.fd >= 0) {
		while (has_bytes(shell->socket.fd) && read_socket(shell, 1))
			;
		ntd_source_remove(&shell->socket);
		ntd_close_fd(&shell->socket.fd);
	}
	ntd_inbox_close(&shell->inbox);
	fail_pending(shell, why);
}

void ntd_shell_set_grace(struct ntd_shell *shell, unsigned seconds)
{
	shell->framing.grace = seconds;
}

void ntd_shell_free(struct ntd_shell *shell)
{
	if (!shell)
		return;
	refuse(shell, NULL);
	ntd_reply_free(&shell->reply);
	ntd_buf_free(&shell->out);
	ntd_buf_free(&shell->said);
	ntd_inbox_free(&shell->inbox);
	free(shell->machine);
	free(shell);
}
