/* Channels: the ways to run a command in a guest. A channel is one file that fills in the
 * operations, such as the root shell on hvc0 (channel/shell.c) and nsenter into a container
 * (channel/nsenter.c). What scripts ask of a machine (guest/) is written once, on this interface,
 * and not once for each kind of machine.
 *
 * A channel's owner is a machine (machine/channels.c), which has a list of channels and asks them
 * to run commands. A channel tells its owner when it can run commands and when it no longer can.
 */
#pragma once

#include "agent/condition.h"
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
	/* Bytes for standard input; NULL: the channel's own input. NTD_E_VALUE when the text is too
	 * long for an argument of a program. */
	const char *input;
	size_t input_len;
	double timeout; /* seconds until the command is ended with status 124; 0 or less: none */
	/* The caller does not need the status: -1 where the channel saves work by that. */
	bool no_status;
	/* The caller does not need the end: status -2 and no output where the channel need not
	 * wait. */
	bool no_reply;
	bool as_root; /* the driver's own command: run as root, whatever the channel's user */
	/* The driver's own, for the root shell alone: the shell itself evaluates the text, and what
	 * that leaves in the variable x is the output. */
	bool in_shell;
	/* The caller wants standard error apart, too, which is on the console nevertheless where
	 * the channel can do both. */
	bool errors;
	/* Called on the loop thread, or on the thread that waits in `run`, with each piece of
	 * standard output, in order, as early as the channel has it and before `run` returns; the
	 * result has all of it nevertheless. NULL: nobody wants it so early. */
	void (*on_output)(void *owner, const char *bytes, size_t len);
	void *output_owner;
};

/* For channels: tells of a piece of output. */
static inline void ntd_command_tell(const struct ntd_command *command, const char *bytes,
				    size_t len)
{
	if (command->on_output && len)
		command->on_output(command->output_owner, bytes, len);
}

/* The exit status and the standard output of a command. The caller frees it. */
struct ntd_result {
	int status;
	struct ntd_buf output;
	struct ntd_buf errors; /* standard error, if the command wants it apart */
};

static inline void ntd_result_free(struct ntd_result *result)
{
	ntd_buf_free(&result->output);
	ntd_buf_free(&result->errors);
}

#define _cleanup_result_ _cleanup_(ntd_result_free)

/* For channels: takes a piece of standard error that the command wants. The last MiB is kept. */
void ntd_result_add_errors(struct ntd_result *result, const char *bytes, size_t len);

/* What a channel can do. `run` and `close` are required, the others may be NULL. `reboots` and
 * `close` are for the loop thread; the others are for script threads, and block as long as `waiter`
 * lets them. A channel that is not open fails with NTD_E_DEAD, or with the error that closed it. */
struct ntd_channel_ops {
	/* Runs a command and waits for its end. Returns 0, with the result of a command that ended
	 * in any way. */
	int (*run)(struct ntd_channel *channel, const struct ntd_command *command,
		   struct ntd_result *result, struct ntd_waiter *waiter, struct ntd_error **err);
	/* Makes the channel ready, if that is possible within `patience` ns; if not, other channels
	 * are used, and it has succeeded nevertheless. It is called before the channel is picked
	 * for the work of a script. NULL: the channel becomes ready by itself. */
	int (*prepare)(struct ntd_channel *channel, int64_t patience, struct ntd_waiter *waiter,
		       struct ntd_error **err);
	/* The text of the command that keeps others waiting, a new string; NULL: there is none. A
	 * channel that is parallel has no such command, and not this operation. */
	char *(*busy)(struct ntd_channel *channel);
	/* Copies a file or a tree from the host to `target` in the guest, as `cp -r` would, and
	 * makes the directories above `target`. A channel with `put` has `get`; without them, files
	 * are copied through the directory that host and guest share. */
	int (*put)(struct ntd_channel *channel, const char *source, const char *target,
		   struct ntd_waiter *waiter, struct ntd_error **err);
	/* Copies a file or a tree from the guest to the host's `target`, a new path in a directory
	 * that exists. */
	int (*get)(struct ntd_channel *channel, const char *source, const char *target,
		   struct ntd_waiter *waiter, struct ntd_error **err);
	/* Copies a large file of the guest to another place in it, where it is quicker than `cp
	 * SOURCE TARGET` run by root, and does the same. Returns 0; 1: the copy was not made, and
	 * `cp` is to be run. NULL: it always is. */
	int (*copy_in_guest)(struct ntd_channel *channel, const char *source, const char *target,
			     struct ntd_waiter *waiter, struct ntd_error **err);
	/* Mounts shares of the host in the guest, a list as in /proc/mounts (agent/mount.h), and
	 * does so where a command has to be found and started first. Returns 0; 1: a command is to
	 * do it. NULL: one always is. */
	int (*mount)(struct ntd_channel *channel, const char *shares, struct ntd_waiter *waiter,
		     struct ntd_error **err);
	/* Starts the user's login shell on a new terminal of that size in the guest. Returns a
	 * descriptor for the terminal's bytes; when the caller closes it, the shell gets a
	 * hangup. */
	int (*terminal)(struct ntd_channel *channel, unsigned rows, unsigned columns,
			struct ntd_waiter *waiter, struct ntd_error **err);
	/* Waits in the guest until the condition holds or its limit is over. Returns 0 with what
	 * was found. NULL: the caller has to look by commands, as when the channel finds
	 * NTD_UNSEEN. */
	int (*await)(struct ntd_channel *channel, const struct ntd_condition *condition,
		     struct ntd_finding *finding, struct ntd_waiter *waiter,
		     struct ntd_error **err);
	/* The guest is about to reboot. The channel is not ready until it has found
	 * another boot of the guest, even if it can still run commands in this one. NULL: the
	 * channel learns of a reboot from the guest. */
	void (*reboots)(struct ntd_channel *channel);
	/* Closes the channel. Pending commands, and all others until the channel is
	 * opened again, fail with a copy of `why`. */
	void (*close)(struct ntd_channel *channel, const struct ntd_error *why);
};

/* What a channel tells its owner, on the loop thread. `owner` is the first argument of the
 * functions. */
struct ntd_channel_owner {
	/* The channel can run commands from now on, in a guest that has just booted. `said` is what
	 * the guest wrote to the channel before, `len` bytes; NULL: nothing. */
	void (*ready)(void *owner, struct ntd_channel *channel, const char *said, size_t len);
	/* The guest has ended the connection: the channel cannot run commands any more. */
	void (*lost)(void *owner, struct ntd_channel *channel);
	/* The guest does not let the channel in, as with a wrong password, and trying again would
	 * not help: waits for the channel end with a copy of `why`. */
	void (*refused)(void *owner, struct ntd_channel *channel, const struct ntd_error *why);
	void *owner;
};

/* The part that all channels have; each kind of channel has it as a member of its own structure. */
struct ntd_channel {
	const struct ntd_channel_ops *ops;
	const char *name; /* for people: "root shell" */
	bool parallel;    /* it runs any number of commands at the same time */
	/* The directory that host and guest share is quicker than `put` for many bytes, and is used
	 * where a script runs the commands of a copy by itself. */
	bool prefers_shared;
	/* Any thread: the user of the guest for whom commands are run; NULL: root. */
	char *_Atomic user;
	/* Any thread: the guest is known not to have what the channel needs, so the channel is not
	 * used. */
	atomic_bool absent;

	/* What follows is the owner's, which begins when the channel is added to it; but the
	 * channel sets `heard`. */
	struct ntd_channel_owner owner;
	/* Any thread: the channel that is used when this one is not ready; NULL: this is the
	 * last. */
	struct ntd_channel *_Atomic next;
	/* Any thread: commands can be run. */
	atomic_bool ready;
	/* Loop: the channel became ready, and no thread that waits for it has been told. */
	bool unmet;
	/* Loop: what the guest said before the channel became ready, as a Python literal; NULL:
	 * nothing. */
	char *said;
	/* Loop: why the guest does not let the channel in; NULL: it has not said so. */
	struct ntd_error *refusal;
	/* Loop: when the guest last wrote to the channel, a time of ntd_now() that the channel
	 * sets; 0: never. */
	int64_t heard;
};

/* The text that runs a command as the channel's user, in a login session that root begins; a new
 * string. NULL: the command's own text, run as root, is right. Any thread. */
char *ntd_channel_text_for_user(const struct ntd_channel *channel,
				const struct ntd_command *command);

/* The command with another text, a string that must outlive the copy; NULL: with its own. */
struct ntd_command ntd_command_with_text(const struct ntd_command *command, const char *text);
