/* What all channels have in common. On script threads, but for what the loop thread adds to
 * results.
 */
#include "channel/channel.h"

#include "base/text.h"

#include <string.h>

enum { ERRORS_LIMIT = 1 << 20 };

void ntd_result_add_errors(struct ntd_result *result, const char *bytes, size_t len)
{
	ntd_buf_append(&result->errors, bytes, len);
	if (result->errors.len > ERRORS_LIMIT)
		ntd_buf_consume(&result->errors, result->errors.len - ERRORS_LIMIT);
}

/* su(1) starts the user's login shell, which may be any program, so that program is told to start
 * bash. */
char *ntd_channel_text_for_user(const struct ntd_channel *channel,
				const struct ntd_command *command)
{
	const char *user = channel->user;
	_cleanup_buf_ struct ntd_buf session = {0}, text = {0};

	if (!user || command->as_root)
		return NULL;
	ntd_buf_puts(&session, "exec bash --norc -euo pipefail -c ");
	ntd_shell_quote(&session, command->text, command->text_len);
	ntd_buf_puts(&text, "su -l ");
	ntd_shell_quote(&text, user, strlen(user));
	ntd_buf_puts(&text, " -c ");
	ntd_shell_quote(&text, ntd_buf_bytes(&session), session.len);
	return ntd_buf_take_string(&text);
}

struct ntd_command ntd_command_with_text(const struct ntd_command *command, const char *text)
{
	struct ntd_command copy = *command;

	if (text) {
		copy.text = text;
		copy.text_len = strlen(text);
	}
	return copy;
}
