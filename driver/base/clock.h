/* Time. Deadlines are absolute nanoseconds on CLOCK_MONOTONIC; NTD_FOREVER means none. */
#pragma once

#include <stdint.h>
#include <time.h>

#define NTD_FOREVER INT64_MAX
#define NTD_MS INT64_C(1000000)
#define NTD_SECOND INT64_C(1000000000)

/* The present time, in nanoseconds. */
int64_t ntd_now(void);
/* The deadline `span` nanoseconds from now; a span of NTD_FOREVER, or one too long, gives
 * NTD_FOREVER. */
int64_t ntd_after(int64_t span);
/* A span of nanoseconds in seconds. */
static inline double ntd_seconds(int64_t span)
{
	return (double)span / 1e9;
}
/* Seconds as a span. Negative and NaN give 0, very large ones NTD_FOREVER. */
int64_t ntd_span(double seconds);
/* The time left until `deadline`, at least 0, as ppoll() takes it: in *storage, or NULL, no limit,
 * for NTD_FOREVER. */
const struct timespec *ntd_remaining(int64_t deadline, struct timespec *storage);
/* The earlier of two deadlines. */
static inline int64_t ntd_earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}
