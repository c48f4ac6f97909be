/* Commands: what RUN asks for and what its DONE says. Both sides; pure, any thread.
 *
 * A command is a fresh `bash -c "set -euo pipefail; TEXT"` with the agent's environment and
 * directory, or what else agent/manner.h says. Its standard output comes as DATA, and is complete
 * with DONE, when every process that holds it has closed it. Its standard error is the agent's,
 * which is the console.
 *
 * The frames of the driver's: RUN; if `text_follows`, so many bytes of the text, in frames of DATA
 * of their own; if `input`, its standard input as DATA, and END. Input that the command does not
 * read is swallowed. After CANCEL the command is killed with its descendants, and FAILED comes.
 */
#pragma once

#include "agent/agent.h"

/* The service of RUN. */
extern const struct ntd_agent_service ntd_agent_commands;

enum {
	NTD_AGENT_TEXT_SHORT = 60 << 10, /* a text that is longer follows the frame */
	NTD_AGENT_TEXT_MOST = 64 << 20,
	NTD_AGENT_HELD_MOST = 32 << 10, /* bytes of the list of holders */
};

struct ntd_agent_run {
	const char *text; /* unless it follows */
	size_t text_len;
	uint64_t text_follows;
	bool input; /* otherwise the standard input is the agent's, or without a terminal nothing */
	bool errors; /* standard error comes as ERROR_DATA, too */
	/* Milliseconds until the command is ended, as by timeout(1); 0: no limit. After `grace`
	 * more milliseconds it is killed, and its output is no longer waited for. */
	uint64_t timeout, grace;
};

enum ntd_agent_how {
	NTD_AGENT_ENDED,     /* by itself */
	NTD_AGENT_TIMED_OUT, /* ended because of its time-out: the status is 124 */
	NTD_AGENT_HELD,      /* the output was still open after time-out and grace */
};

struct ntd_agent_ran {
	uint32_t status; /* as bash's $?: 128 and the number of a signal */
	enum ntd_agent_how how;
	/* "PID (NAME) PID (NAME)": processes that hold the output; "" unless `how` is HELD. */
	const char *holders;
	size_t holders_len;
};

void ntd_agent_run_pack(struct ntd_buf *out, const struct ntd_agent_run *run);
/* Whether the payload is one of RUN. The text stays in the payload. */
bool ntd_agent_run_unpack(const char *payload, size_t len, struct ntd_agent_run *run);
void ntd_agent_ran_pack(struct ntd_buf *out, const struct ntd_agent_ran *ran);
/* Whether the payload is one of DONE. The holders stay in the payload. */
bool ntd_agent_ran_unpack(const char *payload, size_t len, struct ntd_agent_ran *ran);
