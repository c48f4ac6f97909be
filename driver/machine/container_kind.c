/* A container: the process is systemd-nspawn's start script, NixOS' run-NAME-nspawn.
 * machine/internal.h says which thread calls the operations of a kind; all other functions here are
 * on the loop thread.
 *
 * systemd-nspawn writes datagrams to a socket that the driver has bound (sd_notify(3)): with
 * X_NSPAWN_LEADER_PID=n when it has started the container's init, and READY=1 when that has booted.
 * With both, commands can be run, by nsenter(1) into the namespaces of that process, which starts
 * the agent there, too, or the commands themselves where there is no agent. The driver reads the
 * socket as long as the container lives, since init waits when that is full. A container that
 * reboots has a new leader.
 *
 * Everything that is printed is one console: what the start script and systemd-nspawn write, the
 * container's journal, and what commands write to standard error.
 *
 * Format: https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
 */
#include "machine/container_internal.h"

#include "base/text.h"
#include "base/unix_socket.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

enum { DATAGRAM_LIMIT = 16 << 10, DATAGRAMS_AT_ONCE = 64, POWER_OFF_SECONDS = 60 };

static struct ntd_container *container_of(const struct ntd_machine *machine)
{
	return machine->kind == &ntd_container_kind ? machine->parts : NULL;
}

/* ---- what systemd-nspawn says */

static void allow_agent(struct ntd_container *container)
{
	if (container->agent)
		ntd_agent_channel_booted(container->agent);
}

/* Takes the pid of the container's init. A number that no process has any more is as bad as
 * none. */
static void set_leader(struct ntd_container *container, const char *text)
{
	pid_t before = ntd_nsenter_leader(container->nsenter);
	char *end;
	long pid = strtol(text, &end, 10);

	if (end == text || *end || pid <= 1 || pid > INT_MAX || pid == before)
		return;
	if (before) { /* the container has rebooted */
		container->ready = false;
		ntd_channel_withdraw(ntd_nsenter_channel(container->nsenter));
		ntd_life_event(container->machine, NTD_MACHINE_DISCONNECT);
		allow_agent(container);
	}
	ntd_nsenter_set_leader(container->nsenter, (pid_t)pid);
}

static void take_line(struct ntd_container *container, const char *line)
{
	static const char leader[] = "X_NSPAWN_LEADER_PID=";

	if (ntd_has_prefix(line, leader))
		set_leader(container, line + sizeof leader - 1);
	else if (!strcmp(line, "READY=1"))
		container->ready = true;
}

static bool has_booted(const struct ntd_container *container)
{
	return container->ready && ntd_nsenter_leader(container->nsenter);
}

static void take_message(struct ntd_container *container, char *message)
{
	struct ntd_channel *channel = ntd_nsenter_channel(container->nsenter);
	char *rest = message, *line;
	bool had_booted = has_booted(container);

	while ((line = strsep(&rest, "\n")))
		take_line(container, line);
	if (had_booted || !has_booted(container))
		return;
	allow_agent(container);
	channel->owner.ready(channel->owner.owner, channel, NULL, 0);
}

static void notified(struct ntd_source *source, uint32_t events)
{
	struct ntd_container *container = ntd_container_of(source, struct ntd_container, notify);
	char message[DATAGRAM_LIMIT + 1];
	ssize_t len = 0;

	for (int i = 0; i < DATAGRAMS_AT_ONCE && len >= 0; i++) {
		len = recv(source->fd, message, DATAGRAM_LIMIT, MSG_DONTWAIT | MSG_TRUNC);
		if (len < 0 || len > DATAGRAM_LIMIT)
			continue;
		message[len] = '\0';
		take_message(container, message);
	}
}

static int listen_for_notices(struct ntd_container *container, struct ntd_error **err)
{
	struct ntd_machine *machine = container->machine;
	_cleanup_fd_ int fd = ntd_socket_bind(SOCK_DGRAM, container->notify_path, err);

	if (fd < 0)
		return -1;
	container->notify.fd = fd;
	if (ntd_source_add(machine->context.loop, &container->notify, EPOLLIN, err) < 0) {
		container->notify.fd = -1;
		return -1;
	}
	ntd_steal_fd(&fd);
	return 0;
}

/* ---- start */

/* The start script gets no other variables, so that a container depends on its script alone. */
static void complete_order(struct ntd_machine *machine, bool allow_reboot,
			   struct ntd_start_order *order)
{
	if (!order->env) {
		order->env = ntd_calloc(4, sizeof *order->env);
		order->env[0] = ntd_asprintf("RUN_NSPAWN_ROOT_DIR=%s", machine->state_dir);
		order->env[1] = ntd_asprintf("RUN_NSPAWN_SHARED_DIR=%s", machine->shared_dir);
		order->env[2] =
			ntd_asprintf("NOTIFY_SOCKET=%s", container_of(machine)->notify_path);
	}
	if (!order->line)
		order->line = ntd_strdup(machine->script);
}

static int prepare(struct ntd_machine *machine, struct ntd_error **err)
{
	struct ntd_container *container = container_of(machine);

	container->ready = false;
	if (listen_for_notices(container, err) < 0)
		return -1;
	ntd_container_journal_open(container);
	return 0;
}

static void running(struct ntd_machine *machine)
{
	ntd_nsenter_open(container_of(machine)->nsenter, machine->console_end);
	ntd_machine_say(machine, "systemd-nspawn running (pid %d)", machine->pid);
	ntd_life_event(machine, NTD_MACHINE_READY);
}

/* ---- boot */

static void connected(struct ntd_machine *machine, const struct ntd_life_wait *wait, double seconds)
{
	ntd_machine_say(machine, "the container has booted (%.2f seconds)", seconds);
}

static void report_changed(struct ntd_machine *machine)
{
	struct ntd_container *container = container_of(machine);

	if (container->agent)
		ntd_agent_channel_set_report(container->agent, machine->context.report);
}

/* ---- end */

/* Asks systemd to power off. It may be doing so already, which systemctl may take for a failure;
 * and the container may end before systemctl does, or kill systemctl as one of its last
 * processes. */
static int power_off(struct ntd_machine *machine, struct ntd_waiter *waiter, struct ntd_error **err)
{
	static const char text[] =
		"systemctl poweroff || { status=$?; "
		"test \"$(systemctl is-system-running)\" = stopping || exit $status; }";
	struct ntd_command command = {.text = text,
				      .text_len = sizeof text - 1,
				      .timeout = POWER_OFF_SECONDS,
				      .as_root = true};
	struct ntd_channel *channel = ntd_nsenter_channel(container_of(machine)->nsenter);
	_cleanup_result_ struct ntd_result result = {0};
	_cleanup_error_ struct ntd_error *error = NULL;

	if (ntd_machine_status(machine).state == NTD_MACHINE_STOPPING)
		return 0;
	if (ntd_machine_connect(machine, waiter, err) < 0)
		return -1;
	if (channel->ops->run(channel, &command, &result, waiter, &error) < 0)
		return error->code == NTD_E_DEAD ? 0 : ntd_error_move(err, ntd_steal(&error));
	if (!result.status || result.status > NTD_STATUS_SIGNALLED)
		return 0;
	return ntd_machine_error(err, machine, NTD_E_MACHINE,
				 "`systemctl poweroff` failed (exit code %d)", result.status);
}

static void close_connections(struct ntd_machine *machine, const struct ntd_error *why)
{
	struct ntd_container *container = container_of(machine);

	ntd_source_remove(&container->notify);
	ntd_close_fd(&container->notify.fd);
	unlink(container->notify_path);
	ntd_container_journal_close(container);
}

static char *how_it_ended(const struct ntd_machine *machine)
{
	_cleanup_free_ char *status = ntd_status_text(machine->wait_status);

	return ntd_asprintf("systemd-nspawn process exited unexpectedly: it %s%s", status,
			    container_of(machine)->ready ? "" : " before the container had booted");
}

/* ---- what only containers have */

pid_t ntd_machine_leader(const struct ntd_machine *machine)
{
	const struct ntd_container *container = container_of(machine);

	return container ? ntd_nsenter_leader(container->nsenter) : 0;
}

char *ntd_machine_ssh_command(const struct ntd_machine *machine)
{
	if (!container_of(machine))
		return NULL;
	return ntd_asprintf("ssh -o User=root -o ProxyCommand=\"socat - UNIX-CLIENT:"
			    "/run/systemd/nspawn/unix-export/%s/ssh\" bash",
			    machine->name);
}

/* ---- the kind */

static char *_Atomic *path(const struct ntd_machine *machine, const char *which)
{
	return !strcmp(which, "notify") ? &container_of(machine)->notify_path : NULL;
}

static void *make(struct ntd_machine *machine)
{
	struct ntd_container *container = ntd_calloc(1, sizeof *container);
	_cleanup_strv_ char **env = ntd_environment_for_process(machine->context.environment, NULL);
	_cleanup_free_ char *nsenter = ntd_environment_find_program(env, "nsenter");

	container->machine = machine;
	container->notify_path =
		ntd_asprintf("%s/%s-nspawn.sock", machine->context.socket_dir, machine->name);
	container->notify = (struct ntd_source){.fd = -1, .ready = notified};
	container->nsenter = ntd_nsenter_new(machine->context.loop, machine->context.children,
					     machine->name, nsenter);
	container->journalctl = ntd_environment_find_program(env, "journalctl");
	ntd_container_journal_init(container);
	if (!machine->context.no_agent) {
		container->agent = ntd_agent_channel_in_container(
			machine->context.loop, machine->context.report, machine->name,
			container->nsenter);
		ntd_machine_add_channel(machine, ntd_agent_channel_of(container->agent));
	}
	ntd_machine_add_channel(machine, ntd_nsenter_channel(container->nsenter));
	return container;
}

static void free_container(void *parts)
{
	struct ntd_container *container = parts;

	ntd_agent_channel_free(container->agent);
	ntd_nsenter_free(container->nsenter);
	free(container->notify_path);
	free(container->journalctl);
	free(container);
}

const struct ntd_machine_kind ntd_container_kind = {
	.words = {.type = "NspawnMachine",
		  .process = "systemd-nspawn",
		  .program = "systemd-nspawn",
		  .boot_step = "waiting for the container to finish booting",
		  .end_step = "waiting for the container to power off",
		  .late_start = "its start script was not run",
		  .late_boot = "systemd-nspawn did not report the end of the boot in time",
		  .slow_boot = "the container has not booted yet",
		  .unbooted = "the container has not booted yet"},
	.sockets = (const char *const[]){"notify", NULL},
	.grace = 30 * NTD_SECOND,
	.shares_console = true,
	.root_writes_state = true,
	.is_up_when_booted = true,
	.no_snapshots = "containers have no snapshots: the kernel that runs their processes is the "
			"host's; a virtual machine has them",
	.make = make,
	.free = free_container,
	.path = path,
	.complete_order = complete_order,
	.connected = connected,
	.power_off = power_off,
	.prepare = prepare,
	.report_changed = report_changed,
	.running = running,
	.close = close_connections,
	.how_it_ended = how_it_ended,
};
