/* Starting bash for a command. */
#pragma once

#include "agent/agent.h"

struct ntd_agent_spawn {
	const char *text; /* bash's argument */
	int text_fd;      /* a descriptor that bash has, too, under this number; -1: none */
	int input, output;
	int errors;     /* -1: the agent's own */
	bool own_group; /* in a process group of its own, as by timeout(1) */
};

/* Starts bash. Returns 0 or an errno. */
int ntd_agent_spawn(const struct ntd_agent_setup *setup, const struct ntd_agent_spawn *spawn,
		    pid_t *pid);
