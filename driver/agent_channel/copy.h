/* Copies by the agent in the guest. */
#pragma once

#include "report/report.h"
#include "sftp/sftp.h"

struct ntd_agent_channel;
struct ntd_waiter;

struct ntd_agent_copy {
	struct ntd_agent_channel *channel;
	struct ntd_report *report; /* is told how far a copy is that takes long */
	const char *machine;       /* its name */
	enum ntd_sftp_direction direction;
	const char *source, *target;
};

/* Script threads: copies a file or a tree as `cp -rL` would into the guest, or out of it to a
 * target that is no directory, with such links as ntd_sftp_follow() says. NTD_E_ASSERTION when `cp`
 * would fail in the guest; NTD_E_DEAD as for each call of the agent. */
int ntd_agent_copy(const struct ntd_agent_copy *asked, struct ntd_waiter *waiter,
		   struct ntd_error **err);
