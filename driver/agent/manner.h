/* The manners in which the agent runs commands: those of what would run them without it. Constants,
 * for both sides.
 */
#pragma once

#include <stdbool.h>

/* What precedes a command in a container: it sets up what root's login shell sets up in a virtual
 * machine. /bin/sh is bash on NixOS, and may be another shell elsewhere. */
#define NTD_CONTAINER_PROLOGUE                                                                     \
	"set -eo pipefail; export USER=root HOME=/root DISPLAY=:0.0; "                             \
	"[ ! -e /etc/profile ] || source /etc/profile; set -u; "

struct ntd_agent_manner {
	const char *prologue; /* of each command's text */
	/* Paths of shells, the first of which that can be executed runs a command; they end with
	 * NULL. NULL: bash, as PATH has it. */
	const char *const *shells;
	/* Each command has a process group of its own, and is killed at its time-out: it ends at
	 * once, and its output is what it has written until then. Else, only one with a time-out
	 * has a group, and it ends as by timeout(1). */
	bool kills;
	bool runs_on; /* a shell that is stopped is continued at once, as by nsenter and its guard
		       */
	/* At SIGTERM, the agent begins nothing any more, and ends when everything that goes on has
	 * ended: its commands have got the signal, too, and the driver is told how they have
	 * ended. */
	bool lingers;
};

extern const struct ntd_agent_manner ntd_agent_as_root_shell; /* channel/guest.bash */
extern const struct ntd_agent_manner ntd_agent_as_nsenter;    /* channel/nsenter.c */
