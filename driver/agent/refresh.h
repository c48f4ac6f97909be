/* What a guest has to be told when it has gone back to an earlier state: the time of the host, as
 * its clock goes on from then; and something to make its random numbers of, which would repeat. The
 * payload of REFRESH, which the agent answers with DONE and nothing more, or with FAILED; and the
 * service of the agent that does it. The payload's functions are for both sides, and pure.
 */
#pragma once

#include "agent/agent.h"

#include <time.h>

/* A pool of the kernel's is made of 32 bytes. */
enum { NTD_REFRESH_SEED_MOST = 256 };

struct ntd_refresh {
	struct timespec time; /* of CLOCK_REALTIME */
	const char *seed;     /* random bytes, 1 to NTD_REFRESH_SEED_MOST */
	size_t seed_len;
};

void ntd_refresh_pack(struct ntd_buf *out, const struct ntd_refresh *refresh);
/* Reads a payload, in which the seed stays. False: it is none. */
bool ntd_refresh_unpack(const char *payload, size_t len, struct ntd_refresh *refresh);

extern const struct ntd_agent_service ntd_agent_refresh;

/* ---- agent/kernel.c: what the service asks the kernel for. 0, or an error of errno(3). */

int ntd_agent_set_clock(const struct timespec *time);
/* Adds the bytes to the pool of which random numbers are made, and has all that follow made of it
 * anew. At most NTD_REFRESH_SEED_MOST bytes. */
int ntd_agent_stir_random(const char *seed, size_t len);
