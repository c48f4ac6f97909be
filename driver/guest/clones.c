/* What cloning asks of guests. On a script thread; the clones are brought up on threads of their
 * own.
 *
 * Theory of operation
 *
 * Filling a mould is like saving a snapshot (guest/moment_save.c): the machine becomes SAVING, so
 * that no command is under way, the guest unmounts the driver's shares, QEMU is freed of the
 * driver's ports, and the guest stands still while QEMU writes. The clones are RESTORING until each
 * has been told the time and mixed its random numbers, which would be the same in all of them, and
 * has mounted the shares, which are those of its own state directory.
 */
#include "guest/clones.h"

#include "guest/moment_internal.h"
#include "guest/shares.h"

/* ---- the template */

/* What has been done to the template and is to be undone. */
struct filling {
	struct ntd_mould *mould;
	struct ntd_machine *machine;
	char *shares; /* NULL: none were unmounted */
	bool connected;
};

static int boot(struct ntd_machine *machine, struct ntd_waiter *waiter, struct ntd_error **err)
{
	return ntd_machine_has_channel(machine, NTD_CHANNEL_ANY)
		       ? ntd_machine_connect(machine, waiter, err)
		       : ntd_machine_start(machine, false, waiter, err);
}

static int begin(const struct filling *filling, double timeout, struct ntd_waiter *waiter,
		 struct ntd_error **err)
{
	double limit = timeout * ntd_machine_time_scale(filling->machine);
	_cleanup_error_ struct ntd_error *error = NULL;

	if (ntd_snapshot_begin_saving(filling->machine, ntd_after(ntd_span(limit)), waiter,
				      &error) == 0)
		return 0;
	if (error->code != NTD_E_TIMEOUT)
		return ntd_error_move(err, ntd_steal(&error));
	return ntd_machine_error(err, filling->machine, NTD_E_TIMEOUT,
				 "commands, waits or copies are still under way in it after %g "
				 "seconds, and clone() waits for their end",
				 limit);
}

static int prepare(struct filling *filling, struct ntd_waiter *waiter, struct ntd_error **err)
{
	_cleanup_free_ char *others = NULL;
	struct ntd_error *error = NULL;

	if (filling->connected &&
	    ntd_shares_unmount(filling->machine, &filling->shares, &others, waiter, err) < 0)
		return -1;
	if (ntd_snapshot_clear_ports(filling->machine, waiter, err) < 0)
		return -1;
	if (ntd_mould_prepare(filling->mould, filling->machine, waiter, &error) == 0)
		return 0;
	if (others)
		ntd_error_add(error, others);
	return ntd_error_move(err, error);
}

static int write_stopped(const struct filling *filling, struct ntd_waiter *waiter,
			 struct ntd_error **err)
{
	struct ntd_error *error = NULL;
	int result = ntd_snapshot_stop(filling->machine, waiter, err);

	if (result == 0)
		result = ntd_mould_fill(filling->mould, filling->machine, waiter, err);
	/* Also when the script is interrupted: the guest is not left standing. */
	if (ntd_snapshot_continue(filling->machine, NULL, &error) < 0)
		result = ntd_first_error(err, error);
	return result;
}

static int fill(struct filling *filling, struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct ntd_snapshot *snapshot;
	struct ntd_error *error = NULL;
	int result = prepare(filling, waiter, err);

	if (result == 0)
		result = write_stopped(filling, waiter, err);
	if (filling->shares &&
	    ntd_shares_mount(filling->machine, filling->shares, NULL, &error) < 0)
		result = ntd_first_error(err, error);
	snapshot = filling->mould->snapshot;
	if (snapshot) {
		snapshot->connected = filling->connected;
		snapshot->shares = ntd_steal(&filling->shares);
	}
	free(filling->shares);
	ntd_snapshot_end(filling->machine, filling->connected);
	return result;
}

static int fill_claimed(struct ntd_mould *mould, struct ntd_machine *machine, double timeout,
			struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct filling filling = {.mould = mould, .machine = machine};

	if (boot(machine, waiter, err) < 0)
		return -1;
	filling.connected = ntd_machine_state(machine) == NTD_MACHINE_CONNECTED;
	if (begin(&filling, timeout, waiter, err) < 0)
		return -1;
	return fill(&filling, waiter, err);
}

int ntd_clones_fill(struct ntd_mould *mould, struct ntd_machine *machine, double timeout,
		    struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct ntd_part part = {.machine = machine};
	struct ntd_error *error = NULL;
	int result;

	if (ntd_snapshot_claim(machine, err) < 0)
		return -1;
	result = fill_claimed(mould, machine, timeout, waiter, &error);
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
