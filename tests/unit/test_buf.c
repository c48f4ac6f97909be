/* Tests of the byte buffer, base/buf. */
#include "unit.h"

#include "base/buf.h"

static void assert_holds(const struct ntd_buf *buf, const char *text)
{
	assert_int_equal(buf->len, strlen(text));
	assert_memory_equal(ntd_buf_bytes(buf), text, buf->len);
}

static void test_empty(void **state)
{
	_cleanup_buf_ struct ntd_buf buf = {0};
	_cleanup_free_ char *text = NULL;

	assert_string_equal(ntd_buf_bytes(&buf), "");
	ntd_buf_append(&buf, NULL, 0);
	ntd_buf_consume(&buf, 0);
	assert_int_equal(buf.len, 0);
	text = ntd_buf_take_string(&buf);
	assert_string_equal(text, "");
}

static void test_append(void **state)
{
	_cleanup_buf_ struct ntd_buf buf = {0};

	ntd_buf_puts(&buf, "one");
	ntd_buf_append(&buf, "\0two", 4);
	ntd_buf_printf(&buf, " %d %s", 3, "four");
	assert_int_equal(buf.len, 14);
	assert_memory_equal(ntd_buf_bytes(&buf), "one\0two 3 four", 14);
	ntd_buf_clear(&buf);
	assert_int_equal(buf.len, 0);
	ntd_buf_puts(&buf, "again");
	assert_holds(&buf, "again");
}

static void test_consume(void **state)
{
	_cleanup_buf_ struct ntd_buf buf = {0};

	ntd_buf_puts(&buf, "abcdef");
	ntd_buf_consume(&buf, 2);
	assert_holds(&buf, "cdef");
	ntd_buf_puts(&buf, "gh");
	assert_holds(&buf, "cdefgh");
	ntd_buf_consume(&buf, 6);
	assert_int_equal(buf.len, 0);
	assert_int_equal(buf.start, 0); /* room at the front is reused at once */
}

static void test_reserve(void **state)
{
	_cleanup_buf_ struct ntd_buf buf = {0};
	char *room;

	ntd_buf_puts(&buf, "head");
	room = ntd_buf_reserve(&buf, 10000);
	memset(room, 'x', 10000);
	assert_int_equal(buf.len, 4); /* bytes count once ntd_buf_added() says so */
	ntd_buf_added(&buf, 9999);
	assert_int_equal(buf.len, 10003);
	assert_memory_equal(ntd_buf_bytes(&buf), "headx", 5);
}

/* The memory of a queue that stays short does not grow, however many bytes go through the queue. */
static void test_reclaims(void **state)
{
	_cleanup_buf_ struct ntd_buf buf = {0};
	char chunk[100];

	for (int i = 0; i < 10000; i++) {
		memset(chunk, i, sizeof chunk);
		ntd_buf_append(&buf, chunk, sizeof chunk);
		if (i) {
			assert_int_equal((unsigned char)ntd_buf_bytes(&buf)[0],
					 (unsigned char)(i - 1));
			ntd_buf_consume(&buf, sizeof chunk);
		}
		assert_int_equal((unsigned char)ntd_buf_bytes(&buf)[99], (unsigned char)i);
	}
	assert_true(buf.capacity <= 1024);
}

static void test_take_string(void **state)
{
	struct ntd_buf buf = {0};
	_cleanup_free_ char *text = NULL, *exact = NULL;
	char full[256];

	ntd_buf_puts(&buf, "..text");
	ntd_buf_consume(&buf, 2);
	text = ntd_buf_take_string(&buf);
	assert_string_equal(text, "text");
	assert_null(buf.data);
	assert_int_equal(buf.len + buf.start + buf.capacity, 0);

	memset(full, 'f', sizeof full);
	ntd_buf_append(&buf, full, sizeof full); /* no room left for the NUL */
	exact = ntd_buf_take_string(&buf);
	assert_int_equal(strlen(exact), sizeof full);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),    cmocka_unit_test(test_append),
		cmocka_unit_test(test_consume),  cmocka_unit_test(test_reserve),
		cmocka_unit_test(test_reclaims), cmocka_unit_test(test_take_string),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
