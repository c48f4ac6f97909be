/* The service REFRESH of the agent, and its payload, for both sides:
 *
 *	uint64 seconds of CLOCK_REALTIME, uint32 nanoseconds, bytes seed
 */
#include "agent/refresh.h"

#include <string.h>

/* Seconds until 2106. Kernels refuse what is near the end of their years. */
#define LATEST (INT64_C(1) << 32)

enum { SECOND = 1000000000 }; /* ns */

/* ---- the payload */

void ntd_refresh_pack(struct ntd_buf *out, const struct ntd_refresh *refresh)
{
	ntd_pack_u64(out, (uint64_t)refresh->time.tv_sec);
	ntd_pack_u32(out, (uint32_t)refresh->time.tv_nsec);
	ntd_pack_bytes(out, refresh->seed, refresh->seed_len);
}

bool ntd_refresh_unpack(const char *payload, size_t len, struct ntd_refresh *refresh)
{
	struct ntd_unpack in = {.at = payload, .left = len};
	uint64_t seconds = ntd_unpack_u64(&in);
	uint32_t nanoseconds = ntd_unpack_u32(&in);

	*refresh = (struct ntd_refresh){0};
	refresh->seed = ntd_unpack_bytes(&in, &refresh->seed_len);
	if (seconds >= LATEST || nanoseconds >= SECOND || !refresh->seed_len ||
	    refresh->seed_len > NTD_REFRESH_SEED_MOST || !ntd_unpack_is_whole(&in))
		return false;
	refresh->time = (struct timespec){.tv_sec = (time_t)seconds, .tv_nsec = (long)nanoseconds};
	return true;
}

/* ---- the service: each stream ends at once */

/* Does both, whichever fails. */
static void refresh_guest(struct ntd_agent_stream *stream, const struct ntd_refresh *refresh)
{
	int clock = ntd_agent_set_clock(&refresh->time);
	int random = ntd_agent_stir_random(refresh->seed, refresh->seed_len);

	if (clock)
		ntd_agent_failed(stream, "the clock cannot be set: %s", strerror(clock));
	else if (random)
		ntd_agent_failed(stream, "random numbers cannot be renewed: %s", strerror(random));
	else
		ntd_agent_done(stream, NULL);
}

static void begin(struct ntd_agent *agent, uint32_t number, const char *payload, size_t len)
{
	struct ntd_agent_stream *stream = ntd_calloc(1, sizeof *stream);
	struct ntd_refresh refresh;

	ntd_agent_stream_add(agent, stream, &ntd_agent_refresh, number);
	if (ntd_refresh_unpack(payload, len, &refresh))
		refresh_guest(stream, &refresh);
	else
		ntd_agent_failed(stream, "not a time and a seed");
}

static void ignore(struct ntd_agent_stream *stream, const struct ntd_frame *frame)
{
}

static void cancel(struct ntd_agent_stream *stream)
{
}

static void free_stream(struct ntd_agent_stream *stream)
{
	free(stream);
}

const struct ntd_agent_service ntd_agent_refresh = {
	.kind = NTD_FRAME_REFRESH,
	.begin = begin,
	.frame = ignore,
	.cancel = cancel,
	.free = free_stream,
};
