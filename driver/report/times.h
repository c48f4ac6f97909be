/* A sink that adds up what the run's time was spent on. */
#pragma once

#include "report/report.h"

struct ntd_sink *ntd_times_sink(void);
/* Seconds until now: for guests to boot, and in other waits. Those of several threads add up. */
void ntd_times(struct ntd_sink *sink, double *boot, double *waiting);
