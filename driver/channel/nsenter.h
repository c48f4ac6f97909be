/* The channel into a container, by nsenter(1) into the namespaces of its init. The functions marked
 * "loop" are for the loop thread.
 */
#pragma once

#include "channel/channel.h"
#include "loop/process.h"

struct ntd_nsenter;

/* The status of a command that a signal has ended is this plus the signal's number, as in
 * shells. */
enum { NTD_STATUS_SIGNALLED = 128 };

/* Makes a channel that is closed. `machine` is the machine's name for messages; `program` is the
 * path of nsenter, NULL when it was not found: then every command fails with NTD_E_MACHINE, and
 * says so. */
struct ntd_nsenter *ntd_nsenter_new(struct ntd_loop *loop, struct ntd_children *children,
				    const char *machine, const char *program);
/* Frees a channel that is closed, or NULL. */
void ntd_nsenter_free(struct ntd_nsenter *nsenter);
/* The channel's interface, which is a part of it. */
struct ntd_channel *ntd_nsenter_channel(struct ntd_nsenter *nsenter);

/* Loop: opens the channel, which runs commands as soon as it has a leader. They write their
 * standard error to the descriptor `console`, which stays the caller's, and open until the channel
 * is closed. */
void ntd_nsenter_open(struct ntd_nsenter *nsenter, int console);
/* Loop: sets the container's init, a process as this host counts. False if there is no such
 * process. */
bool ntd_nsenter_set_leader(struct ntd_nsenter *nsenter, pid_t leader);
/* Any thread: the container's init; 0: it is not known. */
pid_t ntd_nsenter_leader(const struct ntd_nsenter *nsenter);
