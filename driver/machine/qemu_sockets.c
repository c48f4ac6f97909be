/* How QEMU and the driver get connected, on the loop thread. The driver listens on the monitor and
 * shell sockets, to which QEMU connects; QEMU itself listens on the QMP socket, to which the driver
 * connects when both are connected. The start is complete at the first monitor prompt and the end
 * of QMP's negotiation, whichever is later.
 */
#include "machine/qemu_internal.h"

#include "base/unix_socket.h"

#include <assert.h>
#include <stdio.h>
#include <sys/socket.h>

/* ---- the start is complete */

/* For a timeline. Networks in it name the processes of their clients. */
static void tell_facts(const struct ntd_qemu *qemu)
{
	const struct ntd_machine *machine = qemu->machine;
	const char *version = ntd_qmp_version(qemu->qmp);
	char pid[16];
	char *facts[] = {"pid", pid, *version ? "QEMU" : NULL, (char *)version, NULL};

	snprintf(pid, sizeof pid, "%d", machine->pid);
	ntd_log_detail(machine->context.report, NTD_DETAIL_RUN, machine->name, "", facts);
}

static void started_if_complete(struct ntd_qemu *qemu)
{
	struct ntd_machine *machine = qemu->machine;

	if (!qemu->monitor_prompted || !qemu->qmp_ready ||
	    (machine->state != NTD_MACHINE_STARTING && machine->state != NTD_MACHINE_RESTORING))
		return;
	ntd_machine_say(machine, "QEMU running (pid %d)", machine->pid);
	tell_facts(qemu);
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
	ntd_accelerator_ask(qemu);
	ntd_qemu_ssh_qmp_ready(qemu);
	started_if_complete(qemu);
}

/* ---- connections */

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
	_cleanup_fd_ int fd = ntd_socket_listen(socket->path, err);

	if (fd < 0)
		return -1;
	socket->listener.fd = fd;
	if (ntd_source_add(socket->qemu->machine->context.loop, &socket->listener, EPOLLIN, err) <
	    0) {
		socket->listener.fd = -1;
		return -1;
	}
	ntd_steal_fd(&fd);
	return 0;
}

int ntd_qemu_sockets_listen(struct ntd_qemu *qemu, struct ntd_error **err)
{
	qemu->monitor_prompted = qemu->qmp_ready = false;
	unlink(qemu->sockets[NTD_QEMU_QMP].path);
	for (size_t i = 0; i < NTD_QEMU_SOCKETS; i++)
		if (qemu->sockets[i].accepted && listen_on(&qemu->sockets[i], err) < 0)
			return -1;
	return 0;
}

void ntd_qemu_sockets_close(struct ntd_qemu *qemu)
{
	for (size_t i = 0; i < NTD_QEMU_SOCKETS; i++) {
		stop_listening(&qemu->sockets[i]);
		unlink(qemu->sockets[i].path);
	}
}

/* ---- their paths */

/* None is longer than "monitor", from which session/directories.c knows what fits. */
const char *const ntd_qemu_socket_names[] = {[NTD_QEMU_MONITOR] = "monitor",
					     [NTD_QEMU_SHELL] = "shell",
					     [NTD_QEMU_QMP] = "qmp",
					     [NTD_QEMU_SHELL_PORT] = "port-sh",
					     [NTD_QEMU_AGENT_PORT] = "port-ag",
					     [NTD_QEMU_SOCKETS] = NULL};
static_assert(sizeof ntd_qemu_socket_names / sizeof *ntd_qemu_socket_names == NTD_QEMU_SOCKETS + 1,
	      "");

/* The path is in the state directory, or, where that is too long for a socket, in another
 * directory. */
static char *socket_path(const struct ntd_machine *machine, const char *which)
{
	if (!strcmp(machine->context.socket_dir, machine->context.tmp_dir))
		return ntd_asprintf("%s/%s", machine->state_dir, which);
	return ntd_asprintf("%s/%s-%s", machine->context.socket_dir, machine->name, which);
}

void ntd_qemu_sockets_make(struct ntd_qemu *qemu)
{
	for (size_t i = 0; i < NTD_QEMU_SOCKETS; i++) {
		qemu->sockets[i].qemu = qemu;
		qemu->sockets[i].path = socket_path(qemu->machine, ntd_qemu_socket_names[i]);
		qemu->sockets[i].listener = (struct ntd_source){.fd = -1, .ready = connecting};
	}
	qemu->sockets[NTD_QEMU_MONITOR].accepted = monitor_accepted;
	qemu->sockets[NTD_QEMU_SHELL].accepted = shell_accepted;
}

void ntd_qemu_sockets_free(struct ntd_qemu *qemu)
{
	for (size_t i = 0; i < NTD_QEMU_SOCKETS; i++)
		free(qemu->sockets[i].path);
}
