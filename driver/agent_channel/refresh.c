/* What a guest is told when it has gone back to an earlier state: the time, and random bytes. On
 * script threads.
 *
 * Until then its clock shows the time of that state, and its kernel's random numbers are those that
 * followed it the last time. Only the agent can have them renewed at once (agent/kernel.c): the one
 * that was saved with the guest (saved.c), or another, which is asked when it has greeted, so the
 * time is on its way for as long as one frame takes, and not for as long as a launch does. One that
 * does not serve is taken away again.
 */
#include "agent_channel/agent_channel_internal.h"

#include "agent/refresh.h"

#include <string.h>
#include <sys/random.h>

enum {
	SEED = 64,          /* bytes */
	COMMAND_LIMIT = 30, /* seconds */
	HALF = 500000000,   /* ns */
};

static struct timespec time_of_host(void)
{
	struct timespec time;

	clock_gettime(CLOCK_REALTIME, &time);
	return time;
}

static void draw(char seed[static SEED])
{
	while (getrandom(seed, SEED, 0) != SEED)
		continue;
}

/* ---- by the agent */

static int ask_agent(struct ntd_agent_channel *agent, int64_t patience, struct ntd_waiter *waiter,
		     struct ntd_error **err)
{
	static const struct ntd_agent_call_ops ops = {0};
	struct ntd_agent_call call = {.ops = &ops, .kind = NTD_FRAME_REFRESH};
	char seed[SEED];
	int result;

	draw(seed);
	ntd_refresh_pack(&call.payload, &(struct ntd_refresh){.time = time_of_host(),
							      .seed = seed,
							      .seed_len = sizeof seed});
	result = ntd_agent_call_run(agent, &call, ntd_after(patience), waiter, err);
	ntd_buf_free(&call.payload);
	return result;
}

/* An agent that may have been saved with the guest. */
struct saved_agent {
	struct ntd_agent_channel *channel;
	bool resumed;
	const struct ntd_error *why; /* it cannot be used */
};

/* Loop. */
static void look(void *arg)
{
	struct saved_agent *saved = arg;

	saved->resumed = saved->channel->resumed;
	saved->channel->resumed = false;
}

/* Loop. */
static void give_up(void *arg)
{
	const struct saved_agent *saved = arg;

	ntd_agent_take_away(saved->channel, saved->why);
}

/* Loop. */
static void take_away(void *arg)
{
	struct ntd_agent_channel *agent = arg;
	_cleanup_error_ struct ntd_error *why = ntd_error_new(
		NTD_E_DEAD, "machine '%s': the driver starts no agents", agent->machine);

	ntd_agent_take_away(agent, why);
}

/* The agent that was saved with the guest. 1: there is none, or it does not do it, and is taken
 * away. */
static int refresh_by_saved(struct ntd_agent_channel *agent, int64_t patience,
			    struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct saved_agent saved = {.channel = agent};
	struct ntd_error *error = NULL;

	ntd_loop_call(agent->loop, look, &saved);
	if (!saved.resumed)
		return 1;
	if (ask_agent(agent, patience, waiter, &error) == 0)
		return 0;
	if (error->code == NTD_E_CANCELLED)
		return ntd_error_move(err, error);
	ntd_log(agent->report, NTD_LEVEL_DEBUG, agent->machine,
		"the agent that was saved with the guest cannot be used: %s", error->message);
	saved.why = error;
	ntd_loop_call(agent->loop, give_up, &saved);
	ntd_error_free(error);
	return 1;
}

static int refresh_by_agent(struct ntd_agent_channel *agent, int64_t patience,
			    struct ntd_waiter *waiter, struct ntd_error **err)
{
	int result = refresh_by_saved(agent, patience, waiter, err);

	if (result > 0) {
		result = ntd_agent_launch_to_refresh(agent, patience, waiter, err);
		if (result == 0)
			result = ask_agent(agent, patience, waiter, err);
	}
	if (!agent->serves)
		ntd_loop_call(agent->loop, take_away, agent);
	return result;
}

/* ---- by a command */

/* The date of busybox takes whole seconds only. A write to the device does not have the numbers
 * renewed; the ioctl is RNDRESEEDCRNG of <linux/random.h>. */
char *ntd_refresh_command(void)
{
	struct timespec now = time_of_host();
	long long second = now.tv_sec;
	struct ntd_buf text = {0};
	char seed[SEED];

	draw(seed);
	ntd_buf_printf(&text,
		       "s=0; date -s @%lld.%09ld > /dev/null 2>&1 || "
		       "date -s @%lld > /dev/null || s=1; printf %%b '",
		       second, now.tv_nsec, now.tv_nsec < HALF ? second : second + 1);
	for (size_t i = 0; i < SEED; i++)
		ntd_buf_printf(&text, "\\0%03o", (unsigned char)seed[i]);
	ntd_buf_puts(&text, "' > /dev/urandom || s=1; "
			    "{ perl -e 'exit !ioctl STDOUT, 0x5207, 0' || "
			    "python3 -c 'import fcntl; fcntl.ioctl(1, 0x5207)'; } "
			    "> /dev/urandom 2> /dev/null || :; exit $s");
	return ntd_buf_take_string(&text);
}

/* The time is read when the shell is free: it may still be busy with a launch that was given up. */
static int refresh_by_command(struct ntd_agent_channel *agent, struct ntd_result *result,
			      struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct ntd_channel *shell = ntd_shell_channel(agent->shell);
	const struct ntd_command nothing = {
		.text = ":", .text_len = 1, .as_root = true, .in_shell = true};
	struct ntd_command command = {.timeout = COMMAND_LIMIT, .as_root = true};
	_cleanup_result_ struct ntd_result nothing_said = {0};
	_cleanup_free_ char *text = NULL;

	if (shell->ops->run(shell, &nothing, &nothing_said, waiter, err) < 0)
		return -1;
	text = ntd_refresh_command();
	command.text = text;
	command.text_len = strlen(text);
	return shell->ops->run(shell, &command, result, waiter, err);
}

/* ---- for machines */

int ntd_agent_channel_refresh(struct ntd_agent_channel *agent, int64_t patience,
			      struct ntd_waiter *waiter, struct ntd_error **err)
{
	_cleanup_error_ struct ntd_error *why = NULL;
	_cleanup_result_ struct ntd_result result = {0};

	if (refresh_by_agent(agent, patience, waiter, &why) == 0) {
		ntd_log(agent->report, NTD_LEVEL_DEBUG, agent->machine,
			"the agent has set the guest's clock and renewed its random numbers");
		return 0;
	}
	if (why->code == NTD_E_CANCELLED)
		return ntd_error_move(err, ntd_steal(&why));
	if (refresh_by_command(agent, &result, waiter, err) < 0)
		return -1;
	ntd_log(agent->report, NTD_LEVEL_DEBUG, agent->machine,
		"a command %s the guest's clock and given it random bytes%s; the agent did not: %s",
		result.status ? "should have set" : "has set",
		result.status ? ", but has failed" : "", why->message);
	return 0;
}
