/* The texts that sshd runs for the driver. Pure; any thread.
 *
 * sshd gives a text to the user's login shell. When that is bash, it runs the command itself, so
 * that a command costs one process; the environment of a login shell comes from the session's first
 * command. Texts for shells of any kind are in single quotes.
 */
#include "ssh/script.h"

#include "base/text.h"

#include <string.h>

enum {
	LONG_TEXT = 48 << 10,     /* a third of what the kernel takes as one argument */
	EXPORTS_LIMIT = 32 << 10, /* of the environment that each command sets up */
	FIELD_LIMIT = 4096,
};

/* ---- the first command */

#define PROFILE "[ ! -e /etc/profile ] || . /etc/profile"

const char ntd_ssh_probe[] =
	"exec /bin/sh -c '"
	"read -r boot < /proc/sys/kernel/random/boot_id; bash=; "
	"for b in /bin/bash /usr/bin/bash /run/current-system/sw/bin/bash; do "
	"if [ -x $b ]; then bash=$b; break; fi; done; "
	"echo; echo ntd-guest; echo $boot; id -u; id -un; echo \"$SHELL\"; echo $bash; "
	"exec ${bash:-/bin/sh} -c \"" PROFILE " > /dev/null 2>&1 < /dev/null; "
	"unset SSH_CLIENT SSH_CONNECTION SSH_TTY PWD OLDPWD SHLVL _; "
	"export DISPLAY=\\${DISPLAY-:0.0}; echo ntd-exports; export -p; echo ntd-end\"'";

void ntd_ssh_guest_free(struct ntd_ssh_guest *guest)
{
	free(ntd_steal(&guest->boot));
	free(ntd_steal(&guest->user));
	free(ntd_steal(&guest->bash));
	free(ntd_steal(&guest->exports));
}

/* Takes the next line from the front of `rest`; NULL when there is none, or one that no guest has
 * reason to write. */
static char *take_line(const char **rest, size_t *len)
{
	const char *start = *rest, *end = memchr(start, '\n', *len);
	size_t line = end ? (size_t)(end - start) : 0;

	if (!end || line > FIELD_LIMIT || memchr(start, '\0', line))
		return NULL;
	*rest = end + 1;
	*len -= line + 1;
	return ntd_strndup(start, line);
}

/* Takes as many lines, each a new string. False: there are not so many; some may be there. */
static bool take_lines(const char *rest, size_t len, char **const lines[], size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!(*lines[i] = take_line(&rest, &len)))
			return false;
	return true;
}

static char *exports_in(const char *rest, size_t len)
{
	static const char begin[] = "ntd-exports\n", finish[] = "\nntd-end\n";
	const char *start = ntd_find(rest, len, begin), *end;
	size_t left;

	if (!start) /* the guest's profile has ended the shell */
		return ntd_strdup("");
	start += sizeof begin - 1;
	left = len - (size_t)(start - rest);
	end = ntd_find(start, left, finish);
	if (!end || end - start > EXPORTS_LIMIT || memchr(start, '\0', (size_t)(end - start)))
		return NULL;
	return ntd_strndup(start, (size_t)(end - start));
}

int ntd_ssh_guest_parse(struct ntd_ssh_guest *guest, const char *output, size_t len,
			struct ntd_error **err)
{
	static const char mark[] = "\nntd-guest\n"; /* a login shell may say something before */
	const char *rest = ntd_find(output, len, mark);
	_cleanup_free_ char *uid = NULL, *shell = NULL;
	char **const lines[] = {&guest->boot, &uid, &guest->user, &shell, &guest->bash};

	ntd_ssh_guest_free(guest);
	if (rest) {
		rest += sizeof mark - 1;
		len -= (size_t)(rest - output);
	}
	if (!rest || !take_lines(rest, len, lines, sizeof lines / sizeof *lines)) {
		ntd_ssh_guest_free(guest);
		return ntd_error_set(err, NTD_E_MACHINE, "the login shell does not run commands");
	}
	guest->is_root = strcmp(uid, "0") == 0;
	guest->shell_is_bash = strcmp(ntd_file_name(shell), "bash") == 0;
	guest->exports = exports_in(rest, len);
	return 0;
}

/* ---- commands */

bool ntd_ssh_command_is_long(const struct ntd_command *command)
{
	return command->text_len > LONG_TEXT;
}

static bool is(const char *a, const char *b)
{
	return a && b && strcmp(a, b) == 0;
}

/* What root's environment is where no login shell sets it up. */
#define ROOT_PROFILE                                                                               \
	"export USER=root LOGNAME=root HOME=/root DISPLAY=:0.0\n" PROFILE                          \
	"\nprintf '%s\\n' " NTD_SSH_ROOT " >&2\n"

static void append_body(struct ntd_buf *out, const struct ntd_ssh_guest *guest, const char *text,
			size_t len, bool reads_text, bool has_input)
{
	ntd_buf_puts(out, *guest->bash ? "set -euo pipefail\n" : "set -eu\n");
	if (reads_text) {
		ntd_buf_puts(out, "eval \"$(cat)\" < /dev/null");
		return;
	}
	/* A process that stays behind must not hold sshd's end of standard input, which may be that
	 * of standard output, too. */
	if (!has_input)
		ntd_buf_puts(out, "exec < /dev/null\n");
	ntd_buf_append(out, text, len);
}

static void append_quoted(struct ntd_buf *out, const struct ntd_buf *text)
{
	ntd_shell_quote(out, ntd_buf_bytes(text), text->len);
}

/* The text for bash, or for sh in a guest without bash. */
static void append_prologue(struct ntd_buf *out, const struct ntd_ssh_guest *guest)
{
	ntd_buf_puts(out, "printf '" NTD_SSH_PID "%d\\n' $$ >&2\n");
	ntd_buf_puts(out, guest->exports ? guest->exports : PROFILE);
	ntd_buf_puts(out, "\n");
}

struct ntd_ssh_script ntd_ssh_script_for(const struct ntd_ssh_guest *guest, bool sudo,
					 const struct ntd_channel *channel,
					 const struct ntd_command *command)
{
	const char *user = channel->user, *text = command->text;
	bool themself = user ? is(user, guest->user) : !sudo;
	_cleanup_free_ char *for_user = NULL;
	_cleanup_buf_ struct ntd_buf inner = {0}, whole = {0};
	struct ntd_ssh_script script = {.reads_text = ntd_ssh_command_is_long(command)};
	const char *shell = *guest->bash ? guest->bash : "/bin/sh";
	size_t len = command->text_len;

	script.uses_sudo = !guest->is_root && (command->as_root || !themself);
	if (!is(user, guest->user) && (guest->is_root || script.uses_sudo))
		for_user = ntd_channel_text_for_user(channel, command);
	if (for_user) {
		text = for_user;
		len = strlen(for_user);
	}
	append_prologue(&inner, guest);
	if (script.uses_sudo) {
		_cleanup_buf_ struct ntd_buf as_root = {0};

		ntd_buf_puts(&as_root, ROOT_PROFILE);
		append_body(&as_root, guest, text, len, script.reads_text, command->input);
		ntd_buf_printf(&inner, "exec sudo -n -- %s -c ", shell);
		append_quoted(&inner, &as_root);
	} else {
		append_body(&inner, guest, text, len, script.reads_text, command->input);
	}
	if (!guest->shell_is_bash) {
		ntd_buf_printf(&whole, "exec %s -c ", shell);
		append_quoted(&whole, &inner);
	} else {
		ntd_buf_append(&whole, ntd_buf_bytes(&inner), inner.len);
	}
	script.text = ntd_buf_take_string(&whole);
	return script;
}

/* ---- the end of a command */

/* Finds the processes before it ends the first of them: a child of a process that has ended is
 * nobody's descendant, and su(1) gives its child a session of its own. */
#define KILL                                                                                       \
	"k=\" $0 \"; for s in TERM KILL; do while :; do n=$k; for f in /proc/[0-9]*/stat; do "     \
	"{ read -r l < $f; } 2> /dev/null || continue; p=${l%% *}; "                               \
	"case $n in *\" $p \"*) continue;; esac; l=${l##*) }; set -- $l; "                         \
	"case $n in *\" $2 \"* | *\" $3 \"* | *\" $4 \"*) n=\"$n$p \";; esac; done; "              \
	"[ \"$n\" != \"$k\" ] || break; k=$n; done; "                                              \
	"kill -$s $k; [ $s = KILL ] || sleep 1; done; :"

char *ntd_ssh_kill_text(bool sudo, long pid)
{
	_cleanup_buf_ struct ntd_buf text = {0};

	ntd_buf_puts(&text, sudo ? "exec sudo -n -- /bin/sh -c '" : "exec /bin/sh -c '");
	ntd_buf_puts(&text, KILL);
	ntd_buf_printf(&text, "' %ld 2> /dev/null", pid);
	return ntd_buf_take_string(&text);
}

char *ntd_ssh_remove_text(const char *paths, size_t len)
{
	_cleanup_buf_ struct ntd_buf words = {0}, text = {0};

	ntd_buf_puts(&words, "rm -rf --");
	for (const char *path = paths; path < paths + len; path += strlen(path) + 1) {
		ntd_buf_puts(&words, " ");
		ntd_shell_quote(&words, path, strlen(path));
	}
	ntd_buf_puts(&words, " 2> /dev/null");
	ntd_buf_puts(&text, "exec /bin/sh -c ");
	ntd_shell_quote(&text, ntd_buf_bytes(&words), words.len);
	return ntd_buf_take_string(&text);
}
