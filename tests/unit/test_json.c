/* Tests of JSON: the places of errors, and the getters. */
#include "unit.h"

#include "base/buf.h"
#include "base/json.h"

/* Asserts the whole message of the error, and frees the error. */
static void assert_message(struct ntd_error *err, const char *message)
{
	assert_non_null(err);
	assert_string_equal(err->message, message);
	assert_string_equal(ntd_errc_name(err->code), "usage");
	ntd_error_free(err);
}

static cJSON *parse(const char *text)
{
	struct ntd_error *err = NULL;
	cJSON *tree = ntd_json_parse(text, strlen(text), "f", &err);

	assert_no_error(err);
	assert_non_null(tree);
	return tree;
}

static void test_valid(void **state)
{
	static const char *const texts[] = {
		"null",
		" true\n",
		"\t[ ]\r\n",
		"{ }",
		"-0",
		"[0, -1, 1.5, 1e3, 1E+3, 2.5e-1, 10]",
		"{\"a\": {\"b\": [null, false, \"\"]}, \"\": 1}",
		"\"\\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u00e9 \\ud83d\\ude00\"",
		"\"gr\xc3\xbc\xc3\x9f\x65 \xf0\x9f\x98\x80 \x7f\"",
	};

	for (size_t i = 0; i < unit_count(texts); i++)
		cJSON_Delete(parse(texts[i]));
}

static void test_faults(void **state)
{
	static const struct {
		const char *text, *message;
	} table[] = {
		{"", "f:1:1: expected a value, found the end of the text"},
		{"  \n ", "f:2:2: expected a value, found the end of the text"},
		{"{", "f:1:2: expected a key in double quotes, found the end of the text"},
		{"{\"a\"", "f:1:5: expected ':', found the end of the text"},
		{"{\"a\" 1}", "f:1:6: expected ':', found '1'"},
		{"{\"a\":", "f:1:6: expected a value, found the end of the text"},
		{"{\"a\": 1", "f:1:8: expected ',' or '}', found the end of the text"},
		{"{\n  \"a\": 1,\n}", "f:3:1: expected a key in double quotes, found '}'"},
		{"{'a': 1}", "f:1:2: expected a key in double quotes, found '''"},
		{"{\"a\": 1 \"b\": 2}", "f:1:9: expected ',' or '}', found '\"'"},
		{"[1, 2,]", "f:1:7: expected a value, found ']'"},
		{"[1 2]", "f:1:4: expected ',' or ']', found '2'"},
		{"[1}", "f:1:3: expected ',' or ']', found '}'"},
		{"{} x", "f:1:4: expected the end of the text, found 'x'"},
		{"{}}", "f:1:3: expected the end of the text, found '}'"},
		{"[tru]", "f:1:2: expected a value, found 't'"},
		{"nul", "f:1:1: expected a value, found 'n'"},
		{"[NaN]", "f:1:2: expected a value, found 'N'"},
		{"// c", "f:1:1: expected a value, found '/'"},
		{"01", "f:1:2: expected the end of the text, found '1'"},
		{"[1.]", "f:1:4: expected a digit, found ']'"},
		{"[1e]", "f:1:4: expected a digit, found ']'"},
		{"-", "f:1:2: expected a digit, found the end of the text"},
		{"[+1]", "f:1:2: expected a value, found '+'"},
		{"\"abc",
		 "f:1:5: expected the closing quote of a string, found the end of the text"},
		{"\"a\nb\"", "f:1:3: a control character inside a string"},
		{"\"\\x\"", "f:1:2: an escape that JSON does not have"},
		{"\"\\u12\"", "f:1:2: an escape that JSON does not have"},
		{"\"\\", "f:1:2: an escape that JSON does not have"},
		{"\"a\\u0000\"", "f:1:3: a NUL character inside a string"},
		{"\"\\ud800\"", "f:1:2: half of a surrogate pair"},
		{"\"\\udc00\"", "f:1:2: half of a surrogate pair"},
		{"\"\\ud800\\u0041\"", "f:1:2: half of a surrogate pair"},
		/* columns count characters, not bytes */
		{"{\"\xc3\xa9\xe2\x82\xac\": x}", "f:1:8: expected a value, found 'x'"},
		{"[\xe2\x82\xac]", "f:1:2: expected a value, found '\xe2\x82\xac'"},
		{"\"a\xff\"", "f:1:3: invalid UTF-8"},
		{"\"\xed\xa0\x80\"", "f:1:2: invalid UTF-8"},
		{"[\xff]", "f:1:2: expected a value, found byte 0xff"},
		{"[\n\n\t\x01]", "f:3:2: expected a value, found byte 0x01"},
	};

	for (size_t i = 0; i < unit_count(table); i++) {
		struct ntd_error *err = NULL;

		assert_null(ntd_json_parse(table[i].text, strlen(table[i].text), "f", &err));
		assert_message(err, table[i].message);
	}
}

static void test_nul_bytes(void **state)
{
	struct ntd_error *err = NULL;

	assert_null(ntd_json_parse("{}\0", 3, "f", &err));
	assert_message(err, "f:1:3: expected the end of the text, found byte 0x00");
	err = NULL;
	assert_null(ntd_json_parse("\"\0\"", 3, "f", &err));
	assert_message(err, "f:1:2: a control character inside a string");
}

/* The parser does not read beyond the end of text without a NUL. */
static void test_length(void **state)
{
	struct ntd_error *err = NULL;
	char *exact = ntd_malloc(3);
	cJSON *tree;

	memcpy(exact, "[1]", 3);
	tree = ntd_json_parse(exact, 3, "f", &err);
	assert_no_error(err);
	assert_int_equal(cJSON_GetArraySize(tree), 1);
	cJSON_Delete(tree);
	for (size_t len = 0; len < 3; len++)
		assert_null(ntd_json_parse(exact, len, "f", NULL));
	free(exact);
}

static void test_depth(void **state)
{
	struct ntd_error *err = NULL;
	char text[4000];

	memset(text, '[', sizeof text);
	assert_null(ntd_json_parse(text, sizeof text, "f", &err));
	assert_message(err, "f:1:1000: nested too deeply");
	err = NULL;
	memset(text + 999, ']', 999);
	cJSON_Delete(ntd_json_parse(text, (size_t)2 * 999, "f", &err));
	assert_no_error(err);
}

/* Only nesting is limited, not the number of values. */
static void test_breadth(void **state)
{
	_cleanup_buf_ struct ntd_buf text = {0};
	struct ntd_error *err = NULL;

	ntd_buf_puts(&text, "[0");
	for (int i = 0; i < 2000; i++)
		ntd_buf_puts(&text, ",[],{}");
	ntd_buf_puts(&text, "]");
	cJSON_Delete(ntd_json_parse(ntd_buf_bytes(&text), text.len, "f", &err));
	assert_no_error(err);
}

static const cJSON *expect_path(const struct ntd_json *root, struct ntd_json *steps)
{
	assert_int_equal(ntd_json_require(root, "a", cJSON_Object, &steps[0], NULL), 0);
	assert_int_equal(ntd_json_require(&steps[0], "b-c", cJSON_Array, &steps[1], NULL), 0);
	steps[2] = (struct ntd_json){
		.value = cJSON_GetArrayItem(steps[1].value, 1),
		.parent = &steps[1],
		.index = 1,
	};
	return steps[2].value;
}

static void test_paths(void **state)
{
	_cleanup_cjson_ cJSON *tree = parse("{\"a\": {\"b-c\": [0, {\"x y\": \"\", \"\": 1}]}}");
	struct ntd_json root = {.value = tree}, steps[3], member;
	struct ntd_error *err = NULL;

	assert_non_null(expect_path(&root, steps));
	assert_int_equal(ntd_json_require(&steps[2], "x y", cJSON_Number, &member, &err), -1);
	assert_message(err, "a.b-c[1][\"x y\"]: expected a number, found a string");
	err = NULL;
	assert_int_equal(ntd_json_require(&steps[2], "", cJSON_String, &member, &err), -1);
	assert_message(err, "a.b-c[1][\"\"]: expected a string, found a number");
	err = NULL;
	assert_int_equal(ntd_json_require(&steps[2], "z", cJSON_String, &member, &err), -1);
	assert_message(err, "a.b-c[1]: missing required key \"z\"");
	err = NULL;
	assert_int_equal(ntd_json_require(&root, "z", cJSON_String, &member, &err), -1);
	assert_message(err, "missing required key \"z\"");
	err = NULL;
	assert_int_equal(ntd_json_error(&steps[2], &err, "is %d", 7), -1);
	assert_message(err, "a.b-c[1]: is 7");
}

static void test_types(void **state)
{
	_cleanup_cjson_ cJSON *tree = parse("[1, \"s\", true, false, null, [], {}, 1.5]");
	static const char *const found[] = {
		"a number", "a string", "true or false", "true or false",
		"null",     "an array", "an object",     "a number",
	};
	static const int types[] = {cJSON_Number,
				    cJSON_String,
				    cJSON_True | cJSON_False,
				    cJSON_True | cJSON_False,
				    cJSON_NULL,
				    cJSON_Array,
				    cJSON_Object,
				    cJSON_Number};
	struct ntd_json root = {.value = tree};
	const int all = cJSON_Number | cJSON_String | cJSON_True | cJSON_False | cJSON_NULL |
			cJSON_Array | cJSON_Object;

	for (size_t i = 0; i < unit_count(types); i++) {
		struct ntd_json place = {
			.value = cJSON_GetArrayItem(tree, (int)i), .parent = &root, .index = i};
		_cleanup_error_ struct ntd_error *err = NULL;
		char tail[100];

		assert_int_equal(ntd_json_expect(&place, types[i], NULL), 0);
		assert_int_equal(ntd_json_expect(&place, all & ~types[i], &err), -1);
		snprintf(tail, sizeof tail, ", found %s", found[i]);
		assert_non_null(strstr(err->message, tail));
	}
}

static void test_type_choice(void **state)
{
	_cleanup_cjson_ cJSON *tree = parse("{\"t\": []}");
	struct ntd_json root = {.value = tree}, member;
	struct ntd_error *err = NULL;

	assert_int_equal(ntd_json_optional(&root, "t", cJSON_Number | cJSON_String, &member, &err),
			 -1);
	assert_message(err, "t: expected a string or a number, found an array");
}

static void test_optional_and_duplicates(void **state)
{
	_cleanup_cjson_ cJSON *tree = parse("{\"k\": 1, \"K\": 2, \"k\": \"last\"}");
	struct ntd_json root = {.value = tree}, member;

	assert_int_equal(ntd_json_optional(&root, "none", cJSON_String, &member, NULL), 0);
	assert_int_equal(ntd_json_optional(&root, "k", cJSON_String, &member, NULL), 1);
	assert_string_equal(member.value->valuestring, "last");
	assert_int_equal(ntd_json_require(&root, "K", cJSON_Number, &member, NULL), 0);
	assert_int_equal(member.value->valueint, 2);
	assert_null(ntd_json_member(tree, "none"));
}

/* --- files --- */

static int enter_directory(void **state)
{
	static char path[] = "/tmp/test_json-XXXXXX";

	*state = mkdtemp(path);
	return *state ? chdir(path) : -1;
}

static int leave_directory(void **state)
{
	unlink("c.json");
	return chdir("/") || rmdir(*state);
}

static void write_file(const char *path, const void *bytes, size_t len)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
}

static void test_load(void **state)
{
	struct ntd_error *err = NULL;
	cJSON *tree;

	write_file("c.json", "{\"a\": 1}\n", 9);
	tree = ntd_json_load("c.json", &err);
	assert_no_error(err);
	assert_non_null(ntd_json_member(tree, "a"));
	cJSON_Delete(tree);

	write_file("c.json", "{\n \"a\" 1}\n", 10);
	assert_null(ntd_json_load("c.json", &err));
	assert_message(err, "c.json:2:6: expected ':', found '1'");
	err = NULL;
	assert_null(ntd_json_load("none.json", &err));
	assert_message(err, "cannot read none.json: No such file or directory");
	err = NULL;
	assert_null(ntd_json_load(".", &err));
	assert_message(err, "cannot read .: Is a directory");
}

/* A pipe, as in --config <(nix eval --json ...), has no size, and its bytes come in pieces. */
static void test_load_pipe(void **state)
{
	struct ntd_error *err = NULL;
	struct ntd_buf text = {0};
	char path[32];
	int fds[2];
	cJSON *tree;

	assert_int_equal(pipe(fds), 0);
	ntd_buf_puts(&text, "[0");
	for (int i = 1; i < 10000; i++)
		ntd_buf_printf(&text, ",%d", i);
	ntd_buf_puts(&text, "]");
	assert_int_equal(write(fds[1], ntd_buf_bytes(&text), text.len), text.len);
	close(fds[1]);
	snprintf(path, sizeof path, "/dev/fd/%d", fds[0]);
	tree = ntd_json_load(path, &err);
	assert_no_error(err);
	assert_int_equal(cJSON_GetArraySize(tree), 10000);
	cJSON_Delete(tree);
	ntd_buf_free(&text);
	close(fds[0]);
}

static void test_load_limit(void **state)
{
	struct ntd_error *err = NULL;

	write_file("c.json", "", 0);
	assert_int_equal(truncate("c.json", (off_t)NTD_JSON_MAX + 1), 0); /* a sparse file */
	assert_null(ntd_json_load("c.json", &err));
	assert_message(err, "c.json: larger than 64 MiB");
	err = NULL;
	assert_null(ntd_json_load("/dev/zero", &err));
	assert_message(err, "/dev/zero: larger than 64 MiB");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_valid),       cmocka_unit_test(test_faults),
		cmocka_unit_test(test_nul_bytes),   cmocka_unit_test(test_length),
		cmocka_unit_test(test_depth),       cmocka_unit_test(test_breadth),
		cmocka_unit_test(test_paths),       cmocka_unit_test(test_types),
		cmocka_unit_test(test_type_choice), cmocka_unit_test(test_optional_and_duplicates),
		cmocka_unit_test(test_load),        cmocka_unit_test(test_load_pipe),
		cmocka_unit_test(test_load_limit),
	};

	return cmocka_run_group_tests(tests, enter_directory, leave_directory);
}
