/* Waits for things in the guest that a command of ours can probe without effect. */
#include "machine/command.h"
#include "machine/internal.h"

#include <string.h>

int ntd_machine_wait(const struct ntd_wait *wait, struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct ntd_nest nest = ntd_nest_begin(wait->machine->context.report, wait->machine->name,
					      "%s", wait->step);
	int result = ntd_retry(wait, waiter, err);

	ntd_nest_end(&nest, result < 0);
	return result;
}

/* A command, and whether it must succeed or fail for the wait to end. */
struct probe {
	struct ntd_wait wait;
	const char *command,
		*text; /* the text sends what the command complains of with its output */
	bool succeeds;
	int status;
	struct ntd_buf output;
};

/* Seconds that an attempt may take, however short the wait: a slow guest must be able to answer. */
#define ATTEMPT_LEAST 10.0

/* An attempt may last as long as the wait: a port that swallows what is sent to it keeps nc for minutes. */
static double attempt_limit(const struct ntd_wait *wait)
{
	double limit = ntd_wait_limit(wait);

	if (wait->timeout < 0 || limit > NTD_DEFAULT_TIMEOUT)
		return NTD_DEFAULT_TIMEOUT;
	return limit > ATTEMPT_LEAST ? limit : ATTEMPT_LEAST;
}

static int try_probe(void *arg, bool last, struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct probe *probe = arg;
	struct ntd_command command = {.text = probe->text, .text_len = strlen(probe->text)};
	_cleanup_result_ struct ntd_result result = {0};

	command.timeout = attempt_limit(&probe->wait);
	if (ntd_machine_run(probe->wait.machine, &command, &result, waiter, err) < 0)
		return -1;
	probe->status = result.status;
	ntd_buf_clear(&probe->output);
	ntd_buf_append(&probe->output, ntd_buf_bytes(&result.output), result.output.len);
	return (result.status == 0) == probe->succeeds;
}

static char *probe_observed(const void *arg)
{
	const struct probe *probe = arg;
	_cleanup_free_ char *result = ntd_command_observed(probe->status, &probe->output);

	return ntd_asprintf("`%s`: %s", probe->command, result);
}

static int wait_for_probe(struct ntd_machine *machine, const char *step, const char *command,
			  bool succeeds, double timeout, struct ntd_waiter *waiter,
			  struct ntd_error **err)
{
	_cleanup_free_ char *text = ntd_asprintf("exec 2>&1; %s", command);
	struct probe probe = {.wait = {.step = step,
				       .attempt = try_probe,
				       .observed = probe_observed,
				       .arg = &probe,
				       .pace = NTD_PACE_ADAPTIVE,
				       .timeout = timeout,
				       .machine = machine},
			      .command = command,
			      .text = text,
			      .succeeds = succeeds};
	int result = ntd_machine_wait(&probe.wait, waiter, err);

	ntd_buf_free(&probe.output);
	return result;
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
