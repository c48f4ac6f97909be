/* Tests of the parser of a unit's properties, as `systemctl show` prints them or in any other text.
 */
#include "unit.h"

#include "guest/units.h"

struct expected {
	const char *name, *value;
};

/* Parses an exact copy on the heap, so that the sanitizer notices reads past its end. */
static struct ntd_properties parse(const char *text, size_t len)
{
	_cleanup_free_ char *copy = ntd_malloc(len);

	if (len)
		memcpy(copy, text, len);
	return ntd_properties_parse(copy, len);
}

static void assert_parsed(const char *text, const struct expected *expected, size_t count)
{
	_cleanup_properties_ struct ntd_properties properties = parse(text, strlen(text));

	assert_int_equal(properties.count, count);
	for (size_t i = 0; i < count; i++) {
		assert_string_equal(properties.items[i].name, expected[i].name);
		assert_string_equal(properties.items[i].value, expected[i].value);
		assert_string_equal(ntd_properties_get(&properties, expected[i].name),
				    expected[i].value);
	}
}

static void properties_are_lines_of_name_and_value(void **state)
{
	static const struct expected expected[] = {
		{"Id", "sshd.service"},
		{"ActiveState", "active"},
		{"MainPID", "712"},
		{"Description", "SSH Daemon"},
	};

	assert_parsed("Id=sshd.service\nActiveState=active\nMainPID=712\nDescription=SSH Daemon\n",
		      expected, unit_count(expected));
}

static void a_value_may_hold_anything_but_a_newline(void **state)
{
	static const struct expected expected[] = {
		{"ExecStart", "{ path=/bin/sh ; argv[]=/bin/sh -c a=b ; pid=0 }"},
		{"Environment", "A=1 B=2"},
		{"Empty", ""},
		{"Equals", "="},
		{"Spaces", "  x  "},
		{"Tab", "\tx\r"},
		{"Utf8", "\xc3\xa4\xff"},
	};

	assert_parsed("ExecStart={ path=/bin/sh ; argv[]=/bin/sh -c a=b ; pid=0 }\n"
		      "Environment=A=1 B=2\nEmpty=\nEquals==\nSpaces=  x  \nTab=\tx\r\n"
		      "Utf8=\xc3\xa4\xff\n",
		      expected, unit_count(expected));
}

static void the_last_line_may_lack_its_newline(void **state)
{
	static const struct expected value[] = {{"A", "1"}, {"B", "2"}}, empty[] = {{"B", ""}};

	assert_parsed("A=1\nB=2", value, 2);
	assert_parsed("B=", empty, 1);
}

static void other_lines_are_passed_over(void **state)
{
	static const struct expected expected[] = {{"A", "1"}, {"B", "2"}};

	assert_parsed("\n\nA=1\n=no name\n\nno equals sign\nhas space=x\n has=space\nhas\ttab=x\n"
		      "  continued value, a=b\nB=2\n=",
		      expected, unit_count(expected));
	assert_parsed("", NULL, 0);
	assert_parsed("\n", NULL, 0);
	assert_parsed("=", NULL, 0);
	assert_parsed("Unit foo.service could not be found.", NULL, 0);
}

static void a_nul_ends_neither_line_nor_text(void **state)
{
	static const char text[] = "A=1\0 2\nB\0=3\nC=4\n";
	_cleanup_properties_ struct ntd_properties properties = parse(text, sizeof text - 1);

	assert_string_equal(ntd_properties_get(&properties, "A"), "1");
	assert_string_equal(ntd_properties_get(&properties, "C"), "4");
}

static void names_are_looked_up_whole(void **state)
{
	static const char text[] = "ActiveState=active\nactivestate=x\nActive=y\n";
	_cleanup_properties_ struct ntd_properties properties = parse(text, sizeof text - 1);

	assert_string_equal(ntd_properties_get(&properties, "ActiveState"), "active");
	assert_string_equal(ntd_properties_get(&properties, "Active"), "y");
	assert_null(ntd_properties_get(&properties, "ActiveStat"));
	assert_null(ntd_properties_get(&properties, "ActiveStates"));
	assert_null(ntd_properties_get(&properties, ""));
}

/* As in the dictionary that scripts get, the last of equal names counts. */
static void of_equal_names_the_last_counts(void **state)
{
	static const char text[] = "A=1\nB=2\nA=3\n";
	_cleanup_properties_ struct ntd_properties properties = parse(text, sizeof text - 1);

	assert_string_equal(ntd_properties_get(&properties, "A"), "3");
	assert_string_equal(ntd_properties_get(&properties, "B"), "2");
}

static void an_empty_list_can_be_asked_and_freed(void **state)
{
	struct ntd_properties properties = {0};

	assert_null(ntd_properties_get(&properties, "A"));
	ntd_properties_free(&properties);
	properties = parse("A=1", 3);
	ntd_properties_free(&properties);
	ntd_properties_free(&properties);
	assert_int_equal(properties.count, 0);
}

static void any_bytes_give_something_sound(void **state)
{
	static const char bytes[] = {'A', '=', '\n', ' ', '\0', 'B', '\t', '\xff'};
	uint32_t random = 1;

	for (int i = 0; i < 20000; i++) {
		char text[24];
		size_t len = (random >> 8) % sizeof text;

		for (size_t k = 0; k < len; k++) {
			random = random * 1664525 + 1013904223;
			text[k] = bytes[random >> 29];
		}
		random = random * 1664525 + 1013904223;
		_cleanup_properties_ struct ntd_properties properties = parse(text, len);

		for (size_t k = 0; k < properties.count; k++) {
			assert_int_equal(strcspn(properties.items[k].name, "= \t\n"),
					 strlen(properties.items[k].name));
			assert_null(strchr(properties.items[k].value, '\n'));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(properties_are_lines_of_name_and_value),
		cmocka_unit_test(a_value_may_hold_anything_but_a_newline),
		cmocka_unit_test(the_last_line_may_lack_its_newline),
		cmocka_unit_test(other_lines_are_passed_over),
		cmocka_unit_test(a_nul_ends_neither_line_nor_text),
		cmocka_unit_test(names_are_looked_up_whole),
		cmocka_unit_test(of_equal_names_the_last_counts),
		cmocka_unit_test(an_empty_list_can_be_asked_and_freed),
		cmocka_unit_test(any_bytes_give_something_sound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
