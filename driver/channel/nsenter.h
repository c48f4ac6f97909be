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

/* Loop: what a process in the container executes, besides nsenter itself. */
struct ntd_nsenter_program {
	char *const *argv; /* at most NTD_NSENTER_WORDS, and NULL */
	int input, output;
	int errors; /* -1: the console */
};

enum { NTD_NSENTER_WORDS = 8 };

/* Loop: starts a program in the container, as ntd_process_spawn() does. Commands can
 * be run, and the caller lets go of the process before the channel is closed. */
struct ntd_process *ntd_nsenter_start(struct ntd_nsenter *nsenter,
				      const struct ntd_nsenter_program *program,
				      void (*changed)(struct ntd_process *, void *), void *owner,
				      struct ntd_error **err);
/* Loop: why no command can be run now, a new error; NULL: one can. */
struct ntd_error *ntd_nsenter_refusal(const struct ntd_nsenter *nsenter);
/* A script thread, when a process in the container has ended as when the container ends: waits a
 * moment for that. Returns 0 if the container goes on, else the error that says how it ended. */
int ntd_nsenter_await_end(struct ntd_nsenter *nsenter, struct ntd_waiter *waiter,
			  struct ntd_error **err);
/* Any thread: the error of a command with too much output, a new one. */
struct ntd_error *ntd_nsenter_too_much(const struct ntd_nsenter *nsenter);
/* Any thread: NTD_E_VALUE for what no command in a container can be. */
int ntd_nsenter_check(const struct ntd_command *command, struct ntd_error **err);

/* Loop: opens the channel, which runs commands as soon as it has a leader. They write their
 * standard error to the descriptor `console`, which stays the caller's, and open until the channel
 * is closed. */
void ntd_nsenter_open(struct ntd_nsenter *nsenter, int console);
/* Loop: sets the container's init, a process as this host counts. False if there is no such
 * process. */
bool ntd_nsenter_set_leader(struct ntd_nsenter *nsenter, pid_t leader);
/* Any thread: the container's init; 0: it is not known. */
pid_t ntd_nsenter_leader(const struct ntd_nsenter *nsenter);
