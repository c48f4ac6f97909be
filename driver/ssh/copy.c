/* Copies over SSH: an SFTP client (sftp.h) whose wire is a stream of the session, on the loop
 * thread. A script thread waits in ntd_ssh_put() or ntd_ssh_get().
 *
 * A copy is made as the user who has logged in. Where that user may not write, a script copies to
 * another place, and moves the file by a command that runs as root.
 *
 * A copy for which nobody waits any more removes what is half written, also in the guest, while the
 * script goes on. One whose connection has ended cannot: the next connection begins with that.
 */
#include "channel/progress.h"
#include "sftp/sftp.h"
#include "ssh/ssh_internal.h"

#define RETRY_PAUSE (200 * NTD_MS)
#define CLEAN_PATIENCE (10 * NTD_SECOND) /* of the guest, for removing what is half written */

enum { LEFT_LIMIT = 16 << 10 }; /* bytes of paths; what is left beyond stays in the guest */

struct copy_job {
	struct ntd_request request;
	struct ntd_ssh *ssh;
	enum ntd_sftp_direction direction;
	const char *source, *target;
	struct ntd_ssh_copy *copy;
};

struct ntd_ssh_copy {
	struct ntd_ssh_stream stream;
	struct ntd_ssh *ssh;
	struct copy_job *job; /* NULL: nobody waits */
	struct ntd_sftp *sftp;
	char *source, *target;
	bool begun, done;
	struct ntd_error *error; /* of a copy that is done */
	struct ntd_timer timer;  /* sshd has no room; or until a copy without a job is given up */
	struct ntd_timer progress;
	struct ntd_list_link link;
};

/* What stays in the guest is removed when there is a connection again. */
static void note_left(struct ntd_ssh_copy *copy)
{
	struct ntd_buf *left = &copy->ssh->left;

	if (left->len < LEFT_LIMIT)
		ntd_sftp_left(copy->sftp, left);
}

static void free_copy(struct ntd_ssh_copy *copy)
{
	note_left(copy);
	ntd_list_unlink(&copy->link);
	ntd_timer_cancel(&copy->timer);
	ntd_timer_cancel(&copy->progress);
	ntd_ssh_stream_end(&copy->stream);
	ntd_sftp_free(copy->sftp);
	ntd_error_free(copy->error);
	free(copy->source);
	free(copy->target);
	free(copy);
}

/* Ends the copy, and takes `error`. */
static void complete(struct ntd_ssh_copy *copy, struct ntd_error *error)
{
	struct copy_job *job = ntd_steal(&copy->job);

	free_copy(copy); /* what is half written on this host is gone when the script goes on */
	if (!job) {
		ntd_error_free(error);
		return;
	}
	job->copy = NULL;
	ntd_request_complete(&job->request, error);
}

/* ---- the client's wire */

/* The output is looked at by runs(). */
static void wire_output(void *owner)
{
}

static void wire_done(void *owner, struct ntd_error *error)
{
	struct ntd_ssh_copy *copy = owner;

	copy->done = true;
	copy->error = error;
	copy->ssh->session.again_now = true;
}

/* The client calls no function of libssh. */
static void output(struct ntd_ssh_stream *stream, const char *bytes, size_t len, bool error)
{
	struct ntd_ssh_copy *copy = ntd_container_of(stream, struct ntd_ssh_copy, stream);

	if (!error)
		ntd_sftp_input(copy->sftp, bytes, len);
}

/* ---- what happens to a copy */

/* Output that is there goes on when the socket or sshd has room again, which wakes the session. So
 * only the first bytes ask for another turn: else the loop would turn and turn for a slow guest. */
static void send_more(struct ntd_ssh_copy *copy)
{
	const struct ntd_buf *output = ntd_sftp_output(copy->sftp);
	bool waits = output->len > 0;

	ntd_sftp_sent(copy->sftp);
	if (!waits && output->len)
		copy->ssh->session.again_now = true;
}

static void runs(struct ntd_ssh_copy *copy)
{
	if (!copy->begun && !copy->job) {
		free_copy(copy);
		return;
	}
	if (copy->begun) {
		send_more(copy);
	} else {
		copy->begun = true;
		ntd_sftp_begin(copy->sftp);
		copy->ssh->session.again_now = true; /* the greeting is there to be sent */
	}
	if (copy->stream.closed && !copy->done)
		ntd_sftp_ended(copy->sftp, NULL);
	if (copy->done) {
		struct ntd_error *error = ntd_steal(&copy->error);

		if (error)
			ntd_error_wrap(&error, "machine '%s'", copy->ssh->machine);
		else
			ntd_log_without(copy->ssh->report, copy->ssh->machine, copy->source,
					ntd_buf_bytes(ntd_sftp_without(copy->sftp)),
					ntd_sftp_without(copy->sftp)->len);
		complete(copy, error);
	}
}

static struct ntd_error *no_sftp(const struct ntd_ssh_copy *copy)
{
	return ntd_error_new(
		NTD_E_MACHINE,
		"machine '%s': cannot copy %s: sshd offers no SFTP, which is a subsystem "
		"of its configuration",
		copy->ssh->machine, copy->source);
}

static void changed(struct ntd_ssh_stream *stream)
{
	struct ntd_ssh_copy *copy = ntd_container_of(stream, struct ntd_ssh_copy, stream);

	switch (stream->state) {
	case NTD_STREAM_RUNNING:
		runs(copy);
		break;
	case NTD_STREAM_REFUSED:
		ntd_ssh_stream_end(stream);
		ntd_timer_set(copy->ssh->loop, &copy->timer, ntd_after(RETRY_PAUSE));
		break;
	case NTD_STREAM_FAILED:
		complete(copy, no_sftp(copy));
		break;
	case NTD_STREAM_LOST: /* ntd_ssh_copies_fail() ends the copy */
		ntd_timer_cancel(&copy->timer);
		ntd_timer_cancel(&copy->progress);
		break;
	case NTD_STREAM_OPENING:
	case NTD_STREAM_REQUESTING_TERMINAL:
	case NTD_STREAM_REQUESTING:
	default:
		break;
	}
}

static void open_stream(struct ntd_ssh_copy *copy)
{
	ntd_ssh_stream_open(&copy->stream, &copy->ssh->session);
	ntd_ssh_session_run(&copy->ssh->session);
}

static void timer_expired(struct ntd_timer *timer)
{
	struct ntd_ssh_copy *copy = ntd_container_of(timer, struct ntd_ssh_copy, timer);

	if (!copy->job)
		free_copy(copy);
	else if (copy->ssh->state == NTD_SSH_READY)
		open_stream(copy);
}

static void show_progress(struct ntd_timer *timer)
{
	struct ntd_ssh_copy *copy = ntd_container_of(timer, struct ntd_ssh_copy, progress);
	struct ntd_sftp_progress progress = ntd_sftp_progress(copy->sftp);

	ntd_log_progress(copy->ssh->report, copy->ssh->machine, copy->source, copy->target,
			 &progress);
	ntd_timer_set(copy->ssh->loop, timer, ntd_after(NTD_PROGRESS_PAUSE));
}

/* ---- the start and the end of a copy */

static struct ntd_ssh_copy *make_copy(struct copy_job *job)
{
	static const struct ntd_ssh_stream_ops ops = {.output = output, .changed = changed};
	struct ntd_ssh_copy *copy = ntd_calloc(1, sizeof *copy);
	const struct ntd_sftp_wire wire = {.output = wire_output, .done = wire_done, .owner = copy};

	*copy = (struct ntd_ssh_copy){
		.ssh = job->ssh,
		.job = job,
		.sftp = ntd_sftp_new(job->direction, job->source, job->target, &wire),
		.source = ntd_strdup(job->source),
		.target = ntd_strdup(job->target),
		.timer.expired = timer_expired,
		.progress.expired = show_progress};
	ntd_sftp_follow(copy->sftp);
	copy->stream.ops = &ops;
	copy->stream.subsystem = "sftp";
	copy->stream.input = ntd_sftp_output(copy->sftp);
	return copy;
}

static void job_begin(struct ntd_request *request)
{
	struct copy_job *job = ntd_container_of(request, struct copy_job, request);

	if (ntd_ssh_turns_away(job->ssh, request))
		return;
	job->copy = make_copy(job);
	ntd_list_append(&job->ssh->copies, &job->copy->link);
	ntd_timer_set(job->ssh->loop, &job->copy->progress, ntd_after(NTD_PROGRESS_PAUSE));
	open_stream(job->copy);
}

static void job_abandon(struct ntd_request *request)
{
	struct copy_job *job = ntd_container_of(request, struct copy_job, request);
	struct ntd_ssh_copy *copy = job->copy;
	struct ntd_ssh *ssh = job->ssh;

	copy->job = NULL;
	ntd_timer_cancel(&copy->progress);
	if (!copy->stream.session) {
		free_copy(copy);
		return;
	}
	/* A stream that sshd is about to open is opened, since sshd would keep it. */
	ntd_timer_set(ssh->loop, &copy->timer, ntd_after(CLEAN_PATIENCE));
	if (copy->begun)
		ntd_sftp_cancel(copy->sftp);
	ntd_ssh_session_run(&ssh->session);
}

void ntd_ssh_copies_clean(struct ntd_ssh *ssh)
{
	if (!ssh->left.len)
		return;
	ntd_ssh_exec_unattended(ssh, ntd_ssh_remove_text(ntd_buf_bytes(&ssh->left), ssh->left.len));
	ntd_buf_clear(&ssh->left);
}

void ntd_ssh_copies_fail(struct ntd_ssh *ssh, const struct ntd_error *why)
{
	struct ntd_ssh_copy *copy;

	while ((copy = ntd_list_take(&ssh->copies, struct ntd_ssh_copy, link))) {
		struct ntd_error *error = ntd_error_copy(why);

		ntd_error_wrap(&error, "cannot copy %s to %s", copy->source, copy->target);
		complete(copy, error);
	}
}

static int run_copy(struct ntd_channel *channel, enum ntd_sftp_direction direction,
		    const char *source, const char *target, struct ntd_waiter *waiter,
		    struct ntd_error **err)
{
	struct copy_job job = {.request = {.begin = job_begin, .abandon = job_abandon},
			       .ssh = ntd_container_of(channel, struct ntd_ssh, channel),
			       .direction = direction,
			       .source = source,
			       .target = target};

	return ntd_request_run(job.ssh->loop, &job.request, NTD_FOREVER, waiter, err);
}

int ntd_ssh_put(struct ntd_channel *channel, const char *source, const char *target,
		struct ntd_waiter *waiter, struct ntd_error **err)
{
	return run_copy(channel, NTD_SFTP_PUT, source, target, waiter, err);
}

int ntd_ssh_get(struct ntd_channel *channel, const char *source, const char *target,
		struct ntd_waiter *waiter, struct ntd_error **err)
{
	return run_copy(channel, NTD_SFTP_GET, source, target, waiter, err);
}
