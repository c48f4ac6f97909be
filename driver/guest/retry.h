/* Trying something again until it holds. */
#pragma once

#include "base/buf.h"
#include "loop/request.h"

/* What an attempt has found; -1: an error that ends the retrying. */
enum ntd_verdict {
	NTD_NOT_YET, /* no, or the look showed nothing: another one follows */
	NTD_HOLDS,
	/* Holds, but what was seen may be half done: it counts after a second, or when it was so at
	 * the first look, or is at the last. The attempt says NTD_HOLDS before, once it sees that
	 * it is whole. */
	NTD_FRESH,
	NTD_CANNOT_TELL, /* the look itself failed, with an error that counts if looks go on failing
			  */
};

/* One attempt. `last` says that no further attempt follows. */
typedef int ntd_attempt(void *arg, bool last, struct ntd_waiter *waiter, struct ntd_error **err);

enum ntd_pace {
	NTD_PACE_SECOND,  /* every second: scripts' own commands and functions, which may have
			     effects */
	NTD_PACE_ADAPTIVE /* after a sixteenth of the time waited so far, from 10 to 250 ms: probes
			     of ours */
};

struct ntd_machine;

/* What is waited for. Only the attempt is needed; what is left out is not told. */
struct ntd_wait {
	const char *step; /* "waiting for ..." */
	ntd_attempt *attempt;
	char *(*observed)(
		const void *arg); /* what the last attempt saw, a new string; NULL: nothing */
	void *arg;                /* of both */
	enum ntd_pace pace;
	double timeout;              /* seconds; negative: no end */
	struct ntd_machine *machine; /* whose time scale stretches the time-out; NULL: none does */
};

/* Attempts at once, then at the pace until the time-out has passed, then a last time; the first is
 * the last if the time-out is 0. 0 when an attempt held; else the error of ntd_wait_timed_out(). So
 * a call may last longer than its limit by one attempt. */
int ntd_retry(const struct ntd_wait *wait, struct ntd_waiter *waiter, struct ntd_error **err);

/* The same as a step of the machine that the wait is for. */
int ntd_machine_wait(const struct ntd_wait *wait, struct ntd_waiter *waiter,
		     struct ntd_error **err);

/* What looks have shown, for attempts that say NTD_FRESH until two of them agree. */
struct ntd_glance {
	struct ntd_buf seen;
	int64_t since;
};

/* NTD_HOLDS if a look a tenth of a second ago or earlier has shown the same, and all since then;
 * else NTD_FRESH. */
enum ntd_verdict ntd_glance_again(struct ntd_glance *glance, const struct ntd_buf *look);

/* The time-out as it is at present, in seconds. That of `--timeout-scale auto` grows when the
 * machine's accelerator becomes known. */
double ntd_wait_limit(const struct ntd_wait *wait);

/* How the scale is told after a time-out: a new string, "" when it is 1. `machine` may be NULL. */
char *ntd_stretched(const struct ntd_machine *machine);

/* NTD_E_ASSERTION of a wait that lasted `waited` ns: "action timed out after 12.34 seconds
 * (timeout=10.0)", which scripts match on, then the scale if not 1, what was waited for, and the
 * last observation. */
struct ntd_error *ntd_wait_timed_out(const struct ntd_wait *wait, int64_t waited);

/* The end of an observation as part of a message: its last lines, each on a line of its own and
 * indented; a new string. */
char *ntd_excerpt(const char *text, size_t len);

/* A number as Python's repr() of a float has it; a new string. */
char *ntd_float_text(double number);
