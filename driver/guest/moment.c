/* The machines and switches of a moment: claiming them, stopping them, and having them go on.
 * Script threads.
 */
#include "guest/moment_internal.h"

/* For a job of QEMU's: it writes or reads the guest's memory, and the disk may be slow. */
#define JOB_PATIENCE (900 * NTD_SECOND)
/* For the end of a QEMU that has closed its connections. */
#define DEATH_PATIENCE (5 * NTD_SECOND)

int ntd_parts_claim(struct ntd_parts *parts, const struct ntd_moment *moment,
		    struct ntd_error **err)
{
	*parts = (struct ntd_parts){.moment = moment,
				    .each = ntd_calloc(moment->count + 1, sizeof(struct ntd_part)),
				    .count = moment->count};
	for (size_t i = 0; i < moment->count; i++) {
		struct ntd_part *part = &parts->each[i];
		struct ntd_error *error = NULL;

		part->machine = moment->machines[i];
		if (ntd_snapshot_claim(part->machine, &error) == 0)
			part->claimed = true;
		else if (ntd_part_failed(parts, part, error, err) < 0)
			return -1;
	}
	return 0;
}

void ntd_parts_yield(struct ntd_parts *parts)
{
	ntd_each_part (part, parts) {
		if (part->claimed)
			ntd_snapshot_yield(part->machine);
		free(part->shares);
		ntd_error_free(part->refusal);
	}
	free(parts->each);
}

int ntd_parts_work(const struct ntd_moment *moment, const char *verb,
		   int (*work)(struct ntd_parts *parts, struct ntd_waiter *waiter,
			       struct ntd_error **err),
		   struct ntd_waiter *waiter, struct ntd_error **err)
{
	const struct ntd_machine *first;
	struct ntd_error *error = NULL;
	struct ntd_parts parts;
	struct ntd_nest nest;
	int result;

	if (!moment->count)
		return 0;
	first = moment->machines[0];
	nest = ntd_nest_begin(ntd_machine_report(first), NTD_STEP_SNAPSHOT,
			      moment->count > 1 ? NULL : ntd_machine_name(first),
			      "%s the snapshot '%s'", verb, moment->name);
	/* After an error, too, there are machines to yield. */
	result = ntd_parts_claim(&parts, moment, &error);
	if (result == 0)
		result = work(&parts, waiter, &error);
	ntd_parts_yield(&parts);
	ntd_nest_end(&nest, result < 0);
	return result < 0 ? ntd_error_move(err, error) : 0;
}

void ntd_parts_cut_switches(const struct ntd_parts *parts)
{
	for (size_t i = 0; i < parts->moment->vlan_count; i++)
		ntd_vlan_cut(parts->moment->vlans[i]);
}

void ntd_parts_join_switches(const struct ntd_parts *parts)
{
	for (size_t i = 0; i < parts->moment->vlan_count; i++)
		ntd_vlan_join(parts->moment->vlans[i]);
}

int ntd_first_error(struct ntd_error **err, struct ntd_error *error)
{
	if (err && *err)
		ntd_error_free(error);
	else
		ntd_error_move(err, error);
	return -1;
}

int ntd_part_error(const struct ntd_part *part, struct ntd_error *error, struct ntd_error **err)
{
	struct ntd_machine_status status = ntd_machine_status(part->machine);
	struct ntd_error *death;

	/* The loop may hear of the end of QEMU's connections before it hears of QEMU's. */
	if (error->code == NTD_E_DEAD && ntd_machine_state_passes(status.state))
		ntd_machine_wait_for_process(part->machine, status.starts,
					     ntd_after(DEATH_PATIENCE), NULL, NULL);
	death = error->code == NTD_E_CANCELLED ? NULL : ntd_machine_death(part->machine);
	if (death)
		ntd_error_free(error);
	return ntd_first_error(err, death ? death : error);
}

int ntd_part_failed(struct ntd_parts *parts, struct ntd_part *part, struct ntd_error *error,
		    struct ntd_error **err)
{
	_cleanup_error_ struct ntd_error *why = NULL;

	if (!parts->moment->as_they_are || error->code == NTD_E_CANCELLED)
		return ntd_part_error(part, error, err);
	ntd_part_error(part, error, &why);
	part->left_out = true;
	ntd_log(ntd_machine_report(part->machine), NTD_LEVEL_WARNING,
		ntd_machine_name(part->machine), "its state is not saved: %s", why->message);
	return 0;
}

int ntd_parts_continue(struct ntd_parts *parts, struct ntd_waiter *waiter, struct ntd_error **err)
{
	int result = 0;

	ntd_each_part (part, parts) {
		struct ntd_error *error = NULL;

		if (!part->stopped)
			continue;
		part->stopped = false;
		if (ntd_snapshot_continue(part->machine, waiter, &error) < 0)
			result = ntd_part_error(part, error, err);
	}
	return result;
}

int ntd_part_boot(const struct ntd_part *part, struct ntd_waiter *waiter, struct ntd_error **err)
{
	return ntd_machine_has_channel(part->machine, NTD_CHANNEL_ANY)
		       ? ntd_machine_connect(part->machine, waiter, err)
		       : ntd_machine_start(part->machine, false, waiter, err);
}

int ntd_part_begin_saving(struct ntd_part *part, double timeout, const char *who,
			  struct ntd_waiter *waiter, struct ntd_error **err)
{
	double limit = timeout * ntd_machine_time_scale(part->machine);
	_cleanup_error_ struct ntd_error *error = NULL;

	part->connected = ntd_machine_state(part->machine) == NTD_MACHINE_CONNECTED;
	if (ntd_snapshot_begin_saving(part->machine, ntd_after(ntd_span(limit)), waiter, &error) ==
	    0) {
		part->passes = true;
		return 0;
	}
	if (error->code != NTD_E_TIMEOUT)
		return ntd_error_move(err, ntd_steal(&error));
	return ntd_machine_error(err, part->machine, NTD_E_TIMEOUT,
				 "commands, waits or copies are still under way in it after %g "
				 "seconds, and %s waits for their end",
				 limit, who);
}

void ntd_part_leave(struct ntd_part *part)
{
	struct ntd_qmp_job *job = ntd_steal(&part->job);

	if (job)
		ntd_qmp_job_wait(job, ntd_now(), NULL, NULL);
}

int ntd_part_wait(struct ntd_part *part, struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct ntd_qmp_job *job = ntd_steal(&part->job);
	struct ntd_error *error = NULL;

	if (!job || ntd_qmp_job_wait(job, ntd_after(JOB_PATIENCE), waiter, &error) == 0)
		return 0;
	return ntd_error_move(err, error);
}
