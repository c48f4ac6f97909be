/* Bringing machines and their network back to one moment. On a script thread.
 *
 * Theory of operation
 *
 * The switches are cut from the beginning until all guests have the state of the snapshot, so that
 * nothing of the time that is given up reaches it (net/switch.h). A machine that runs
 * keeps its QEMU, which loads the state in a fraction of a second; one that has ended, or whose
 * QEMU refuses the state (a script may have added a device), gets a new QEMU with the same command
 * line. The machines are RESTORING until their guests have been told the time: calls that use them
 * wait.
 *
 * A guest of which nobody knows in what state it is must not go on: after an error all machines of
 * the moment that are RESTORING are ended.
 */
#include "guest/moment_internal.h"

#include "agent_channel/agent_channel.h"
#include "guest/shares.h"
#include "machine/qemu.h"

/* ---- which snapshots */

static int find(struct ntd_parts *parts, struct ntd_error **err)
{
	ntd_each_part (part, parts) {
		_cleanup_free_ char *names = NULL;

		part->snapshot = ntd_snapshot_find(part->machine, parts->moment->name);
		if (part->snapshot)
			continue;
		names = ntd_snapshot_names(part->machine);
		return ntd_machine_error(err, part->machine, NTD_E_VALUE,
					 "it has no snapshot '%s'; it has %s", parts->moment->name,
					 *names ? names : "none");
	}
	return 0;
}

/* ---- loading */

/* Whether a new QEMU can do what the present one could not, which may have died before anybody
 * noticed. The machine must still be this thread's: another may have ended or started it. */
static bool can_renew(const struct ntd_part *part, const struct ntd_error *refusal)
{
	enum ntd_machine_state state = ntd_machine_state(part->machine);

	return refusal->code != NTD_E_CANCELLED && refusal->code != NTD_E_TIMEOUT &&
	       (state == NTD_MACHINE_RESTORING || state == NTD_MACHINE_DEAD);
}

/* Takes `error`. Returns 0 if a new QEMU is to try. */
static int put_off(struct ntd_part *part, struct ntd_error *error, struct ntd_error **err)
{
	if (!can_renew(part, error))
		return ntd_error_move(err, error);
	part->refusal = error;
	return 0;
}

static int stand_still(struct ntd_parts *parts, struct ntd_part *part, struct ntd_waiter *waiter,
		       struct ntd_error **err)
{
	bool runs = ntd_machine_state_booted(ntd_machine_state(part->machine));
	struct ntd_error *error = NULL;

	if (!part->snapshot->tag)
		return ntd_snapshot_switch_off(part->machine, waiter, err);
	part->passes = true;
	part->stopped = true;
	if (ntd_snapshot_begin_restoring(part->machine, waiter, &error) == 0)
		return 0;
	return runs ? put_off(part, error, err) : ntd_error_move(err, error);
}

static int look(struct ntd_parts *parts, struct ntd_part *part, struct ntd_waiter *waiter,
		struct ntd_error **err)
{
	const struct ntd_moment *moment = parts->moment;

	if (!moment->standing || part->refusal)
		return 0;
	return moment->standing(moment->owner, part->machine, part->snapshot, waiter, err);
}

static int load_state(struct ntd_part *part, struct ntd_waiter *waiter, struct ntd_error **err)
{
	if (ntd_snapshot_plug(part->machine, part->snapshot, waiter, err) < 0)
		return -1;
	part->job = ntd_snapshot_load(part->machine, part->snapshot, waiter, err);
	return part->job ? 0 : -1;
}

static int begin_loading(struct ntd_parts *parts, struct ntd_part *part, struct ntd_waiter *waiter,
			 struct ntd_error **err)
{
	struct ntd_error *error = NULL;

	if (!part->passes || part->refusal)
		return 0;
	return load_state(part, waiter, &error) == 0 ? 0 : put_off(part, error, err);
}

/* Tries again with a new QEMU what the present one has refused. */
static int load_in_new_qemu(struct ntd_part *part, struct ntd_waiter *waiter,
			    struct ntd_error **err)
{
	ntd_log(ntd_machine_report(part->machine), NTD_LEVEL_DEBUG, ntd_machine_name(part->machine),
		"a new QEMU loads the snapshot '%s': %s", part->snapshot->name,
		part->refusal->message);
	if (ntd_snapshot_renew_qemu(part->machine, waiter, err) < 0)
		return -1;
	return load_state(part, waiter, err) == 0 ? ntd_part_wait(part, waiter, err) : -1;
}

static int finish_loading(struct ntd_parts *parts, struct ntd_part *part, struct ntd_waiter *waiter,
			  struct ntd_error **err)
{
	struct ntd_error *error = NULL;

	if (!part->passes)
		return 0;
	if (ntd_part_wait(part, waiter, &error) < 0 && put_off(part, error, err) < 0)
		return -1;
	if (part->refusal && load_in_new_qemu(part, waiter, err) < 0)
		return -1;
	ntd_snapshot_loaded(part->machine, part->snapshot);
	return 0;
}

/* ---- the guests */

static int tell_guest(struct ntd_parts *parts, struct ntd_part *part, struct ntd_waiter *waiter,
		      struct ntd_error **err)
{
	const struct ntd_snapshot *snapshot = part->snapshot;

	if (!part->passes || !snapshot->has_shell)
		return 0;
	if (ntd_snapshot_refresh(part->machine, waiter, err) < 0)
		return -1;
	return ntd_shares_mount(part->machine, snapshot->shares, waiter, err);
}

/* A guest without a root shell is reached by SSH, which connects anew, as after a boot. A shell on
 * the serial console is there at once, or needs a login. */
static int reconnect(struct ntd_parts *parts, struct ntd_part *part, struct ntd_waiter *waiter,
		     struct ntd_error **err)
{
	const struct ntd_snapshot *snapshot = part->snapshot;
	_cleanup_free_ char *refresh = NULL;
	_cleanup_buf_ struct ntd_buf output = {0};
	_cleanup_error_ struct ntd_error *stale = NULL;

	if (!snapshot->connected || snapshot->has_shell || !ntd_machine_ssh(part->machine))
		return 0;
	if (ntd_machine_connect(part->machine, waiter, err) < 0)
		return -1;
	refresh = ntd_refresh_command();
	if (ntd_guest_tell(part->machine, refresh, &output, waiter, &stale) < 0)
		ntd_log(ntd_machine_report(part->machine), NTD_LEVEL_DEBUG,
			ntd_machine_name(part->machine), "its clock could not be set: %s",
			stale->message);
	return ntd_shares_mount(part->machine, snapshot->shares, waiter, err);
}

/* ---- all of them */

static int load(struct ntd_parts *parts, struct ntd_waiter *waiter, struct ntd_error **err)
{
	int result;

	ntd_parts_cut_switches(parts);
	result = ntd_parts_each(parts, stand_still, waiter, err);
	if (result == 0)
		result = ntd_parts_each(parts, look, waiter, err);
	if (result == 0)
		result = ntd_parts_each(parts, begin_loading, waiter, err);
	if (result == 0)
		result = ntd_parts_each(parts, finish_loading, waiter, err);
	ntd_each_part (part, parts) /* after an error: these machines are ended */
		ntd_part_leave(part);
	ntd_parts_join_switches(parts);
	return result;
}

static int go_on(struct ntd_parts *parts, struct ntd_waiter *waiter, struct ntd_error **err)
{
	if (ntd_parts_continue(parts, waiter, err) < 0)
		return -1;
	ntd_each_part (part, parts)
		if (part->passes)
			ntd_snapshot_announce(part->machine, waiter);
	return ntd_parts_at_once(parts, tell_guest, waiter, err);
}

static int restore(struct ntd_parts *parts, struct ntd_waiter *waiter, struct ntd_error **err)
{
	int result = find(parts, err);

	if (result < 0)
		return result;
	result = load(parts, waiter, err);
	if (result == 0)
		result = go_on(parts, waiter, err);
	ntd_each_part (part, parts) {
		if (part->passes && result < 0)
			ntd_snapshot_give_up(part->machine);
		else if (part->passes)
			ntd_snapshot_end(part->machine, part->snapshot->connected);
	}
	return result < 0 ? result : ntd_parts_each(parts, reconnect, waiter, err);
}

int ntd_moment_restore(const struct ntd_moment *moment, struct ntd_waiter *waiter,
		       struct ntd_error **err)
{
	return ntd_parts_work(moment, "restoring", restore, waiter, err);
}
