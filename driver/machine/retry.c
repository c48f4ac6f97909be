#include "machine/retry.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

/* When the next attempt is due. Our own probes do not oversleep the limit. */
static int64_t next_attempt(int64_t began, int64_t limit, enum ntd_pace pace)
{
	int64_t now = ntd_now(), pause = (now - began) / 16;

	if (pace == NTD_PACE_SECOND)
		return now + NTD_SECOND;
	if (pause < 10 * NTD_MS)
		pause = 10 * NTD_MS;
	if (pause > 250 * NTD_MS)
		pause = 250 * NTD_MS;
	return limit == NTD_FOREVER ? now + pause : ntd_earlier(now + pause, began + limit);
}

/* The fewest digits that give the number back, without an exponent where Python has none. */
char *ntd_float_text(double number)
{
	int digits = 1, exponent;

	for (;; digits++) {
		_cleanup_free_ char *text = ntd_asprintf("%.*e", digits - 1, number);
		const char *mark;

		if (digits < 17 && strtod(text, NULL) != number)
			continue;
		mark = strchr(text, 'e');
		exponent = mark ? (int)strtol(mark + 1, NULL, 10) : 99;
		if (exponent < -4 || exponent >= 16)
			return ntd_steal(&text);
		break;
	}
	return ntd_asprintf("%.*f", digits - 1 > exponent ? digits - 1 - exponent : 1, number);
}

struct ntd_error *ntd_retry_timed_out(int64_t waited, double timeout)
{
	_cleanup_free_ char *limit = ntd_float_text(timeout);

	return ntd_error_new(NTD_E_ASSERTION, "action timed out after %.2f seconds (timeout=%s)",
			     ntd_seconds(waited), limit);
}

int ntd_retry(ntd_attempt *attempt, void *arg, double timeout, enum ntd_pace pace,
	      struct ntd_waiter *waiter, struct ntd_error **err)
{
	int64_t began = ntd_now(), waited;
	int64_t limit = timeout < 0 ? NTD_FOREVER : ntd_span(timeout);
	int held;

	do {
		held = attempt(arg, false, waiter, err);
		if (held)
			return held < 0 ? -1 : 0;
		if (ntd_wait_until(next_attempt(began, limit, pace), waiter, err) < 0)
			return -1;
		waited = ntd_now() - began;
	} while (waited < limit);
	held = attempt(arg, true, waiter, err);
	if (held)
		return held < 0 ? -1 : 0;
	return ntd_error_move(err, ntd_retry_timed_out(ntd_now() - began, timeout));
}
