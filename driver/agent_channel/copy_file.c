/* Copies within the guest: a call whose answer is whether there is a copy (agent/copy_file.h). A
 * copy that was not made, for whatever reason of the agent's, is left to `cp`. One whose agent was
 * lost is not, since it is not known what has become of the guest: it ends as `cp` would.
 */
#include "agent_channel/copy_file.h"

#include "agent_channel/call.h"

struct copy {
	struct ntd_agent_call call;
	bool copied;
};

static struct ntd_error *nonsense(void)
{
	return ntd_error_new(NTD_E_PROTOCOL, "the agent's answer to a copy is none");
}

static struct ntd_error *done(struct ntd_agent_call *call, const char *payload, size_t len)
{
	struct copy *copy = ntd_container_of(call, struct copy, call);
	struct ntd_unpack in = {.at = payload, .left = len};
	uint8_t answer = ntd_unpack_u8(&in);

	copy->copied = answer;
	return ntd_unpack_is_whole(&in) && answer <= 1 ? NULL : nonsense();
}

int ntd_agent_copy_in_guest(struct ntd_agent_channel *agent, const char *source, const char *target,
			    struct ntd_waiter *waiter, struct ntd_error **err)
{
	static const struct ntd_agent_call_ops ops = {.done = done};
	struct copy copy = {.call = {.ops = &ops, .kind = NTD_FRAME_COPY, .yields = true}};
	_cleanup_error_ struct ntd_error *error = NULL;

	ntd_pack_text(&copy.call.payload, source);
	ntd_pack_text(&copy.call.payload, target);
	ntd_agent_call_run(agent, &copy.call, NTD_FOREVER, waiter, &error);
	ntd_buf_free(&copy.call.payload);
	if (!error)
		return copy.copied ? 0 : 1;
	if (copy.call.how == NTD_CALL_NOT_BEGUN || copy.call.how == NTD_CALL_FAILED)
		return 1;
	return ntd_error_move(err, ntd_steal(&error));
}
