/* Conditions in a guest that a channel can wait for by itself (the operation `await` of
 * channel/channel.h), without a command for each look; and how they are written in frames of the
 * kind AWAIT, which the agent answers with DONE and a finding. The functions are pure; any thread.
 */
#pragma once

#include "agent/frame.h"

enum ntd_condition_kind {
	NTD_CONDITION_FILE, /* something exists at the path `subject` */
	NTD_CONDITION_PORT, /* the guest can connect to the TCP port `port` of `subject`, a numeric
			     * address or "localhost" */
	NTD_CONDITION_SOCKET, /* the guest can connect to the Unix socket with the path `subject` */
	NTD_CONDITION_DATAGRAM, /* the same for a datagram socket */
	NTD_CONDITION_UNIT, /* the systemd unit `subject` is neither about to change nor waited for
			     * by a job: it is worth looking at */
	NTD_CONDITION_TTY,  /* the text on the virtual terminal `port` is another than the one that
			     * was seen as `subject`, a finding's `seen`; NULL: any */
	/* No task of the guest is about to go on but the agent's: what was under way is over, as
	 * far as can be seen. `subject` is the file that tells so; NULL: /proc/stat */
	NTD_CONDITION_REST,
	NTD_CONDITION_COUNT
};

struct ntd_condition {
	enum ntd_condition_kind kind;
	const char *subject;
	const char *user; /* whose manager is asked for the unit; NULL: the system's */
	unsigned port;
	bool absent; /* the opposite is waited for: a port that is closed */
	/* This is the first look of a wait: what is there already counts at once, even if it may
	 * be half done. */
	bool first;
	double limit; /* seconds until the channel answers, whatever it has seen; at most an hour */
};

enum ntd_sight {
	NTD_UNSEEN,    /* the channel cannot see such a thing in this guest */
	NTD_FAILS,     /* the condition did not hold until the limit was over */
	NTD_UNSETTLED, /* it holds, but the thing may be half done */
	NTD_MEETS_NOW, /* it holds, and did not at the first look of the wait */
	NTD_MEETS,     /* it held at the first look */
	NTD_SIGHT_COUNT
};

static inline bool ntd_sight_holds(int sight)
{
	return sight == NTD_MEETS_NOW || sight == NTD_MEETS;
}

/* What a channel has found. */
struct ntd_finding {
	enum ntd_sight sight;
	/* What was seen: of a unit lines "Name=value" as `systemctl show` prints them; of a
	 * terminal a mark that is another for another text; else nothing. */
	struct ntd_buf seen;
};

static inline void ntd_finding_free(struct ntd_finding *finding)
{
	ntd_buf_free(&finding->seen);
}

#define _cleanup_finding_ _cleanup_(ntd_finding_free)

void ntd_condition_pack(struct ntd_buf *out, const struct ntd_condition *condition);
/* Reads a payload. False: it is none. The caller frees the condition in either case. */
bool ntd_condition_unpack(const char *payload, size_t len, struct ntd_condition *condition);
/* Frees the strings of a condition that was unpacked. */
void ntd_condition_free(struct ntd_condition *condition);

void ntd_finding_pack(struct ntd_buf *out, enum ntd_sight sight, const struct ntd_buf *seen);
/* Reads a payload. False: it is none. The caller frees the finding in either case. */
bool ntd_finding_unpack(const char *payload, size_t len, struct ntd_finding *finding);
