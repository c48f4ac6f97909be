/* The inside of the channel into a container: the channel itself is nsenter.c, the start of
 * processes in the container nsenter_start.c. The functions are for the loop thread.
 */
#pragma once

#include "base/list.h"
#include "channel/nsenter.h"

struct ntd_nsenter {
	struct ntd_channel channel;
	struct ntd_loop *loop;
	struct ntd_children *children;
	char *machine, *program;
	_Atomic pid_t leader;      /* the container's init, as this host counts; 0: not known */
	int leader_fd;             /* its pidfd; -1 */
	int console;               /* descriptor for the commands' standard error; the owner's */
	struct ntd_list jobs;      /* of the commands that run */
	struct ntd_list relays;    /* of standard error that is kept apart */
	struct ntd_error *refusal; /* why no commands can be run; NULL: they can */
};

/* ---- nsenter_start.c */

void ntd_nsenter_forget_leader(struct ntd_nsenter *nsenter);
bool ntd_nsenter_leader_lives(const struct ntd_nsenter *nsenter);
