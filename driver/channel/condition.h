/* Conditions in a guest that a channel can wait for by itself (the operation `await` of
 * channel/channel.h), without a command for each look.
 */
#pragma once

#include "base/buf.h"

#include <stdbool.h>

enum ntd_condition_kind {
	NTD_CONDITION_FILE,   /* something exists at the path `subject` */
	NTD_CONDITION_PORT,   /* the guest can connect to the TCP port `port` of `subject` */
	NTD_CONDITION_SOCKET, /* the guest can connect to the Unix socket with the path `subject` */
	NTD_CONDITION_DATAGRAM, /* the same for a datagram socket */
	NTD_CONDITION_UNIT, /* the state of the systemd unit `subject` has changed, or is there */
	NTD_CONDITION_TTY,  /* the text on the virtual terminal `port` has changed */
};

struct ntd_condition {
	enum ntd_condition_kind kind;
	const char *subject; /* NULL for a terminal */
	const char *user;    /* whose manager is asked for the unit; NULL: the system's */
	unsigned port;
	bool absent; /* the opposite is waited for: a port that is closed */
	/* This is the first look of a wait: what is there already counts at once, even if it may
	 * be half done. */
	bool first;
	double limit; /* seconds until the channel answers that the condition does not hold; 0: it
		       * looks once */
};

enum ntd_sight {
	NTD_UNSEEN, /* the channel cannot see such a thing in this guest */
	NTD_FAILS,  /* the condition did not hold until the limit was over */
	NTD_MEETS,  /* the condition holds */
};

/* What a channel has found. */
struct ntd_finding {
	enum ntd_sight sight;
	/* What was seen: of a unit the lines "Name=value" that `systemctl show` prints; of a
	 * terminal its text; else a text for the error of a wait that has timed out. The caller
	 * frees it. */
	struct ntd_buf seen;
};
