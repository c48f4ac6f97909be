/* A QEMU machine: how it starts, what it is connected by, and what its silence means.
 *
 * The driver listens on the monitor and shell sockets, then the start script is ordered. QEMU
 * connects to both; QMP is the other way round, so it is connected when both are there. The start
 * is complete at the first monitor prompt and the end of QMP's negotiation, whichever is later.
 *
 * Two things are noticed without the end of the process, each by the `verdict` timer: a shell that
 * hung up while QEMU lives, and a kernel panic after which the shell stays silent.
 */
#include "machine/internal.h"

#include "base/text.h"
#include "machine/accelerator.h"
#include "qemu/start_command.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define HANG_UP_PATIENCE (1 * NTD_SECOND)
#define PANIC_PATIENCE (3 * NTD_SECOND)

/* ---- start */

static int listen_on(struct ntd_machine *machine, struct ntd_source *listener, const char *path,
		     struct ntd_error **err)
{
	_cleanup_fd_ int fd = ntd_machine_bind(SOCK_STREAM, path, err);

	if (fd < 0)
		return -1;
	if (listen(fd, 1) < 0)
		return ntd_error_sys(err, errno, "cannot listen on %s", path);
	listener->fd = fd;
	if (ntd_source_add(machine->context.loop, listener, EPOLLIN, err) < 0) {
		listener->fd = -1;
		return -1;
	}
	ntd_steal_fd(&fd);
	return 0;
}

static void started_if_complete(struct ntd_machine *machine)
{
	if (!machine->monitor_prompted || !machine->qmp_ready ||
	    machine->state != NTD_MACHINE_STARTING)
		return;
	ntd_machine_say(machine, "QEMU running (pid %d)", machine->pid);
	ntd_life_event(machine, NTD_MACHINE_READY);
}

static void monitor_prompted(void *owner)
{
	struct ntd_machine *machine = owner;

	machine->monitor_prompted = true;
	started_if_complete(machine);
}

static void qmp_ready(void *owner, const struct ntd_error *failure)
{
	struct ntd_machine *machine = owner;

	if (failure)
		return; /* the start ends with its process or its deadline */
	machine->qmp_ready = true;
	ntd_accelerator_ask(machine);
	started_if_complete(machine);
}

static int connect_qmp(struct ntd_machine *machine, struct ntd_error **err)
{
	int fd = ntd_qmp_dial(machine->qmp_path, err);

	return fd < 0 ? -1 : ntd_qmp_open(machine->qmp, fd, qmp_ready, machine, err);
}

static void accept_one(struct ntd_machine *machine, struct ntd_source *listener)
{
	int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct ntd_error *error = NULL;
	int result;

	if (fd < 0)
		return;
	if (listener == &machine->monitor_listener)
		result = ntd_monitor_open(machine->monitor, fd, monitor_prompted, machine, &error);
	else
		result = ntd_shell_open(machine->shell, fd, &error);
	ntd_source_remove(listener);
	ntd_close_fd(&listener->fd);
	if (result == 0 && machine->monitor_listener.fd < 0 && machine->shell_listener.fd < 0)
		result = connect_qmp(machine, &error);
	if (result < 0)
		ntd_life_start_failed(machine, error);
}

static void monitor_connecting(struct ntd_source *source, uint32_t events)
{
	accept_one(ntd_container_of(source, struct ntd_machine, monitor_listener), source);
}

static void shell_connecting(struct ntd_source *source, uint32_t events)
{
	accept_one(ntd_container_of(source, struct ntd_machine, shell_listener), source);
}

static int prepare(struct ntd_machine *machine, struct ntd_error **err)
{
	machine->monitor_prompted = machine->qmp_ready = machine->panicked = false;
	ntd_script_socket_reset(ntd_shell_socket(machine->shell));
	ntd_script_socket_reset(ntd_monitor_socket(machine->monitor));
	ntd_script_socket_reset(ntd_qmp_socket(machine->qmp));
	machine->monitor_listener.ready = monitor_connecting;
	machine->shell_listener.ready = shell_connecting;
	unlink(machine->qmp_path);
	ntd_machine_say(machine, "starting vm");
	if (listen_on(machine, &machine->monitor_listener, machine->monitor_path, err) < 0)
		return -1;
	return listen_on(machine, &machine->shell_listener, machine->shell_path, err);
}

static void complete_order(struct ntd_machine *machine, bool allow_reboot,
			   struct ntd_start_order *order)
{
	struct ntd_start_paths paths = {.state_dir = machine->state_dir,
					.shared_dir = machine->shared_dir,
					.monitor = machine->monitor_path,
					.qmp = machine->qmp_path,
					.shell = machine->shell_path,
					.vsock = machine->vsock_guest,
					.efi_vars = machine->efi_vars};

	if (!order->env) {
		struct ntd_machine_hooks hooks = ntd_machine_hooks(machine);

		if (hooks.environment)
			order->env = hooks.environment(hooks.owner);
		order->env = ntd_environment_for_process(machine->context.environment, order->env);
		order->env = ntd_start_environment(order->env, &paths);
	}
	if (!order->line)
		order->line = ntd_start_command_line(machine->script, &paths, allow_reboot,
						     ntd_has_display(order->env));
}

/* ---- the root shell */

static void connected(struct ntd_machine *machine, const char *said, double seconds)
{
	if (said)
		ntd_machine_say(machine, "Guest shell says: %s", said);
	ntd_machine_say(machine, "connected to guest root shell");
	ntd_machine_say(machine, "(connecting took %.2f seconds)", seconds);
}

static struct ntd_channel *channel(struct ntd_machine *machine)
{
	return ntd_shell_channel(machine->shell);
}

static void shell_announced(void *owner, const char *said, size_t len)
{
	struct ntd_machine *machine = owner;

	machine->panicked = false;
	ntd_timer_cancel(&machine->verdict);
	free(machine->said);
	machine->said = ntd_bytes_repr(said, len);
	ntd_life_announce(machine);
}

static void shell_disconnected(void *owner)
{
	struct ntd_machine *machine = owner;

	/* Most often QEMU is ending, which says more. */
	ntd_timer_set(machine->context.loop, &machine->verdict, ntd_after(HANG_UP_PATIENCE));
}

/* ---- silence that means something */

static void fail_pending(struct ntd_machine *machine, const char *how)
{
	_cleanup_error_ struct ntd_error *error = ntd_life_obituary(machine, how);

	error->code = NTD_E_MACHINE;
	ntd_shell_refuse(machine->shell, error);
	ntd_life_finish_waits(machine, NTD_WAIT_CONNECT, error);
}

static void verdict_expired(struct ntd_timer *timer)
{
	struct ntd_machine *machine = ntd_container_of(timer, struct ntd_machine, verdict);

	if (!machine->panicked)
		fail_pending(machine, "Shell disconnected");
	else if (ntd_shell_heard(machine->shell) == machine->panic_heard)
		fail_pending(machine, "the guest does not answer any more");
}

static void panicked(struct ntd_machine *machine)
{
	machine->panicked = true;
	machine->panic_heard = ntd_shell_heard(machine->shell);
	ntd_timer_set(machine->context.loop, &machine->verdict, ntd_after(PANIC_PATIENCE));
}

/* ---- end */

static int power_off(struct ntd_machine *machine, struct ntd_waiter *waiter, struct ntd_error **err)
{
	return ntd_shell_send(machine->shell, "poweroff\n", 9, err);
}

static void stop_listening(struct ntd_source *listener)
{
	ntd_source_remove(listener);
	ntd_close_fd(&listener->fd);
}

static void close_connections(struct ntd_machine *machine, const struct ntd_error *why)
{
	stop_listening(&machine->monitor_listener);
	stop_listening(&machine->shell_listener);
	ntd_shell_close(machine->shell, why);
	ntd_monitor_close(machine->monitor);
	ntd_qmp_close(machine->qmp, why);
	unlink(machine->monitor_path);
	unlink(machine->shell_path);
	unlink(machine->qmp_path);
}

static char *how_it_ended(const struct ntd_machine *machine)
{
	_cleanup_free_ char *status = ntd_status_text(machine->wait_status);
	const char *when = "";

	if (machine->state == NTD_MACHINE_STARTING)
		when = machine->shell_listener.fd >= 0 && machine->monitor_listener.fd < 0
			       ? " before connecting to shell socket"
			       : " before connecting to monitor socket";
	return ntd_asprintf("QEMU process %s%s", status, when);
}

/* ---- the kind */

static void make_connections(struct ntd_machine *machine)
{
	struct ntd_loop *loop = machine->context.loop;
	struct ntd_shell_owner owner = {
		.announced = shell_announced, .disconnected = shell_disconnected, .owner = machine};
	_cleanup_free_ char *who = ntd_asprintf("machine '%s'", machine->name);

	machine->verdict.expired = verdict_expired;
	machine->shell = ntd_shell_new(loop, machine->name, &owner);
	machine->monitor = ntd_monitor_new(loop, machine->name);
	machine->qmp = ntd_qmp_new(loop, who);
}

static void free_connections(struct ntd_machine *machine)
{
	ntd_shell_free(machine->shell);
	ntd_monitor_free(machine->monitor);
	ntd_qmp_free(machine->qmp);
}

const struct ntd_machine_kind ntd_qemu_kind = {
	.type = "QemuMachine",
	.sockets = (const char *const[]){"monitor", "shell", "qmp", NULL},
	.boot_step = "waiting for the VM to finish booting",
	.end_step = "waiting for the VM to power off",
	.late_start = "QEMU did not connect to the driver",
	.late_shell = "Shell did not start in time",
	.no_shell = "Guest root shell did not produce any data yet",
	.complete_order = complete_order,
	.connected = connected,
	.power_off = power_off,
	.channel = channel,
	.prepare = prepare,
	.panicked = panicked,
	.close = close_connections,
	.how_it_ended = how_it_ended,
	.make = make_connections,
	.free = free_connections,
};
