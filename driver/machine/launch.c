/* The start of a machine, on the loop thread.
 *
 * The driver listens on the monitor and shell sockets, then the start script is ordered. QEMU connects to
 * both; QMP is the other way round, so it is connected when both are there. The start is complete at the
 * first monitor prompt and the end of QMP's negotiation, whichever is later.
 */
#include "machine/internal.h"

#include "machine/accelerator.h"
#include "machine/start_command.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static int listen_on(struct ntd_machine *machine, struct ntd_source *listener, const char *path,
		     struct ntd_error **err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (strlen(path) >= sizeof address.sun_path)
		return ntd_error_set(err, NTD_E_MACHINE,
				     "socket path %s has %zu bytes, the limit is %zu", path,
				     strlen(path), sizeof address.sun_path - 1);
	memcpy(address.sun_path, path, strlen(path));
	unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
	    listen(fd, 1) < 0)
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
	ntd_log(machine->context.report, NTD_LEVEL_ALWAYS, machine->name, "QEMU running (pid %d)",
		machine->pid);
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
	(void)events;
	accept_one(ntd_container_of(source, struct ntd_machine, monitor_listener), source);
}

static void shell_connecting(struct ntd_source *source, uint32_t events)
{
	(void)events;
	accept_one(ntd_container_of(source, struct ntd_machine, shell_listener), source);
}

/* Opens the file of raw console output: a new one at the first start, which a script may remove between two
 * starts, with the whole state directory. */
static int open_raw(struct ntd_machine *machine, struct ntd_error **err)
{
	_cleanup_free_ char *path = ntd_asprintf("%s/console.log", machine->state_dir);
	_cleanup_free_ char *target = ntd_asprintf("console-logs/%s.log", machine->name);
	_cleanup_fd_ int fd = -1;
	struct stat status;

	if (!machine->raw_inode)
		unlink(path);
	fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0666);
	if (fd < 0 || fstat(fd, &status) < 0)
		return ntd_error_sys(err, errno, "cannot write %s", path);
	if (status.st_ino != machine->raw_inode && machine->context.keeper)
		ntd_keeper_deliver(machine->context.keeper, fd, machine->context.out_fd, target);
	machine->raw_inode = status.st_ino;
	return ntd_steal_fd(&fd);
}

/* Orders the process; its output becomes the console. */
static int order(struct ntd_machine *machine, struct ntd_error **err)
{
	_cleanup_free_ char *line = ntd_start_replacing_shell(machine->order.line);
	_cleanup_fd_ int their_in = -1, our_in = -1, our_out = -1, their_out = -1, raw = -1;
	int in[2], out[2];

	if (pipe2(in, O_CLOEXEC) < 0)
		return ntd_error_sys(err, errno, "cannot make a pipe");
	their_in = in[0];
	our_in = in[1];
	if (pipe2(out, O_CLOEXEC) < 0)
		return ntd_error_sys(err, errno, "cannot make a pipe");
	our_out = out[0];
	their_out = out[1];
	fcntl(our_out, F_SETPIPE_SZ, 1 << 20);
	raw = open_raw(machine, err);
	if (raw < 0)
		return -1;
	if (ntd_console_open(machine->console, ntd_steal_fd(&our_out), ntd_steal_fd(&our_in),
			     ntd_steal_fd(&raw), ntd_life_console_panicked, machine, err) < 0)
		return -1;
	machine->process = ntd_process_spawn(
		machine->context.children,
		&(struct ntd_spawn){.argv = (char *[]){"/bin/sh", "-c", line, NULL},
				    .env = machine->order.env,
				    .directory = machine->state_dir,
				    .stdin_fd = their_in,
				    .stdout_fd = their_out,
				    .stderr_fd = their_out},
		ntd_life_process_changed, machine, err);
	return machine->process ? 0 : -1;
}

void ntd_life_launch(struct ntd_machine *machine)
{
	struct ntd_error *error = NULL;

	if (machine->process) { /* the end of the last one is known; its descendants are being killed */
		ntd_process_let_go(ntd_steal(&machine->process));
		ntd_life_finish_waits(machine, NTD_WAIT_GONE, NULL);
	}
	machine->monitor_prompted = machine->qmp_ready = machine->ended = machine->panicked = false;
	machine->monitor_listener.ready = monitor_connecting;
	machine->shell_listener.ready = shell_connecting;
	unlink(machine->qmp_path);
	ntd_log(machine->context.report, NTD_LEVEL_ALWAYS, machine->name, "starting vm");
	if (listen_on(machine, &machine->monitor_listener, machine->monitor_path, &error) < 0 ||
	    listen_on(machine, &machine->shell_listener, machine->shell_path, &error) < 0 ||
	    order(machine, &error) < 0)
		ntd_life_start_failed(machine, error);
}
