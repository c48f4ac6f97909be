/* Questions to a guest that may hang; see ask.h. */
#include "guest/ask.h"

#include <string.h>

enum { GUEST_TIMED_OUT = 124 };

/* How much longer the driver waits than the guest's own limit on a command lasts. */
#define REPLY_GRACE (NTD_SECOND / 2)

double ntd_ask_slowness(const struct ntd_machine *machine)
{
	double slowness = ntd_machine_slowness(machine), scale = ntd_machine_time_scale(machine);

	return scale > slowness ? scale : slowness;
}

double ntd_ask_patience(const struct ntd_machine *machine, double seconds)
{
	return seconds * ntd_ask_slowness(machine) + 4 * ntd_machine_pace(machine);
}

char *ntd_ask_obstacle(struct ntd_machine *machine)
{
	const struct ntd_machine_words *words = ntd_machine_words(machine);
	struct ntd_machine_status now = ntd_machine_status(machine);
	_cleanup_free_ char *how = now.ended ? ntd_status_text(now.wait_status) : NULL;

	if (now.state == NTD_MACHINE_CONNECTED ||
	    (now.state == NTD_MACHINE_UP && ntd_machine_meet(machine)))
		return NULL;
	if (now.state == NTD_MACHINE_UP)
		return ntd_strdup(words->unbooted);
	if (now.ended)
		return ntd_asprintf("the %s process %s", words->process, how);
	return ntd_asprintf("the machine is %s", ntd_machine_state_name(now.state));
}

int ntd_machine_ask(struct ntd_machine *machine, const char *text, double seconds,
		    struct ntd_result *result, const struct ntd_waiter *waiter,
		    struct ntd_error **err)
{
	struct ntd_command order = {
		.text = text, .text_len = strlen(text), .timeout = seconds, .as_root = true};
	struct ntd_waiter limited = waiter ? *waiter : (struct ntd_waiter){0};
	int64_t limit = ntd_after(ntd_span(seconds) + REPLY_GRACE);
	_cleanup_free_ char *obstacle = ntd_ask_obstacle(machine);
	_cleanup_user_ struct ntd_machine *used = NULL;
	struct ntd_channel *channel;

	if (obstacle)
		return ntd_error_set(err, NTD_E_MACHINE, "%s", obstacle);
	used = ntd_machine_try_enter(machine);
	if (!used)
		return ntd_error_set(err, NTD_E_MACHINE, "the machine is %s",
				     ntd_machine_state_name(ntd_machine_state(machine)));
	channel = ntd_machine_channel(machine, NTD_CHANNEL_ANY);
	if (!channel)
		return ntd_error_set(err, NTD_E_MACHINE, "no channel into the guest is there");
	limited.deadline = limited.deadline ? ntd_earlier(limit, limited.deadline) : limit;
	if (channel->ops->run(channel, &order, result, &limited, err) < 0)
		return -1;
	if (result->status == GUEST_TIMED_OUT)
		return ntd_error_set(err, NTD_E_MACHINE, "not finished after %g seconds", seconds);
	if (result->status)
		return ntd_error_set(err, NTD_E_MACHINE, "exit status %d", result->status);
	return 0;
}
