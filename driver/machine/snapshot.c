/* The steps of saving and restoring a machine that concern its life, its channels and its console.
 * Those that QEMU carries out are in snapshot_store.c. On the script thread that has claimed the
 * machine; what is marked so, on the loop thread.
 *
 * Theory of operation
 *
 * What the driver knows of a guest is spread over its channels and its console. A restore takes all
 * of it back at one moment, on the loop thread, while the guest stands still: commands and waits
 * that are pending fail; the root shell's wire is empty, as it was when the state was saved, and
 * the names of replies go on from where they are, so no reply of the abandoned time is taken for
 * one of the new; the agent is the one that was saved with the guest (agent_channel/saved.c), or it
 * is launched when it is needed; other data ports, which are in no snapshot, are added then; a
 * connection by SSH, which the guest of then does not know, is made anew.
 */
#include "machine/snapshot.h"

#include "machine/qemu_internal.h"

#include "base/text.h"

#include <string.h>

/* For QEMU to take the ports away, and for threads to leave the guest when all that they wait for
 * has failed. */
#define PATIENCE (10 * NTD_SECOND)

/* Seconds for the agent to refresh the guest, on a machine that is not slow. */
#define REFRESH 5.0

static struct ntd_qemu *qemu_of(const struct ntd_machine *machine)
{
	return machine->parts;
}

void ntd_snapshot_free(struct ntd_snapshot *snapshot)
{
	if (!snapshot)
		return;
	free(snapshot->name);
	free(snapshot->tag);
	free(snapshot->shares);
	ntd_console_mark_free(snapshot->console);
	free(snapshot);
}

/* ---- whose turn it is */

const char *ntd_snapshot_refusal(const struct ntd_machine *machine)
{
	return machine->kind->no_snapshots;
}

int ntd_snapshot_claim(struct ntd_machine *machine, struct ntd_error **err)
{
	if (machine->kind->no_snapshots)
		return ntd_machine_error(err, machine, NTD_E_MACHINE, "%s",
					 machine->kind->no_snapshots);
	if (atomic_exchange(&machine->claimed, true))
		return ntd_machine_error(err, machine, NTD_E_MACHINE,
					 "another thread saves or restores its state");
	return 0;
}

void ntd_snapshot_yield(struct ntd_machine *machine)
{
	machine->claimed = false;
}

struct ntd_snapshot *ntd_snapshot_find(const struct ntd_machine *machine, const char *name)
{
	const struct ntd_qemu *qemu = qemu_of(machine);

	ntd_list_each (struct ntd_snapshot, snapshot, &qemu->snapshots.kept, link)
		if (!strcmp(snapshot->name, name))
			return snapshot;
	return NULL;
}

char *ntd_snapshot_names(const struct ntd_machine *machine)
{
	const struct ntd_qemu *qemu = qemu_of(machine);
	struct ntd_buf names = {0};

	ntd_list_each (struct ntd_snapshot, snapshot, &qemu->snapshots.kept, link)
		ntd_buf_printf(&names, "%s'%s'", names.len ? ", " : "", snapshot->name);
	return ntd_buf_take_string(&names);
}

void ntd_snapshot_keep(struct ntd_machine *machine, struct ntd_snapshot *snapshot,
		       struct ntd_waiter *waiter)
{
	struct ntd_snapshot *before = ntd_snapshot_find(machine, snapshot->name);

	if (before) {
		ntd_list_unlink(&before->link);
		if (before->tag && snapshot->tag)
			ntd_snapshot_delete(machine, before->tag, waiter);
		ntd_snapshot_free(before);
	}
	ntd_list_append(&qemu_of(machine)->snapshots.kept, &snapshot->link);
}

void ntd_qemu_snapshots_free(struct ntd_qemu *qemu)
{
	struct ntd_snapshot *snapshot;

	while ((snapshot = ntd_list_take(&qemu->snapshots.kept, struct ntd_snapshot, link)))
		ntd_snapshot_free(snapshot);
	free(qemu->snapshots.store);
}

/* ---- saving */

struct passage {
	struct ntd_machine *machine;
	enum ntd_machine_event event;
	bool refused;
};

/* Loop. */
static void begin_passage(void *arg)
{
	struct passage *passage = arg;

	passage->refused = ntd_life_event(passage->machine, passage->event) == NTD_ACTION_REFUSE;
}

static int enter_state(struct ntd_machine *machine, enum ntd_machine_event event,
		       struct ntd_error **err)
{
	struct passage passage = {.machine = machine, .event = event};
	_cleanup_error_ struct ntd_error *death = NULL;

	ntd_loop_call(machine->context.loop, begin_passage, &passage);
	if (!passage.refused)
		return 0;
	death = ntd_machine_death(machine);
	return death ? ntd_error_move(err, ntd_steal(&death))
		     : ntd_machine_error(err, machine, NTD_E_DEAD, "it %s",
					 ntd_machine_refusal(machine->state));
}

int ntd_snapshot_begin_saving(struct ntd_machine *machine, int64_t deadline,
			      struct ntd_waiter *waiter, struct ntd_error **err)
{
	bool connected = ntd_machine_state(machine) == NTD_MACHINE_CONNECTED;
	struct ntd_error *error = NULL;

	if (enter_state(machine, NTD_MACHINE_SAVE, err) < 0)
		return -1;
	if (ntd_machine_wait_unused(machine, deadline, waiter, &error) == 0)
		return 0;
	ntd_snapshot_end(machine, connected);
	return ntd_error_move(err, error);
}

int ntd_snapshot_launch_agent(struct ntd_machine *machine, struct ntd_waiter *waiter,
			      struct ntd_error **err)
{
	return ntd_machine_prepare_channels(machine, waiter, err);
}

int ntd_snapshot_clear_ports(struct ntd_machine *machine, struct ntd_waiter *waiter,
			     struct ntd_error **err)
{
	return ntd_qemu_ports_clear_to_save(qemu_of(machine), ntd_after(PATIENCE), waiter, err);
}

struct description {
	struct ntd_machine *machine;
	struct ntd_snapshot *snapshot;
};

/* Loop. */
static void describe(void *arg)
{
	const struct description *description = arg;
	struct ntd_machine *machine = description->machine;
	struct ntd_snapshot *snapshot = description->snapshot;
	struct ntd_qemu *qemu = qemu_of(machine);

	snapshot->console = ntd_console_mark(machine->console);
	snapshot->has_shell = ntd_shell_channel(qemu->shell)->ready;
	snapshot->has_serial = ntd_serial_channel(qemu->serial)->ready;
	snapshot->agent = ntd_qemu_agent_saved(qemu);
	snapshot->tag = ntd_asprintf("ntd-%u", ++qemu->snapshots.last);
}

struct ntd_snapshot *ntd_snapshot_new(struct ntd_machine *machine, const char *name)
{
	struct ntd_snapshot *snapshot = ntd_calloc(1, sizeof *snapshot);

	snapshot->name = ntd_strdup(name);
	if (machine->state == NTD_MACHINE_SAVING)
		ntd_loop_call(machine->context.loop, describe,
			      &(struct description){machine, snapshot});
	return snapshot;
}

/* ---- restoring */

/* A command that is typed on the serial console cannot be left alone: the login is given up.
 * Loop. */
static void leave_serial_command(struct ntd_qemu *qemu, const struct ntd_error *why)
{
	struct ntd_channel *channel = ntd_serial_channel(qemu->serial);
	_cleanup_free_ char *running = channel->ready ? channel->ops->busy(channel) : NULL;

	if (running)
		channel->ops->close(channel, why);
}

/* Fails everything that is pending in the guest. Loop. */
static void leave_guest(void *arg)
{
	const struct ntd_machine *machine = arg;
	struct ntd_qemu *qemu = qemu_of(machine);
	_cleanup_error_ struct ntd_error *why = ntd_error_new(
		NTD_E_MACHINE, "machine '%s': it went back to a snapshot meanwhile", machine->name);

	leave_serial_command(qemu, why);
	ntd_agent_channel_forget(qemu->agent, why);
	ntd_shell_go_back(qemu->shell, why);
}

/* Everything that is pending in the guest fails, and its threads leave it, before the guest stands
 * still: a thread could wait for QEMU to add a port. */
static int stop_own_qemu(struct ntd_machine *machine, struct ntd_waiter *waiter,
			 struct ntd_error **err)
{
	_cleanup_error_ struct ntd_error *late = NULL;

	ntd_loop_call(machine->context.loop, leave_guest, machine);
	if (ntd_qemu_ports_clear(qemu_of(machine), false, ntd_after(PATIENCE), waiter, err) < 0)
		return -1;
	if (ntd_machine_wait_unused(machine, ntd_after(PATIENCE), waiter, &late) < 0 &&
	    late->code != NTD_E_TIMEOUT)
		return ntd_error_move(err, ntd_steal(&late));
	return ntd_snapshot_stop(machine, waiter, err);
}

int ntd_snapshot_begin_restoring(struct ntd_machine *machine, struct ntd_waiter *waiter,
				 struct ntd_error **err)
{
	enum ntd_machine_state state = ntd_machine_status(machine).state;

	machine->restores++;
	if (state != NTD_MACHINE_UP && state != NTD_MACHINE_CONNECTED)
		return ntd_life_start_stopped(machine, waiter, err);
	return enter_state(machine, NTD_MACHINE_RESTORE, err) < 0
		       ? -1
		       : stop_own_qemu(machine, waiter, err);
}

int ntd_snapshot_renew_qemu(struct ntd_machine *machine, struct ntd_waiter *waiter,
			    struct ntd_error **err)
{
	ntd_machine_release(machine, 0, NTD_FOREVER);
	if (!ntd_machine_wait_gone(machine, ntd_after(PATIENCE)))
		return ntd_machine_error(err, machine, NTD_E_TIMEOUT, "QEMU does not end");
	return ntd_life_start_stopped(machine, waiter, err);
}

int ntd_snapshot_plug(struct ntd_machine *machine, const struct ntd_snapshot *snapshot,
		      struct ntd_waiter *waiter, struct ntd_error **err)
{
	return ntd_agent_channel_plug(qemu_of(machine)->agent, &snapshot->agent, waiter, err);
}

struct loaded {
	struct ntd_machine *machine;
	const struct ntd_snapshot *snapshot;
};

/* Loop. */
static void take_over(void *arg)
{
	const struct loaded *loaded = arg;
	struct ntd_machine *machine = loaded->machine;
	struct ntd_qemu *qemu = qemu_of(machine);
	_cleanup_error_ struct ntd_error *why = ntd_error_new(
		NTD_E_MACHINE, "machine '%s': it went back to its snapshot '%s' meanwhile",
		machine->name, loaded->snapshot->name);

	qemu->panicked = false;
	qemu->guest.panic_told = false;
	ntd_console_go_back(machine->console, loaded->snapshot->console, why);
	ntd_qemu_ssh_go_back(qemu, why);
	if (!loaded->snapshot->has_serial)
		ntd_serial_reset(qemu->serial);
	if (loaded->snapshot->has_shell)
		ntd_shell_assume(qemu->shell);
	ntd_agent_channel_resume(qemu->agent, &loaded->snapshot->agent);
}

void ntd_snapshot_loaded(struct ntd_machine *machine, const struct ntd_snapshot *snapshot)
{
	ntd_loop_call(machine->context.loop, take_over, &(struct loaded){machine, snapshot});
}

int ntd_snapshot_refresh(struct ntd_machine *machine, struct ntd_waiter *waiter,
			 struct ntd_error **err)
{
	double slowness = machine->kind->slowness(machine);

	return ntd_agent_channel_refresh(qemu_of(machine)->agent, ntd_span(REFRESH * slowness),
					 waiter, err);
}

/* ---- the end of both */

struct end {
	struct ntd_machine *machine;
	bool connected;
};

/* Loop. */
static void end(void *arg)
{
	const struct end *end = arg;
	bool connected = end->connected && ntd_channels_ready(end->machine);

	ntd_life_event(end->machine, connected ? NTD_MACHINE_RECONNECT : NTD_MACHINE_RESUME);
}

void ntd_snapshot_end(struct ntd_machine *machine, bool connected)
{
	ntd_loop_call(machine->context.loop, end, &(struct end){machine, connected});
}

void ntd_snapshot_give_up(struct ntd_machine *machine)
{
	ntd_machine_release(machine, 0, NTD_FOREVER);
	ntd_machine_wait_gone(machine, ntd_after(PATIENCE));
}

int ntd_snapshot_switch_off(struct ntd_machine *machine, struct ntd_waiter *waiter,
			    struct ntd_error **err)
{
	int number = ntd_machine_begin_end(machine, false, waiter, err);

	if (number <= 0)
		return number;
	ntd_machine_release(machine, 0, NTD_FOREVER);
	return ntd_machine_finish_end(machine, (unsigned)number, waiter, err);
}
