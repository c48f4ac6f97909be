/* Commands as scripts give them: succeed, fail, and waiting for either. All of them block, log
 * their steps under the machine's name, and name the machine when the machine is to blame.
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

/* Runs a command: hooks, connect, channel. */
int ntd_machine_run(struct ntd_machine *machine, const struct ntd_command *command,
		    struct ntd_result *result, struct ntd_waiter *waiter, struct ntd_error **err);
/* The same without hooks. */
int ntd_machine_run_in_guest(struct ntd_machine *machine, const struct ntd_command *command,
			     struct ntd_result *result, struct ntd_waiter *waiter,
			     struct ntd_error **err);
/* Sends a command to QEMU's monitor, hooks first. */
int ntd_machine_monitor_command(struct ntd_machine *machine, const char *line,
				struct ntd_buf *reply, struct ntd_waiter *waiter,
				struct ntd_error **err);

/* "must succeed: CMD": appends the output to `output`; NTD_E_ASSERTION when the status is not 0. */
int ntd_machine_succeed(struct ntd_machine *machine, struct ntd_bytes command, double timeout,
			struct ntd_buf *output, struct ntd_waiter *waiter, struct ntd_error **err);
/* "must fail: CMD": the same when the status is 0. */
int ntd_machine_fail(struct ntd_machine *machine, struct ntd_bytes command, double timeout,
		     struct ntd_buf *output, struct ntd_waiter *waiter, struct ntd_error **err);
/* Once a second until the command succeeds (or, with `fails`, fails); `output` is the last
 * attempt's. */
int ntd_machine_wait_until(struct ntd_machine *machine, struct ntd_bytes command, bool fails,
			   double timeout, struct ntd_buf *output, struct ntd_waiter *waiter,
			   struct ntd_error **err);
/* Runs a command for its status; the output, if `output` is not NULL. Default time-out. */
int ntd_machine_status_of(struct ntd_machine *machine, struct ntd_bytes command,
			  struct ntd_buf *output, struct ntd_waiter *waiter,
			  struct ntd_error **err);

/* Writes the guest's files to its disks, at the end of a test: nothing if the root shell is not
 * there, or is still busy with a command of another thread, which is logged. Nothing for a
 * container: its files are in a directory of this host. */
int ntd_machine_sync(struct ntd_machine *machine, struct ntd_waiter *waiter,
		     struct ntd_error **err);

/* ---- probes (guest/waits.c): waits that re-check quickly, with "waiting for ..." around them. */
/* Until there is something at the path. A regular file that appears meanwhile counts when two looks
 * find it unchanged and not empty, at the latest a second after it appeared, for a script is going
 * to read it. */
int ntd_machine_wait_for_file(struct ntd_machine *machine, const char *path, double timeout,
			      struct ntd_waiter *waiter, struct ntd_error **err);
int ntd_machine_wait_for_port(struct ntd_machine *machine, int port, const char *address, bool open,
			      double timeout, struct ntd_waiter *waiter, struct ntd_error **err);
int ntd_machine_wait_for_unix_socket(struct ntd_machine *machine, const char *address,
				     bool datagram, double timeout, struct ntd_waiter *waiter,
				     struct ntd_error **err);
/* Until a graphical session and its X server are there. */
int ntd_machine_wait_for_x(struct ntd_machine *machine, double timeout, struct ntd_waiter *waiter,
			   struct ntd_error **err);
/* What a wait saw of a command, for its error; a new string. */
char *ntd_command_observed(int status, const struct ntd_buf *output);
