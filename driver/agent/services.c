/* What the agent can do, one line a service. */
#include "agent/await.h"
#include "agent/command.h"
#include "agent/copy_file.h"
#include "agent/files.h"
#include "agent/mount.h"
#include "agent/refresh.h"

const struct ntd_agent_service *const ntd_agent_services[] = {
	&ntd_agent_commands,  &ntd_agent_await,   &ntd_agent_get,   &ntd_agent_put,
	&ntd_agent_copy_file, &ntd_agent_refresh, &ntd_agent_mount, NULL,
};
