/* A sink that adds up for what a run has waited, for the table of times in pytest mode. */
#pragma once

#include "report/report.h"

struct ntd_sink *ntd_times_sink(void);
/* Any thread: the seconds until now that script threads have waited for guests to boot, and for
 * other things. The seconds of several threads add up. */
void ntd_times(struct ntd_sink *sink, double *boot, double *waiting);
