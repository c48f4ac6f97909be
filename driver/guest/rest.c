/* Rest of a guest: by its agent, which looks without a process, else by commands; see rest.h. */
#include "guest/rest.h"

#include "agent/condition.h"
#include "guest/ask.h"

/* How long a guest that is never at rest is waited for, on a fast machine and on a slow one. */
#define REST_MOST (NTD_SECOND / 2)
#define SLOW_REST_MOST NTD_SECOND
/* The pause between commands. */
#define LOOK_EVERY (10 * NTD_MS)
/* Seconds that a command takes at most, on a fast machine. */
#define LOOK_MOST 1.0

/* Prints 2 when nothing runs but grep itself, and nothing is blocked; 0 or 1 when something does or
 * is; else nothing. */
static const char command[] =
	"grep -xc -e 'procs_running [01]' -e 'procs_blocked 0' /proc/stat || true";

/* All looks return an enum ntd_sight; NTD_UNSEEN: they cannot tell. */
static int look_by_channel(struct ntd_machine *machine, int64_t deadline, struct ntd_waiter *waiter,
			   struct ntd_error **err)
{
	int64_t now = ntd_now();
	const struct ntd_condition condition = {.kind = NTD_CONDITION_REST,
						.limit = ntd_seconds(deadline - now)};
	_cleanup_finding_ struct ntd_finding finding = {0};
	_cleanup_error_ struct ntd_error *error = NULL;
	_cleanup_user_ struct ntd_machine *used = ntd_machine_try_enter(machine);
	struct ntd_channel *channel = used ? ntd_machine_waiting_channel(machine) : NULL;

	if (!channel)
		return NTD_UNSEEN;
	if (channel->ops->await(channel, &condition, &finding, waiter, &error) == 0)
		return finding.sight;
	if (error->code == NTD_E_CANCELLED)
		return ntd_error_move(err, ntd_steal(&error));
	return NTD_UNSEEN;
}

static int look_by_command(struct ntd_machine *machine, struct ntd_waiter *waiter,
			   struct ntd_error **err)
{
	_cleanup_result_ struct ntd_result result = {0};
	_cleanup_error_ struct ntd_error *error = NULL;
	char count;

	ntd_machine_ask(machine, command, ntd_ask_patience(machine, LOOK_MOST), &result, waiter,
			&error);
	if (error && error->code == NTD_E_CANCELLED)
		return ntd_error_move(err, ntd_steal(&error));
	count = !error && result.output.len ? *ntd_buf_bytes(&result.output) : '\0';
	if (count == '0' || count == '1')
		return NTD_FAILS;
	return count == '2' ? NTD_MEETS : NTD_UNSEEN;
}

int ntd_machine_rest(struct ntd_machine *machine, struct ntd_waiter *waiter, struct ntd_error **err)
{
	bool slow = ntd_machine_slowness(machine) > 1;
	int64_t deadline = ntd_after(slow ? SLOW_REST_MOST : REST_MOST);
	int sight;

	if (ntd_machine_kind(machine) != &ntd_qemu_kind)
		return 0; /* the kernel of a container is the host's */
	sight = look_by_channel(machine, deadline, waiter, err);
	if (sight == NTD_UNSEEN)
		sight = look_by_command(machine, waiter, err);
	while (sight == NTD_FAILS && ntd_now() < deadline) {
		if (ntd_wait_until(ntd_now() + LOOK_EVERY, waiter, err) < 0)
			return -1;
		sight = look_by_command(machine, waiter, err);
	}
	return sight < 0 ? -1 : 0;
}
