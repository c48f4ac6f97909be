/* Channels: the ways to run a command in a machine. Methods of machines are written on this
 * interface, once, not once a kind of machine. A channel is one file that fills in the operations.
 */
#pragma once

#include "base/buf.h"
#include "loop/request.h"

struct ntd_channel;

/* A command for the guest's bash, as it is run everywhere: a fresh bash with -euo pipefail,
 * standard error on the console, standard output returned when every holder has closed it. */
struct ntd_command {
	const char *text;
	size_t text_len;
	/* bytes for standard input, if the text is short; NULL: the channel's own */
	const char *input;
	size_t input_len;
	double timeout; /* seconds, after which the guest ends it with status 124; < 0: none */
	bool no_status; /* do not ask how it ended: status -1 */
	bool no_reply;  /* send only: status -2, no output */
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

struct ntd_channel_ops {
	/* Runs a command and waits for it on the calling thread. */
	int (*run)(struct ntd_channel *channel, const struct ntd_command *command,
		   struct ntd_result *result, struct ntd_waiter *waiter, struct ntd_error **err);
};

struct ntd_channel {
	const struct ntd_channel_ops *ops;
};
