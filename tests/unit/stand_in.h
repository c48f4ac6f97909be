/* A channel as another way into a guest would be: one file that fills in the operations. This host
 * plays the guest: its bash runs the commands in a directory of the test.
 */
#pragma once

#include "base/text.h"
#include "base/tree.h"
#include "channel/channel.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

struct stand_in {
	struct ntd_channel channel;
	char directory[64]; /* the root directory for copied files */
	_Atomic(struct ntd_error *) refusal;
	_Atomic int commands, copies;
};

static inline int stand_in_run(struct ntd_channel *channel, const struct ntd_command *command,
			       struct ntd_result *result, struct ntd_waiter *waiter,
			       struct ntd_error **err)
{
	struct stand_in *stand_in = ntd_container_of(channel, struct stand_in, channel);
	_cleanup_free_ char *for_user = ntd_channel_text_for_user(channel, command), *text = NULL;
	_cleanup_buf_ struct ntd_buf line = {0};
	size_t got = 1;
	FILE *output;
	int status;

	if (stand_in->refusal)
		return ntd_error_move(err, ntd_error_copy(stand_in->refusal));
	stand_in->commands++;
	ntd_buf_printf(&line, "cd %s; exec bash -euo pipefail -c ", stand_in->directory);
	if (for_user)
		ntd_shell_quote(&line, for_user, strlen(for_user));
	else
		ntd_shell_quote(&line, command->text, command->text_len);
	text = ntd_buf_take_string(&line);
	output = popen(text, "re");
	while (output && got) {
		got = fread(ntd_buf_reserve(&result->output, 4096), 1, 4096, output);
		ntd_buf_added(&result->output, got);
	}
	status = pclose(output);
	result->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	return 0;
}

static inline int stand_in_put(struct ntd_channel *channel, const char *source, const char *target,
			       struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct stand_in *stand_in = ntd_container_of(channel, struct stand_in, channel);
	_cleanup_fd_ int root = open(stand_in->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	stand_in->copies++;
	return ntd_tree_copy_to_guest(source, root, target + 1, err);
}

static inline int stand_in_get(struct ntd_channel *channel, const char *source, const char *target,
			       struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct stand_in *stand_in = ntd_container_of(channel, struct stand_in, channel);
	_cleanup_fd_ int root = open(stand_in->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	stand_in->copies++;
	return ntd_tree_copy_from_guest(root, source + 1, target, err);
}

static inline void stand_in_close(struct ntd_channel *channel, const struct ntd_error *why)
{
	struct stand_in *stand_in = ntd_container_of(channel, struct stand_in, channel);

	ntd_error_free(atomic_exchange(&stand_in->refusal, ntd_error_copy(why)));
}

static inline void stand_in_init(struct stand_in *stand_in, const char *directory)
{
	static const struct ntd_channel_ops ops = {.run = stand_in_run,
						   .put = stand_in_put,
						   .get = stand_in_get,
						   .close = stand_in_close};

	*stand_in = (struct stand_in){.channel = {.ops = &ops, .name = "stand-in"}};
	snprintf(stand_in->directory, sizeof stand_in->directory, "%s", directory);
}

/* Tells on the loop thread that the guest can be reached. */
static inline void stand_in_ready(void *arg)
{
	struct stand_in *stand_in = arg;

	ntd_error_free(atomic_exchange(&stand_in->refusal, NULL));
	stand_in->channel.owner.ready(stand_in->channel.owner.owner, &stand_in->channel, "hello",
				      5);
}
