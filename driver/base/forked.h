/* What is different in a process that the script has forked.
 *
 * It is a copy of the driver's with one thread, the one that forked: there is no event loop and
 * nobody who writes the log, and a lock may be held for ever by a thread that is not there. So the
 * driver does not exist in it: whatever would wait for another thread asks here first, and the
 * descriptors by which the driver's own process is connected to others are closed. Processes that
 * are made to run another program at once are not concerned.
 */
#pragma once

#include "base/error.h"

#include <stdbool.h>

/* Makes the processes that this one forks from now on know it. Called once, before the first thread
 * is started. */
void ntd_forked_prepare(void);
/* Whether this process is such a one. Any thread. */
bool ntd_is_forked(void);
/* Sets the error that says so; returns -1. */
int ntd_refuse_forked(struct ntd_error **err);

/* Any thread: a process that is forked has /dev/null in place of the descriptor, until it is
 * released, which comes before it is closed. */
void ntd_forked_withhold(int fd);
void ntd_forked_release(int fd);
