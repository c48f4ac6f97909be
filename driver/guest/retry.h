/* Trying something again until it holds, on the thread that waits, which is not the loop thread. */
#pragma once

#include "base/buf.h"
#include "loop/request.h"

/* What an attempt has found. An attempt that returns -1, with an error, ends the retrying. */
enum ntd_verdict {
	NTD_NOT_YET, /* it does not hold, as far as can be seen: another attempt follows */
	NTD_HOLDS,
	/* It holds, but what was seen may be half done. It counts as holding at the first attempt,
	 * at the last one, and when this has been the verdict for a second. An attempt that sees
	 * that the thing is complete says NTD_HOLDS. */
	NTD_FRESH,
	/* The attempt could not look, and has an error, which ends the retrying if it was the last
	 * attempt or if this has been the verdict for five seconds, or longer in
	 * a guest that is slow. */
	NTD_CANNOT_TELL,
};

/* Makes one attempt; returns a verdict, or -1 with an error. `last`: no other attempt follows. */
typedef int ntd_attempt(void *arg, bool last, struct ntd_waiter *waiter, struct ntd_error **err);

/* When the next attempt follows. */
enum ntd_pace {
	/* Every second: scripts' own commands and functions, which may have effects. */
	NTD_PACE_SECOND,
	/* After a sixteenth of the time waited so far, at least 10 and at most 250 ms: probes of
	 * the driver, which have no effects. */
	NTD_PACE_ADAPTIVE,
	/* At once: attempts that wait by themselves. */
	NTD_PACE_NONE
};

struct ntd_machine;

/* What is waited for. Only the attempt is needed; an error leaves out what is NULL. */
struct ntd_wait {
	const char *step; /* "waiting for ..." */
	ntd_attempt *attempt;
	/* Describes what the last attempt saw, a new string; NULL: the error does not say. */
	char *(*observed)(const void *arg);
	/* Describes what the attempt that held saw, for people who look at the report, a new string
	 * or NULL; NULL: commands that the wait has run say it. */
	char *(*met)(const void *arg);
	void *arg;          /* for `attempt`, `observed` and `met` */
	enum ntd_pace pace; /* the attempt may change it */
	/* It did not hold at the first look: there was another attempt, or one that has waited by
	 * itself has set this. */
	bool waited;
	double timeout; /* seconds; negative: no end */
	/* The machine's time scale stretches the time-out; NULL: nothing does. */
	struct ntd_machine *machine;
};

/* Makes an attempt at once, others at the pace until the time-out has passed, and then a last one;
 * if the time-out is 0, the first is the last. So a call may last one attempt longer than its
 * time-out. Returns 0 when an attempt held; -1 with the error of an attempt, of
 * ntd_wait_timed_out(), or NTD_E_CANCELLED when the thread was interrupted. */
int ntd_retry(struct ntd_wait *wait, struct ntd_waiter *waiter, struct ntd_error **err);

/* Does the same as a step in the log. The wait must have `step` and `machine`. Unless its pace is
 * NTD_PACE_SECOND, so that it may have looked sooner than scripts are used to, what has come to
 * hold during the wait is given time to go on: see guest/rest.h. */
int ntd_machine_wait(struct ntd_wait *wait, struct ntd_waiter *waiter, struct ntd_error **err);

/* Tells the report what the attempt that held saw, if the wait knows and a sink wants it. Within
 * the wait's step. */
void ntd_wait_tell_met(const struct ntd_wait *wait);

/* What earlier looks have shown, for attempts that say NTD_FRESH until looks agree. `since`: when
 * `seen` was seen first, a time of ntd_now(); 0: nothing was. */
struct ntd_glance {
	struct ntd_buf seen;
	int64_t since;
};

/* Compares a look with the earlier ones and keeps it. NTD_HOLDS when all looks since a tenth of a
 * second ago or longer have shown the same, else NTD_FRESH. */
enum ntd_verdict ntd_glance_again(struct ntd_glance *glance, const struct ntd_buf *look);

/* The time-out in seconds, stretched by the present time scale of the machine. With
 * `--timeout-scale auto` the scale grows when the machine turns out to be emulated. */
double ntd_wait_limit(const struct ntd_wait *wait);
/* When a wait that began at `began` has timed out, as it stands now. */
int64_t ntd_wait_deadline(const struct ntd_wait *wait, int64_t began);

/* How an error tells of a time-out that was stretched: ", which --timeout-scale made 4 times as
 * long", a new string; "" when the scale is 1. `machine` may be NULL. */
char *ntd_stretched(const struct ntd_machine *machine);

/* The error of a wait that has timed out after `waited` ns, NTD_E_ASSERTION: "action timed out
 * after 12.34 seconds (timeout=10.0)", which scripts match on, then the scale if it is not 1, the
 * step, and what the last attempt saw. */
struct ntd_error *ntd_wait_timed_out(const struct ntd_wait *wait, int64_t waited);

/* The end of a text for an error: its last 20 lines or 4000 bytes, each line on a line of its own
 * and indented; a new string. */
char *ntd_excerpt(const char *text, size_t len);

/* A number as Python's repr() of a float has it; a new string. */
char *ntd_float_text(double number);
