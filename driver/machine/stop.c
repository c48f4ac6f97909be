/* The calls of script threads that end a machine's life: shut down, wait for the end, release. */
#include "machine/internal.h"

/* ---- ends */

/* Whether the machine has an end that no script has taken note of, even if the machine is DOWN
 * because a script asked for that. */
static bool has_end(const struct ntd_machine *machine, const struct ntd_machine_status *status)
{
	return status->state != NTD_MACHINE_DOWN || machine->ending;
}

/* Waits until the process with that number (0: the present one) is gone, and takes note of its end.
 * `looks`: see struct ntd_request. */
static int wait_for_end(struct ntd_machine *machine, unsigned number, int64_t deadline, bool looks,
			struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct ntd_life_wait wait = {
		.kind = NTD_WAIT_GONE, .process = number, .request.looks = looks};
	struct ntd_machine_status status = ntd_machine_status(machine);
	struct ntd_nest nest;
	int result;

	if (ntd_life_is_disowned(&status))
		return 0;
	if (!has_end(machine, &status)) /* what is left of its process may not have ended */
		return ntd_life_wait(machine, &wait, deadline, waiter, err);
	nest = ntd_machine_step_begin(machine, NTD_STEP_STOP, machine->kind->words.end_step);
	ntd_log_busy(machine->context.report, machine->name, "", 0,
		     deadline == NTD_FOREVER ? 0 : ntd_seconds(deadline - ntd_now()));
	result = ntd_life_wait(machine, &wait, deadline, waiter, err);
	ntd_log_idle(machine->context.report);
	if (result == 0) {
		ntd_life_feed(machine, NTD_MACHINE_FORGET);
		machine->ending = false;
	}
	ntd_nest_end(&nest, result < 0);
	return result;
}

bool ntd_machine_has_end(struct ntd_machine *machine)
{
	struct ntd_machine_status status = ntd_machine_status(machine);

	return !ntd_life_is_disowned(&status) && has_end(machine, &status);
}

struct death_query {
	const struct ntd_machine *machine;
	struct ntd_error *death;
};

static void copy_death(void *arg)
{
	struct death_query *query = arg;
	const struct ntd_machine *machine = query->machine;

	if (machine->state == NTD_MACHINE_DEAD)
		query->death = machine->death ? ntd_error_copy(machine->death)
					      : ntd_error_new(NTD_E_DEAD, "%s",
							      ntd_machine_refusal(machine->state));
}

struct ntd_error *ntd_machine_death(struct ntd_machine *machine)
{
	struct death_query query = {.machine = machine};

	ntd_loop_call(machine->context.loop, copy_death, &query);
	return query.death;
}

int ntd_machine_wait_for_shutdown(struct ntd_machine *machine, int64_t deadline,
				  struct ntd_waiter *waiter, struct ntd_error **err)
{
	return wait_for_end(machine, 0, deadline, true, waiter, err);
}

int ntd_machine_begin_end(struct ntd_machine *machine, bool power_off, struct ntd_waiter *waiter,
			  struct ntd_error **err)
{
	struct ntd_machine_status status = ntd_machine_status(machine);

	if (status.state == NTD_MACHINE_DEAD)
		ntd_life_feed(machine, NTD_MACHINE_FORGET);
	if (!status.booted)
		return 0;
	if (power_off && machine->kind->power_off(machine, waiter, err) < 0)
		return -1;
	machine->ending = true;
	ntd_life_feed(machine, NTD_MACHINE_STOP);
	return (int)status.starts;
}

int ntd_machine_cut_power(struct ntd_machine *machine, struct ntd_waiter *waiter,
			  struct ntd_error **err)
{
	if (!machine->kind->cut_power)
		return ntd_machine_error(err, machine, NTD_E_MACHINE, "its power cannot be cut");
	return machine->kind->cut_power(machine, waiter, err);
}

int ntd_machine_finish_end(struct ntd_machine *machine, unsigned number, struct ntd_waiter *waiter,
			   struct ntd_error **err)
{
	return wait_for_end(machine, number, NTD_FOREVER, false, waiter, err);
}

int ntd_machine_shutdown(struct ntd_machine *machine, struct ntd_waiter *waiter,
			 struct ntd_error **err)
{
	int start = ntd_machine_begin_end(machine, true, waiter, err);

	return start > 0 ? ntd_machine_finish_end(machine, (unsigned)start, waiter, err) : start;
}

int ntd_machine_wait_for_process(struct ntd_machine *machine, unsigned number, int64_t deadline,
				 struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct ntd_life_wait wait = {
		.kind = NTD_WAIT_PROCESS, .process = number, .request.looks = true};

	return ntd_life_wait(machine, &wait, deadline, waiter, err);
}

/* ---- release */

struct release {
	struct ntd_machine *machine;
	int64_t grace;
};

static void begin_release(void *arg)
{
	const struct release *call = arg;

	ntd_life_event(call->machine, NTD_MACHINE_STOP);
	ntd_life_terminate(call->machine, call->grace);
}

int64_t ntd_machine_release(struct ntd_machine *machine, int64_t grace, int64_t most)
{
	struct ntd_machine_status status = ntd_machine_status(machine);

	if (status.pid)
		ntd_log(machine->context.report, NTD_LEVEL_INFO, NULL, "kill %s (pid %d)",
			machine->kind->words.type, status.pid);
	if (grace && grace < machine->kind->grace)
		grace = machine->kind->grace;
	grace = ntd_earlier(grace, most);
	ntd_loop_call(machine->context.loop, begin_release,
		      &(struct release){.machine = machine, .grace = grace});
	return grace;
}

bool ntd_machine_wait_gone(struct ntd_machine *machine, int64_t deadline)
{
	struct ntd_life_wait wait = {.kind = NTD_WAIT_GONE};
	bool gone = ntd_life_wait(machine, &wait, deadline, NULL, NULL) == 0;

	if (gone)
		ntd_life_feed(machine, NTD_MACHINE_FORGET);
	return gone;
}
