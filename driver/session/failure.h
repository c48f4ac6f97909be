/* What a failed run leaves behind: OUT/failure, with a directory for each machine. */
#pragma once

#include "machine/machine.h"

/* Of a run: its machines, and where to report and to write. */
struct ntd_failure {
	struct ntd_loop *loop;
	struct ntd_report *report;
	const char *output_dir; /* absolute */
	struct ntd_machine *const *machines;
	size_t count;
};

/* Collects what can be had of all machines that were started, at the same time, in a few seconds at
 * most. Nothing happens when no machine was started. -1 when `waiter` was interrupted. Any thread
 * but the loop's. */
int ntd_failure_collect(const struct ntd_failure *failure, struct ntd_waiter *waiter,
			struct ntd_error **err);
/* Removes what an earlier run has left in the output directory without being asked: evidence, also
 * of units, and console logs. */
void ntd_failure_forget(const char *output_dir);
