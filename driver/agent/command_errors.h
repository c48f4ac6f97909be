/* The standard error of a command that is wanted apart: a pipe, from which bytes go to the driver
 * and to the agent's own standard error. It lives on when the command has ended, as long as a
 * process holds it.
 */
#pragma once

#include "agent/agent.h"

struct ntd_agent_errors;

/* Makes a pipe for the command `stream`. Returns NULL with errno when it cannot. `*write_end` is
 * the caller's. */
struct ntd_agent_errors *ntd_agent_errors_new(struct ntd_agent_stream *stream, int *write_end);
/* The command has ended: sends what has come until now, and nothing afterwards. */
void ntd_agent_errors_detach(struct ntd_agent_errors *errors);
