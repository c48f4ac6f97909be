/* What goes over the wire to a root shell. What a real bash makes of it is in test_shell.c. */
#include "unit.h"

#include "base/text.h"
#include "channel/framing.h"

static const struct ntd_command plain = {.text = "echo a b", .text_len = 8, .timeout = -1};

static char *written(struct ntd_framing *framing, const struct ntd_command *command,
		     unsigned number)
{
	struct ntd_buf out = {0};

	ntd_framing_write(framing, command, number, &out);
	return ntd_buf_take_string(&out);
}

/* Once for each shell, before its first command. */
static void functions_are_sent_once(void **state)
{
	struct ntd_framing framing;
	_cleanup_free_ char *first = NULL, *second = NULL, *again = NULL;

	ntd_framing_init(&framing, 5);
	first = written(&framing, &plain, 1);
	second = written(&framing, &plain, 2);
	assert_non_null(strstr(first, "\nntd() {\n"));
	assert_non_null(strstr(first, "}\nntd 1 'echo a b'\n"));
	assert_string_equal(second, "ntd 2 'echo a b'\n");
	ntd_framing_forget(&framing);
	again = written(&framing, &plain, 1);
	assert_string_equal(again, first);
}

static void functions_that_few_commands_need_are_sent_for_those(void **state)
{
	struct ntd_framing framing;
	struct ntd_command input = {.text = "cat", .text_len = 3, .input = "", .timeout = -1};
	_cleanup_buf_ struct ntd_buf pieces = {0};
	_cleanup_free_ char *first = NULL, *with_input = NULL, *again = NULL;

	ntd_framing_init(&framing, 5);
	first = written(&framing, &plain, 1);
	assert_null(strstr(first, "\nntd_input() {\n"));
	with_input = written(&framing, &input, 2);
	assert_true(ntd_has_prefix(with_input, "ntd_input() {\n"));
	again = written(&framing, &input, 3);
	assert_string_equal(again, "ntd_input 3 '' '' 0 cat\n");
	ntd_framing_forget(&framing);
	free(ntd_steal(&first));
	first = written(&framing, &plain, 1);
	ntd_framing_write_first(&framing, 1, &pieces);
	assert_non_null(ntd_find(ntd_buf_bytes(&pieces), pieces.len, "\nntd_encode() {\n"));
}

/* The guest reads byte by byte, and its terminal takes lines up to 4095 bytes. */
static void functions_are_short(void **state)
{
	struct ntd_framing framing;
	_cleanup_free_ char *text = NULL;
	static const char unquoted[] = "\n#'\n#\"\n"; /* ends the quotes of what is left unread */

	ntd_framing_init(&framing, 5);
	text = written(&framing, &plain, 1);
	assert_true(ntd_has_prefix(text, unquoted));
	assert_true(strlen(text) < 2550);
	for (const char *line = text + strlen(unquoted), *end; (end = strchr(line, '\n'));
	     line = end + 1) {
		assert_true(end > line && end - line < 200);
		assert_null(strchr(" \t#", *line)); /* no indentation, no comments */
	}
}

static void functions_have_the_drivers_values(void **state)
{
	struct ntd_framing framing;
	struct ntd_command input = {.text = "cat", .text_len = 3, .input = "", .timeout = -1};
	_cleanup_free_ char *text = NULL, *held = NULL, *last = NULL, *limit = NULL;

	ntd_framing_init(&framing, 5);
	text = written(&framing, &input, 1); /* which all of them come before */
	assert_null(strstr(text, "NTD_"));
	held = ntd_asprintf("\necho \"%s-$n held$f\"\n", framing.identity);
	last = ntd_asprintf(" t=\" %s-$1\"\n", framing.identity);
	limit = ntd_asprintf("[ ${#x} -ge %d ]||e='\\0'\n", NTD_SHORT_OUTPUT);
	assert_non_null(strstr(text, held));
	assert_non_null(strstr(text, last));
	assert_non_null(strstr(text, limit));
}

static void lines_of_commands(void **state)
{
	struct ntd_framing framing;
	struct ntd_command timed = {.text = "x", .text_len = 1, .timeout = 1.5};
	struct ntd_command brief = {.text = "x", .text_len = 1, .timeout = 0.5};
	struct ntd_command input = {
		.text = "cat", .text_len = 3, .input = "a\0b", .input_len = 3, .timeout = -1};
	_cleanup_free_ char *first = NULL, *with_time = NULL, *with_less = NULL;
	_cleanup_buf_ struct ntd_buf with_input = {0}, more = {0};

	ntd_framing_init(&framing, 5);
	first = written(&framing, &plain, 1);
	with_time = written(&framing, &timed, 2);
	assert_string_equal(with_time, "ntd_timeout 2 1.500000 1 0.500000 5 x\n");
	with_less = written(&framing, &brief, 2);
	assert_string_equal(with_less, "ntd_timeout 2 0.500000 0.500000 0.001000 5 x\n");
	ntd_framing_write(&framing, &input, 2, &with_input);
	ntd_buf_clear(&with_input);
	ntd_framing_write(&framing, &input, 3, &with_input);
	assert_int_equal(with_input.len, strlen("ntd_input 3 '' '' 3 cat\n") + 3);
	assert_memory_equal(ntd_buf_bytes(&with_input), "ntd_input 3 '' '' 3 cat\na\0b",
			    with_input.len);
	ntd_framing_write_first(&framing, 3, &more);
	assert_memory_equal(ntd_buf_bytes(&more), "ntd_encode 3 98304\n", more.len);
	ntd_buf_clear(&more);
	ntd_framing_write_more(&more);
	ntd_framing_write_leave(&framing, &more);
	assert_memory_equal(ntd_buf_bytes(&more), "ntd_more\nntd_leave\n", more.len);
}

/* What goes by the port is not on hvc0, and a port that is no more is forgotten first. */
static void lines_with_a_port(void **state)
{
	struct ntd_framing framing;
	struct ntd_command input = {
		.text = "cat", .text_len = 3, .input = "a\0b", .input_len = 3, .timeout = -1};
	_cleanup_free_ char *first = NULL, *by_port = NULL, *after = NULL;
	_cleanup_buf_ struct ntd_buf out = {0};

	ntd_framing_init(&framing, 5);
	ntd_framing_write_port(&framing, 1, "a-port", &out);
	first = ntd_buf_take_string(&out);
	assert_non_null(strstr(first, "\nntd() {\n"));
	assert_non_null(strstr(first, "\nntd_port() {\n"));
	assert_non_null(strstr(first, "}\nntd_port 1 a-port\n"));
	framing.port = true;
	ntd_framing_write(&framing, &input, 2, &out);
	ntd_buf_clear(&out);
	by_port = written(&framing, &input, 2);
	assert_string_equal(by_port, "ntd_input 2 '' '' 3 cat\n");
	framing.port = false;
	framing.port_left = true;
	after = written(&framing, &plain, 3);
	assert_string_equal(after, "ntd_p=0; exec 3>&-\nntd 3 'echo a b'\n");
	ntd_framing_write_port(&framing, 4, "other", &out);
	ntd_framing_write_send(4, &out);
	assert_memory_equal(ntd_buf_bytes(&out), "ntd_port 4 other\nntd_send 4\n", out.len);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(functions_are_sent_once),
		cmocka_unit_test(functions_that_few_commands_need_are_sent_for_those),
		cmocka_unit_test(functions_are_short),
		cmocka_unit_test(functions_have_the_drivers_values),
		cmocka_unit_test(lines_of_commands),
		cmocka_unit_test(lines_with_a_port),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
