/* The inside of a container, for the files that make it up. All of it belongs to the loop thread,
 * but for what is set when it is made, and for the leader's number, which scripts' threads read.
 */
#pragma once

#include "machine/internal.h"

#include <time.h>

struct ntd_container_job;

/* The shell's way to tell of a signal, which is added. */
enum { NTD_STATUS_SIGNALLED = 128 };

struct ntd_container {
	struct ntd_machine *machine;
	struct ntd_source notify; /* datagrams of systemd-nspawn; fd -1: not listening */
	_Atomic pid_t leader;     /* init, as this host counts; 0: not known */
	int leader_fd;            /* its pidfd; -1 */
	bool ready;               /* init has said that the system has booted */

	/* Commands, channel/nsenter.c. */
	struct ntd_channel channel;
	char *nsenter; /* path of the program; NULL: not found */
	struct ntd_container_job *jobs;
	struct ntd_error *refusal; /* why no commands can be run; NULL: they can */

	/* The journal, machine/container_journal.c. */
	char *journalctl; /* path of the program; NULL: not found */
	struct ntd_process *follower;
	struct ntd_timer look; /* for the journal, which appears some time in the boot */
	int64_t pause;         /* until the next look */
	struct timespec since; /* of day: older entries are of earlier boots */
};

/* ---- container_commands.c */
void ntd_container_commands_init(struct ntd_container *container);
/* Fails what is under way, and from now on everything, with a copy of `why`. */
void ntd_container_commands_close(struct ntd_container *container, const struct ntd_error *why);
void ntd_container_commands_open(struct ntd_container *container);
/* Whether init is there. */
bool ntd_container_leader_lives(const struct ntd_container *container);

/* ---- container_journal.c: its entries go to the console. */
void ntd_container_journal_init(struct ntd_container *container);
void ntd_container_journal_open(struct ntd_container *container);
void ntd_container_journal_close(struct ntd_container *container);
