/* The service AWAIT of the agent: waits for conditions. */
#include "agent/await_internal.h"

#include "agent/await.h"

static const struct ntd_await_kind *const kinds[NTD_CONDITION_COUNT] = {
	[NTD_CONDITION_FILE] = &ntd_await_file,     [NTD_CONDITION_PORT] = &ntd_await_port,
	[NTD_CONDITION_SOCKET] = &ntd_await_socket, [NTD_CONDITION_DATAGRAM] = &ntd_await_socket,
	[NTD_CONDITION_UNIT] = &ntd_await_unit,     [NTD_CONDITION_TTY] = &ntd_await_tty,
	[NTD_CONDITION_REST] = &ntd_await_rest,
};

static struct ntd_await *of_stream(struct ntd_agent_stream *stream)
{
	return ntd_container_of(stream, struct ntd_await, stream);
}

/* A payload that is none has a stream all the same, which says so. */
static void begin(struct ntd_agent *agent, uint32_t number, const char *payload, size_t len)
{
	struct ntd_condition condition;
	bool whole = ntd_condition_unpack(payload, len, &condition);
	const struct ntd_await_kind *kind = kinds[condition.kind];
	struct ntd_await *await = ntd_calloc(1, kind->size);

	await->condition = condition;
	await->kind = kind;
	ntd_agent_stream_add(agent, &await->stream, &ntd_agent_await, number);
	if (!whole) {
		await->kind = NULL;
		ntd_agent_failed(&await->stream, "not a condition");
		return;
	}
	ntd_await_start(await);
	kind->begin(await);
}

static void cancel(struct ntd_agent_stream *stream)
{
	ntd_agent_failed(stream, "cancelled");
}

static void free_await(struct ntd_agent_stream *stream)
{
	struct ntd_await *await = of_stream(stream);

	ntd_await_stop(await);
	if (await->kind && await->kind->free)
		await->kind->free(await);
	ntd_condition_free(&await->condition);
	free(await);
}

const struct ntd_agent_service ntd_agent_await = {
	.kind = NTD_FRAME_AWAIT,
	.begin = begin,
	.cancel = cancel,
	.free = free_await,
};
