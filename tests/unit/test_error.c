/* Tests of the error value, base/error. */
#include "unit.h"

#include <errno.h>

static void test_set(void **state)
{
	_cleanup_error_ struct ntd_error *err = NULL;

	assert_int_equal(ntd_error_set(&err, NTD_E_VALUE, "%s is %d", "x", 3), -1);
	assert_string_equal(err->message, "x is 3");
	assert_int_equal(err->code, NTD_E_VALUE);
	assert_int_equal(err->sys_errno, 0);
}

static void test_sys(void **state)
{
	_cleanup_error_ struct ntd_error *err = NULL;

	assert_int_equal(ntd_error_sys(&err, ENOENT, "opening %s", "f"), -1);
	assert_string_equal(err->message, "opening f: No such file or directory");
	assert_int_equal(err->code, NTD_E_SYS);
	assert_int_equal(err->sys_errno, ENOENT);
}

static void test_wrap(void **state)
{
	_cleanup_error_ struct ntd_error *err = NULL;

	ntd_error_sys(&err, EACCES, "inner");
	assert_int_equal(ntd_error_wrap(&err, "machine %s", "a"), -1);
	assert_int_equal(ntd_error_wrap(&err, "100%%"), -1);
	assert_string_equal(err->message, "100%: machine a: inner: Permission denied");
	assert_int_equal(err->code, NTD_E_SYS); /* context changes only the message */
	assert_int_equal(err->sys_errno, EACCES);
}

/* A caller that does not want the error passes NULL. */
static void test_discard(void **state)
{
	struct ntd_error *none = NULL;

	assert_int_equal(ntd_error_set(NULL, NTD_E_VALUE, "x"), -1);
	assert_int_equal(ntd_error_sys(NULL, ENOENT, "x"), -1);
	assert_int_equal(ntd_error_wrap(NULL, "x"), -1);
	assert_int_equal(ntd_error_wrap(&none, "x"), -1);
	assert_null(none);
	assert_int_equal(ntd_error_move(NULL, ntd_error_new(NTD_E_DEAD, "gone")), -1);
	ntd_error_free(NULL);
	assert_null(ntd_error_copy(NULL));
}

static void test_move(void **state)
{
	struct ntd_error *from = ntd_error_new(NTD_E_TIMEOUT, "after %d s", 5);
	_cleanup_error_ struct ntd_error *err = NULL;

	assert_int_equal(ntd_error_move(&err, from), -1);
	assert_ptr_equal(err, from);
	assert_string_equal(err->message, "after 5 s");
}

static void test_copy(void **state)
{
	_cleanup_error_ struct ntd_error *err = NULL, *copy = NULL;

	ntd_error_sys(&err, EPIPE, "write");
	ntd_error_note(err, "once");
	ntd_error_note(err, "note %d", 2);
	copy = ntd_error_copy(err);
	assert_string_equal(copy->note, "note 2");
	assert_ptr_not_equal(copy->note, err->note);
	assert_ptr_not_equal(copy, err);
	assert_ptr_not_equal(copy->message, err->message);
	assert_string_equal(copy->message, "write: Broken pipe");
	assert_int_equal(copy->code, NTD_E_SYS);
	assert_int_equal(copy->sys_errno, EPIPE);
}

static void test_names(void **state)
{
	for (int code = 0; code < NTD_E_COUNT; code++) {
		assert_string_not_equal(ntd_errc_name((enum ntd_errc)code), "unknown");
		for (int other = 0; other < code; other++)
			assert_string_not_equal(ntd_errc_name((enum ntd_errc)code),
						ntd_errc_name((enum ntd_errc)other));
	}
	assert_string_equal(ntd_errc_name(NTD_E_USAGE), "usage");
	assert_string_equal(ntd_errc_name(NTD_E_COUNT), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set),   cmocka_unit_test(test_sys),
		cmocka_unit_test(test_wrap),  cmocka_unit_test(test_discard),
		cmocka_unit_test(test_move),  cmocka_unit_test(test_copy),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
