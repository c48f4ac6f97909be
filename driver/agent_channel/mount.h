/* Mounting shares of the host by the agent. Script threads. */
#pragma once

#include "agent_channel/agent_channel.h"

/* The operation `mount` of a channel. NTD_E_MACHINE with the agent's text when one of the shares
 * cannot be mounted. */
int ntd_agent_mount_shares(struct ntd_agent_channel *agent, const char *shares,
			   struct ntd_waiter *waiter, struct ntd_error **err);
