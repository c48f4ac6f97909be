/* The channel into a container. Each command is a process of its own: nsenter(1) into the
 * namespaces of the container's init, and there a shell, so any number of them run at the same
 * time. Standard output comes by a pipe that is read to its end, standard error goes to the
 * console, by a pipe, too, if it is wanted apart. A script thread waits in run(); everything else
 * is on the loop thread. How a process gets into the container is in nsenter_start.c.
 *
 * A command is over when its process has ended and every process has closed its output, as in
 * virtual machines. When the container ends under a command, nsenter ends first, with a status that
 * says nothing; so the driver waits a moment for the end of systemd-nspawn, which says what
 * happened.
 */
#include "channel/nsenter_internal.h"

#include "agent/manner.h"
#include "base/memfd.h"
#include "channel/error_relay.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define END_PATIENCE (1 * NTD_SECOND)

enum {
	OUTPUT_LIMIT = 1 << 30,
	READ_SIZE = 64 << 10,
	READS_AT_ONCE = 16,
	ARGUMENT_LIMIT = 64 << 10, /* half of what the kernel takes as one argument */
	STATUS_TIMED_OUT = 124,    /* that of timeout(1) */
};

struct nsenter_job {
	struct ntd_request request;
	struct ntd_nsenter *nsenter;
	const struct ntd_command *command;
	struct ntd_result *result;
	struct ntd_process *process;    /* NULL: none, or none yet; see ntd_nsenter_await_end() */
	struct ntd_source output;       /* fd -1: read to its end */
	struct ntd_error_relay *errors; /* NULL: standard error is not kept apart */
	struct ntd_timer timer;         /* the command's limit, or END_PATIENCE */
	bool ended, timed_out;
	struct ntd_list_link link; /* in the channel's list */
};

/* ---- the end of a command */

/* Forgets a job; what still runs of its command is killed. */
static void detach(struct nsenter_job *job)
{
	ntd_list_unlink(&job->link);
	ntd_timer_cancel(&job->timer);
	ntd_source_remove(&job->output);
	ntd_close_fd(&job->output.fd);
	if (job->errors)
		ntd_error_relay_detach(ntd_steal(&job->errors));
	if (job->process)
		ntd_process_let_go(ntd_steal(&job->process));
}

static void complete(struct nsenter_job *job, struct ntd_error *error)
{
	detach(job);
	ntd_request_complete(&job->request, error);
}

static int status_of(const struct nsenter_job *job)
{
	int status = job->process->status;

	if (job->timed_out)
		return STATUS_TIMED_OUT;
	return WIFSIGNALED(status) ? NTD_STATUS_SIGNALLED + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Whether the container may have ended: its init's processes are killed before init is seen to be
 * dead. */
static bool container_may_have_ended(const struct nsenter_job *job)
{
	int status = job->process->status;

	return (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) ||
	       !ntd_nsenter_leader_lives(job->nsenter);
}

static void complete_if_over(struct nsenter_job *job)
{
	if (!job->ended || (job->output.fd >= 0 && !job->timed_out))
		return;
	if (!job->timed_out && container_may_have_ended(job)) {
		ntd_timer_set(job->nsenter->loop, &job->timer, ntd_after(END_PATIENCE));
		return;
	}
	job->result->status = status_of(job);
	complete(job, NULL);
}

/* ---- what happens to a command */

/* Reads some of the output, and closes the pipe at its end. Returns whether there may be more. */
static bool read_some(struct nsenter_job *job)
{
	struct ntd_buf *output = &job->result->output;
	ssize_t got = read(job->output.fd, ntd_buf_reserve(output, READ_SIZE), READ_SIZE);

	if (got > 0) {
		ntd_buf_added(output, (size_t)got);
		ntd_command_tell(job->command, ntd_buf_bytes(output) + output->len - got,
				 (size_t)got);
		return output->len <= OUTPUT_LIMIT;
	}
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	ntd_source_remove(&job->output);
	ntd_close_fd(&job->output.fd);
	return false;
}

/* Bounded, since a process may write without end. */
static void read_more(struct nsenter_job *job)
{
	for (int i = 0; i < READS_AT_ONCE && read_some(job); i++)
		;
}

struct ntd_error *ntd_nsenter_too_much(const struct ntd_nsenter *nsenter)
{
	return ntd_error_new(NTD_E_VALUE, "machine '%s': a command printed more than 1 GiB",
			     nsenter->machine);
}

static void output_ready(struct ntd_source *source, uint32_t events)
{
	struct nsenter_job *job = ntd_container_of(source, struct nsenter_job, output);

	read_more(job);
	if (job->result->output.len > OUTPUT_LIMIT)
		complete(job, ntd_nsenter_too_much(job->nsenter));
	else
		complete_if_over(job);
}

static void process_changed(struct ntd_process *process, void *owner)
{
	struct nsenter_job *job = owner;

	if (process->state == NTD_PROCESS_FAILED) {
		complete(job, ntd_error_new(NTD_E_MACHINE, "machine '%s': cannot run %s: %s",
					    job->nsenter->machine, job->nsenter->program,
					    strerror(process->start_errno)));
	} else if (process->state == NTD_PROCESS_ENDED) {
		job->ended = true;
		if (job->timed_out && job->output.fd >= 0)
			read_more(job);
		complete_if_over(job);
	}
}

static void time_is_up(struct ntd_timer *timer)
{
	struct nsenter_job *job = ntd_container_of(timer, struct nsenter_job, timer);
	bool waited_for_end = job->ended && job->output.fd < 0;

	if (waited_for_end) { /* when init has ended, the status may be nsenter's own */
		if (job->process)
			job->result->status = status_of(job);
		complete(job, ntd_nsenter_refusal(job->nsenter));
		return;
	}
	job->timed_out = true;
	ntd_process_kill_tree(job->process);
	complete_if_over(job);
}

/* ---- the start of a command */

/* Bash is looked for in the container: a look from the host at the container's root directory,
 * which may be anything, could lead out of it, or hang. */
#define BASH_OR_SH "[ ! -x /bin/bash ] || exec /bin/bash -c \"$1\"; eval \"shift; $1\""

static bool is_long(const struct ntd_command *command)
{
	return command->text_len > ARGUMENT_LIMIT;
}

/* A long command is read from standard input, to its end. */
static char *script_of(const struct ntd_command *command)
{
	if (is_long(command))
		return ntd_strdup(NTD_CONTAINER_PROLOGUE "eval \"$(cat)\" < /dev/null");
	return ntd_asprintf(NTD_CONTAINER_PROLOGUE "%.*s", (int)command->text_len, command->text);
}

static int input_of(const struct ntd_command *command, struct ntd_error **err)
{
	int fd;

	if (is_long(command))
		return ntd_memory_file(command->text, command->text_len, err);
	if (command->input)
		return ntd_memory_file(command->input, command->input_len, err);
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return fd < 0 ? ntd_error_sys(err, errno, "/dev/null") : fd;
}

static int open_errors(struct nsenter_job *job, int *write_end, struct ntd_error **err)
{
	struct ntd_nsenter *nsenter = job->nsenter;

	job->errors = ntd_error_relay_new(nsenter->loop, &nsenter->relays, job->result,
					  nsenter->console, write_end, err);
	return job->errors ? 0 : -1;
}

static int spawn(struct nsenter_job *job, struct ntd_error **err)
{
	struct ntd_nsenter *nsenter = job->nsenter;
	_cleanup_free_ char *script = script_of(job->command);
	_cleanup_fd_ int input = input_of(job->command, err), their_output = -1, their_errors = -1;
	int output[2];

	if (input < 0)
		return -1;
	if (pipe2(output, O_CLOEXEC) < 0)
		return ntd_error_sys(err, errno, "cannot make a pipe");
	job->output.fd = output[0];
	their_output = output[1];
	fcntl(job->output.fd, F_SETFL, O_NONBLOCK);
	if (ntd_source_add(nsenter->loop, &job->output, EPOLLIN, err) < 0 ||
	    (job->command->errors && open_errors(job, &their_errors, err) < 0))
		return -1;
	job->process = ntd_nsenter_start(
		nsenter,
		&(struct ntd_nsenter_program){
			.argv = (char *[]){"/bin/sh", "-c", BASH_OR_SH, "/bin/sh", script, NULL},
			.input = input,
			.output = their_output,
			.errors = job->errors ? their_errors : -1},
		process_changed, job, err);
	return job->process ? 0 : -1;
}

static void job_begin(struct ntd_request *request)
{
	struct nsenter_job *job = ntd_container_of(request, struct nsenter_job, request);
	struct ntd_nsenter *nsenter = job->nsenter;
	struct ntd_error *error = ntd_nsenter_refusal(nsenter);

	if (error) {
		ntd_request_complete(request, error);
		return;
	}
	ntd_list_append(&nsenter->jobs, &job->link);
	if (spawn(job, &error) < 0) {
		ntd_error_wrap(&error, "machine '%s': a command cannot be run", nsenter->machine);
		complete(job, error);
	} else if (job->command->timeout > 0) {
		ntd_timer_set(nsenter->loop, &job->timer,
			      ntd_after(ntd_span(job->command->timeout)));
	}
}

static void job_abandon(struct ntd_request *request)
{
	detach(ntd_container_of(request, struct nsenter_job, request));
}

/* ---- the end of the container */

static void end_begin(struct ntd_request *request)
{
	struct nsenter_job *job = ntd_container_of(request, struct nsenter_job, request);

	ntd_list_append(&job->nsenter->jobs, &job->link);
	if (job->nsenter->refusal)
		complete(job, ntd_error_copy(job->nsenter->refusal));
	else
		ntd_timer_set(job->nsenter->loop, &job->timer, ntd_after(END_PATIENCE));
}

int ntd_nsenter_await_end(struct ntd_nsenter *nsenter, struct ntd_waiter *waiter,
			  struct ntd_error **err)
{
	struct nsenter_job job = {.request = {.begin = end_begin, .abandon = job_abandon},
				  .nsenter = nsenter,
				  .output = {.fd = -1},
				  .timer.expired = time_is_up,
				  .ended = true};

	return ntd_request_run(nsenter->loop, &job.request, NTD_FOREVER, waiter, err);
}

/* ---- the channel */

int ntd_nsenter_check(const struct ntd_command *command, struct ntd_error **err)
{
	if (memchr(command->text, '\0', command->text_len))
		return ntd_error_set(err, NTD_E_VALUE, "a command cannot have a NUL character");
	if (is_long(command) && command->input)
		return ntd_error_set(err, NTD_E_VALUE,
				     "a command of %zu bytes cannot have standard input",
				     command->text_len);
	return 0;
}

/* no_status and no_reply change nothing: the status and the output come anyway. */
static int run(struct ntd_channel *channel, const struct ntd_command *command,
	       struct ntd_result *result, struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct ntd_nsenter *nsenter = ntd_container_of(channel, struct ntd_nsenter, channel);
	_cleanup_free_ char *text = ntd_channel_text_for_user(channel, command);
	struct ntd_command sent = ntd_command_with_text(command, text);
	struct nsenter_job job = {.request = {.begin = job_begin, .abandon = job_abandon},
				  .nsenter = nsenter,
				  .command = &sent,
				  .result = result,
				  .output = {.fd = -1, .ready = output_ready},
				  .timer.expired = time_is_up};

	if (ntd_nsenter_check(&sent, err) < 0)
		return -1;
	return ntd_request_run(nsenter->loop, &job.request, NTD_FOREVER, waiter, err);
}

static void set_refusal(struct ntd_nsenter *nsenter, struct ntd_error *why)
{
	ntd_error_free(nsenter->refusal);
	nsenter->refusal = why;
}

static void close_channel(struct ntd_channel *channel, const struct ntd_error *why)
{
	struct ntd_nsenter *nsenter = ntd_container_of(channel, struct ntd_nsenter, channel);

	set_refusal(nsenter, ntd_error_copy(why));
	ntd_list_each (struct nsenter_job, job, &nsenter->jobs, link)
		complete(job, ntd_error_copy(why));
	ntd_error_relays_end(&nsenter->relays);
	ntd_nsenter_forget_leader(nsenter);
}

void ntd_nsenter_open(struct ntd_nsenter *nsenter, int console)
{
	set_refusal(nsenter, NULL);
	nsenter->console = console;
}

struct ntd_nsenter *ntd_nsenter_new(struct ntd_loop *loop, struct ntd_children *children,
				    const char *machine, const char *program)
{
	static const struct ntd_channel_ops ops = {.run = run, .close = close_channel};
	struct ntd_nsenter *nsenter = ntd_calloc(1, sizeof *nsenter);

	*nsenter =
		(struct ntd_nsenter){.channel = {.ops = &ops, .name = "nsenter", .parallel = true},
				     .loop = loop,
				     .children = children,
				     .machine = ntd_strdup(machine),
				     .program = program ? ntd_strdup(program) : NULL,
				     .leader_fd = -1,
				     .console = -1};
	return nsenter;
}

struct ntd_channel *ntd_nsenter_channel(struct ntd_nsenter *nsenter)
{
	return &nsenter->channel;
}

void ntd_nsenter_free(struct ntd_nsenter *nsenter)
{
	if (!nsenter)
		return;
	set_refusal(nsenter, NULL);
	ntd_nsenter_forget_leader(nsenter);
	free(nsenter->machine);
	free(nsenter->program);
	free(nsenter);
}
