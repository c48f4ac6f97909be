/* Channels: the ways to run a command in a guest. A channel is one file that fills in the
 * operations, such as the root shell on hvc0 (channel/shell.c) and nsenter into a container
 * (channel/nsenter.c). What scripts ask of a machine (guest/) is written on this interface, once,
 * and not once a kind of machine.
 *
 * A channel's owner is a machine (machine/channels.c), which has a list of them. The channel tells
 * its owner when commands can be run and when they cannot any more; the owner asks it to run them.
 */
#pragma once

#include "base/buf.h"
#include "loop/request.h"

#include <stdatomic.h>

struct ntd_channel;

/* A command for the guest's bash, as every channel runs it: a fresh bash with -euo pipefail,
 * standard error on the console, standard output returned when every process that holds it has
 * closed it. */
struct ntd_command {
	const char *text;
	size_t text_len;
	/* Bytes for standard input, if the text is short; NULL: the channel's own input. */
	const char *input;
	size_t input_len;
	double timeout; /* seconds, after which the guest ends it with status 124; < 0: none */
	bool no_status; /* do not ask how it ended: status -1 */
	bool no_reply;  /* send only: status -2, no output */
	bool as_root;   /* the driver's own command: the channel's user does not matter */
};

struct ntd_result {
	int status;
	struct ntd_buf output;
};

static inline void ntd_result_free(struct ntd_result *result)
{
	ntd_buf_free(&result->output);
}

#define _cleanup_result_ _cleanup_(ntd_result_free)

/* What a channel can do. All but `close` are for script threads, and may block as far as `waiter`
 * lets them; `run` and `close` are there always, the others may be NULL. */
struct ntd_channel_ops {
	/* Runs a command and waits for its end. */
	int (*run)(struct ntd_channel *channel, const struct ntd_command *command,
		   struct ntd_result *result, struct ntd_waiter *waiter, struct ntd_error **err);
	/* The command that keeps others waiting, a new string; NULL when there is none. A channel
	 * that is parallel has no such command, and not this operation. */
	char *(*busy)(struct ntd_channel *channel);
	/* Copies a file or a tree from the host into the guest, as `cp -r` would, and makes the
	 * directories above the target; and copies one back, for which `target` is the new path
	 * itself, in a directory that is there. Without these operations the directory that host
	 * and guest share serves. */
	int (*put)(struct ntd_channel *channel, const char *source, const char *target,
		   struct ntd_waiter *waiter, struct ntd_error **err);
	int (*get)(struct ntd_channel *channel, const char *source, const char *target,
		   struct ntd_waiter *waiter, struct ntd_error **err);
	/* Starts the user's login shell on a terminal of that size in the guest. Returns a
	 * descriptor for the terminal's bytes, which the caller closes; that hangs up on the
	 * shell. */
	int (*terminal)(struct ntd_channel *channel, unsigned rows, unsigned columns,
			struct ntd_waiter *waiter, struct ntd_error **err);
	/* Loop thread. Ends the connection; what is pending on it, and what comes until the channel
	 * is opened again, fails with a copy of `why`. */
	void (*close)(struct ntd_channel *channel, const struct ntd_error *why);
};

/* What a channel tells its owner, on the loop thread. */
struct ntd_channel_owner {
	/* Commands can be run from now on, in a guest that has just booted. `said` is what the
	 * guest said on the channel before; NULL: nothing. */
	void (*ready)(void *owner, struct ntd_channel *channel, const char *said, size_t len);
	/* The guest is not to be reached by the channel any more. */
	void (*lost)(void *owner, struct ntd_channel *channel);
	void *owner;
};

struct ntd_channel {
	const struct ntd_channel_ops *ops;
	const char *name; /* for people: "root shell" */
	bool parallel;    /* runs any number of commands at the same time */
	/* Any thread: the user of the guest for whom commands are run; NULL: root. */
	char *_Atomic user;
	/* Any thread: the guest is known not to have what the channel needs. */
	atomic_bool absent;

	/* Of the owner, set when the channel is added to it. */
	struct ntd_channel_owner owner;
	struct ntd_channel *_Atomic next; /* less preferred */
	atomic_bool ready;                /* any thread may read it */
	bool unmet;                       /* loop: it became ready, and nobody has been told yet */
	char *said;                       /* loop: by the guest, then */
	int64_t heard; /* loop: when the guest last said something on it; 0: it did not */
};

/* The text that runs a command for the channel's user, in a login session that root begins; a new
 * string. NULL: the command's own text does, for it runs as root. */
char *ntd_channel_text_for_user(const struct ntd_channel *channel,
				const struct ntd_command *command);
