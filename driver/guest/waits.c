/* Waits for files, ports, sockets and X in the guest. Each is a probe, a command of the driver's
 * without effects, which is run until it ends as wanted; or a condition that means the same, where
 * the channel can wait for it. On script threads.
 */
#include "guest/command.h"

#include "base/text.h"
#include "guest/await.h"

#include <string.h>

/* A command, and whether it must succeed or fail for the wait to end. */
struct probe {
	struct ntd_wait wait;
	struct ntd_awaited awaited; /* the same as a condition; all zero: there is none */
	const char *command, *then; /* what follows the command when it succeeds; NULL: nothing */
	bool succeeds;
	/* The verdict on a command that has ended as it must; NULL: NTD_HOLDS. */
	enum ntd_verdict (*judge)(struct probe *probe);
	struct ntd_glance glance; /* for `judge` */
	int status;
	struct ntd_buf output;
	const char *holds; /* what is so when the channel has seen that it holds */
	bool by_channel;   /* the last attempt was made by the channel, not by the command */
};

/* Seconds that an attempt may take, however short the wait: a slow guest must be able to answer. */
#define ATTEMPT_LEAST 10.0

/* An attempt may last as long as the wait: a port that swallows what is sent to it keeps nc for
 * minutes. */
static double attempt_limit(const struct ntd_wait *wait)
{
	double limit = ntd_wait_limit(wait);

	if (wait->timeout < 0 || limit > NTD_DEFAULT_TIMEOUT)
		return NTD_DEFAULT_TIMEOUT;
	return limit > ATTEMPT_LEAST ? limit : ATTEMPT_LEAST;
}

static int try_command(struct probe *probe, struct ntd_waiter *waiter, struct ntd_error **err)
{
	/* The command's messages are part of its output, for the error of the wait. */
	_cleanup_free_ char *text =
		ntd_asprintf("exec 2>&1; %s%s%s", probe->command, probe->then ? " && " : "",
			     probe->then ? probe->then : "");
	struct ntd_command command = {
		.text = text, .text_len = strlen(text), .timeout = attempt_limit(&probe->wait)};
	_cleanup_result_ struct ntd_result result = {0};

	if (ntd_machine_run(probe->wait.machine, &command, &result, waiter, err) < 0)
		return -1;
	probe->status = result.status;
	ntd_buf_clear(&probe->output);
	ntd_buf_append(&probe->output, ntd_buf_bytes(&result.output), result.output.len);
	if ((result.status == 0) != probe->succeeds)
		return NTD_NOT_YET;
	return probe->judge ? probe->judge(probe) : NTD_HOLDS;
}

static int try_probe(void *arg, bool last, struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct probe *probe = arg;
	_cleanup_finding_ struct ntd_finding finding = {0};
	int sight = ntd_machine_await(&probe->wait, &probe->awaited, last, &finding, waiter, err);

	if (sight < 0)
		return -1;
	probe->by_channel = sight != NTD_UNSEEN;
	return probe->by_channel ? ntd_await_verdict(sight) : try_command(probe, waiter, err);
}

/* A command that was run is in the report already. */
static char *probe_met(const void *arg)
{
	const struct probe *probe = arg;

	return probe->by_channel && probe->holds ? ntd_strdup(probe->holds) : NULL;
}

static char *probe_observed(const void *arg)
{
	const struct probe *probe = arg;
	_cleanup_free_ char *result = ntd_command_observed(probe->status, &probe->output);

	return ntd_asprintf("`%s`: %s", probe->command, result);
}

static int wait_for_probe(struct probe *probe, struct ntd_machine *machine, const char *step,
			  double timeout, struct ntd_waiter *waiter, struct ntd_error **err)
{
	int result;

	probe->wait = (struct ntd_wait){.step = step,
					.attempt = try_probe,
					.observed = probe_observed,
					.met = probe_met,
					.arg = probe,
					.pace = NTD_PACE_ADAPTIVE,
					.timeout = timeout,
					.machine = machine};
	result = ntd_machine_wait(&probe->wait, waiter, err);
	ntd_buf_free(&probe->output);
	ntd_buf_free(&probe->glance.seen);
	return result;
}

/* A condition about `subject`, a word of a shell's command. A channel takes it as it is, so it must
 * be what the guest's shell would make of it. */
static struct ntd_awaited awaited(enum ntd_condition_kind kind, const char *subject)
{
	_cleanup_free_ char *quoted = ntd_shell_quoted(subject);

	if (strcmp(quoted, subject) != 0)
		return (struct ntd_awaited){0};
	return (struct ntd_awaited){.condition = {.kind = kind, .subject = subject}};
}

/* ---- files */

/* A command that prints, for judge_file(), what changes about a regular file while it is written.
 * It prints nothing for anything else, and in a guest without `stat -c` its first line only. */
static char *file_state(const char *path)
{
	return ntd_asprintf("{ ! test -f %s || { test -s %s && echo full || echo empty; "
			    "stat -L -c '%%s %%y' %s 2> /dev/null || true; }; }",
			    path, path, path);
}

static enum ntd_verdict judge_file(struct probe *probe)
{
	if (!probe->output.len)
		return NTD_HOLDS;
	if (ntd_find(ntd_buf_bytes(&probe->output), probe->output.len, "empty"))
		return NTD_FRESH;
	return ntd_glance_again(&probe->glance, &probe->output);
}

/* The path is not quoted: scripts have always been able to use patterns and variables. */
int ntd_machine_wait_for_file(struct ntd_machine *machine, const char *path, double timeout,
			      struct ntd_waiter *waiter, struct ntd_error **err)
{
	_cleanup_free_ char *step = ntd_asprintf("waiting for file '%s'", path);
	_cleanup_free_ char *command = ntd_asprintf("test -e %s", path), *state = file_state(path);
	struct probe probe = {.command = command,
			      .then = state,
			      .succeeds = true,
			      .judge = judge_file,
			      .holds = "the agent in the guest saw the file",
			      .awaited = awaited(NTD_CONDITION_FILE, path)};

	return wait_for_probe(&probe, machine, step, timeout, waiter, err);
}

/* ---- ports, sockets, X: what can be connected to can be used */

int ntd_machine_wait_for_port(struct ntd_machine *machine, int port, const char *address, bool open,
			      double timeout, struct ntd_waiter *waiter, struct ntd_error **err)
{
	_cleanup_free_ char *step = ntd_asprintf("waiting for TCP port %d on %s%s", port, address,
						 open ? "" : " to be closed");
	_cleanup_free_ char *command = ntd_asprintf("nc -z %s %d", address, port);
	struct probe probe = {.command = command,
			      .succeeds = open,
			      .holds = open ? "the agent in the guest could connect"
					    : "the agent in the guest could not connect",
			      .awaited = awaited(NTD_CONDITION_PORT, address)};

	probe.awaited.condition.absent = !open;
	if (port > 0 && probe.awaited.condition.subject)
		probe.awaited.condition.port = (unsigned)port;
	return wait_for_probe(&probe, machine, step, timeout, waiter, err);
}

int ntd_machine_wait_for_unix_socket(struct ntd_machine *machine, const char *address,
				     bool datagram, double timeout, struct ntd_waiter *waiter,
				     struct ntd_error **err)
{
	_cleanup_free_ char *step = ntd_asprintf("waiting for UNIX-domain %s on '%s'",
						 datagram ? "datagram" : "stream", address);
	_cleanup_free_ char *command =
		ntd_asprintf("nc -z %s %s", datagram ? "-uU" : "-U", address);
	struct probe probe = {
		.command = command,
		.succeeds = true,
		.holds = "the agent in the guest could connect",
		.awaited =
			awaited(datagram ? NTD_CONDITION_DATAGRAM : NTD_CONDITION_SOCKET, address)};

	return wait_for_probe(&probe, machine, step, timeout, waiter, err);
}

int ntd_machine_wait_for_x(struct ntd_machine *machine, double timeout, struct ntd_waiter *waiter,
			   struct ntd_error **err)
{
	struct probe probe = {.command = "journalctl -b SYSLOG_IDENTIFIER=systemd | "
					 "grep 'Reached target Current graphical' > /dev/null && "
					 "[ -e /tmp/.X11-unix/X0 ]",
			      .succeeds = true};

	return wait_for_probe(&probe, machine, "waiting for the X11 server", timeout, waiter, err);
}
