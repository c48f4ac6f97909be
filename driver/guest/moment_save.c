/* Saving machines and their network at one moment. On a script thread.
 *
 * Theory of operation
 *
 * The machines become SAVING: calls that want to use a guest wait, and those that use it already
 * are waited for, so that no command is under way in a snapshot. Then each guest gets its agent,
 * which is saved with it, and unmounts the driver's shares, QEMU is freed of the driver's other
 * ports and asked what else is in the way; the guests are stopped, and all QEMUs write at the same
 * time. Whatever happens, the guests go on afterwards, and the shares are mounted again. A snapshot
 * is kept when those of all machines are complete.
 *
 * The guests are stopped one after the other, and it is one moment all the same: net/switch.h says
 * why, and what becomes of frames that are on their way.
 */
#include "guest/moment_internal.h"

#include "guest/shares.h"

/* Seconds for a guest to unmount the shares when it is saved as it is, if it is not slow. */
#define GUEST_PATIENCE 5.0

static bool runs(const struct ntd_machine *machine)
{
	enum ntd_machine_state state = ntd_machine_state(machine);

	return state != NTD_MACHINE_DOWN && state != NTD_MACHINE_DEAD;
}

/* ---- the steps, in order */

/* A guest that boots is waited for: a snapshot of it would have no way in. */
static int connect(struct ntd_parts *parts, struct ntd_part *part, struct ntd_waiter *waiter,
		   struct ntd_error **err)
{
	if (parts->moment->as_they_are || (!parts->moment->starts && !runs(part->machine)))
		return 0;
	return ntd_part_boot(part, waiter, err);
}

static int begin(struct ntd_parts *parts, struct ntd_part *part, struct ntd_waiter *waiter,
		 struct ntd_error **err)
{
	if (!runs(part->machine))
		return 0;
	return ntd_part_begin_saving(part, parts->moment->timeout, "a snapshot", waiter, err);
}

/* A guest that has failed may not answer any more; the others are not to wait for it for long. */
static int unmount_soon(struct ntd_part *part, char **others, struct ntd_waiter *waiter,
			struct ntd_error **err)
{
	struct ntd_waiter limited = waiter ? *waiter : (struct ntd_waiter){0};
	double slowness = ntd_machine_slowness(part->machine);
	int64_t most = ntd_after(ntd_span(GUEST_PATIENCE * slowness));
	struct ntd_error *error = NULL;

	limited.deadline = limited.deadline ? ntd_earlier(limited.deadline, most) : most;
	if (ntd_shares_unmount(part->machine, &part->shares, others, &limited, &error) == 0)
		return 0;
	if (error->code != NTD_E_TIMEOUT)
		return ntd_error_move(err, error);
	ntd_error_free(error);
	return ntd_machine_error(err, part->machine, NTD_E_TIMEOUT,
				 "the guest does not answer, and may have mounted the driver's "
				 "shares");
}

static int unmount_shares(struct ntd_parts *parts, struct ntd_part *part, char **others,
			  struct ntd_waiter *waiter, struct ntd_error **err)
{
	return parts->moment->as_they_are
		       ? unmount_soon(part, others, waiter, err)
		       : ntd_shares_unmount(part->machine, &part->shares, others, waiter, err);
}

static int unmount(struct ntd_parts *parts, struct ntd_part *part, struct ntd_waiter *waiter,
		   struct ntd_error **err)
{
	_cleanup_free_ char *others = NULL;
	struct ntd_error *error = NULL;
	int result;

	if (!part->passes)
		return 0;
	if (part->connected && !parts->moment->as_they_are &&
	    ntd_snapshot_launch_agent(part->machine, waiter, err) < 0)
		return -1;
	if (part->connected && unmount_shares(parts, part, &others, waiter, err) < 0)
		return -1;
	if (ntd_snapshot_clear_ports(part->machine, waiter, err) < 0)
		return -1;
	result = ntd_snapshot_check(part->machine, waiter, &error);
	if (result < 0 && others)
		ntd_error_add(error, others);
	return result < 0 ? ntd_error_move(err, error) : 0;
}

static int stop(struct ntd_parts *parts, struct ntd_part *part, struct ntd_waiter *waiter,
		struct ntd_error **err)
{
	if (!part->passes)
		return 0;
	part->stopped = true; /* also after an error: it may be */
	return ntd_snapshot_stop(part->machine, waiter, err);
}

static int begin_writing(struct ntd_parts *parts, struct ntd_part *part, struct ntd_waiter *waiter,
			 struct ntd_error **err)
{
	part->snapshot = ntd_snapshot_new(part->machine, parts->moment->name);
	part->snapshot->connected = part->connected;
	part->snapshot->shares = ntd_strdup(part->shares ? part->shares : "");
	if (!part->passes)
		return 0;
	part->job = ntd_snapshot_save(part->machine, part->snapshot, waiter, err);
	return part->job ? 0 : -1;
}

static int finish_writing(struct ntd_parts *parts, struct ntd_part *part, struct ntd_waiter *waiter,
			  struct ntd_error **err)
{
	struct ntd_error *error = NULL;

	if (ntd_part_wait(part, waiter, &error) == 0)
		return 0;
	ntd_snapshot_add_space(part->machine, error);
	return ntd_error_move(err, error);
}

static int use_snapshot(struct ntd_parts *parts, struct ntd_part *part, struct ntd_waiter *waiter,
			struct ntd_error **err)
{
	const struct ntd_moment *moment = parts->moment;

	return moment->standing
		       ? moment->standing(moment->owner, part->machine, part->snapshot, waiter, err)
		       : 0;
}

/* ---- all of them */

/* The guests go on after it. Jobs that have begun are waited for even if another one has failed. */
static int save_stopped(struct ntd_parts *parts, struct ntd_waiter *waiter, struct ntd_error **err)
{
	int result = ntd_parts_each(parts, stop, waiter, err);

	if (result == 0)
		result = ntd_parts_each(parts, begin_writing, waiter, err);
	if (result == 0)
		result = ntd_parts_each(parts, finish_writing, waiter, err);
	if (result == 0)
		result = ntd_parts_each(parts, use_snapshot, waiter, err);
	ntd_each_part (part, parts)
		ntd_part_wait(part, waiter, NULL);
	return result;
}

static int save(struct ntd_parts *parts, struct ntd_waiter *waiter, struct ntd_error **err)
{
	int result;

	if (ntd_parts_each(parts, connect, waiter, err) < 0 ||
	    ntd_parts_each(parts, begin, waiter, err) < 0 ||
	    ntd_parts_at_once(parts, unmount, waiter, err) < 0)
		return -1;
	result = save_stopped(parts, waiter, err);
	/* Also when the script is interrupted: no guest is left standing. */
	if (ntd_parts_continue(parts, NULL, err) < 0)
		result = -1;
	return result;
}

static void settle(struct ntd_part *part, bool kept, struct ntd_waiter *waiter)
{
	struct ntd_snapshot *snapshot = ntd_steal(&part->snapshot);

	if (snapshot && kept) {
		ntd_snapshot_keep(part->machine, snapshot, waiter);
		return;
	}
	if (snapshot && snapshot->tag && part->passes)
		ntd_snapshot_delete(part->machine, snapshot->tag, waiter);
	ntd_snapshot_free(snapshot);
}

static int mount_again(struct ntd_parts *parts, struct ntd_part *part, struct ntd_waiter *waiter,
		       struct ntd_error **err)
{
	return part->shares ? ntd_shares_mount(part->machine, part->shares, waiter, err) : 0;
}

/* With machines as they are, a snapshot that is complete stays: only the guest that goes on has
 * lost its shares. */
static void try_to_mount_again(struct ntd_part *part, struct ntd_waiter *waiter)
{
	_cleanup_error_ struct ntd_error *error = NULL;

	if (part->shares && ntd_shares_mount(part->machine, part->shares, waiter, &error) < 0)
		ntd_log(ntd_machine_report(part->machine), NTD_LEVEL_WARNING,
			ntd_machine_name(part->machine), "%s", error->message);
}

/* The end of a saving that has succeeded or failed. */
static int go_on(struct ntd_parts *parts, int result, struct ntd_waiter *waiter,
		 struct ntd_error **err)
{
	if (parts->moment->as_they_are)
		ntd_each_part (part, parts)
			try_to_mount_again(part, waiter);
	else if (ntd_parts_at_once(parts, mount_again, waiter, err) < 0)
		result = -1;
	ntd_each_part (part, parts) {
		settle(part, result == 0 && !part->left_out, waiter);
		if (part->passes)
			ntd_snapshot_end(part->machine, part->connected);
	}
	return result;
}

static int save_and_go_on(struct ntd_parts *parts, struct ntd_waiter *waiter,
			  struct ntd_error **err)
{
	return go_on(parts, save(parts, waiter, err), NULL, err);
}

int ntd_moment_save(const struct ntd_moment *moment, struct ntd_waiter *waiter,
		    struct ntd_error **err)
{
	return ntd_parts_work(moment, "saving", save_and_go_on, waiter, err);
}
