/* Waits by the agent: a call with a condition, whose end has a finding. */
#include "agent_channel/await.h"

#include "agent_channel/call.h"

/* ns that the agent may be late with its answer in a guest that is slow. */
#define LATE_MOST (10 * NTD_SECOND)

struct await {
	struct ntd_agent_call call;
	struct ntd_finding *finding;
};

static struct ntd_error *nonsense(void)
{
	return ntd_error_new(NTD_E_PROTOCOL, "the agent's answer to a wait is none");
}

static struct ntd_error *done(struct ntd_agent_call *call, const char *payload, size_t len)
{
	struct await *await = ntd_container_of(call, struct await, call);

	return ntd_finding_unpack(payload, len, await->finding) ? NULL : nonsense();
}

int ntd_agent_channel_await(struct ntd_agent_channel *agent, const struct ntd_condition *condition,
			    struct ntd_finding *finding, struct ntd_waiter *waiter,
			    struct ntd_error **err)
{
	static const struct ntd_agent_call_ops ops = {.done = done};
	struct await await = {.call = {.ops = &ops, .kind = NTD_FRAME_AWAIT}, .finding = finding};
	int64_t deadline = ntd_after(ntd_span(condition->limit) + LATE_MOST);
	int result;

	ntd_condition_pack(&await.call.payload, condition);
	result = ntd_agent_call_run(agent, &await.call, deadline, waiter, err);
	ntd_buf_free(&await.call.payload);
	return result;
}
