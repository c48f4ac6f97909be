/* What every unit test includes: cmocka, with the headers it wants before it, and small helpers.
 *
 * An assertion that fails jumps out of the test, so only the test's own thread may make one; other
 * threads leave their findings in variables.
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

/* `call` fails with `code` and a message that holds `text`. `call` uses &err. */
#define assert_fails(call, error_code, text)                                                       \
	do {                                                                                       \
		struct ntd_error *err = NULL;                                                      \
		assert_true((call) < 0);                                                           \
		assert_error(err, error_code, text);                                               \
	} while (0)

/* Frees `error`. */
static inline void assert_error(struct ntd_error *error, enum ntd_errc code, const char *text)
{
	assert_non_null(error);
	assert_string_equal(ntd_errc_name(error->code), ntd_errc_name(code));
	if (!strstr(error->message, text))
		assert_string_equal(error->message, text); /* shows both */
	ntd_error_free(error);
}

/* `error` is NULL, or else its message is shown. */
static inline void assert_no_error(struct ntd_error *error)
{
	if (error)
		fail_msg("%s", error->message);
}
