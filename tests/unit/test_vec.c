/* Tests of the array that grows, base/vec.h. */
#include "unit.h"

#include "base/vec.h"

struct pair {
	int left;
	const char *right;
};

struct pairs ntd_vec_members(struct pair);

struct holder {
	struct pairs pairs;
};

/* A function that takes the array by the name of its type. */
static int sum_of(const struct pairs *pairs)
{
	int sum = 0;

	for (size_t i = 0; i < pairs->count; i++)
		sum += pairs->items[i].left;
	return sum;
}

static void test_push(void **state)
{
	ntd_vec(int) numbers = {0};
	int next = 0;

	for (int i = 0; i < 1000; i++)
		assert_int_equal(*ntd_vec_push(&numbers, next++), i);
	assert_int_equal(next, 1000); /* the argument is evaluated once */
	assert_int_equal(numbers.count, 1000);
	assert_true(numbers.capacity >= 1000 && numbers.capacity < 4000);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(numbers.items[i], i);
	ntd_vec_free(&numbers);
	assert_null(numbers.items);
	assert_int_equal(numbers.count, 0);
	ntd_vec_push(&numbers, 7);
	assert_int_equal(numbers.items[0], 7);
	ntd_vec_free(&numbers);
}

/* The array grows while one of its own items is appended. */
static void test_push_own_item(void **state)
{
	ntd_vec(int) numbers = {0};

	ntd_vec_push(&numbers, 5);
	for (int i = 0; i < 100; i++)
		ntd_vec_push(&numbers, numbers.items[i]);
	for (int i = 0; i <= 100; i++)
		assert_int_equal(numbers.items[i], 5);
	ntd_vec_free(&numbers);
}

static void test_structures(void **state)
{
	struct holder holder = {0};
	struct pair *last;

	ntd_vec_push(&holder.pairs, (struct pair){1, "one"});
	last = ntd_vec_push(&holder.pairs, (struct pair){.left = 2});
	last->right = "two";
	assert_string_equal(holder.pairs.items[1].right, "two");
	assert_int_equal(sum_of(&holder.pairs), 3);
	assert_int_equal(ntd_vec_pop(&holder.pairs).left, 2);
	assert_int_equal(holder.pairs.count, 1);
	ntd_vec_free(&holder.pairs);
}

static void test_reserve(void **state)
{
	ntd_vec(int) numbers = {0};
	const int *first;

	ntd_vec_reserve(&numbers, 100);
	assert_int_equal(numbers.count, 0);
	assert_int_equal(numbers.capacity, 100);
	first = numbers.items;
	for (int i = 0; i < 100; i++)
		ntd_vec_push(&numbers, i);
	assert_ptr_equal(numbers.items, first);
	ntd_vec_reserve(&numbers, 10); /* reserving never shrinks */
	assert_int_equal(numbers.capacity, 100);
	ntd_vec_free(&numbers);
}

static void test_remove(void **state)
{
	ntd_vec(int) numbers = {0};

	for (int i = 0; i < 5; i++)
		ntd_vec_push(&numbers, i);
	ntd_vec_remove(&numbers, 0);
	ntd_vec_remove(&numbers, 1);
	ntd_vec_remove(&numbers, 2);
	assert_int_equal(numbers.count, 2);
	assert_int_equal(numbers.items[0], 1);
	assert_int_equal(numbers.items[1], 3);
	ntd_vec_free(&numbers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_push),       cmocka_unit_test(test_push_own_item),
		cmocka_unit_test(test_structures), cmocka_unit_test(test_reserve),
		cmocka_unit_test(test_remove),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
