/* Threads that use the guest, so that no state is saved or replaced under them.
 *
 * A thread counts as a user from ntd_machine_enter() to ntd_machine_leave(). The thread that saves
 * or restores the machine first makes it SAVING or RESTORING, on the loop thread, and then waits
 * until there is no user. A thread that enters counts itself first and then looks at the state; so
 * one of the two sees the other, and neither takes a lock for a command. On script threads, unless
 * a function says otherwise.
 */
#include "machine/internal.h"

struct ntd_machine *ntd_machine_enter(struct ntd_machine *machine, struct ntd_waiter *waiter,
				      struct ntd_error **err)
{
	for (;;) {
		if (ntd_machine_connect(machine, waiter, err) < 0)
			return NULL;
		atomic_fetch_add(&machine->users, 1);
		if (!ntd_machine_state_passes(machine->state))
			return machine;
		ntd_machine_leave(machine);
	}
}

struct ntd_machine *ntd_machine_try_enter(struct ntd_machine *machine)
{
	atomic_fetch_add(&machine->users, 1);
	if (machine->state == NTD_MACHINE_CONNECTED)
		return machine;
	ntd_machine_leave(machine);
	return NULL;
}

static void tell_unused(void *arg)
{
	ntd_life_unused(arg);
}

void ntd_machine_leave(struct ntd_machine *machine)
{
	if (atomic_fetch_sub(&machine->users, 1) == 1 && ntd_machine_state_passes(machine->state))
		ntd_loop_call(machine->context.loop, tell_unused, machine);
}

int ntd_machine_wait_unused(struct ntd_machine *machine, int64_t deadline,
			    struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct ntd_life_wait wait = {.kind = NTD_WAIT_UNUSED};

	return ntd_life_wait(machine, &wait, deadline, waiter, err);
}

unsigned ntd_machine_restores(const struct ntd_machine *machine)
{
	return machine->restores;
}
