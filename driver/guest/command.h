/* Commands in a machine's guest: running them, checking their statuses, and waiting for a status, a
 * file, a port or a socket. Functions with a waiter block a script thread and fail with
 * NTD_E_CANCELLED when it is interrupted. Time-outs are in seconds; a negative one is none. Errors
 * name the machine when the machine is to blame.
 */
#pragma once

#include "guest/retry.h"
#include "machine/machine.h"

/* Bytes that need not end with NUL. */
struct ntd_bytes {
	const char *data;
	size_t len;
};

static inline struct ntd_bytes ntd_buf_view(const struct ntd_buf *buf)
{
	return (struct ntd_bytes){.data = ntd_buf_bytes(buf), .len = buf->len};
}

enum { NTD_DEFAULT_TIMEOUT = 900 }; /* seconds */
#define NTD_NO_TIMEOUT (-1.0)

/* Calls the hook for commands, connects (ntd_machine_connect()), runs the command on the first
 * channel that is ready, and reports its end. The caller frees `result`. A command with no_status
 * also succeeds when it has powered the machine off. */
int ntd_machine_run(struct ntd_machine *machine, const struct ntd_command *command,
		    struct ntd_result *result, struct ntd_waiter *waiter, struct ntd_error **err);
/* Does the same without the hook for commands. */
int ntd_machine_run_in_guest(struct ntd_machine *machine, const struct ntd_command *command,
			     struct ntd_result *result, struct ntd_waiter *waiter,
			     struct ntd_error **err);
/* Calls the hook for commands, sends a line to QEMU's monitor, and appends the monitor's answer to
 * `reply`. NTD_E_MACHINE for a container, NTD_E_TIMEOUT after a minute. */
int ntd_machine_monitor_command(struct ntd_machine *machine, const char *line,
				struct ntd_buf *reply, struct ntd_waiter *waiter,
				struct ntd_error **err);

/* The step "must succeed: CMD" of a command that is not run: `work` does what it would do, with
 * NTD_E_ASSERTION where the command would fail, whose text is logged. NULL: a later command does
 * that, too. */
int ntd_machine_instead(struct ntd_machine *machine, struct ntd_bytes command,
			int (*work)(void *arg, struct ntd_waiter *waiter, struct ntd_error **err),
			void *arg, struct ntd_waiter *waiter, struct ntd_error **err);
/* A command whose status matters. */
struct ntd_check {
	struct ntd_bytes command;
	double timeout;
	bool errors; /* the error of a failed check shows the end of standard error */
};

/* Runs a command as the step "must succeed: CMD" and appends its output to `output`.
 * NTD_E_ASSERTION when its status is not 0; the log then has the output, too. */
int ntd_machine_succeed(struct ntd_machine *machine, const struct ntd_check *check,
			struct ntd_buf *output, struct ntd_waiter *waiter, struct ntd_error **err);
/* Runs a command as the step "must fail: CMD" and appends its output to `output`. NTD_E_ASSERTION
 * when its status is 0. */
int ntd_machine_fail(struct ntd_machine *machine, const struct ntd_check *check,
		     struct ntd_buf *output, struct ntd_waiter *waiter, struct ntd_error **err);
/* Runs the command once a second until it succeeds (or, with `fails`, fails). `output` is the
 * output of the last attempt alone. NTD_E_ASSERTION when the time-out has passed. */
int ntd_machine_wait_until(struct ntd_machine *machine, struct ntd_bytes command, bool fails,
			   double timeout, struct ntd_buf *output, struct ntd_waiter *waiter,
			   struct ntd_error **err);
/* Runs a command with the default time-out and returns its status, or -1 with an error. Appends the
 * output to `output`, unless that is NULL. */
int ntd_machine_status_of(struct ntd_machine *machine, struct ntd_bytes command,
			  struct ntd_buf *output, struct ntd_waiter *waiter,
			  struct ntd_error **err);

/* Runs the kind's sync command, at the end of a test, so that the guest's files are on its disks.
 * Does nothing when the machine is not CONNECTED; when its channel is still busy with a command of
 * another thread, which is logged; and for a container, whose files are in a directory of the
 * host. */
int ntd_machine_sync(struct ntd_machine *machine, struct ntd_waiter *waiter,
		     struct ntd_error **err);

/* ---- waits for things in the guest (guest/waits.c). Each is a step "waiting for ..." that has the
 * machine's channel wait (guest/await.h), or runs a short command, 10 to 250 ms apart, and fails
 * with NTD_E_ASSERTION when the time-out has passed. An answer that comes sooner must not be a
 * rougher one, as scripts go on with the thing at once: each wait says below what counts, and all
 * of them, like those for units and texts on terminals, give what has come to hold during the wait
 * time to go on (guest/rest.h). */
/* Waits until something exists at `path`, in which the guest's shell expands variables and
 * patterns. Scripts read it next, so a regular file that appears during the wait counts at once
 * only if it was renamed to its name; else when it was closed after writing and not opened again
 * for 30 ms (where a channel hears of that), or is not empty and unchanged for a tenth of a second,
 * at the latest about a second after it appeared. */
int ntd_machine_wait_for_file(struct ntd_machine *machine, const char *path, double timeout,
			      struct ntd_waiter *waiter, struct ntd_error **err);
/* Waits until the guest can connect to the TCP port of `address`; with `open` false, until it
 * cannot. A port is open when the kernel accepts connections, which then wait for the server: that
 * is never half done. An attempt that gets no answer says neither. */
int ntd_machine_wait_for_port(struct ntd_machine *machine, int port, const char *address, bool open,
			      double timeout, struct ntd_waiter *waiter, struct ntd_error **err);
/* Waits until the guest can connect to the socket with the path `address`, a datagram socket or a
 * stream socket: not only until its file is there. */
int ntd_machine_wait_for_unix_socket(struct ntd_machine *machine, const char *address,
				     bool datagram, double timeout, struct ntd_waiter *waiter,
				     struct ntd_error **err);
/* Waits until the guest's journal tells of a graphical session and the X server's socket exists. */
int ntd_machine_wait_for_x(struct ntd_machine *machine, double timeout, struct ntd_waiter *waiter,
			   struct ntd_error **err);
/* Describes a command's last run for the error of a wait, "exit code 1, output:..."; a new
 * string. */
char *ntd_command_observed(int status, const struct ntd_buf *output);
