/* Standard error apart. It is read no faster than the console takes it, which has a description of
 * its own that does not block: the terminal's other users must not notice. One thread.
 */
#include "agent/command_errors.h"

#include <errno.h>
#include <fcntl.h>

enum { READ_MOST = 64 << 10, DRAIN_ROUNDS = 32 };

struct ntd_agent_errors {
	struct ntd_agent_stream stream;   /* of number 0 */
	struct ntd_agent_stream *command; /* NULL: it has ended */
	struct ntd_agent_source pipe, console;
	struct ntd_buf waiting; /* for the console */
};

static struct ntd_agent_errors *errors_of(struct ntd_agent_stream *stream)
{
	return ntd_container_of(stream, struct ntd_agent_errors, stream);
}

/* Ends the relay when the pipe is closed and nothing waits for the console; otherwise has the loop
 * wait for the next thing to do. */
static void go_on(struct ntd_agent_errors *errors)
{
	if (errors->pipe.fd < 0 && !errors->waiting.len && !errors->command) {
		ntd_agent_drop(&errors->stream);
		return;
	}
	errors->pipe.events = errors->waiting.len ? 0 : POLLIN;
	errors->console.events = errors->waiting.len ? POLLOUT : 0;
}

static void write_console(struct ntd_agent_errors *errors)
{
	while (errors->waiting.len) {
		ssize_t len = write(errors->console.fd, ntd_buf_bytes(&errors->waiting),
				    errors->waiting.len);

		if (len < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		ntd_buf_consume(&errors->waiting, len < 0 ? errors->waiting.len : (size_t)len);
	}
}

/* Reads once. Returns whether something came; at the end, the pipe is closed. */
static bool read_pipe(struct ntd_agent_errors *errors)
{
	char *room = ntd_buf_reserve(&errors->waiting, READ_MOST);
	ssize_t len = read(errors->pipe.fd, room, READ_MOST);

	if (!len || (len < 0 && errno != EAGAIN && errno != EINTR)) {
		ntd_agent_source_remove(&errors->pipe);
		ntd_close_fd(&errors->pipe.fd);
	}
	if (len <= 0)
		return false;
	ntd_buf_added(&errors->waiting, (size_t)len);
	if (errors->command)
		ntd_agent_send(errors->command, NTD_FRAME_ERROR_DATA, room, (size_t)len);
	return true;
}

static void pipe_ready(struct ntd_agent_source *source, short events)
{
	struct ntd_agent_errors *errors = ntd_container_of(source, struct ntd_agent_errors, pipe);

	read_pipe(errors);
	write_console(errors);
	go_on(errors);
}

static void console_ready(struct ntd_agent_source *source, short events)
{
	struct ntd_agent_errors *errors =
		ntd_container_of(source, struct ntd_agent_errors, console);

	write_console(errors);
	go_on(errors);
}

static void free_errors(struct ntd_agent_stream *stream)
{
	struct ntd_agent_errors *errors = errors_of(stream);

	ntd_agent_source_remove(&errors->pipe);
	ntd_agent_source_remove(&errors->console);
	ntd_close_fd(&errors->pipe.fd);
	ntd_close_fd(&errors->console.fd);
	ntd_buf_free(&errors->waiting);
	free(errors);
}

static const struct ntd_agent_service relay = {.free = free_errors};

/* A description of standard error that does not block; or, as for a socket, the one that is
 * there. */
static int open_console(void)
{
	int fd = open("/proc/self/fd/2", O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	return fd >= 0 ? fd : fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
}

struct ntd_agent_errors *ntd_agent_errors_new(struct ntd_agent_stream *stream, int *write_end)
{
	struct ntd_agent_errors *errors;
	int pipe[2];

	if (pipe2(pipe, O_CLOEXEC))
		return NULL;
	fcntl(pipe[0], F_SETFL, O_NONBLOCK);
	errors = ntd_calloc(1, sizeof *errors);
	errors->command = stream;
	errors->pipe = (struct ntd_agent_source){
		.fd = pipe[0], .events = POLLIN, .sends = true, .ready = pipe_ready};
	errors->console = (struct ntd_agent_source){.fd = open_console(), .ready = console_ready};
	ntd_agent_stream_add(stream->agent, &errors->stream, &relay, 0);
	ntd_agent_source_add(stream->agent, &errors->pipe);
	ntd_agent_source_add(stream->agent, &errors->console);
	*write_end = pipe[1];
	return errors;
}

void ntd_agent_errors_detach(struct ntd_agent_errors *errors)
{
	int rounds = DRAIN_ROUNDS;

	while (errors->pipe.fd >= 0 && rounds-- && read_pipe(errors))
		;
	errors->command = NULL;
	errors->pipe.sends = false;
	write_console(errors);
	go_on(errors);
}
