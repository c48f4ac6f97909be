/* Standard input by a pipe. One thread. */
#include "agent/command_input.h"

#include <errno.h>
#include <fcntl.h>

static void close_pipe(struct ntd_agent_input *input)
{
	ntd_agent_source_remove(&input->pipe);
	ntd_close_fd(&input->pipe.fd);
}

static void use(struct ntd_agent_input *input, size_t len)
{
	ntd_buf_consume(&input->waiting, len);
	ntd_agent_used(input->command, len);
}

/* Writes what the pipe takes. Without a reader, everything is used. */
static void write_pipe(struct ntd_agent_input *input)
{
	size_t used = 0;

	while (input->pipe.fd >= 0 && used < input->waiting.len) {
		ssize_t len = write(input->pipe.fd, ntd_buf_bytes(&input->waiting) + used,
				    input->waiting.len - used);

		if (len < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (len < 0)
			close_pipe(input);
		else
			used += (size_t)len;
	}
	use(input, input->pipe.fd < 0 ? input->waiting.len : used);
	input->pipe.events = input->waiting.len ? POLLOUT : 0;
	if (input->finished && !input->waiting.len)
		close_pipe(input);
}

static void pipe_ready(struct ntd_agent_source *source, short events)
{
	write_pipe(ntd_container_of(source, struct ntd_agent_input, pipe));
}

int ntd_agent_input_open(struct ntd_agent_input *input, struct ntd_agent_stream *command,
			 int *read_end)
{
	int pipe[2];

	if (pipe2(pipe, O_CLOEXEC))
		return errno;
	fcntl(pipe[1], F_SETFL, O_NONBLOCK);
	input->command = command;
	input->pipe.fd = pipe[1];
	input->pipe.ready = pipe_ready;
	ntd_agent_source_add(command->agent, &input->pipe);
	*read_end = pipe[0];
	return 0;
}

void ntd_agent_input_take(struct ntd_agent_input *input, const char *bytes, size_t len)
{
	ntd_buf_append(&input->waiting, bytes, len);
	write_pipe(input);
}

void ntd_agent_input_finish(struct ntd_agent_input *input)
{
	input->finished = true;
	write_pipe(input);
}

void ntd_agent_input_free(struct ntd_agent_input *input)
{
	close_pipe(input);
	ntd_buf_free(&input->waiting);
}
