#include "machine/retry.h"

#include "base/text.h"
#include "machine/machine.h"

#include <ctype.h>
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

		if (digits < 17 && ntd_strtod(text, NULL) != number)
			continue;
		mark = strchr(text, 'e');
		exponent = mark ? (int)strtol(mark + 1, NULL, 10) : 99;
		if (exponent < -4 || exponent >= 16)
			return ntd_steal(&text);
		break;
	}
	return ntd_asprintf("%.*f", digits - 1 > exponent ? digits - 1 - exponent : 1, number);
}

/* ---- the error */

enum { EXCERPT_LINES = 20, EXCERPT_BYTES = 4000 };

/* The length of a text without the white space at its end. */
static size_t without_end(const char *text, size_t len)
{
	while (len && isspace((unsigned char)text[len - 1]))
		len--;
	return len;
}

char *ntd_excerpt(const char *text, size_t len)
{
	_cleanup_buf_ struct ntd_buf excerpt = {0};
	size_t start, lines = 0;

	len = without_end(text, len);
	for (start = len; start && len - start < EXCERPT_BYTES; start--)
		if (text[start - 1] == '\n' && ++lines == EXCERPT_LINES)
			break;
	while (start < len) {
		const char *end = memchr(text + start, '\n', len - start);
		size_t line = end ? (size_t)(end - text) - start : len - start;

		ntd_buf_puts(&excerpt, "\n    ");
		ntd_buf_append(&excerpt, text + start, without_end(text + start, line));
		start += line + (end != NULL);
	}
	return ntd_shown(ntd_buf_bytes(&excerpt), excerpt.len);
}

double ntd_wait_limit(const struct ntd_wait *wait)
{
	return wait->timeout * (wait->machine ? ntd_machine_time_scale(wait->machine) : 1);
}

char *ntd_stretched(const struct ntd_machine *machine)
{
	double scale = machine ? ntd_machine_time_scale(machine) : 1;

	if (scale == 1)
		return ntd_strdup("");
	return ntd_asprintf(", which --timeout-scale made %g times as long", scale);
}

struct ntd_error *ntd_wait_timed_out(const struct ntd_wait *wait, int64_t waited)
{
	_cleanup_free_ char *timeout = ntd_float_text(wait->timeout);
	_cleanup_free_ char *seen = wait->observed ? wait->observed(wait->arg) : NULL;
	_cleanup_free_ char *stretched = ntd_stretched(wait->machine);
	_cleanup_free_ char *what =
		wait->step ? ntd_asprintf(": machine '%s': %s", ntd_machine_name(wait->machine),
					  wait->step)
			   : NULL;

	return ntd_error_new(NTD_E_ASSERTION,
			     "action timed out after %.2f seconds (timeout=%s)%s%s%s%s",
			     ntd_seconds(waited), timeout, stretched, what ? what : "",
			     seen ? "; last seen: " : "", seen ? seen : "");
}

/* ---- attempts */

int ntd_retry(const struct ntd_wait *wait, struct ntd_waiter *waiter, struct ntd_error **err)
{
	int64_t began = ntd_now(), limit;
	int held;

	do {
		held = wait->attempt(wait->arg, false, waiter, err);
		if (held)
			return held < 0 ? -1 : 0;
		limit = wait->timeout < 0 ? NTD_FOREVER : ntd_span(ntd_wait_limit(wait));
		if (ntd_wait_until(next_attempt(began, limit, wait->pace), waiter, err) < 0)
			return -1;
	} while (ntd_now() - began < limit);
	held = wait->attempt(wait->arg, true, waiter, err);
	if (held)
		return held < 0 ? -1 : 0;
	return ntd_error_move(err, ntd_wait_timed_out(wait, ntd_now() - began));
}
