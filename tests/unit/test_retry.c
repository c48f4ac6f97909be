/* Tests of waits that try again: numbers in messages, the pace of attempts, verdicts, interruption,
 * and looks at other things in the pauses.
 */
#include "interrupted.h"
#include "unit.h"

#include "base/buf.h"
#include "guest/retry.h"

#include <math.h>
#include <stdlib.h>

/* ---- numbers in messages */

/* Python 3 prints these texts for the numbers that it reads from them. */
static const char *const reprs[] = {
	"0.0",
	"-0.0",
	"1.0",
	"2.0",
	"10.0",
	"12.5",
	"100.0",
	"900.0",
	"3600.0",
	"0.1",
	"0.5",
	"0.30000000000000004",
	"0.001",
	"0.0001",
	"0.00012345",
	"1e-05",
	"1.2345e-05",
	"-1.5",
	"3.141592653589793",
	"123456.789",
	"123456789012345.6",
	"1000000000000000.0",
	"9007199254740992.0",
	"9999999999999998.0",
	"1e+16",
	"1.2345678901234568e+16",
	"1e+22",
	"1e+100",
	"5e-324",
	"2.2250738585072014e-308",
	"1.7976931348623157e+308",
	"inf",
	"-inf",
	"nan",
};

static void numbers_are_written_as_python_does(void **state)
{
	for (size_t i = 0; i < unit_count(reprs); i++) {
		_cleanup_free_ char *text = ntd_float_text(strtod(reprs[i], NULL));

		assert_string_equal(text, reprs[i]);
	}
}

static int significant_digits(const char *text)
{
	int digits = 0, zeros = 0;

	for (const char *c = text; *c && *c != 'e'; c++) {
		if (*c < '0' || *c > '9' || (*c == '0' && !digits))
			continue;
		zeros = *c == '0' ? zeros + 1 : 0;
		digits++;
	}
	return digits - zeros;
}

/* Numbers are written with the fewest digits that read back as the same number. */
static void numbers_read_back_the_same(void **state)
{
	uint64_t bits = 42;

	for (int i = 0; i < 20000; i++) {
		_cleanup_free_ char *text = NULL, *shorter = NULL;
		double number;

		bits = bits * 6364136223846793005 + 1442695040888963407;
		memcpy(&number, &bits, sizeof number);
		if (i % 2)
			number = (double)(bits >> 40) / 1000; /* a number of usual size */
		if (!isfinite(number))
			continue;
		text = ntd_float_text(number);
		assert_true(strtod(text, NULL) == number);
		shorter = ntd_asprintf("%.14e", number);
		if (strtod(shorter, NULL) == number)
			assert_true(significant_digits(text) <= 15);
	}
}

static void a_timeout_names_both_times(void **state)
{
	static const struct {
		int64_t waited;
		double timeout;
		const char *message;
	} cases[] = {
		{12345 * NTD_MS, 10, "action timed out after 12.35 seconds (timeout=10.0)"},
		{900 * NTD_SECOND, 900, "action timed out after 900.00 seconds (timeout=900.0)"},
		{4 * NTD_MS, 0.001, "action timed out after 0.00 seconds (timeout=0.001)"},
	};

	for (size_t i = 0; i < unit_count(cases); i++) {
		struct ntd_error *error = ntd_wait_timed_out(
			&(struct ntd_wait){.timeout = cases[i].timeout}, cases[i].waited);

		assert_string_equal(error->message, cases[i].message);
		assert_error(error, NTD_E_ASSERTION, "");
	}
}

static char *saw_nothing(const void *arg)
{
	return ntd_strdup(arg);
}

static void a_timeout_tells_what_was_seen(void **state)
{
	struct ntd_error *error = ntd_wait_timed_out(
		&(struct ntd_wait){.timeout = 1, .observed = saw_nothing, .arg = (void *)"state 5"},
		2 * NTD_SECOND);

	assert_string_equal(
		error->message,
		"action timed out after 2.00 seconds (timeout=1.0); last seen: state 5");
	ntd_error_free(error);
}

static void an_excerpt_is_the_end_in_lines(void **state)
{
	static const struct {
		const char *text, *excerpt;
	} cases[] = {
		{"", ""},
		{" \n\r\n ", ""},
		{"one", "\n    one"},
		{"one\n\ntwo  \r\n\n", "\n    one\n    \n    two"},
	};
	_cleanup_buf_ struct ntd_buf many = {0};
	_cleanup_free_ char *last = NULL, *cut = NULL;

	for (size_t i = 0; i < unit_count(cases); i++) {
		_cleanup_free_ char *text = ntd_excerpt(cases[i].text, strlen(cases[i].text));

		assert_string_equal(text, cases[i].excerpt);
	}
	for (int i = 0; i < 100; i++)
		ntd_buf_printf(&many, "line %d\n", i);
	last = ntd_excerpt(ntd_buf_bytes(&many), many.len);
	assert_non_null(strstr(last, "\n    line 80\n"));
	assert_null(strstr(last, "\n    line 79\n"));
	ntd_buf_clear(&many);
	for (int i = 0; i < 100000; i++)
		ntd_buf_puts(&many, "x");
	cut = ntd_excerpt(ntd_buf_bytes(&many), many.len);
	assert_in_range(strlen(cut), 3000, 5000);
}

/* ---- attempts */

enum { MOST = 64 };

/* An action that holds, or fails, at the n-th attempt, and the times of its attempts. */
struct action {
	int holds_at, fails_at; /* counted from 1; 0: never */
	int count;
	int64_t began, at[MOST];
	bool last[MOST];
};

static int attempt(void *arg, bool last, struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct action *action = arg;

	if (action->count < MOST) {
		action->at[action->count] = ntd_now() - action->began;
		action->last[action->count] = last;
	}
	action->count++;
	if (action->count == action->fails_at)
		return ntd_error_set(err, NTD_E_DEAD, "machine 'a': it is dead");
	return action->count == action->holds_at;
}

static int retry(struct action *action, double timeout, enum ntd_pace pace, struct ntd_error **err)
{
	action->began = ntd_now();
	return ntd_retry(
		&(struct ntd_wait){
			.attempt = attempt, .arg = action, .pace = pace, .timeout = timeout},
		NULL, err);
}

static void what_holds_at_once_is_tried_once(void **state)
{
	for (int pace = NTD_PACE_SECOND; pace <= NTD_PACE_ADAPTIVE; pace++) {
		struct action action = {.holds_at = 1};

		assert_int_equal(retry(&action, 60, (enum ntd_pace)pace, NULL), 0);
		assert_int_equal(action.count, 1);
		assert_false(action.last[0]);
		assert_true(ntd_now() - action.began < 500 * NTD_MS);
	}
}

static void without_time_the_first_attempt_is_the_last(void **state)
{
	struct action holds = {.holds_at = 1}, never = {0};

	assert_int_equal(retry(&holds, 0, NTD_PACE_SECOND, NULL), 0);
	assert_int_equal(holds.count, 1);
	assert_true(holds.last[0]);
	assert_fails(retry(&never, 0, NTD_PACE_SECOND, &err), NTD_E_ASSERTION, "(timeout=0.0)");
	assert_int_equal(never.count, 1);
	assert_true(never.last[0]);
}

/* Attempts are at 0 and 1 s, and the last one at 2 s, when the limit has passed. */
static void every_second_and_once_more_after_the_limit(void **state)
{
	struct action action = {0};

	assert_fails(retry(&action, 1.5, NTD_PACE_SECOND, &err), NTD_E_ASSERTION,
		     "action timed out after 2.0");
	assert_int_equal(action.count, 3);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(action.last[i], i == 2);
		assert_in_range(action.at[i], i * NTD_SECOND, i * NTD_SECOND + 500 * NTD_MS);
	}
}

static void the_last_attempt_may_hold(void **state)
{
	struct action action = {.holds_at = 2};

	assert_int_equal(retry(&action, 0.2, NTD_PACE_SECOND, NULL), 0);
	assert_int_equal(action.count, 2);
	assert_true(action.last[1]);
}

/* Probes are 10 to 250 ms apart, and the last attempt comes when the limit has passed. */
static void probes_are_paced_by_the_time_waited(void **state)
{
	struct action action = {0};

	assert_fails(retry(&action, 0.5, NTD_PACE_ADAPTIVE, &err), NTD_E_ASSERTION,
		     "(timeout=0.5)");
	assert_in_range(action.count, 5, 40);
	for (int i = 0; i < action.count; i++) {
		bool last = i == action.count - 1;

		assert_int_equal(action.last[i], last);
		if (i && !last)
			assert_true(action.at[i] - action.at[i - 1] >= 10 * NTD_MS);
	}
	assert_in_range(action.at[action.count - 1], 500 * NTD_MS, 740 * NTD_MS);
}

static void probes_slow_down(void **state)
{
	struct action action = {.holds_at = 50};

	assert_int_equal(retry(&action, 60, NTD_PACE_ADAPTIVE, NULL), 0);
	assert_true(action.at[1] < 100 * NTD_MS);
	assert_true(action.at[49] - action.at[48] >= 40 * NTD_MS);
	assert_true(action.at[49] - action.at[48] <= 750 * NTD_MS);
}

static void an_error_ends_the_retrying_as_it_is(void **state)
{
	struct action action = {.fails_at = 3}, last = {.fails_at = 2};

	assert_fails(retry(&action, 60, NTD_PACE_ADAPTIVE, &err), NTD_E_DEAD,
		     "machine 'a': it is dead");
	assert_int_equal(action.count, 3);
	assert_fails(retry(&last, 0.01, NTD_PACE_SECOND, &err), NTD_E_DEAD,
		     "machine 'a': it is dead");
	assert_true(last.last[1]);
}

static void no_timeout_has_no_last_attempt(void **state)
{
	struct action action = {.holds_at = 20};

	assert_int_equal(retry(&action, -1, NTD_PACE_ADAPTIVE, NULL), 0);
	assert_int_equal(action.count, 20);
	for (int i = 0; i < action.count; i++)
		assert_false(action.last[i]);
}

/* ---- verdicts */

/* An action whose verdict is NTD_NOT_YET before attempt `from`, then another one. */
struct verdicts {
	int from, count;
	enum ntd_verdict verdict;
	bool last;
};

static int tell(void *arg, bool last, struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct verdicts *verdicts = arg;

	verdicts->last = last;
	if (++verdicts->count < verdicts->from)
		return NTD_NOT_YET;
	if (verdicts->verdict == NTD_CANNOT_TELL)
		ntd_error_set(err, NTD_E_ASSERTION, "there is no bus");
	return verdicts->verdict;
}

static int retry_verdicts(struct verdicts *verdicts, double timeout, struct ntd_error **err)
{
	return ntd_retry(&(struct ntd_wait){.attempt = tell,
					    .arg = verdicts,
					    .pace = NTD_PACE_ADAPTIVE,
					    .timeout = timeout},
			 NULL, err);
}

static void what_is_fresh_counts_at_the_first_look(void **state)
{
	struct verdicts verdicts = {.from = 1, .verdict = NTD_FRESH};

	assert_int_equal(retry_verdicts(&verdicts, 60, NULL), 0);
	assert_int_equal(verdicts.count, 1);
}

static void what_stays_fresh_counts_after_a_second(void **state)
{
	struct verdicts verdicts = {.from = 2, .verdict = NTD_FRESH};
	int64_t began = ntd_now();

	assert_int_equal(retry_verdicts(&verdicts, 60, NULL), 0);
	assert_true(ntd_now() - began >= NTD_SECOND);
	assert_false(verdicts.last);
}

static void what_is_fresh_counts_at_the_last_look(void **state)
{
	struct verdicts verdicts = {.from = 2, .verdict = NTD_FRESH};

	assert_int_equal(retry_verdicts(&verdicts, 0.3, NULL), 0);
	assert_true(verdicts.last);
}

static void looks_that_go_on_failing_fail_the_wait(void **state)
{
	struct verdicts verdicts = {.from = 2, .verdict = NTD_CANNOT_TELL};
	int64_t began = ntd_now();

	assert_fails(retry_verdicts(&verdicts, 600, &err), NTD_E_ASSERTION, "there is no bus");
	assert_true(ntd_now() - began >= 5 * NTD_SECOND);
	verdicts = (struct verdicts){.from = 1, .verdict = NTD_CANNOT_TELL};
	assert_fails(retry_verdicts(&verdicts, 0.1, &err), NTD_E_ASSERTION, "there is no bus");
	assert_true(verdicts.last);
}

static void a_glance_holds_when_nothing_changes(void **state)
{
	_cleanup_buf_ struct ntd_buf look = {0};
	struct ntd_glance glance = {0};
	int64_t began;

	ntd_buf_puts(&look, "half");
	assert_int_equal(ntd_glance_again(&glance, &look), NTD_FRESH);
	ntd_wait_until(ntd_after(200 * NTD_MS), NULL, NULL);
	ntd_buf_puts(&look, " and half");
	began = ntd_now();
	while (ntd_glance_again(&glance, &look) == NTD_FRESH)
		ntd_wait_until(ntd_after(10 * NTD_MS), NULL, NULL);
	assert_true(ntd_now() - began >= 100 * NTD_MS);
	ntd_buf_free(&glance.seen);
}

/* ---- interruption */

/* The signal is already pending, so the first sleep ends at once. */
static void a_signal_ends_the_retrying(void **state)
{
	struct action action = {0};
	struct interrupted interrupted;

	interrupted_begin(&interrupted);
	action.began = ntd_now();
	assert_fails(
		ntd_retry(&(struct ntd_wait){.attempt = attempt, .arg = &action, .timeout = 60},
			  &interrupted.waiter, &err),
		NTD_E_CANCELLED, "interrupted");
	assert_int_equal(action.count, 1);
	assert_true(ntd_now() - action.began < 500 * NTD_MS);
	interrupted_end(&interrupted);
}

/* ---- looks */

struct looker {
	struct ntd_waiter waiter;
	int looks, last; /* `last`: the look that ends the wait; 0: none */
};

static bool look(struct ntd_waiter *waiter)
{
	struct looker *looker = ntd_container_of(waiter, struct looker, waiter);

	waiter->look_at = ntd_after(20 * NTD_MS);
	return ++looker->looks == looker->last;
}

static void pauses_are_used_to_look_at_other_things(void **state)
{
	struct looker looker = {.waiter.look = look}, failing = {.waiter.look = look, .last = 3};
	struct action action = {.holds_at = 2}, endless = {0};

	action.began = endless.began = ntd_now();
	assert_int_equal(
		ntd_retry(&(struct ntd_wait){.attempt = attempt, .arg = &action, .timeout = 60},
			  &looker.waiter, NULL),
		0);
	assert_in_range(looker.looks, 3, 51);
	assert_fails(
		ntd_retry(&(struct ntd_wait){.attempt = attempt, .arg = &endless, .timeout = 60},
			  &failing.waiter, &err),
		NTD_E_CANCELLED, "interrupted");
	assert_int_equal(failing.looks, 3);
	assert_int_equal(endless.count, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_written_as_python_does),
		cmocka_unit_test(numbers_read_back_the_same),
		cmocka_unit_test(a_timeout_names_both_times),
		cmocka_unit_test(a_timeout_tells_what_was_seen),
		cmocka_unit_test(an_excerpt_is_the_end_in_lines),
		cmocka_unit_test(what_holds_at_once_is_tried_once),
		cmocka_unit_test(without_time_the_first_attempt_is_the_last),
		cmocka_unit_test(every_second_and_once_more_after_the_limit),
		cmocka_unit_test(the_last_attempt_may_hold),
		cmocka_unit_test(probes_are_paced_by_the_time_waited),
		cmocka_unit_test(probes_slow_down),
		cmocka_unit_test(an_error_ends_the_retrying_as_it_is),
		cmocka_unit_test(no_timeout_has_no_last_attempt),
		cmocka_unit_test(what_is_fresh_counts_at_the_first_look),
		cmocka_unit_test(what_stays_fresh_counts_after_a_second),
		cmocka_unit_test(what_is_fresh_counts_at_the_last_look),
		cmocka_unit_test(looks_that_go_on_failing_fail_the_wait),
		cmocka_unit_test(a_glance_holds_when_nothing_changes),
		cmocka_unit_test(a_signal_ends_the_retrying),
		cmocka_unit_test(pauses_are_used_to_look_at_other_things),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
