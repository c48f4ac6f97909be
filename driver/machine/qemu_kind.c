/* A QEMU machine: how it starts, what it is connected by, and what its silence means.
 * machine/internal.h says which thread calls the operations of a kind; all other functions here are
 * on the loop thread, except those of machine/qemu.h, which are for any thread.
 *
 * The driver listens on the monitor and shell sockets, then orders the start script. QEMU connects
 * to both; QEMU itself listens on the QMP socket, to which the driver connects when both are
 * connected. The start is complete at the first monitor prompt and the end of QMP's negotiation,
 * whichever is later.
 *
 * The driver notices two things without the end of the process, each by the `verdict` timer: a
 * shell that hung up while QEMU lives, and a kernel panic, told by the console or by an event of
 * QMP, after which the shell stays silent.
 */
#include "machine/qemu_internal.h"

#include "base/text.h"
#include "qemu/start_command.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define HANG_UP_PATIENCE (1 * NTD_SECOND)
#define PANIC_PATIENCE (3 * NTD_SECOND)
#define QUIT_PATIENCE (60 * NTD_SECOND)

static struct ntd_qemu *qemu_of(const struct ntd_machine *machine)
{
	return machine->kind == &ntd_qemu_kind ? machine->parts : NULL;
}

/* ---- start */

static void started_if_complete(struct ntd_qemu *qemu)
{
	struct ntd_machine *machine = qemu->machine;

	if (!qemu->monitor_prompted || !qemu->qmp_ready || machine->state != NTD_MACHINE_STARTING)
		return;
	ntd_machine_say(machine, "QEMU running (pid %d)", machine->pid);
	ntd_life_event(machine, NTD_MACHINE_READY);
}

static void monitor_prompted(void *owner)
{
	struct ntd_qemu *qemu = owner;

	qemu->monitor_prompted = true;
	started_if_complete(qemu);
}

static void qmp_ready(void *owner, const struct ntd_error *failure)
{
	struct ntd_qemu *qemu = owner;

	if (failure)
		return; /* the start ends with its process or its deadline */
	qemu->qmp_ready = true;
	ntd_guest_state_ask(&qemu->guest);
	started_if_complete(qemu);
}

/* The next question: QMP takes one of the driver's questions at a time. */
static void guest_state_asked(void *owner)
{
	ntd_accelerator_ask(owner);
}

static int monitor_accepted(struct ntd_qemu *qemu, int fd, struct ntd_error **err)
{
	return ntd_monitor_open(qemu->monitor, fd, monitor_prompted, qemu, err);
}

static int shell_accepted(struct ntd_qemu *qemu, int fd, struct ntd_error **err)
{
	return ntd_shell_open(qemu->shell, fd, err);
}

static int connect_qmp(struct ntd_qemu *qemu, struct ntd_error **err)
{
	int fd = ntd_qmp_dial(qemu->sockets[NTD_QEMU_QMP].path, err);

	return fd < 0 ? -1 : ntd_qmp_open(qemu->qmp, fd, qmp_ready, qemu, err);
}

static bool is_listening(const struct ntd_qemu *qemu)
{
	for (size_t i = 0; i < NTD_QEMU_SOCKETS; i++)
		if (qemu->sockets[i].listener.fd >= 0)
			return true;
	return false;
}

static void stop_listening(struct ntd_qemu_socket *socket)
{
	ntd_source_remove(&socket->listener);
	ntd_close_fd(&socket->listener.fd);
}

static void connecting(struct ntd_source *source, uint32_t events)
{
	struct ntd_qemu_socket *socket = ntd_container_of(source, struct ntd_qemu_socket, listener);
	struct ntd_qemu *qemu = socket->qemu;
	int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct ntd_error *error = NULL;
	int result;

	if (fd < 0)
		return;
	result = socket->accepted(qemu, fd, &error);
	stop_listening(socket);
	if (result == 0 && !is_listening(qemu))
		result = connect_qmp(qemu, &error);
	if (result < 0)
		ntd_life_start_failed(qemu->machine, error);
}

static int listen_on(struct ntd_qemu_socket *socket, struct ntd_error **err)
{
	_cleanup_fd_ int fd = ntd_machine_bind(SOCK_STREAM, socket->path, err);

	if (fd < 0)
		return -1;
	if (listen(fd, 1) < 0)
		return ntd_error_sys(err, errno, "cannot listen on %s", socket->path);
	socket->listener.fd = fd;
	if (ntd_source_add(socket->qemu->machine->context.loop, &socket->listener, EPOLLIN, err) <
	    0) {
		socket->listener.fd = -1;
		return -1;
	}
	ntd_steal_fd(&fd);
	return 0;
}

static int prepare(struct ntd_machine *machine, struct ntd_error **err)
{
	struct ntd_qemu *qemu = qemu_of(machine);

	qemu->monitor_prompted = qemu->qmp_ready = qemu->panicked = false;
	ntd_guest_state_clear(&qemu->guest);
	ntd_script_socket_reset(ntd_shell_socket(qemu->shell));
	ntd_script_socket_reset(ntd_monitor_socket(qemu->monitor));
	ntd_script_socket_reset(ntd_qmp_socket(qemu->qmp));
	unlink(qemu->sockets[NTD_QEMU_QMP].path);
	ntd_machine_say(machine, "starting vm");
	for (size_t i = 0; i < NTD_QEMU_SOCKETS; i++)
		if (qemu->sockets[i].accepted && listen_on(&qemu->sockets[i], err) < 0)
			return -1;
	return 0;
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
	struct ntd_qemu *qemu = qemu_of(machine);

	qemu->panicked = qemu->guest.panic_told = false;
	ntd_timer_cancel(&qemu->verdict);
}

/* Begins to wait for QEMU's end, which most often follows, and which says more than a lost
 * shell. */
static void channel_lost(struct ntd_machine *machine)
{
	ntd_timer_set(machine->context.loop, &qemu_of(machine)->verdict,
		      ntd_after(HANG_UP_PATIENCE));
}

/* ---- silence that means something */

static bool console_shows_panic(const struct ntd_machine *machine)
{
	return ntd_console_panic(machine->console);
}

static void fail_pending(struct ntd_qemu *qemu, const char *what)
{
	_cleanup_free_ char *how =
		ntd_guest_state_describe(&qemu->guest, what, console_shows_panic(qemu->machine));
	_cleanup_error_ struct ntd_error *error = ntd_life_obituary(qemu->machine, how);

	error->code = NTD_E_MACHINE;
	ntd_shell_refuse(qemu->shell, error);
	ntd_life_finish_waits(qemu->machine, NTD_WAIT_CONNECT, error);
}

static void verdict_expired(struct ntd_timer *timer)
{
	struct ntd_qemu *qemu = ntd_container_of(timer, struct ntd_qemu, verdict);

	if (!qemu->panicked)
		fail_pending(qemu, "Shell disconnected");
	else if (ntd_channels_heard(qemu->machine) == qemu->panic_heard)
		fail_pending(qemu, "the guest does not answer any more");
}

static void panicked(struct ntd_machine *machine)
{
	struct ntd_qemu *qemu = qemu_of(machine);

	qemu->panicked = true;
	qemu->panic_heard = ntd_channels_heard(machine);
	ntd_timer_set(machine->context.loop, &qemu->verdict, ntd_after(PANIC_PATIENCE));
}

static void panic_told(void *owner)
{
	struct ntd_qemu *qemu = owner;

	panicked(qemu->machine);
}

static char *remark(const struct ntd_machine *machine, int64_t since)
{
	return ntd_guest_state_remark(&qemu_of(machine)->guest, since,
				      console_shows_panic(machine));
}

/* ---- end */

/* Writes `poweroff` to the root shell, or runs it on another channel that is preferred or ready in
 * the root shell's place. */
static int power_off(struct ntd_machine *machine, struct ntd_waiter *waiter, struct ntd_error **err)
{
	static const char text[] = "poweroff";
	const struct ntd_command command = {.text = text,
					    .text_len = sizeof text - 1,
					    .timeout = -1,
					    .no_status = true,
					    .as_root = true};
	struct ntd_shell *shell = qemu_of(machine)->shell;
	struct ntd_channel *channel = ntd_machine_channel(machine, NTD_CHANNEL_ANY);
	_cleanup_result_ struct ntd_result result = {0};

	if (channel && channel != ntd_shell_channel(shell))
		return channel->ops->run(channel, &command, &result, waiter, err);
	return ntd_shell_send(shell, "poweroff\n", 9, err);
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
	for (size_t i = 0; i < NTD_QEMU_SOCKETS; i++) {
		stop_listening(&qemu->sockets[i]);
		unlink(qemu->sockets[i].path);
	}
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
	return ntd_guest_state_describe(&qemu->guest, what, console_shows_panic(machine));
}

/* ---- what only QEMU machines have */

struct ntd_monitor *ntd_machine_monitor(struct ntd_machine *machine)
{
	const struct ntd_qemu *qemu = qemu_of(machine);

	return qemu ? qemu->monitor : NULL;
}

struct ntd_qmp *ntd_machine_qmp(struct ntd_machine *machine)
{
	const struct ntd_qemu *qemu = qemu_of(machine);

	return qemu ? qemu->qmp : NULL;
}

struct ntd_shell *ntd_machine_shell(struct ntd_machine *machine)
{
	const struct ntd_qemu *qemu = qemu_of(machine);

	return qemu ? qemu->shell : NULL;
}

bool ntd_machine_has_root_shell(const struct ntd_machine *machine)
{
	const struct ntd_qemu *qemu = qemu_of(machine);

	return qemu && !ntd_shell_channel(qemu->shell)->absent;
}

void ntd_machine_set_root_shell(struct ntd_machine *machine, bool has)
{
	const struct ntd_qemu *qemu = qemu_of(machine);

	if (qemu)
		ntd_shell_channel(qemu->shell)->absent = !has;
}

void ntd_machine_set_vsock(struct ntd_machine *machine, const char *guest, const char *host)
{
	struct ntd_qemu *qemu = qemu_of(machine);

	if (!qemu)
		return;
	ntd_machine_replace(machine, &qemu->vsock_guest, guest);
	ntd_machine_replace(machine, &qemu->vsock_host, host);
}

const char *ntd_machine_vsock_guest(const struct ntd_machine *machine)
{
	const struct ntd_qemu *qemu = qemu_of(machine);

	return qemu ? qemu->vsock_guest : NULL;
}

const char *ntd_machine_vsock_host(const struct ntd_machine *machine)
{
	const struct ntd_qemu *qemu = qemu_of(machine);

	return qemu ? qemu->vsock_host : NULL;
}

/* ---- the kind */

static const char *const socket_names[] = {[NTD_QEMU_MONITOR] = "monitor",
					   [NTD_QEMU_SHELL] = "shell",
					   [NTD_QEMU_QMP] = "qmp",
					   [NTD_QEMU_SOCKETS] = NULL};
static_assert(sizeof socket_names / sizeof *socket_names == NTD_QEMU_SOCKETS + 1, "");

static char *_Atomic *path(const struct ntd_machine *machine, const char *which)
{
	struct ntd_qemu *qemu = qemu_of(machine);

	for (size_t i = 0; i < NTD_QEMU_SOCKETS; i++)
		if (!strcmp(socket_names[i], which))
			return &qemu->sockets[i].path;
	return !strcmp(which, "efi_vars") ? &qemu->efi_vars : NULL;
}

static double slowness(const struct ntd_machine *machine)
{
	return qemu_of(machine)->emulated ? NTD_SCALE_TCG : 1;
}

/* The path is in the state directory, or, where that is too long for a socket, in another
 * directory. */
static char *socket_path(const struct ntd_machine *machine, const char *which)
{
	if (!strcmp(machine->context.socket_dir, machine->context.tmp_dir))
		return ntd_asprintf("%s/%s", machine->state_dir, which);
	return ntd_asprintf("%s/%s-%s", machine->context.socket_dir, machine->name, which);
}

static void make_sockets(struct ntd_qemu *qemu)
{
	for (size_t i = 0; i < NTD_QEMU_SOCKETS; i++) {
		qemu->sockets[i].qemu = qemu;
		qemu->sockets[i].path = socket_path(qemu->machine, socket_names[i]);
		qemu->sockets[i].listener = (struct ntd_source){.fd = -1, .ready = connecting};
	}
	qemu->sockets[NTD_QEMU_MONITOR].accepted = monitor_accepted;
	qemu->sockets[NTD_QEMU_SHELL].accepted = shell_accepted;
}

static void *make(struct ntd_machine *machine)
{
	struct ntd_loop *loop = machine->context.loop;
	struct ntd_qemu *qemu = ntd_calloc(1, sizeof *qemu);
	_cleanup_free_ char *who = ntd_asprintf("machine '%s'", machine->name);

	qemu->machine = machine;
	qemu->verdict.expired = verdict_expired;
	qemu->efi_vars = ntd_asprintf("%s/%s-efi-vars.fd", machine->state_dir, machine->name);
	qemu->shell = ntd_shell_new(loop, machine->name);
	qemu->monitor = ntd_monitor_new(loop, machine->name);
	qemu->qmp = ntd_qmp_new(loop, who);
	qemu->guest = (struct ntd_guest_state){.qmp = qemu->qmp,
					       .panicked = panic_told,
					       .asked = guest_state_asked,
					       .owner = qemu};
	ntd_guest_state_listen(&qemu->guest);
	make_sockets(qemu);
	ntd_machine_add_channel(machine, ntd_shell_channel(qemu->shell));
	return qemu;
}

static void free_qemu(void *parts)
{
	struct ntd_qemu *qemu = parts;

	ntd_shell_free(qemu->shell);
	ntd_monitor_free(qemu->monitor);
	ntd_qmp_free(qemu->qmp);
	for (size_t i = 0; i < NTD_QEMU_SOCKETS; i++)
		free(qemu->sockets[i].path);
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
		  .slow_boot = "Guest root shell did not produce any data yet",
		  .unbooted = "the guest has not shown a root shell yet"},
	.sockets = socket_names,
	.sync = "sync",
	.make = make,
	.free = free_qemu,
	.path = path,
	.slowness = slowness,
	.complete_order = complete_order,
	.connected = connected,
	.power_off = power_off,
	.cut_power = cut_power,
	.prepare = prepare,
	.panicked = panicked,
	.remark = remark,
	.channel_ready = channel_ready,
	.channel_lost = channel_lost,
	.close = close_connections,
	.how_it_ended = how_it_ended,
};
