/* Waits for things in the guest that a command of ours can probe without effect. */
#include "machine/command.h"
#include "machine/internal.h"

#include <string.h>

int ntd_machine_wait(struct ntd_machine *machine, const char *step, ntd_attempt *attempt, void *arg,
		     double timeout, struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct ntd_nest nest = ntd_nest_begin(machine->context.report, machine->name, "%s", step);
	int result = ntd_retry(attempt, arg, timeout, NTD_PACE_ADAPTIVE, waiter, err);

	ntd_nest_end(&nest, result < 0);
	return result;
}

/* A command, and whether it must succeed or fail for the wait to end. */
struct probe {
	struct ntd_machine *machine;
	const char *command;
	bool succeeds;
};

static int try_probe(void *arg, bool last, struct ntd_waiter *waiter, struct ntd_error **err)
{
	const struct probe *probe = arg;
	struct ntd_bytes command = {.data = probe->command, .len = strlen(probe->command)};
	int status = ntd_machine_status_of(probe->machine, command, NULL, waiter, err);

	(void)last;
	return status < 0 ? -1 : (status == 0) == probe->succeeds;
}

static int wait_for_probe(struct ntd_machine *machine, const char *step, const char *command,
			  bool succeeds, double timeout, struct ntd_waiter *waiter,
			  struct ntd_error **err)
{
	struct probe probe = {.machine = machine, .command = command, .succeeds = succeeds};

	return ntd_machine_wait(machine, step, try_probe, &probe, timeout, waiter, err);
}

/* The path is not quoted: scripts have always been able to use patterns and variables. */
int ntd_machine_wait_for_file(struct ntd_machine *machine, const char *path, double timeout,
			      struct ntd_waiter *waiter, struct ntd_error **err)
{
	_cleanup_free_ char *step = ntd_asprintf("waiting for file '%s'", path);
	_cleanup_free_ char *command = ntd_asprintf("test -e %s", path);

	return wait_for_probe(machine, step, command, true, timeout, waiter, err);
}

int ntd_machine_wait_for_port(struct ntd_machine *machine, int port, const char *address, bool open,
			      double timeout, struct ntd_waiter *waiter, struct ntd_error **err)
{
	_cleanup_free_ char *step = ntd_asprintf("waiting for TCP port %d on %s%s", port, address,
						 open ? "" : " to be closed");
	_cleanup_free_ char *command = ntd_asprintf("nc -z %s %d", address, port);

	return wait_for_probe(machine, step, command, open, timeout, waiter, err);
}

int ntd_machine_wait_for_unix_socket(struct ntd_machine *machine, const char *address,
				     bool datagram, double timeout, struct ntd_waiter *waiter,
				     struct ntd_error **err)
{
	_cleanup_free_ char *step = ntd_asprintf("waiting for UNIX-domain %s on '%s'",
						 datagram ? "datagram" : "stream", address);
	_cleanup_free_ char *command =
		ntd_asprintf("nc -z %s %s", datagram ? "-uU" : "-U", address);

	return wait_for_probe(machine, step, command, true, timeout, waiter, err);
}

int ntd_machine_wait_for_x(struct ntd_machine *machine, double timeout, struct ntd_waiter *waiter,
			   struct ntd_error **err)
{
	return wait_for_probe(machine, "waiting for the X11 server",
			      "journalctl -b SYSLOG_IDENTIFIER=systemd | "
			      "grep 'Reached target Current graphical' > /dev/null && "
			      "[ -e /tmp/.X11-unix/X0 ]",
			      true, timeout, waiter, err);
}
