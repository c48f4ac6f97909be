/* The service of the agent that waits for conditions (agent/condition.h). */
#pragma once

#include "agent/agent.h"

extern const struct ntd_agent_service ntd_agent_await;
