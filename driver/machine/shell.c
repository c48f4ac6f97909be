/* Theory of operation
 *
 * The guest's end is a bash that reads hvc0 line by line. One command is one write of one line and one
 * line of reply (machine/reply.h): there is no second round trip for the status, and no subshell. Bash
 * reads its script byte by byte, a system call each, so the line is short: what is the same for all
 * commands is in two functions, defined together with the first command for each shell,
 *
 *   ntd() { bash -c "set -euo pipefail; $2" | base64 -w 0; echo " ${PIPESTATUS[*]} IDENTITY-$1"; }
 *
 * and the same with `timeout`. Since the whole line is read before it runs, nothing of it is left on hvc0
 * for the command's standard input, which is hvc0 as it always was.
 *
 * Input for a command, and the text of one that does not fit into an argument (128 KiB on Linux), follow
 * the line as raw bytes; `head -c` passes on exactly their number, and what the command leaves is
 * swallowed, so the shell never sees them as commands.
 *
 * Commands wait in a queue; one is on the wire at a time. An abandoned one (Ctrl-C) leaves the wire to
 * the next, which the guest reads when the first has ended; its reply is skipped by its token.
 *
 * The watchdog. Output counts as complete when every holder has closed it, so a command whose child
 * keeps it open blocks, past the `timeout` that ended only the command. The guest's shell then waits
 * for base64, deaf to the host. So with the first command that has a time-out, a background loop of the
 * same bash is left in the guest: once a second it looks at the shell's children; a base64 that has lived
 * longer than the seconds in its environment (NTD_LIMIT, set on base64 alone) gets its pipe's holders
 * listed on hvc0 and is killed. It starts no processes.
 */
#include "machine/shell.h"

#include "base/text.h"
#include "machine/reply.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

enum {
	READ_SIZE = 64 << 10,
	ARGUMENT_LIMIT = 120 << 10, /* below MAX_ARG_STRLEN, 128 KiB, with room for the prefix */
	OUTPUT_LIMIT = 1 << 30,
	GUEST_GRACE = 10, /* seconds after the guest's time-out until the watchdog ends base64 */
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
	struct job *first, **last; /* first: on the wire when `on_wire` */
	bool on_wire;
	bool prepared, watchdog; /* the present shell has the functions, the loop */
	struct ntd_buf said;     /* bytes before the banner, for the log */
	unsigned activity;
	char identity[9];
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
	bool queued;
};

/* ---- what is written */

/* s: the shell; k: its children; seen[p], since[p]: the last tick and the first one in a row that p was
 * there; n, t: limit and token in p's environment; f: what is found. */
static const char watchdog_text[] =
	"ntd_watchdog() {\n"
	"local s=$$ k p e n t f tick=0; local -a seen since; exec 9<> <(:) || return\n"
	"while read -r -t 1 -u 9; [ -r /proc/$s/task/$s/children ]; do\n"
	"tick=$((tick + 1)); read -r k < /proc/$s/task/$s/children\n"
	"for p in $k; do\n"
	"[ $p = $BASHPID ] && continue\n"
	"[ \"${seen[p]}\" = $((tick - 1)) ] || since[p]=$tick; seen[p]=$tick; n= t=\n"
	"while IFS= read -r -d '' e; do\n"
	"case $e in NTD_LIMIT=*) n=${e#*=};; NTD_TOKEN=*) t=${e#*=};; esac\n"
	"done < /proc/$p/environ\n"
	"[ -n \"$n\" ] && [ $((tick - since[p])) -ge $n ] || continue\n"
	"f=; for e in /proc/[0-9]*; do\n"
	"[ $e = /proc/$p ] || for n in $e/fd/*; do\n"
	"[ $n -ef /proc/$p/fd/0 ] && read -r n < $e/comm && f=\"$f ${e#/proc/} ($n)\" && break\n"
	"done; done\n"
	"echo; echo \"$t held$f\"; kill -KILL $p\n"
	"done; done; }\n"
	"ntd_watchdog 2> /dev/null < /dev/null & disown $!; unset -f ntd_watchdog\n";

static bool must_stream(const struct ntd_command *command)
{
	return command->text_len > ARGUMENT_LIMIT;
}

static void append_seconds(struct ntd_buf *line, double seconds)
{
	if (seconds == floor(seconds) && seconds < 1e15)
		ntd_buf_printf(line, "%.0f", seconds);
	else
		ntd_buf_printf(line, "%.6f", seconds);
}

/* Defines what write_line() and write_streamed() use. */
static void write_preparation(struct ntd_shell *shell, bool watchdog)
{
	static const char run[] = "bash -c \"set -euo pipefail; $%d\" | %sbase64 -w 0; "
				  "echo \" ${PIPESTATUS[*]} %s-$1\"; }\n";
	static const char limit[] = "NTD_LIMIT=$3 NTD_TOKEN=%s-$1 ";
	_cleanup_free_ char *limited = ntd_asprintf(limit, shell->identity);

	if (!shell->prepared) {
		ntd_buf_puts(&shell->out, "ntd() { ");
		ntd_buf_printf(&shell->out, run, 2, "", shell->identity);
		ntd_buf_puts(&shell->out, "ntd_timeout() { timeout $2 ");
		ntd_buf_printf(&shell->out, run, 4, limited, shell->identity);
	}
	if (watchdog && !shell->watchdog)
		ntd_buf_puts(&shell->out, watchdog_text);
	shell->prepared = true;
	shell->watchdog |= watchdog;
}

static double limit_of(const struct ntd_command *command)
{
	return ceil(command->timeout) + GUEST_GRACE;
}

static void write_line(struct ntd_shell *shell, const struct job *job)
{
	const struct ntd_command *command = job->command;
	struct ntd_buf *out = &shell->out;

	if (command->timeout > 0) {
		ntd_buf_printf(out, "ntd_timeout %u ", job->number);
		append_seconds(out, command->timeout);
		ntd_buf_printf(out, " %.0f ", limit_of(command));
	} else {
		ntd_buf_printf(out, "ntd %u ", job->number);
	}
	ntd_shell_quote(out, command->text, command->text_len);
	ntd_buf_puts(out, "\n");
}

/* With standard input, or with the command itself as standard input of an eval. */
static void write_streamed(struct ntd_shell *shell, const struct job *job)
{
	const struct ntd_command *command = job->command;
	bool long_text = must_stream(command);
	const char *input = long_text ? command->text : command->input;
	size_t input_len = long_text ? command->text_len : command->input_len;
	struct ntd_buf *out = &shell->out;
	_cleanup_buf_ struct ntd_buf text = {0};

	ntd_buf_puts(&text, "set -euo pipefail; ");
	ntd_buf_append(&text, long_text ? "eval \"$(cat)\"" : command->text,
		       long_text ? 14 : command->text_len);
	ntd_buf_printf(out, "head -c %zu | (", input_len);
	if (command->timeout > 0) {
		ntd_buf_puts(out, "timeout ");
		append_seconds(out, command->timeout);
	}
	ntd_buf_puts(out, " bash -c ");
	ntd_shell_quote(out, ntd_buf_bytes(&text), text.len);
	ntd_buf_puts(out, "; s=$?; cat > /dev/null; exit $s) | ");
	if (command->timeout > 0)
		ntd_buf_printf(out, "NTD_LIMIT=%.0f NTD_TOKEN=%s ", limit_of(command), job->token);
	ntd_buf_printf(out, "base64 -w 0; echo \" ${PIPESTATUS[*]:1} %s\"\n", job->token);
	ntd_buf_append(out, input, input_len);
}

static void write_command(struct ntd_shell *shell, const struct job *job)
{
	write_preparation(shell, job->command->timeout > 0);
	if (job->command->input || must_stream(job->command))
		write_streamed(shell, job);
	else
		write_line(shell, job);
}

/* ---- the queue */

static void flush_out(struct ntd_shell *shell)
{
	while (shell->out.len) {
		ssize_t sent = send(shell->socket.fd, ntd_buf_bytes(&shell->out), shell->out.len,
				    MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent > 0)
			ntd_buf_consume(&shell->out, (size_t)sent);
		else if (errno != EINTR)
			break;
	}
	ntd_source_modify(&shell->socket, EPOLLIN | (shell->out.len ? (uint32_t)EPOLLOUT : 0));
}

static void pump(struct ntd_shell *shell);

/* Takes the first job off the queue and completes it. */
static void finish_first(struct ntd_shell *shell, struct ntd_error *error)
{
	struct job *job = shell->first;

	shell->first = job->next;
	if (!shell->first)
		shell->last = &shell->first;
	job->queued = false;
	shell->on_wire = false;
	ntd_reply_expect(&shell->reply, "");
	ntd_request_complete(&job->request, error);
}

static void pump(struct ntd_shell *shell)
{
	while (shell->first && !shell->on_wire && shell->socket.fd >= 0) {
		struct job *job = shell->first;

		write_command(shell, job);
		shell->on_wire = true;
		flush_out(shell);
		if (!job->command->no_reply) {
			ntd_reply_expect(&shell->reply, job->token);
			return;
		}
		job->result->status = -2;
		finish_first(shell, NULL);
	}
}

static void job_begin(struct ntd_request *request)
{
	struct job *job = ntd_container_of(request, struct job, request);
	struct ntd_shell *shell = job->shell;

	if (shell->socket.fd < 0) {
		ntd_request_complete(
			request, ntd_error_new(NTD_E_DEAD,
					       "machine '%s' has no root shell: it is not running",
					       shell->machine));
		return;
	}
	job->number = ++shell->sequence;
	snprintf(job->token, sizeof job->token, "%s-%u", shell->identity, job->number);
	job->queued = true;
	*shell->last = job;
	shell->last = &job->next;
	pump(shell);
}

static void job_abandon(struct ntd_request *request)
{
	struct job *job = ntd_container_of(request, struct job, request);
	struct ntd_shell *shell = job->shell;
	struct job **link = &shell->first;

	if (!job->queued)
		return;
	if (shell->first == job && shell->on_wire) {
		shell->on_wire = false;
		ntd_reply_expect(&shell->reply, "");
	}
	while (*link != job)
		link = &(*link)->next;
	*link = job->next;
	if (!*link)
		shell->last = link;
	pump(shell);
}

void ntd_shell_fail_pending(struct ntd_shell *shell, const struct ntd_error *why)
{
	while (shell->first)
		finish_first(shell, ntd_error_copy(why));
}

/* ---- what is read */

static void complete(struct ntd_shell *shell)
{
	struct job *job = shell->first;
	struct ntd_reply *reply = &shell->reply;
	struct ntd_error *error = NULL;

	if (reply->held)
		error = ntd_error_new(
			NTD_E_TIMEOUT,
			"machine '%s': command `%.200s` ended, but its standard output was "
			"still open %d seconds after its time-out of %g seconds; held by "
			"guest processes %s (redirect the output of background processes)",
			shell->machine, job->command->text, GUEST_GRACE, job->command->timeout,
			*reply->held ? reply->held : "unknown");
	else if (reply->encoder_status)
		error = ntd_error_new(
			NTD_E_MACHINE,
			"machine '%s': base64 in the guest failed with status %d; the "
			"output of `%.200s` is lost",
			shell->machine, reply->encoder_status, job->command->text);
	job->result->status = job->command->no_status ? -1 : reply->command_status;
	job->result->output = reply->output;
	reply->output = (struct ntd_buf){0};
	finish_first(shell, error);
}

/* A command that was under way belongs to a shell that is no more. */
static void banner(struct ntd_shell *shell)
{
	struct job *job = shell->first;

	shell->prepared = shell->watchdog = false;
	if (job && job->command->no_status) {
		job->result->status = -1;
		finish_first(shell, NULL);
	} else if (job) {
		finish_first(shell,
			     ntd_error_new(NTD_E_MACHINE,
					   "machine '%s': the root shell began anew (the guest "
					   "rebooted?) while `%.200s` ran",
					   shell->machine, job->command->text));
	}
	shell->owner.announced(shell->owner.owner, ntd_buf_bytes(&shell->said), shell->said.len);
	ntd_buf_clear(&shell->said);
}

static void garbled(struct ntd_shell *shell, enum ntd_reply_event event)
{
	const char *what = event == NTD_REPLY_TOO_LONG
				   ? "has more than 1 GiB of output"
				   : "got a reply that is not base64: something "
				     "else wrote to the root shell's console";

	finish_first(shell, ntd_error_new(NTD_E_PROTOCOL, "machine '%s': command `%.200s` %s",
					  shell->machine, shell->first->command->text, what));
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
		flush_out(shell);
	if (events & ~(uint32_t)EPOLLOUT && !read_socket(shell, 4)) {
		ntd_source_remove(&shell->socket);
		shell->owner.disconnected(shell->owner.owner);
	}
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
	int64_t deadline = NTD_FOREVER;
	struct ntd_error *error = NULL;

	if (command->timeout > 0) /* timeout(1) takes 0 as none */
		deadline = ntd_after(ntd_span(command->timeout + GUEST_GRACE + HOST_GRACE));
	if (ntd_request_run(shell->loop, &job.request, deadline, waiter, &error) == 0)
		return 0;
	if (error->code == NTD_E_TIMEOUT && !strcmp(error->message, "timed out")) {
		ntd_error_free(error);
		return ntd_error_set(
			err, NTD_E_TIMEOUT,
			"machine '%s': no reply from the guest to `%.200s`, which it should "
			"have ended after %g seconds; waited %d seconds longer",
			shell->machine, command->text, command->timeout, GUEST_GRACE + HOST_GRACE);
	}
	return ntd_error_move(err, error);
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
	flush_out(raw->shell);
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
	const struct job *job = running->shell->on_wire ? running->shell->first : NULL;

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
	uint32_t random = 0;

	while (getrandom(&random, sizeof random, 0) != sizeof random)
		;
	*shell = (struct ntd_shell){.channel.ops = &ops,
				    .loop = loop,
				    .owner = *owner,
				    .machine = ntd_strdup(machine),
				    .socket = {.fd = -1, .ready = socket_ready},
				    .reply.limit = OUTPUT_LIMIT};
	shell->last = &shell->first;
	snprintf(shell->identity, sizeof shell->identity, "%08x", random);
	return shell;
}

int ntd_shell_open(struct ntd_shell *shell, int fd, struct ntd_error **err)
{
	ntd_reply_reset(&shell->reply);
	ntd_buf_clear(&shell->out);
	ntd_buf_clear(&shell->said);
	shell->prepared = shell->watchdog = shell->on_wire = false;
	shell->activity = 0;
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
	ntd_shell_fail_pending(shell, why);
}

void ntd_shell_free(struct ntd_shell *shell)
{
	if (!shell)
		return;
	ntd_reply_free(&shell->reply);
	ntd_buf_free(&shell->out);
	ntd_buf_free(&shell->said);
	free(shell->machine);
	free(shell);
}
