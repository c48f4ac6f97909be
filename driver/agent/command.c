/* The service that runs commands. One thread.
 *
 * A command has a bash, a pipe with its output, and what was asked for: an input, standard error
 * apart, a time-out. It is complete when bash has ended and the output is closed. At the time-out
 * its process group gets SIGTERM, as by timeout(1), if bash still runs; when the time of grace is
 * over, too, the command ends in any case: who holds the output is listed, what is left is killed.
 * In the manner that kills, everything is killed at the time-out instead, and nothing is waited
 * for.
 */
#include "agent/command.h"

#include "agent/command_errors.h"
#include "agent/command_input.h"
#include "agent/command_text.h"
#include "agent/processes.h"
#include "agent/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>

enum {
	TIMEOUT_STATUS = 124,
	SIGNAL_STATUS = 128,
	LAST_READS = 16, /* of what a command that was killed has written */
};

enum state {
	COMMAND_INCOMPLETE, /* its text is to come */
	COMMAND_RUNS,
	COMMAND_OVERDUE, /* its time-out is over */
	COMMAND_KILLED,  /* so it is, and nothing is waited for any more */
	COMMAND_CANCELLED,
};

struct command {
	struct ntd_agent_stream stream;
	struct ntd_agent_run run; /* without the text */
	enum state state;
	struct ntd_agent_text text;
	struct ntd_agent_input input;
	struct ntd_agent_errors *errors; /* NULL: standard error is the agent's */
	struct ntd_agent_source output;
	struct ntd_agent_child bash;
	bool bash_runs;
	struct ntd_agent_timer limit;
	enum ntd_agent_how how;
	uint32_t status;
	struct ntd_buf holders;
};

static struct command *command_of(struct ntd_agent_stream *stream)
{
	return ntd_container_of(stream, struct command, stream);
}

/* ---- the end */

static void detach_errors(struct command *command)
{
	if (command->errors)
		ntd_agent_errors_detach(ntd_steal(&command->errors));
}

static void close_output(struct command *command)
{
	ntd_agent_source_remove(&command->output);
	ntd_close_fd(&command->output.fd);
}

static void end_if_complete(struct command *command)
{
	const struct ntd_agent_ran ran = {.status = command->status,
					  .how = command->how,
					  .holders = ntd_buf_bytes(&command->holders),
					  .holders_len = command->holders.len};
	_cleanup_buf_ struct ntd_buf payload = {0};

	if (command->bash_runs || command->output.fd >= 0)
		return;
	detach_errors(command);
	if (command->state == COMMAND_CANCELLED) {
		ntd_agent_failed(&command->stream, "the command was cancelled");
		return;
	}
	ntd_agent_ran_pack(&payload, &ran);
	ntd_agent_done(&command->stream, &payload);
}

/* Reads what is there, if a process writes without end not all of it, and closes the output. */
static void take_the_rest(struct command *command)
{
	int reads = LAST_READS;

	while (command->output.fd >= 0 && reads-- &&
	       ntd_agent_send_read(&command->stream, NTD_FRAME_DATA, command->output.fd) > 0)
		;
	close_output(command);
}

static void bash_ended(struct ntd_agent_child *child, int status)
{
	struct command *command = ntd_container_of(child, struct command, bash);

	command->bash_runs = false;
	command->status = WIFSIGNALED(status) ? SIGNAL_STATUS + (uint32_t)WTERMSIG(status)
					      : (uint32_t)WEXITSTATUS(status);
	if (command->how == NTD_AGENT_TIMED_OUT)
		command->status = TIMEOUT_STATUS;
	if (command->state == COMMAND_KILLED)
		take_the_rest(command);
	end_if_complete(command);
}

static void output_ready(struct ntd_agent_source *source, short events)
{
	struct command *command = ntd_container_of(source, struct command, output);
	ssize_t len = ntd_agent_send_read(&command->stream, NTD_FRAME_DATA, source->fd);

	if (len > 0 || (len < 0 && (errno == EAGAIN || errno == EINTR)))
		return;
	close_output(command);
	end_if_complete(command);
}

/* ---- time-outs */

/* What timeout(1) does: the process, its group, and those that are stopped, too. */
static void terminate(struct command *command)
{
	pid_t bash = command->bash.pid;

	kill(bash, SIGTERM);
	kill(-bash, SIGTERM);
	kill(bash, SIGCONT);
	kill(-bash, SIGCONT);
	command->how = NTD_AGENT_TIMED_OUT;
}

static void give_up(struct command *command)
{
	if (command->output.fd >= 0) {
		command->how = NTD_AGENT_HELD;
		ntd_agent_list_holders(&command->holders, command->output.fd, NTD_AGENT_HELD_MOST);
		close_output(command);
	}
	if (command->bash_runs)
		ntd_agent_kill_tree(command->bash.pid);
	end_if_complete(command);
}

/* The end at once, as soon as bash is reaped. */
static void cut_short(struct command *command)
{
	command->state = COMMAND_KILLED;
	command->how = NTD_AGENT_TIMED_OUT;
	command->status = TIMEOUT_STATUS;
	if (command->bash_runs)
		ntd_agent_kill_tree(command->bash.pid);
	else
		take_the_rest(command);
	end_if_complete(command);
}

/* A time of the loop, `delay` milliseconds from now. */
static int64_t after(uint64_t delay)
{
	return ntd_agent_now() + (int64_t)(delay < INT64_MAX / 2 ? delay : INT64_MAX / 2);
}

static void limit_expired(struct ntd_agent_timer *timer)
{
	struct command *command = ntd_container_of(timer, struct command, limit);

	if (command->state == COMMAND_OVERDUE) {
		give_up(command);
		return;
	}
	if (ntd_agent_setup(command->stream.agent)->manner->kills) {
		cut_short(command);
		return;
	}
	command->state = COMMAND_OVERDUE;
	if (command->bash_runs)
		terminate(command);
	ntd_agent_timer_set(command->stream.agent, timer, after(command->run.grace));
}

/* ---- the start */

static int open_output(struct command *command, int *write_end)
{
	int pipe[2];

	if (pipe2(pipe, O_CLOEXEC))
		return errno;
	fcntl(pipe[0], F_SETFL, O_NONBLOCK);
	command->output.fd = pipe[0];
	ntd_agent_source_add(command->stream.agent, &command->output);
	*write_end = pipe[1];
	return 0;
}

static int open_errors(struct command *command, int *write_end)
{
	command->errors = ntd_agent_errors_new(&command->stream, write_end);
	return command->errors ? 0 : errno;
}

static int start_bash(struct command *command)
{
	struct ntd_agent *agent = command->stream.agent;
	const struct ntd_agent_setup *setup = ntd_agent_setup(agent);
	const struct ntd_agent_run *run = &command->run;
	_cleanup_fd_ int output = -1, errors = -1, input = -1;
	_cleanup_free_ char *text =
		ntd_agent_text_argument(&command->text, setup->manner->prologue);
	struct ntd_agent_spawn spawn = {.text = text,
					.text_fd = command->text.fd,
					.own_group = run->timeout || setup->manner->kills};
	int failed = text ? open_output(command, &output) : EINVAL;

	if (!failed && run->errors)
		failed = open_errors(command, &errors);
	if (!failed && run->input)
		failed = ntd_agent_input_open(&command->input, &command->stream, &input);
	if (failed)
		return failed;
	spawn.output = output;
	spawn.errors = errors;
	spawn.input = run->input ? input : run->timeout ? setup->timed_input : setup->input;
	failed = ntd_agent_spawn(setup, &spawn, &command->bash.pid);
	if (failed)
		return failed;
	command->bash_runs = true;
	ntd_agent_child_add(agent, &command->bash);
	return 0;
}

static void start(struct command *command)
{
	int failed = start_bash(command);

	ntd_agent_text_free(&command->text);
	if (failed) {
		detach_errors(command);
		ntd_agent_failed(&command->stream, "bash cannot be started: %s", strerror(failed));
		return;
	}
	command->state = COMMAND_RUNS;
	if (command->run.timeout)
		ntd_agent_timer_set(command->stream.agent, &command->limit,
				    after(command->run.timeout));
}

static struct command *new_command(struct ntd_agent *agent, uint32_t number)
{
	struct command *command = ntd_calloc(1, sizeof *command);

	command->text.fd = command->input.pipe.fd = -1;
	command->input.command = &command->stream;
	command->output = (struct ntd_agent_source){
		.fd = -1, .events = POLLIN, .sends = true, .ready = output_ready};
	command->bash.ended = bash_ended;
	command->limit.expired = limit_expired;
	ntd_agent_stream_add(agent, &command->stream, &ntd_agent_commands, number);
	return command;
}

static void take_text(struct command *command, const struct ntd_frame *frame)
{
	ssize_t taken = ntd_agent_text_take(&command->text, frame->bytes, frame->len);

	if (taken < 0)
		ntd_agent_failed(&command->stream, "the text of the command cannot be kept: %s",
				 strerror((int)-taken));
	else if (!command->text.missing)
		start(command);
}

static void begin(struct ntd_agent *agent, uint32_t number, const char *payload, size_t len)
{
	struct command *command = new_command(agent, number);
	struct ntd_agent_run *run = &command->run;
	int failed;

	if (!ntd_agent_run_unpack(payload, len, run)) {
		ntd_agent_failed(&command->stream, "the agent does not understand the command");
		return;
	}
	failed = ntd_agent_text_open(&command->text,
				     run->text_follows ? run->text_follows : run->text_len);
	if (failed)
		ntd_agent_failed(&command->stream, "the text of the command cannot be kept: %s",
				 strerror(failed));
	else if (!run->text_follows)
		take_text(command, &(struct ntd_frame){.bytes = run->text, .len = run->text_len});
}

/* ---- frames */

static void take_data(struct command *command, const struct ntd_frame *frame)
{
	if (command->run.input && command->state != COMMAND_INCOMPLETE)
		ntd_agent_input_take(&command->input, frame->bytes, frame->len);
	else
		ntd_agent_used(&command->stream, frame->len);
}

/* The bytes of a frame are text, as long as it is incomplete. */
static void take_frame(struct ntd_agent_stream *stream, const struct ntd_frame *frame)
{
	struct command *command = command_of(stream);

	if (frame->kind == NTD_FRAME_DATA && command->state == COMMAND_INCOMPLETE) {
		ntd_agent_used(stream, frame->len);
		take_text(command, frame);
	} else if (frame->kind == NTD_FRAME_DATA) {
		take_data(command, frame);
	} else if (frame->kind == NTD_FRAME_END) {
		ntd_agent_input_finish(&command->input);
	}
}

static void cancel(struct ntd_agent_stream *stream)
{
	struct command *command = command_of(stream);

	command->state = COMMAND_CANCELLED;
	ntd_agent_timer_cancel(&command->limit);
	close_output(command);
	detach_errors(command);
	if (command->bash_runs)
		ntd_agent_kill_tree(command->bash.pid);
	end_if_complete(command);
}

static void free_command(struct ntd_agent_stream *stream)
{
	struct command *command = command_of(stream);

	ntd_agent_timer_cancel(&command->limit);
	ntd_agent_child_forget(&command->bash);
	close_output(command);
	ntd_agent_input_free(&command->input);
	ntd_agent_text_free(&command->text);
	ntd_buf_free(&command->holders);
	free(command);
}

const struct ntd_agent_service ntd_agent_commands = {
	.kind = NTD_FRAME_RUN,
	.begin = begin,
	.frame = take_frame,
	.cancel = cancel,
	.free = free_command,
};
