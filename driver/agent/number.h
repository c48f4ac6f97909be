/* Numbers in texts, without strtol(3), which adds 3 kB to the agent's program. */
#pragma once

#include <limits.h>

/* Reads the digits at the beginning of the text as a decimal number, and lets `end`, unless it is
 * NULL, point behind them. Returns the number, 0 if there is no digit, and INT_MAX for all that are
 * larger. */
static inline int ntd_agent_number(const char *text, const char **end)
{
	int number = 0;

	for (; *text >= '0' && *text <= '9'; text++) {
		int digit = *text - '0';

		number = number <= (INT_MAX - digit) / 10 ? number * 10 + digit : INT_MAX;
	}
	if (end)
		*end = text;
	return number;
}
