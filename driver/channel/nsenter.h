/* The channel into a container, by nsenter(1) into the namespaces of its init. The functions marked
 * "loop" are for the loop thread.
 */
#pragma once

#include "channel/channel.h"
#include "loop/process.h"

struct ntd_nsenter;

/* A status of a command that a signal has ended: this and the signal's number, as shells say it. */
enum { NTD_STATUS_SIGNALLED = 128 };

/* `machine` is its name for messages; `program` the path of nsenter, NULL when there is none, which
 * then every command says. */
struct ntd_nsenter *ntd_nsenter_new(struct ntd_loop *loop, struct ntd_children *children,
				    const char *machine, const char *program);
void ntd_nsenter_free(struct ntd_nsenter *nsenter); /* closed before */
struct ntd_channel *ntd_nsenter_channel(struct ntd_nsenter *nsenter);

/* Loop: commands can be run as soon as init is known; they write their standard error to `console`,
 * which stays the caller's, and open until the channel is closed. */
void ntd_nsenter_open(struct ntd_nsenter *nsenter, int console);
/* Loop: the container's init, as this host counts processes. False if there is no such process. */
bool ntd_nsenter_set_leader(struct ntd_nsenter *nsenter, pid_t leader);
/* Loop: that init has ended, or is not the container's any more. */
void ntd_nsenter_forget_leader(struct ntd_nsenter *nsenter);
/* Any thread: 0 while it is not known. */
pid_t ntd_nsenter_leader(const struct ntd_nsenter *nsenter);
