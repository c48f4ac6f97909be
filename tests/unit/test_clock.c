/* Tests of deadlines and spans. No test waits: times are compared with the clock before and after.
 */
#include "unit.h"

#include "base/clock.h"

#include <math.h>

static void test_now(void **state)
{
	int64_t first = ntd_now(), second = ntd_now();
	struct timespec boot;

	clock_gettime(CLOCK_MONOTONIC, &boot);
	assert_true(first > 0 && first <= second);
	assert_true(second <= (int64_t)boot.tv_sec * NTD_SECOND + boot.tv_nsec);
}

static void test_after(void **state)
{
	int64_t before = ntd_now(), deadline = ntd_after(5 * NTD_SECOND), after = ntd_now();

	assert_true(deadline >= before + 5 * NTD_SECOND && deadline <= after + 5 * NTD_SECOND);
	assert_true(ntd_after(0) >= after);
	assert_true(ntd_after(NTD_FOREVER) == NTD_FOREVER);
	assert_true(ntd_after(NTD_FOREVER - 1) == NTD_FOREVER); /* without overflow */
}

static void test_span(void **state)
{
	static const struct {
		double seconds;
		int64_t span;
	} table[] = {
		{1, NTD_SECOND},
		{0.25, 250 * NTD_MS},
		{3600, 3600 * NTD_SECOND},
		{0, 0},
		{-1, 0},
		{-HUGE_VAL, 0},
		{8e9, INT64_C(8000000000) * NTD_SECOND},
		{9e9, NTD_FOREVER},
		{1e300, NTD_FOREVER},
		{HUGE_VAL, NTD_FOREVER},
		{(double)NAN, 0},
	};

	for (size_t i = 0; i < unit_count(table); i++)
		if (ntd_span(table[i].seconds) != table[i].span)
			fail_msg("%g seconds", table[i].seconds);
}

static void test_seconds(void **state)
{
	assert_true(ntd_seconds(1500 * NTD_MS) == 1.5);
	assert_true(ntd_seconds(0) == 0);
}

static void test_remaining(void **state)
{
	struct timespec storage;

	assert_null(ntd_remaining(NTD_FOREVER, &storage));
	assert_ptr_equal(ntd_remaining(ntd_now() - NTD_SECOND, &storage), &storage);
	assert_int_equal(storage.tv_sec, 0);
	assert_int_equal(storage.tv_nsec, 0);
	ntd_remaining(ntd_after(100 * NTD_SECOND + 500 * NTD_MS), &storage);
	assert_true(storage.tv_sec <= 100 && storage.tv_sec >= 40);
	assert_true(storage.tv_nsec >= 0 && storage.tv_nsec < NTD_SECOND);
}

static void test_earlier(void **state)
{
	assert_true(ntd_earlier(1, 2) == 1 && ntd_earlier(2, 1) == 1);
	assert_true(ntd_earlier(NTD_FOREVER, 7) == 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_now),       cmocka_unit_test(test_after),
		cmocka_unit_test(test_span),      cmocka_unit_test(test_seconds),
		cmocka_unit_test(test_remaining), cmocka_unit_test(test_earlier),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
