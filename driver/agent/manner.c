/* The manners in which commands are run. */
#include "agent/manner.h"

#include <stddef.h>

const struct ntd_agent_manner ntd_agent_as_root_shell = {.prologue = "set -euo pipefail; "};

const struct ntd_agent_manner ntd_agent_as_nsenter = {
	.prologue = NTD_CONTAINER_PROLOGUE,
	.shells = (const char *const[]){"/bin/bash", "/bin/sh", NULL},
	.kills = true,
	.runs_on = true,
	.lingers = true,
};
