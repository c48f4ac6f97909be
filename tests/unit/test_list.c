/* Tests of the intrusive list, base/list.h. */
#include "unit.h"

#include "base/list.h"

struct item {
	int number;
	struct ntd_list_link link;
};

static struct item *new_item(int number)
{
	struct item *item = ntd_calloc(1, sizeof *item);

	item->number = number;
	return item;
}

/* Asserts that the numbers in the list are the digits of `text`, in both directions. */
static void assert_list(const struct ntd_list *list, const char *text)
{
	char seen[16] = "", back[16] = "";
	size_t len = 0;

	ntd_list_each (struct item, each, list, link) {
		assert_ptr_equal(each->link.list, list);
		seen[len++] = (char)('0' + each->number);
	}
	assert_string_equal(seen, text);
	for (struct ntd_list_link *at = list->last; at; at = at->before)
		back[--len] = (char)('0' + ntd_list_item(at, struct item, link)->number);
	assert_string_equal(back, text);
	assert_int_equal(ntd_list_empty(list), !*text);
}

static void test_order(void **state)
{
	struct item items[4] = {{.number = 1}, {.number = 2}, {.number = 3}, {.number = 4}};
	struct ntd_list list = {0};

	assert_list(&list, "");
	assert_null(ntd_list_first(&list, struct item, link));
	assert_null(ntd_list_take(&list, struct item, link));
	ntd_list_append(&list, &items[1].link);
	assert_list(&list, "2");
	ntd_list_append(&list, &items[2].link);
	ntd_list_prepend(&list, &items[0].link);
	ntd_list_append(&list, &items[3].link);
	assert_list(&list, "1234");
	assert_ptr_equal(ntd_list_first(&list, struct item, link), &items[0]);
	assert_ptr_equal(ntd_list_take(&list, struct item, link), &items[0]);
	assert_false(ntd_list_linked(&items[0].link));
	assert_list(&list, "234");

	struct ntd_list other = {0};

	ntd_list_prepend(&other, &items[0].link);
	assert_list(&other, "1");
}

/* Unlinks items from the middle and from both ends, the only item, and an item that is in no list.
 */
static void test_unlink(void **state)
{
	struct item items[3] = {{.number = 1}, {.number = 2}, {.number = 3}};
	struct ntd_list list = {0};

	for (int i = 0; i < 3; i++)
		ntd_list_append(&list, &items[i].link);
	assert_true(ntd_list_linked(&items[1].link));
	ntd_list_unlink(&items[1].link);
	assert_false(ntd_list_linked(&items[1].link));
	assert_list(&list, "13");
	ntd_list_unlink(&items[1].link);
	assert_list(&list, "13");
	ntd_list_unlink(&items[2].link);
	assert_list(&list, "1");
	ntd_list_unlink(&items[0].link);
	assert_list(&list, "");
	ntd_list_append(&list, &items[1].link);
	assert_list(&list, "2");
}

static void test_move(void **state)
{
	struct item items[4] = {{.number = 1}, {.number = 2}, {.number = 3}, {.number = 4}};
	struct ntd_list to = {0}, from = {0};

	ntd_list_move(&to, &from);
	assert_list(&to, "");
	ntd_list_append(&to, &items[0].link);
	for (int i = 1; i < 4; i++)
		ntd_list_append(&from, &items[i].link);
	ntd_list_move(&to, &from);
	assert_list(&to, "1234");
	assert_list(&from, "");
}

/* The body of the loop frees its item and appends others, which the loop reaches. */
static void test_removal_while_walking(void **state)
{
	struct ntd_list list = {0};

	for (int i = 1; i <= 4; i++)
		ntd_list_append(&list, &new_item(i)->link);
	ntd_list_each (struct item, each, &list, link)
		if (each->number % 2) {
			ntd_list_unlink(&each->link);
			free(each);
		}
	assert_list(&list, "24");
	ntd_list_each (struct item, each, &list, link) {
		int number = each->number;

		ntd_list_unlink(&each->link);
		free(each);
		if (number == 2)
			ntd_list_append(&list, &new_item(6)->link);
	}
	assert_list(&list, "");
}

static void test_break(void **state)
{
	struct item items[3] = {{.number = 1}, {.number = 2}, {.number = 3}}, *found = NULL;
	struct ntd_list list = {0};

	for (int i = 0; i < 3; i++)
		ntd_list_append(&list, &items[i].link);
	ntd_list_each (struct item, each, &list, link) {
		found = each;
		if (each->number == 2)
			break;
	}
	assert_ptr_equal(found, &items[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order), cmocka_unit_test(test_unlink),
		cmocka_unit_test(test_move),  cmocka_unit_test(test_removal_while_walking),
		cmocka_unit_test(test_break),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
