/* The human monitor's connection. The loop thread owns the socket and the queue of commands;
 * scripts' threads come by requests. One command is under way at a time, since only the prompt
 * tells where its reply ends: after a command that was given up, `stale` holds the next one back
 * until that prompt has come.
 */
#include "qemu/monitor.h"

#include "base/list.h"
#include "loop/output.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

enum { READ_SIZE = 16 << 10, REPLY_LIMIT = 64 << 20 };

static const char prompt[] = "(qemu) ";

struct command {
	struct ntd_request request;
	struct ntd_monitor *monitor;
	const char *line;
	struct ntd_buf *reply;
	struct ntd_list_link link;
};

struct ntd_monitor {
	struct ntd_loop *loop;
	char *machine;
	struct ntd_source socket; /* fd -1: closed */
	struct ntd_buf out, in;
	struct ntd_script_socket script;
	struct ntd_list commands; /* the first has been sent if `busy` */
	bool busy;
	bool stale;                    /* the reply to an abandoned command is still to come */
	void (*prompted)(void *owner); /* NULL: the first prompt has come */
	void *owner;                   /* of `prompted` */
};

static struct command *first_command(const struct ntd_monitor *monitor)
{
	return ntd_list_first(&monitor->commands, struct command, link);
}

/* Ends the first command; what has been read is its reply. */
static void finish_first(struct ntd_monitor *monitor)
{
	struct command *command = ntd_list_take(&monitor->commands, struct command, link);

	monitor->busy = false;
	ntd_buf_append(command->reply, ntd_buf_bytes(&monitor->in), monitor->in.len);
	ntd_buf_clear(&monitor->in);
	ntd_request_complete(&command->request, NULL);
}

static bool at_prompt(const struct ntd_buf *text)
{
	size_t len = sizeof prompt - 1;

	return text->len >= len && !memcmp(ntd_buf_bytes(text) + text->len - len, prompt, len);
}

/* Sends the first command, unless one is under way or the monitor is not ready. */
static void pump(struct ntd_monitor *monitor)
{
	const struct command *command = first_command(monitor);

	if (!command || monitor->busy || monitor->stale || monitor->prompted ||
	    monitor->socket.fd < 0)
		return;
	monitor->busy = true;
	if (command->line) {
		ntd_buf_puts(&monitor->out, command->line);
		ntd_buf_puts(&monitor->out, "\n");
		ntd_output_flush(&monitor->socket, &monitor->out);
	} else {
		/* The script has sent a command by itself. What has come is the beginning of its
		 * reply, or all of it. */
		ntd_script_socket_take(&monitor->script, &monitor->in);
		if (at_prompt(&monitor->in))
			finish_first(monitor);
	}
}

static void prompt_seen(struct ntd_monitor *monitor)
{
	void (*prompted)(void *owner) = monitor->prompted;

	if (monitor->busy) {
		finish_first(monitor);
	} else if (prompted) {
		monitor->prompted = NULL;
		ntd_buf_clear(&monitor->in);
		prompted(monitor->owner);
	} else {
		ntd_buf_clear(&monitor->in);
		monitor->stale = false;
	}
	pump(monitor);
}

static void socket_ready(struct ntd_source *source, uint32_t events)
{
	struct ntd_monitor *monitor = ntd_container_of(source, struct ntd_monitor, socket);
	ssize_t got;

	if (events & EPOLLOUT)
		ntd_output_flush(&monitor->socket, &monitor->out);
	got = recv(source->fd, ntd_buf_reserve(&monitor->in, READ_SIZE), READ_SIZE, MSG_DONTWAIT);
	if (got > 0)
		ntd_buf_added(&monitor->in, (size_t)got);
	else if (got == 0 || (errno != EAGAIN && errno != EINTR))
		ntd_monitor_close(monitor);
	if (monitor->in.len > REPLY_LIMIT)
		ntd_buf_consume(&monitor->in, monitor->in.len - REPLY_LIMIT / 2);
	if (!monitor->busy && !monitor->stale && !monitor->prompted) {
		ntd_script_socket_add(&monitor->script, ntd_buf_bytes(&monitor->in),
				      monitor->in.len);
		ntd_buf_clear(&monitor->in);
	}
	if (got > 0 && at_prompt(&monitor->in))
		prompt_seen(monitor);
}

int ntd_monitor_open(struct ntd_monitor *monitor, int fd, void (*prompted)(void *owner),
		     void *owner, struct ntd_error **err)
{
	ntd_buf_clear(&monitor->in);
	ntd_buf_clear(&monitor->out);
	ntd_script_socket_open(&monitor->script);
	monitor->busy = monitor->stale = false;
	monitor->prompted = prompted;
	monitor->owner = owner;
	monitor->socket.fd = fd;
	return ntd_source_add(monitor->loop, &monitor->socket, EPOLLIN, err);
}

void ntd_monitor_close(struct ntd_monitor *monitor)
{
	ntd_source_remove(&monitor->socket);
	ntd_close_fd(&monitor->socket.fd);
	ntd_script_socket_close(&monitor->script);
	while (!ntd_list_empty(&monitor->commands))
		finish_first(monitor);
}

static void script_wrote(struct ntd_script_socket *socket, const char *bytes, size_t len)
{
	struct ntd_monitor *monitor = ntd_container_of(socket, struct ntd_monitor, script);

	if (monitor->socket.fd < 0)
		return;
	ntd_buf_append(&monitor->out, bytes, len);
	ntd_output_flush(&monitor->socket, &monitor->out);
}

struct ntd_script_socket *ntd_monitor_socket(struct ntd_monitor *monitor)
{
	return &monitor->script;
}

/* ---- script threads */

static void command_begin(struct ntd_request *request)
{
	struct command *command = ntd_container_of(request, struct command, request);
	struct ntd_monitor *monitor = command->monitor;

	ntd_script_socket_pull(&monitor->script);
	if (monitor->socket.fd < 0) {
		ntd_request_complete(request,
				     ntd_error_new(NTD_E_DEAD,
						   "machine '%s' has no monitor: it is not running",
						   monitor->machine));
		return;
	}
	ntd_list_append(&monitor->commands, &command->link);
	pump(monitor);
}

static void command_abandon(struct ntd_request *request)
{
	struct command *command = ntd_container_of(request, struct command, request);
	struct ntd_monitor *monitor = command->monitor;

	if (monitor->busy && first_command(monitor) == command) {
		monitor->busy = false;
		monitor->stale = command->line;
	}
	ntd_list_unlink(&command->link);
}

int ntd_monitor_command(struct ntd_monitor *monitor, const char *line, struct ntd_buf *reply,
			int64_t deadline, struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct command command = {
		.request = {.begin = command_begin, .abandon = command_abandon, .looks = !line},
		.monitor = monitor,
		.line = line,
		.reply = reply};
	int64_t limit = monitor->script.limit;

	if (limit)
		deadline = ntd_earlier(deadline, ntd_after(limit));
	if (ntd_request_run(monitor->loop, &command.request, deadline, waiter, err) < 0)
		return ntd_error_wrap(err, "machine '%s': monitor command `%s`", monitor->machine,
				      line ? line : "");
	return 0;
}

struct ntd_monitor *ntd_monitor_new(struct ntd_loop *loop, const char *machine)
{
	struct ntd_monitor *monitor = ntd_calloc(1, sizeof *monitor);

	*monitor = (struct ntd_monitor){.loop = loop,
					.machine = ntd_strdup(machine),
					.socket = {.fd = -1, .ready = socket_ready}};
	ntd_script_socket_init(&monitor->script, loop, script_wrote);
	return monitor;
}

void ntd_monitor_free(struct ntd_monitor *monitor)
{
	if (!monitor)
		return;
	ntd_buf_free(&monitor->in);
	ntd_buf_free(&monitor->out);
	ntd_script_socket_free(&monitor->script);
	free(monitor->machine);
	free(monitor);
}
