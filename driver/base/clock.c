/* Time. Any thread. */
#include "base/clock.h"

int64_t ntd_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * NTD_SECOND + now.tv_nsec;
}

int64_t ntd_after(int64_t span)
{
	int64_t now = ntd_now();

	return span >= NTD_FOREVER - now ? NTD_FOREVER : now + span;
}

int64_t ntd_span(double seconds)
{
	if (!(seconds > 0))
		return 0;
	return seconds >= 9e9 ? NTD_FOREVER : (int64_t)(seconds * 1e9);
}

const struct timespec *ntd_remaining(int64_t deadline, struct timespec *storage)
{
	int64_t left;

	if (deadline == NTD_FOREVER)
		return NULL;
	left = deadline - ntd_now();
	if (left < 0)
		left = 0;
	*storage = (struct timespec){.tv_sec = left / NTD_SECOND, .tv_nsec = left % NTD_SECOND};
	return storage;
}
