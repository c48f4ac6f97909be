/* What cloning asks of guests. On a script thread; the clones are brought up on threads of their
 * own.
 *
 * Theory of operation
 *
 * Filling a mould is like saving a snapshot (guest/moment_save.c): the machine becomes SAVING, so
 * that no command is under way, the guest gets its agent and unmounts the driver's shares, QEMU is
 * freed of all of the driver's ports but the agent's, and the guest stands still while QEMU writes.
 * The clones, which have the agent, too, are RESTORING until each has been told the time and mixed
 * its random numbers, which would be the same in all of them, and has mounted the shares, which are
 * those of its own state directory.
 */
#include "guest/clones.h"

#include "guest/moment_internal.h"
#include "guest/shares.h"

/* ---- the template */

static int prepare(struct ntd_part *part, struct ntd_mould *mould, struct ntd_waiter *waiter,
		   struct ntd_error **err)
{
	_cleanup_free_ char *others = NULL;
	struct ntd_error *error = NULL;

	if (part->connected && ntd_snapshot_launch_agent(part->machine, waiter, err) < 0)
		return -1;
	if (part->connected &&
	    ntd_shares_unmount(part->machine, &part->shares, &others, waiter, err) < 0)
		return -1;
	if (ntd_snapshot_clear_ports(part->machine, waiter, err) < 0)
		return -1;
	if (ntd_mould_prepare(mould, part->machine, waiter, &error) == 0)
		return 0;
	if (others)
		ntd_error_add(error, others);
	return ntd_error_move(err, error);
}

static int write_stopped(const struct ntd_part *part, struct ntd_mould *mould,
			 struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct ntd_error *error = NULL;
	int result = ntd_snapshot_stop(part->machine, waiter, err);

	if (result == 0)
		result = ntd_mould_fill(mould, part->machine, waiter, err);
	/* Also when the script is interrupted: the guest is not left standing. */
	if (ntd_snapshot_continue(part->machine, NULL, &error) < 0)
		result = ntd_first_error(err, error);
	return result;
}

static int fill(struct ntd_part *part, struct ntd_mould *mould, struct ntd_waiter *waiter,
		struct ntd_error **err)
{
	struct ntd_error *error = NULL;
	int result = prepare(part, mould, waiter, err);

	if (result == 0)
		result = write_stopped(part, mould, waiter, err);
	if (part->shares && ntd_shares_mount(part->machine, part->shares, NULL, &error) < 0)
		result = ntd_first_error(err, error);
	if (mould->snapshot) {
		mould->snapshot->connected = part->connected;
		mould->snapshot->shares = part->shares ? ntd_steal(&part->shares) : ntd_strdup("");
	}
	free(part->shares);
	ntd_snapshot_end(part->machine, part->connected);
	return result;
}

int ntd_clones_fill(struct ntd_mould *mould, struct ntd_machine *machine, double timeout,
		    struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct ntd_part part = {.machine = machine};
	struct ntd_error *error = NULL;
	int result;

	if (ntd_snapshot_claim(machine, err) < 0)
		return -1;
	result = ntd_part_boot(&part, waiter, &error);
	if (result == 0)
		result = ntd_part_begin_saving(&part, timeout, "clone()", waiter, &error);
	if (result == 0)
		result = fill(&part, mould, waiter, &error);
	ntd_snapshot_yield(machine);
	return result < 0 ? ntd_part_error(&part, error, err) : 0;
}

/* ---- the clones */

struct casting {
	struct ntd_parts parts;
	const struct ntd_mould *mould;
	struct ntd_life_wait *waits; /* one for each part */
};

static int begin_start(struct ntd_parts *parts, struct ntd_part *part, struct ntd_waiter *waiter,
		       struct ntd_error **err)
{
	struct casting *casting = ntd_container_of(parts, struct casting, parts);

	if (ntd_mould_begin_clone(casting->mould, part->machine,
				  &casting->waits[part - parts->each], waiter, err) < 0)
		return -1;
	part->passes = true;
	return 0;
}

/* A guest without a root shell is reached by a channel that connects anew, as after a boot. */
static int tell_guest(const struct ntd_snapshot *snapshot, struct ntd_machine *machine,
		      struct ntd_waiter *waiter, struct ntd_error **err)
{
	if (!snapshot->has_shell)
		return 0;
	if (ntd_snapshot_refresh(machine, waiter, err) < 0)
		return -1;
	return ntd_shares_mount(machine, snapshot->shares, waiter, err);
}

static int bring_up(struct ntd_parts *parts, struct ntd_part *part, struct ntd_waiter *waiter,
		    struct ntd_error **err)
{
	struct casting *casting = ntd_container_of(parts, struct casting, parts);
	const struct ntd_snapshot *snapshot = casting->mould->snapshot;

	if (!part->passes)
		return 0;
	if (ntd_mould_finish_clone(casting->mould, part->machine,
				   &casting->waits[part - parts->each], waiter, err) < 0 ||
	    ntd_snapshot_continue(part->machine, waiter, err) < 0 ||
	    tell_guest(snapshot, part->machine, waiter, err) < 0)
		return -1;
	ntd_snapshot_end(part->machine, snapshot->has_shell);
	return 0;
}

static int cast(struct casting *casting, struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct ntd_error *error = NULL;
	int result = ntd_parts_each(&casting->parts, begin_start, waiter, err);

	/* Starts that have begun are finished even if another one could not begin. */
	if (ntd_parts_at_once(&casting->parts, bring_up, waiter, &error) < 0)
		result = ntd_first_error(err, error);
	ntd_each_part (part, &casting->parts)
		if (result < 0 && part->passes)
			ntd_machine_release(part->machine, 0, NTD_FOREVER);
	ntd_each_part (part, &casting->parts)
		if (result < 0 && part->passes)
			ntd_snapshot_give_up(part->machine);
	return result;
}

int ntd_clones_cast(const struct ntd_mould *mould, struct ntd_machine *const *clones, size_t count,
		    struct ntd_waiter *waiter, struct ntd_error **err)
{
	const struct ntd_moment moment = {.machines = clones, .count = count};
	struct casting casting = {.mould = mould,
				  .waits = ntd_calloc(count, sizeof *casting.waits)};
	int result = ntd_parts_claim(&casting.parts, &moment, err);

	if (result == 0)
		result = cast(&casting, waiter, err);
	ntd_parts_yield(&casting.parts);
	free(casting.waits);
	return result;
}
