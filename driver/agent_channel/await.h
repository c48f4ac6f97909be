/* Waits by the agent in the guest, for the operation `await` of its channel. */
#pragma once

#include "agent/condition.h"

#include <stdint.h>

struct ntd_agent_channel;
struct ntd_error;
struct ntd_waiter;

/* Script threads: has the agent wait for the condition. NTD_E_TIMEOUT when it does not answer,
 * NTD_E_PROTOCOL when its answer is none; NTD_E_DEAD as for each call of the agent. */
int ntd_agent_channel_await(struct ntd_agent_channel *agent, const struct ntd_condition *condition,
			    struct ntd_finding *finding, struct ntd_waiter *waiter,
			    struct ntd_error **err);
