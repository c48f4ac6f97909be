/* The start of a machine's process, on the loop thread: what all kinds of machines have in
 * common. */
#include "machine/internal.h"

#include "qemu/start_command.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static void deliver(const struct ntd_machine *machine, int raw)
{
	_cleanup_free_ char *target = ntd_asprintf("console-logs/%s.log", machine->name);

	if (machine->context.keeper)
		ntd_keeper_deliver(machine->context.keeper, raw, machine->context.out_fd, target);
}

/* Opens the file of raw console output: a new one at the first start, which a script may remove
 * between two starts, with the whole state directory. */
static int open_named(struct ntd_machine *machine, struct ntd_error **err)
{
	_cleanup_free_ char *path = ntd_asprintf("%s/console.log", machine->state_dir);
	_cleanup_fd_ int fd = -1;
	struct stat status;

	if (!machine->raw_inode)
		unlink(path);
	fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0666);
	if (fd < 0 || fstat(fd, &status) < 0)
		return ntd_error_sys(err, errno, "cannot write %s", path);
	if (status.st_ino != machine->raw_inode)
		deliver(machine, fd);
	machine->raw_inode = status.st_ino;
	return ntd_steal_fd(&fd);
}

/* Opens the file without a name: a process that can write to the state directory could turn a name
 * there into a link to any file. */
static int open_unnamed(struct ntd_machine *machine, struct ntd_error **err)
{
	_cleanup_free_ char *path = ntd_asprintf("%s/console-XXXXXX", machine->tmp_dir);
	int fd;

	if (machine->raw_fd < 0) {
		machine->raw_fd = mkostemp(path, O_APPEND | O_CLOEXEC);
		if (machine->raw_fd < 0)
			return ntd_error_sys(err, errno, "cannot make %s", path);
		unlink(path);
		deliver(machine, machine->raw_fd);
	}
	fd = fcntl(machine->raw_fd, F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? ntd_error_sys(err, errno, "cannot write the raw console log") : fd;
}

static void console_panicked(void *owner)
{
	struct ntd_machine *machine = owner;

	if (machine->kind->panicked)
		machine->kind->panicked(machine);
}

/* Orders the process; its output becomes the console. */
static int order(struct ntd_machine *machine,
		 void (*changed)(struct ntd_process *process, void *owner), struct ntd_error **err)
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
	raw = machine->kind->root_writes_state ? open_unnamed(machine, err)
					       : open_named(machine, err);
	if (raw < 0)
		return -1;
	if (machine->kind->shares_console) {
		machine->console_end = fcntl(their_out, F_DUPFD_CLOEXEC, 0);
		if (machine->console_end < 0)
			return ntd_error_sys(err, errno, "cannot share the console");
	}
	if (ntd_console_open(machine->console, ntd_steal_fd(&our_out), ntd_steal_fd(&our_in),
			     ntd_steal_fd(&raw), console_panicked, machine, err) < 0)
		return -1;
	machine->process = ntd_process_spawn(
		machine->context.children,
		&(struct ntd_spawn){.argv = (char *[]){"/bin/sh", "-c", line, NULL},
				    .env = machine->order.env,
				    .directory = machine->state_dir,
				    .stdin_fd = their_in,
				    .stdout_fd = their_out,
				    .stderr_fd = their_out,
				    .grace = (unsigned)(machine->kind->grace / NTD_MS)},
		changed, machine, err);
	return machine->process ? 0 : -1;
}

int ntd_launch(struct ntd_machine *machine,
	       void (*changed)(struct ntd_process *process, void *owner), struct ntd_error **err)
{
	if (machine->kind->prepare(machine, err) < 0)
		return -1;
	return order(machine, changed, err);
}
