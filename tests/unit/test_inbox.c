#include "unit.h"

#include "machine/inbox.h"

#include <pthread.h>

#define PATIENCE (10 * NTD_SECOND)

struct fixture {
	struct ntd_loop *loop;
	struct ntd_inbox inbox;
	const char *bytes; /* for the loop to add; NULL: to close */
	size_t len;
};

static void add_or_close(void *arg)
{
	struct fixture *fixture = arg;

	if (fixture->bytes)
		ntd_inbox_add(&fixture->inbox, fixture->bytes, fixture->len);
	else
		ntd_inbox_close(&fixture->inbox);
}

static void arrive(struct fixture *fixture, const char *bytes, size_t len)
{
	fixture->bytes = bytes;
	fixture->len = len;
	ntd_loop_call(fixture->loop, add_or_close, fixture);
}

static void open_it(void *arg)
{
	ntd_inbox_open(&((struct fixture *)arg)->inbox);
}

static int set_up(void **state)
{
	static struct fixture fixture;

	fixture = (struct fixture){.loop = ntd_loop_new(NULL)};
	fixture.inbox.loop = fixture.loop;
	ntd_loop_call(fixture.loop, open_it, &fixture);
	*state = &fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	arrive(fixture, NULL, 0);
	ntd_loop_free(fixture->loop);
	ntd_inbox_free(&fixture->inbox);
	return 0;
}

static void assert_taken(struct fixture *fixture, size_t limit, const char *expected)
{
	_cleanup_buf_ struct ntd_buf bytes = {0};
	struct ntd_error *err = NULL;

	ntd_inbox_take(&fixture->inbox, limit, &bytes, ntd_after(PATIENCE), NULL, &err);
	assert_no_error(err);
	assert_int_equal(bytes.len, strlen(expected));
	assert_memory_equal(ntd_buf_bytes(&bytes), expected, bytes.len);
}

static void bytes_are_taken_in_order_and_once(void **state)
{
	struct fixture *fixture = *state;

	arrive(fixture, "abc", 3);
	arrive(fixture, "defg", 4);
	assert_taken(fixture, 2, "ab");
	assert_taken(fixture, 100, "cdefg");
}

static void *arrive_later(void *arg)
{
	ntd_wait_until(ntd_after(NTD_SECOND / 10), NULL, NULL);
	arrive(arg, "late", 4);
	return NULL;
}

static void a_wait_ends_with_the_first_bytes(void **state)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, arrive_later, *state), 0);
	assert_taken(*state, 100, "late");
	pthread_join(thread, NULL);
}

static void a_wait_ends_in_time(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_buf_ struct ntd_buf bytes = {0};

	assert_fails(
		ntd_inbox_take(&fixture->inbox, 1, &bytes, ntd_after(NTD_SECOND / 100), NULL, &err),
		NTD_E_TIMEOUT, "timed out");
	arrive(fixture, "x", 1);
	assert_taken(fixture, 1, "x");
}

static void the_rest_can_be_taken_when_it_is_closed(void **state)
{
	struct fixture *fixture = *state;

	arrive(fixture, "rest", 4);
	arrive(fixture, NULL, 0);
	assert_taken(fixture, 100, "rest");
	assert_taken(fixture, 100, "");
	ntd_loop_call(fixture->loop, open_it, fixture);
	arrive(fixture, "anew", 4);
	assert_taken(fixture, 100, "anew");
}

/* A guest that never stops writing what nobody reads. */
static void the_oldest_bytes_are_dropped(void **state)
{
	enum { BLOCK = 1 << 20, BLOCKS = 20, LIMIT = 16 << 20 };
	struct fixture *fixture = *state;
	_cleanup_free_ char *block = ntd_calloc(1, BLOCK);
	_cleanup_buf_ struct ntd_buf bytes = {0};

	for (int i = 0; i < BLOCKS; i++) {
		memset(block, 'a' + i, BLOCK);
		arrive(fixture, block, BLOCK);
	}
	assert_int_equal(
		ntd_inbox_take(&fixture->inbox, SIZE_MAX, &bytes, ntd_after(PATIENCE), NULL, NULL),
		0);
	assert_in_range(bytes.len, LIMIT / 2, LIMIT);
	assert_int_equal(ntd_buf_bytes(&bytes)[bytes.len - 1], 'a' + BLOCKS - 1);
}

#define inbox_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		inbox_test(bytes_are_taken_in_order_and_once),
		inbox_test(a_wait_ends_with_the_first_bytes),
		inbox_test(a_wait_ends_in_time),
		inbox_test(the_rest_can_be_taken_when_it_is_closed),
		inbox_test(the_oldest_bytes_are_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
