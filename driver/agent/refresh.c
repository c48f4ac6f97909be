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

/* ---- the service */

/* Does both, whichever fails. */
static char *serve(const char *payload, size_t len)
{
	struct ntd_refresh refresh;
	int clock, random;

	if (!ntd_refresh_unpack(payload, len, &refresh))
		return ntd_strdup("not a time and a seed");
	clock = ntd_agent_set_clock(&refresh.time);
	random = ntd_agent_stir_random(refresh.seed, refresh.seed_len);
	if (clock)
		return ntd_asprintf("the clock cannot be set: %s", strerror(clock));
	if (random)
		return ntd_asprintf("random numbers cannot be renewed: %s", strerror(random));
	return NULL;
}

const struct ntd_agent_service ntd_agent_refresh = {.kind = NTD_FRAME_REFRESH, .serve = serve};
