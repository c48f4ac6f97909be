/* What the agent can do, one line a service. */
#include "agent/agent.h"

const struct ntd_agent_service *const ntd_agent_services[] = {
	NULL,
};
