/* The standard input of a command that the driver sends: a pipe. What the command does not read is
 * swallowed.
 */
#pragma once

#include "agent/agent.h"

struct ntd_agent_input {
	struct ntd_agent_stream *command;
	struct ntd_agent_source pipe; /* fd -1: not open, or no longer */
	struct ntd_buf waiting;
	bool finished; /* nothing follows */
};

/* Makes the pipe, of which `*read_end` is the caller's. Returns 0 or an errno. */
int ntd_agent_input_open(struct ntd_agent_input *input, struct ntd_agent_stream *command,
			 int *read_end);
/* Takes bytes of DATA, for which the driver gets credit when they are used. */
void ntd_agent_input_take(struct ntd_agent_input *input, const char *bytes, size_t len);
void ntd_agent_input_finish(struct ntd_agent_input *input);
void ntd_agent_input_free(struct ntd_agent_input *input);
