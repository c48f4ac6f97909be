/* Retrying until an attempt holds, and the error when none does. On the thread that waits. */
#include "guest/retry.h"

#include "base/text.h"
#include "guest/ask.h"
#include "guest/rest.h"
#include "machine/machine.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* How long a thing must have looked the same to count as complete. */
#define SETTLED (100 * NTD_MS)
/* A thing that always looks different counts after this time. */
#define FRESH_MOST NTD_SECOND
/* Attempts that fail for so many seconds fail the wait: a message bus that restarts is back by
 * then, in a guest that is not slow. */
#define FAILING_MOST 5

/* When the next attempt is due. The driver's own probes do not sleep beyond the limit. */
static int64_t next_attempt(int64_t began, int64_t limit, enum ntd_pace pace)
{
	int64_t now = ntd_now(), pause = (now - began) / 16;

	if (pace == NTD_PACE_NONE)
		return now;
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

static int64_t span_of(const struct ntd_wait *wait)
{
	return wait->timeout < 0 ? NTD_FOREVER : ntd_span(ntd_wait_limit(wait));
}

int64_t ntd_wait_deadline(const struct ntd_wait *wait, int64_t began)
{
	int64_t span = span_of(wait);

	return span >= NTD_FOREVER - began ? NTD_FOREVER : began + span;
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
	_cleanup_free_ char *remark =
		wait->machine ? ntd_machine_remark(wait->machine, ntd_now() - waited) : NULL;
	_cleanup_free_ char *what =
		wait->step ? ntd_asprintf(": machine '%s': %s", ntd_machine_name(wait->machine),
					  wait->step)
			   : NULL;

	return ntd_error_new(NTD_E_ASSERTION,
			     "action timed out after %.2f seconds (timeout=%s)%s%s%s%s%s",
			     ntd_seconds(waited), timeout, stretched, what ? what : "",
			     remark ? remark : "", seen ? "; last seen: " : "", seen ? seen : "");
}

/* ---- attempts */

enum ntd_verdict ntd_glance_again(struct ntd_glance *glance, const struct ntd_buf *look)
{
	if (glance->since && glance->seen.len == look->len &&
	    !memcmp(ntd_buf_bytes(&glance->seen), ntd_buf_bytes(look), look->len))
		return ntd_now() - glance->since >= SETTLED ? NTD_HOLDS : NTD_FRESH;
	ntd_buf_clear(&glance->seen);
	ntd_buf_append(&glance->seen, ntd_buf_bytes(look), look->len);
	glance->since = ntd_now();
	return NTD_FRESH;
}

/* When the retrying began, the last verdict, and since when it has been the same. */
struct course {
	int64_t began, since;
	int verdict;
};

/* Takes note of a verdict; returns for how long it has been the same, in ns. */
static int64_t has_been(struct course *course, int verdict)
{
	int64_t now = ntd_now();

	if (verdict != course->verdict)
		course->since = now;
	course->verdict = verdict;
	return now - course->since;
}

/* What a verdict means for the retrying: NTD_NOT_YET, NTD_HOLDS, or -1 with the error. */
static int decide(const struct ntd_wait *wait, struct course *course, int verdict, bool first,
		  bool last, struct ntd_error **error)
{
	double slowness = wait->machine ? ntd_ask_slowness(wait->machine) : 1;
	int64_t lasted = has_been(course, verdict);

	if (verdict == NTD_FRESH)
		return first || last || lasted >= FRESH_MOST ? NTD_HOLDS : NTD_NOT_YET;
	if (verdict != NTD_CANNOT_TELL)
		return verdict;
	if (last || lasted >= ntd_span(FAILING_MOST * slowness))
		return -1;
	ntd_error_free(ntd_steal(error));
	return NTD_NOT_YET;
}

/* What has been seen of a guest says nothing of the guest as it was before. */
static unsigned restores_of(const struct ntd_wait *wait)
{
	return wait->machine ? ntd_machine_restores(wait->machine) : 0;
}

static int went_back(const struct ntd_wait *wait, struct ntd_error **err)
{
	return ntd_machine_error(err, wait->machine, NTD_E_MACHINE,
				 "%s: the machine went back to a snapshot meanwhile",
				 wait->step ? wait->step : "a wait");
}

static bool is_cancelled(const struct ntd_error *error)
{
	return error && error->code == NTD_E_CANCELLED;
}

int ntd_retry(struct ntd_wait *wait, struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct course course = {.began = ntd_now()};
	unsigned restores = restores_of(wait);

	for (bool first = true;; first = false) {
		int64_t limit = span_of(wait);
		bool last = ntd_now() - course.began >= limit;
		struct ntd_error *error = NULL;
		int held = wait->attempt(wait->arg, last, waiter, &error);

		if (restores_of(wait) != restores && !is_cancelled(error)) {
			ntd_error_free(error);
			return went_back(wait, err);
		}
		held = decide(wait, &course, held, first, last, &error);
		if (held < 0)
			return ntd_error_move(err, error);
		if (held)
			return 0;
		if (last)
			return ntd_error_move(err,
					      ntd_wait_timed_out(wait, ntd_now() - course.began));
		if (ntd_wait_until(next_attempt(course.began, limit, wait->pace), waiter, err) < 0)
			return -1;
		if (restores_of(wait) != restores)
			return went_back(wait, err);
		wait->waited = true;
	}
}

void ntd_wait_tell_met(const struct ntd_wait *wait)
{
	struct ntd_report *report = ntd_machine_report(wait->machine);
	_cleanup_free_ char *met =
		wait->met && ntd_report_has_timeline(report) ? wait->met(wait->arg) : NULL;

	if (met)
		ntd_log_detail(report, NTD_DETAIL_OBSERVATION, ntd_machine_name(wait->machine), met,
			       NULL);
}

int ntd_machine_wait(struct ntd_wait *wait, struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct ntd_nest nest = ntd_nest_begin(ntd_machine_report(wait->machine), NTD_STEP_WAIT,
					      ntd_machine_name(wait->machine), "%s", wait->step);
	struct ntd_error *error = NULL;
	int result;

	ntd_log_busy(ntd_machine_report(wait->machine), ntd_machine_name(wait->machine), "", 0,
		     ntd_wait_limit(wait));
	result = ntd_retry(wait, waiter, &error);
	if (result == 0 && wait->waited && wait->pace != NTD_PACE_SECOND)
		result = ntd_machine_rest(wait->machine, waiter, &error);
	ntd_log_idle(ntd_machine_report(wait->machine));
	if (result >= 0)
		ntd_wait_tell_met(wait);
	if (error)
		ntd_log_detail(ntd_machine_report(wait->machine), NTD_DETAIL_STEP_ERROR,
			       ntd_machine_name(wait->machine), error->message, NULL);
	ntd_nest_end(&nest, result < 0);
	return error ? ntd_error_move(err, error) : result;
}
