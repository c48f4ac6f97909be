/* Copies by the agent: the operations `put` and `get` of the channel. A copy is a client of SFTP
 * (sftp/sftp.h) whose wire is the stream of a call; agent/files.h says what the other end makes of
 * it. The client runs on the loop thread, within the functions of the call; the thread of the
 * script makes it and frees it.
 *
 * What cannot be done in the guest is the same error as when a command of the copy fails there; a
 * loss of the agent before or while it is made, whatever its reason, is none of these.
 */
#include "agent_channel/copy.h"

#include "agent_channel/call.h"

#include "channel/progress.h"

#include <errno.h>
#include <sys/stat.h>

struct copy {
	struct ntd_agent_call call;
	const struct ntd_agent_copy *asked;
	struct ntd_sftp *sftp;
	int64_t next_line; /* when the progress is logged */
	bool begun, done, lost;
	struct ntd_error *error; /* of a client that is done */
};

static struct copy *copy_of(struct ntd_agent_call *call)
{
	return ntd_container_of(call, struct copy, call);
}

/* ---- the client's wire */

/* The functions of the call look at the output. */
static void wire_output(void *owner)
{
}

static void wire_done(void *owner, struct ntd_error *error)
{
	struct copy *copy = owner;

	copy->done = true;
	copy->error = error;
}

/* ---- loop: the call */

static void log_progress(struct copy *copy)
{
	const struct ntd_agent_copy *asked = copy->asked;
	struct ntd_sftp_progress progress = ntd_sftp_progress(copy->sftp);
	int64_t now = ntd_now();

	if (now < copy->next_line)
		return;
	copy->next_line = now + NTD_PROGRESS_PAUSE;
	ntd_log_progress(asked->report, asked->machine, asked->source, asked->target, &progress);
}

/* The client makes more output when some has been sent. After END there is no room. */
static void send_output(struct copy *copy)
{
	struct ntd_buf *output = ntd_sftp_output(copy->sftp);
	size_t room;

	while (!copy->done && output->len && (room = ntd_agent_call_room(&copy->call))) {
		size_t len = output->len < room ? output->len : room;

		ntd_agent_call_send(&copy->call, NTD_FRAME_DATA, ntd_buf_bytes(output), len);
		ntd_buf_consume(output, len);
		ntd_sftp_sent(copy->sftp);
	}
	if (copy->done)
		ntd_agent_call_finish(&copy->call);
	else
		log_progress(copy);
}

static void fill(struct ntd_agent_call *call, size_t room)
{
	struct copy *copy = copy_of(call);

	if (!copy->begun) {
		copy->begun = true;
		copy->next_line = ntd_after(NTD_PROGRESS_PAUSE);
		ntd_sftp_begin(copy->sftp);
	}
	send_output(copy);
}

static struct ntd_error *take_frame(struct ntd_agent_call *call, const struct ntd_frame *frame)
{
	struct copy *copy = copy_of(call);

	if (frame->kind != NTD_FRAME_DATA || copy->done)
		return NULL;
	ntd_sftp_input(copy->sftp, frame->bytes, frame->len);
	if (copy->done && copy->error)
		return ntd_steal(&copy->error);
	send_output(copy);
	return NULL;
}

static struct ntd_error *take_done(struct ntd_agent_call *call, const char *payload, size_t len)
{
	struct copy *copy = copy_of(call);

	if (!copy->done)
		ntd_sftp_ended(copy->sftp, NULL);
	return ntd_steal(&copy->error);
}

static struct ntd_error *take_loss(struct ntd_agent_call *call, const struct ntd_error *why)
{
	copy_of(call)->lost = true;
	return ntd_error_copy(why);
}

/* ---- script threads */

static int copy_now(const struct ntd_agent_copy *asked, struct ntd_waiter *waiter,
		    struct ntd_error **err)
{
	static const struct ntd_agent_call_ops ops = {
		.frame = take_frame, .done = take_done, .fill = fill, .lost = take_loss};
	struct copy copy = {
		.call = {.ops = &ops,
			 .kind = asked->direction == NTD_SFTP_PUT ? NTD_FRAME_PUT : NTD_FRAME_GET},
		.asked = asked};
	const struct ntd_sftp_wire wire = {wire_output, wire_done, &copy};
	int result;

	copy.sftp = ntd_sftp_new(asked->direction, asked->source, asked->target, &wire);
	ntd_sftp_follow_all(copy.sftp);
	result = ntd_agent_call_run(asked->channel, &copy.call, NTD_FOREVER, waiter, err);
	if (result < 0 && (*err)->code == NTD_E_MACHINE && copy.call.stream && !copy.lost)
		(*err)->code = NTD_E_ASSERTION;
	if (result == 0)
		ntd_log_without(asked->report, asked->machine, asked->source,
				ntd_buf_bytes(ntd_sftp_without(copy.sftp)),
				ntd_sftp_without(copy.sftp)->len);
	if (result < 0 && !copy.lost) /* why it was lost begins with the machine's name */
		ntd_error_wrap(err, "machine '%s'", asked->machine);
	ntd_sftp_free(copy.sftp);
	ntd_error_free(copy.error);
	return result;
}

int ntd_agent_copy(const struct ntd_agent_copy *asked, struct ntd_waiter *waiter,
		   struct ntd_error **err)
{
	struct ntd_error *error = NULL;
	struct stat info;

	if (asked->direction == NTD_SFTP_GET && stat(asked->target, &info) == 0 &&
	    S_ISDIR(info.st_mode))
		return ntd_error_sys(err, EEXIST, "cannot write %s on this host", asked->target);
	if (copy_now(asked, waiter, &error) == 0)
		return 0;
	return ntd_error_move(err, error);
}
