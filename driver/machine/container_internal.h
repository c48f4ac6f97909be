/* The inside of a container, for the files that make it up. The loop thread owns it all, except
 * what is set only when the container is made.
 */
#pragma once

#include "agent_channel/agent_channel.h"
#include "channel/nsenter.h"
#include "machine/container.h"
#include "machine/internal.h"

#include <time.h>

struct ntd_container {
	struct ntd_machine *machine;
	struct ntd_nsenter *nsenter;     /* its channel */
	struct ntd_agent_channel *agent; /* the preferred one; NULL: there is none */
	char *_Atomic notify_path;
	struct ntd_source notify; /* datagrams of systemd-nspawn; fd -1: not listening */
	bool ready;               /* init has said that the system has booted */

	/* The journal, machine/container_journal.c. */
	char *journalctl; /* path of the program; NULL: not found */
	struct ntd_process *follower;
	/* Expires at the next look for the journal's directory, which appears some time in the
	 * boot. */
	struct ntd_timer look;
	int64_t pause;         /* from one look to the next, ns */
	struct timespec since; /* time of day of the start: older entries are of earlier boots */
};

/* ---- container_journal.c: the journal's entries go to the console. Loop, but for the first. */
/* Sets up a new container's timer. */
void ntd_container_journal_init(struct ntd_container *container);
/* Begins to look for the journal of a container that is being started. */
void ntd_container_journal_open(struct ntd_container *container);
/* Stops following the journal, or looking for it. */
void ntd_container_journal_close(struct ntd_container *container);
