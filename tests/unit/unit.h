/* Common definitions of all unit tests: cmocka, after the headers that it needs, and small helpers.
 *
 * An assertion that fails jumps out of the test, so only the thread of the test may assert; other
 * threads leave their results in variables.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/error.h"

#include <stdio.h>
#include <string.h>

#define unit_count(array) (sizeof(array) / sizeof *(array))

/* Asserts that `call`, which uses &err, fails with `code` and a message that contains `text`. */
#define assert_fails(call, error_code, text)                                                       \
	do {                                                                                       \
		struct ntd_error *err = NULL;                                                      \
		assert_true((call) < 0);                                                           \
		assert_error(err, error_code, text);                                               \
	} while (0)

/* Asserts the code and the text of an error, and frees it. */
static inline void assert_error(struct ntd_error *error, enum ntd_errc code, const char *text)
{
	assert_non_null(error);
	assert_string_equal(ntd_errc_name(error->code), ntd_errc_name(code));
	if (!strstr(error->message, text))
		assert_string_equal(error->message, text); /* this assertion shows both texts */
	ntd_error_free(error);
}

/* Asserts that `error` is NULL, and shows its message otherwise. */
static inline void assert_no_error(struct ntd_error *error)
{
	if (error)
		fail_msg("%s", error->message);
}
