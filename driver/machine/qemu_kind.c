/* A QEMU machine: its start, its channels and its end. How QEMU and the driver get connected is in
 * qemu_sockets.c, what its silence means in qemu_verdict.c.
 *
 * machine/internal.h says which thread calls the operations of a kind; all other functions here are
 * on the loop thread.
 */
#include "machine/qemu_internal.h"

#include "base/text.h"
#include "qemu/start_command.h"

#include <string.h>

/* How much of the console a script that has not called expect() for a while can still match. */
#define EXPECT_LIMIT (1 << 20)

#define QUIT_PATIENCE (60 * NTD_SECOND)

static struct ntd_qemu *qemu_of(const struct ntd_machine *machine)
{
	return machine->parts;
}

/* ---- start */

static int prepare(struct ntd_machine *machine, struct ntd_error **err)
{
	struct ntd_qemu *qemu = qemu_of(machine);

	qemu->panicked = qemu->snapshots.provided = false;
	ntd_guest_state_clear(&qemu->guest);
	ntd_script_socket_reset(ntd_shell_socket(qemu->shell));
	ntd_script_socket_reset(ntd_monitor_socket(qemu->monitor));
	ntd_script_socket_reset(ntd_qmp_socket(qemu->qmp));
	ntd_qemu_ssh_clear(qemu);
	ntd_machine_say(machine, "starting vm");
	return ntd_qemu_sockets_listen(qemu, err);
}

static void complete_order(struct ntd_machine *machine, bool allow_reboot,
			   struct ntd_start_order *order)
{
	const struct ntd_qemu *qemu = qemu_of(machine);
	struct ntd_start_paths paths = {.state_dir = machine->state_dir,
					.shared_dir = machine->shared_dir,
					.monitor = qemu->sockets[NTD_QEMU_MONITOR].path,
					.qmp = qemu->sockets[NTD_QEMU_QMP].path,
					.shell = qemu->sockets[NTD_QEMU_SHELL].path,
					.vsock = qemu->vsock_guest,
					.efi_vars = qemu->efi_vars};

	if (!order->env) {
		struct ntd_machine_hooks hooks = ntd_machine_hooks(machine);

		if (hooks.environment)
			order->env = hooks.environment(hooks.owner);
		order->env = ntd_environment_for_process(machine->context.environment, order->env);
		order->env = ntd_start_environment(order->env, &paths);
	}
	if (!order->line)
		order->line = ntd_start_command_line(machine->script, &paths, allow_reboot,
						     ntd_start_has_display(order->env));
}

/* ---- channels */

static void connected(struct ntd_machine *machine, const struct ntd_life_wait *wait, double seconds)
{
	if (wait->said)
		ntd_machine_say(machine, "Guest shell says: %s", wait->said);
	ntd_machine_say(machine, "connected to guest %s", wait->channel);
	ntd_machine_say(machine, "(connecting took %.2f seconds)", seconds);
}

static void channel_ready(struct ntd_machine *machine)
{
	ntd_qemu_verdict_answered(qemu_of(machine));
}

static void report_changed(struct ntd_machine *machine)
{
	ntd_ssh_set_report(qemu_of(machine)->ssh.channel, machine->context.report);
	ntd_agent_channel_set_report(qemu_of(machine)->agent, machine->context.report);
}

/* Begins to wait for QEMU's end, which most often follows, and which says more than a lost shell.
 * Other channels connect again by themselves, and the next command waits for that. */
static void channel_lost(struct ntd_machine *machine, struct ntd_channel *channel)
{
	struct ntd_qemu *qemu = qemu_of(machine);

	if (channel == ntd_shell_channel(qemu->shell)) {
		ntd_qemu_verdict_hung_up(qemu);
		return;
	}
	ntd_channel_withdraw(channel);
	if (!ntd_channels_ready(machine))
		ntd_life_event(machine, NTD_MACHINE_DISCONNECT);
}

/* ---- what the guest tells */

static void panicked(struct ntd_machine *machine)
{
	ntd_qemu_verdict_panicked(qemu_of(machine));
}

static void panic_told(void *owner)
{
	ntd_qemu_verdict_panicked(owner);
}

static void was_reset(void *owner)
{
	struct ntd_qemu *qemu = owner;

	/* QEMU resets the guest to load a snapshot, which has shells of its own. */
	if (qemu->machine->state == NTD_MACHINE_RESTORING)
		return;
	ntd_qemu_verdict_was_reset(qemu);
	ntd_serial_reset(qemu->serial);
}

static char *remark(const struct ntd_machine *machine, int64_t since)
{
	return ntd_guest_state_remark(&qemu_of(machine)->guest, since,
				      ntd_console_panic(machine->console));
}

/* ---- end */

/* Writes `poweroff` to the root shell, or runs it on another channel that is preferred or ready in
 * the root shell's place. */
static int power_off(struct ntd_machine *machine, struct ntd_waiter *waiter, struct ntd_error **err)
{
	static const char text[] = "poweroff";
	struct ntd_command command = {.text = text,
				      .text_len = sizeof text - 1,
				      .timeout = -1,
				      .no_status = true,
				      .as_root = true};
	struct ntd_shell *shell = qemu_of(machine)->shell;
	struct ntd_channel *channel = ntd_machine_channel(machine, NTD_CHANNEL_WAY_IN);
	_cleanup_result_ struct ntd_result result = {0};
	_cleanup_error_ struct ntd_error *error = NULL;
	bool ready;

	if (!channel || channel == ntd_shell_channel(shell))
		return ntd_shell_send(shell, "poweroff\n", 9, err);
	ready = channel->ready;
	/* nobody can tell of the end on a console that ends with the machine */
	command.no_reply = channel == ntd_serial_channel(qemu_of(machine)->serial);
	if (channel->ops->run(channel, &command, &result, waiter, &error) == 0)
		return 0;
	/* The guest may end the connection before the command: sshd is one of its services. */
	if (ready && !channel->ready && error->code != NTD_E_CANCELLED)
		return 0;
	return ntd_error_move(err, ntd_steal(&error));
}

static int cut_power(struct ntd_machine *machine, struct ntd_waiter *waiter, struct ntd_error **err)
{
	_cleanup_buf_ struct ntd_buf reply = {0};

	return ntd_monitor_command(qemu_of(machine)->monitor, "quit", &reply,
				   ntd_after(QUIT_PATIENCE), waiter, err);
}

static void close_connections(struct ntd_machine *machine, const struct ntd_error *why)
{
	struct ntd_qemu *qemu = qemu_of(machine);

	ntd_timer_cancel(&qemu->verdict);
	ntd_monitor_close(qemu->monitor);
	ntd_qmp_close(qemu->qmp, why);
	ntd_qemu_ports_forget(qemu);
	ntd_qemu_ssh_clear(qemu);
	ntd_qemu_sockets_close(qemu);
}

static char *how_it_ended(const struct ntd_machine *machine)
{
	const struct ntd_qemu *qemu = qemu_of(machine);
	_cleanup_free_ char *status = ntd_status_text(machine->wait_status), *what = NULL;
	bool monitor_waits = qemu->sockets[NTD_QEMU_MONITOR].listener.fd >= 0;
	bool shell_waits = qemu->sockets[NTD_QEMU_SHELL].listener.fd >= 0;
	const char *when = "";

	if (machine->state == NTD_MACHINE_STARTING)
		when = shell_waits && !monitor_waits ? " before connecting to shell socket"
						     : " before connecting to monitor socket";
	/* QEMU writes the reason of its end to QMP, and ends at once. */
	ntd_qmp_drain(qemu->qmp);
	what = ntd_asprintf("QEMU process %s%s", status, when);
	return ntd_guest_state_describe(&qemu->guest, what, ntd_console_panic(machine->console));
}

/* ---- the kind */

static char *awaited(const struct ntd_machine *machine)
{
	return ntd_qemu_ssh_awaited(qemu_of(machine));
}

static char *_Atomic *path(const struct ntd_machine *machine, const char *which)
{
	struct ntd_qemu *qemu = qemu_of(machine);

	for (size_t i = 0; i < NTD_QEMU_SOCKETS; i++)
		if (!strcmp(ntd_qemu_socket_names[i], which))
			return &qemu->sockets[i].path;
	return !strcmp(which, "efi_vars") ? &qemu->efi_vars : NULL;
}

static double slowness(const struct ntd_machine *machine)
{
	return qemu_of(machine)->emulated ? NTD_SCALE_TCG : 1;
}

static void *make(struct ntd_machine *machine)
{
	struct ntd_loop *loop = machine->context.loop;
	struct ntd_qemu *qemu = ntd_calloc(1, sizeof *qemu);
	_cleanup_free_ char *who = ntd_asprintf("machine '%s'", machine->name);

	qemu->machine = machine;
	ntd_qemu_verdict_make(qemu);
	qemu->efi_vars = ntd_asprintf("%s/%s-efi-vars.fd", machine->state_dir, machine->name);
	qemu->shell = ntd_shell_new(loop, machine->name);
	qemu->expect = ntd_expect_new(machine->console, EXPECT_LIMIT);
	qemu->monitor = ntd_monitor_new(loop, machine->name);
	qemu->qmp = ntd_qmp_new(loop, who);
	qemu->guest = (struct ntd_guest_state){
		.qmp = qemu->qmp, .panicked = panic_told, .was_reset = was_reset, .owner = qemu};
	ntd_guest_state_listen(&qemu->guest);
	ntd_qemu_sockets_make(qemu);
	ntd_qemu_ports_make(qemu);
	ntd_shell_set_port(qemu->shell, ntd_qemu_port(qemu, NTD_PORT_SHELL));
	qemu->agent = ntd_agent_channel_new(loop, machine->context.report, machine->name,
					    qemu->shell, ntd_qemu_port(qemu, NTD_PORT_AGENT),
					    !machine->context.no_agent);
	ntd_machine_add_channel(machine, ntd_agent_channel_of(qemu->agent));
	ntd_machine_add_channel(machine, ntd_shell_channel(qemu->shell));
	ntd_qemu_ssh_make(qemu);
	/* the last resort */
	qemu->serial = ntd_serial_new(loop, machine->console, machine->name);
	ntd_machine_add_channel(machine, ntd_serial_channel(qemu->serial));
	return qemu;
}

static void free_qemu(void *parts)
{
	struct ntd_qemu *qemu = parts;

	ntd_qemu_snapshots_free(qemu);
	ntd_qemu_ssh_free(qemu);
	ntd_agent_channel_free(qemu->agent);
	ntd_shell_free(qemu->shell);
	ntd_expect_free(qemu->expect);
	ntd_serial_free(qemu->serial);
	ntd_monitor_free(qemu->monitor);
	ntd_qmp_free(qemu->qmp);
	ntd_qemu_ports_free(qemu);
	ntd_qemu_sockets_free(qemu);
	free(qemu->efi_vars);
	free(qemu->vsock_guest);
	free(qemu->vsock_host);
	free(qemu);
}

const struct ntd_machine_kind ntd_qemu_kind = {
	.words = {.type = "QemuMachine",
		  .process = "QEMU",
		  .program = "qemu",
		  .boot_step = "waiting for the VM to finish booting",
		  .end_step = "waiting for the VM to power off",
		  .late_start = "QEMU did not connect to the driver",
		  .late_boot = "Shell did not start in time",
		  .slow_boot = "the guest has not shown a root shell yet",
		  .unbooted = "the guest has not shown a root shell yet"},
	.sockets = ntd_qemu_socket_names,
	.sync = "sync",
	.make = make,
	.free = free_qemu,
	.path = path,
	.slowness = slowness,
	.complete_order = complete_order,
	.connected = connected,
	.power_off = power_off,
	.cut_power = cut_power,
	.awaited = awaited,
	.prepare = prepare,
	.report_changed = report_changed,
	.panicked = panicked,
	.remark = remark,
	.channel_ready = channel_ready,
	.channel_lost = channel_lost,
	.close = close_connections,
	.how_it_ended = how_it_ended,
};
