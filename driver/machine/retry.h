/* Trying something again until it holds. */
#pragma once

#include "loop/request.h"

/* One attempt: 1 when it holds, 0 when not yet, -1 with an error that ends the retrying. `last` says
 * that no further attempt follows. */
typedef int ntd_attempt(void *arg, bool last, struct ntd_waiter *waiter, struct ntd_error **err);

enum ntd_pace {
	NTD_PACE_SECOND, /* every second: scripts' own commands and functions, which may have effects */
	NTD_PACE_ADAPTIVE /* after a sixteenth of the time waited so far, from 10 to 250 ms: probes of ours */
};

/* Attempts at once, then at the pace until `timeout` seconds (negative: no end) have passed, then a last time. 0 when an
 * attempt held; else NTD_E_ASSERTION "action timed out after 12.34 seconds (timeout=10.0)". So a call
 * may last longer than its limit by one attempt. */
int ntd_retry(ntd_attempt *attempt, void *arg, double timeout, enum ntd_pace pace,
	      struct ntd_waiter *waiter, struct ntd_error **err);

/* The error of a wait that lasted `waited` ns of `timeout` seconds. */
struct ntd_error *ntd_retry_timed_out(int64_t waited, double timeout);

/* A number as Python's repr() of a float has it; a new string. */
char *ntd_float_text(double number);
