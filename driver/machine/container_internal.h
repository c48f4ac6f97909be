/* The inside of a container, for the files that make it up. All of it belongs to the loop thread,
 * but for what is set when it is made.
 */
#pragma once

#include "channel/nsenter.h"
#include "machine/container.h"
#include "machine/internal.h"

#include <time.h>

struct ntd_container {
	struct ntd_machine *machine;
	struct ntd_nsenter *nsenter; /* its channel */
	char *_Atomic notify_path;
	struct ntd_source notify; /* datagrams of systemd-nspawn; fd -1: not listening */
	bool ready;               /* init has said that the system has booted */

	/* The journal, machine/container_journal.c. */
	char *journalctl; /* path of the program; NULL: not found */
	struct ntd_process *follower;
	struct ntd_timer look; /* for the journal, which appears some time in the boot */
	int64_t pause;         /* until the next look */
	struct timespec since; /* of day: older entries are of earlier boots */
};

/* ---- container_journal.c: its entries go to the console. */
void ntd_container_journal_init(struct ntd_container *container);
void ntd_container_journal_open(struct ntd_container *container);
void ntd_container_journal_close(struct ntd_container *container);
