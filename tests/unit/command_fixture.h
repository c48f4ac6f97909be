/* Commands in a guest, for the fixtures of channels, and tests that hold for each of these: what a
 * command is does not depend on the way into the guest. The fixture that includes this header has
 * its own channel_of().
 */
#pragma once

#include "unit.h"

#include "channel/channel.h"

struct fixture;

static inline struct ntd_channel *channel_of(struct fixture *fixture);

static inline struct ntd_command command_of(const char *text)
{
	return (struct ntd_command){.text = text, .text_len = strlen(text), .timeout = -1};
}

static inline int run(struct fixture *fixture, const struct ntd_command *command,
		      struct ntd_result *result, struct ntd_error **err)
{
	struct ntd_channel *channel = channel_of(fixture);

	return channel->ops->run(channel, command, result, NULL, err);
}

static inline void assert_command(struct fixture *fixture, struct ntd_command command, int status,
				  const char *output)
{
	struct ntd_result result = {0};
	struct ntd_error *err = NULL;
	_cleanup_free_ char *text = NULL;

	run(fixture, &command, &result, &err);
	text = ntd_buf_take_string(&result.output);
	assert_no_error(err);
	assert_string_equal(text, output);
	assert_int_equal(result.status, status);
}

static inline void assert_run(struct fixture *fixture, const char *text, int status,
			      const char *output)
{
	assert_command(fixture, command_of(text), status, output);
}

/* ---- tests */

static inline void output_and_status_come_back(void **state)
{
	assert_run(*state, "echo hello", 0, "hello\n");
	assert_run(*state, "echo out; echo err >&2; exit 3", 3, "out\n");
	assert_run(*state, "", 0, "");
	assert_run(*state, "kill -9 $$", 137, "");
	assert_run(*state, "kill -TERM $$", 143, "");
	assert_run(*state, "echo $BASH_SUBSHELL $#", 0, "0 0\n");
}

static inline void errors_end_a_command(void **state)
{
	assert_run(*state, "false; echo on", 1, "");
	assert_run(*state, "(exit 4) | cat; echo on", 4, "");
	assert_run(*state, "[ -z $not_set ]; echo on", 1, "");
	assert_run(*state, "set +e; false; echo on", 0, "on\n");
	assert_run(*state, "if false; then :; fi; false || echo on", 0, "on\n");
	assert_run(*state, "syntax ( error", 2, "");
}

static inline void the_text_is_taken_as_it_is(void **state)
{
	static const char bytes[] = {'e', 'c', 'h', 'o', ' ', '4', '2'};
	_cleanup_free_ char *exact = ntd_malloc(sizeof bytes); /* without a NUL at the end */
	struct ntd_command command = {.text = exact, .text_len = sizeof bytes, .timeout = -1};

	memcpy(exact, bytes, sizeof bytes);
	assert_command(*state, command, 0, "42\n");
	assert_run(*state, "echo '\"' \"'\" \\' `echo b` $(echo c) '$d' # e", 0, "\" ' ' b c $d\n");
	assert_run(*state, "cat <<'END'\na $b\n\t`c`\nEND\necho \xc3\xa4\n", 0,
		   "a $b\n\t`c`\n\xc3\xa4\n");
	assert_run(*state, "! echo !!", 1, "!!\n");
}
