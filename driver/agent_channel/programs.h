/* The agent's programs, data of the driver that the build makes of driver/agent/. */
#pragma once

#include <stddef.h>

struct ntd_agent_program {
	const char *machine; /* as `uname -m` prints it */
	const unsigned char *bytes;
	size_t len;
};

/* A static program for each architecture that the build had a compiler for. The last has no name:
 * NULL. */
extern const struct ntd_agent_program ntd_agent_programs[];
