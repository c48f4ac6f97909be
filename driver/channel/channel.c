/* What all channels have in common. On script threads. */
#include "channel/channel.h"

#include "base/text.h"

#include <string.h>

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
