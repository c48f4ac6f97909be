/* Mounting shares by the agent: a call without an answer but its end (agent/mount.h). On script
 * threads.
 */
#include "agent_channel/mount.h"

#include "agent_channel/call.h"

#include <string.h>

/* The guest may be slow, and QEMU has to answer the guest's kernel. */
#define LIMIT (60 * NTD_SECOND)

int ntd_agent_mount_shares(struct ntd_agent_channel *agent, const char *shares,
			   struct ntd_waiter *waiter, struct ntd_error **err)
{
	static const struct ntd_agent_call_ops ops = {0};
	struct ntd_agent_call call = {.ops = &ops, .kind = NTD_FRAME_MOUNT, .yields = true};
	_cleanup_error_ struct ntd_error *error = NULL;

	if (strlen(shares) > NTD_FRAME_MOST)
		return 1;
	ntd_buf_puts(&call.payload, shares);
	ntd_agent_call_run(agent, &call, ntd_after(LIMIT), waiter, &error);
	ntd_buf_free(&call.payload);
	if (!error)
		return 0;
	if (call.how == NTD_CALL_NOT_BEGUN || call.how == NTD_CALL_LOST)
		return 1;
	return ntd_error_move(err, ntd_steal(&error));
}
