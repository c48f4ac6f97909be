/* Unmounting the shared directories in a guest, and mounting them again. Script threads.
 *
 * The guest's own list of mounts says how: a line for each, with the tag of the share, the
 * directory and the options. The guest may print anything there, so the lines go back to the guest
 * as words in quotes, and no others than it has printed.
 */
#include "guest/shares.h"

#include "base/text.h"

#include <string.h>

/* Seconds that the guest may take for each of the commands, which is slow under emulation. */
enum { LIMIT = 60, SHOWN_MOST = 2000 };

/* The kernel writes a space in a name as \040; printf %b reads \0040. */
static const char unmount[] =
	"mounts=$(cat /proc/mounts)\n"
	"while read -r tag dir type options rest; do\n"
	"	case $type in 9p|virtiofs) ;; *) continue ;; esac\n"
	"	printf -v path %b \"${dir//\\\\/\\\\0}\"\n"
	"	case $tag in\n"
	"	shared|xchg)\n"
	"		if said=$(umount -- \"$path\" 2>&1); then\n"
	"			printf 'own %s %s %s %s\\n' \"$tag\" \"$dir\" \"$type\" \"$options\"\n"
	"		else\n"
	"			printf 'busy %s %s %s\\n' \"$tag\" \"$dir\" \"${said//$'\\n'/; }\"\n"
	"		fi ;;\n"
	"	*) printf 'other %s %s\\n' \"$tag\" \"$dir\" ;;\n"
	"	esac\n"
	"done <<< \"$mounts\"\n";

/* All are mounted that can be and are not: an agent may have begun, and died. What is said of the
 * others goes into the error. */
static const char mount[] =
	"exec 2>&1; failed=0; mounts=$'\\n'$(cat /proc/mounts)\n"
	"mount_all() {\n"
	"	while read -r tag dir type options; do\n"
	"		printf -v path %b \"${dir//\\\\/\\\\0}\"\n"
	"		[[ $mounts == *$'\\n'\"$tag $dir $type \"* ]] ||\n"
	"			mount -t \"$type\" -o \"$options\" -- \"$tag\" \"$path\" || failed=1\n"
	"	done\n"
	"}\n"
	"mount_all <<< ";

int ntd_guest_tell(struct ntd_machine *machine, const char *text, struct ntd_buf *output,
		   struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct ntd_command command = {
		.text = text, .text_len = strlen(text), .timeout = LIMIT, .as_root = true};
	struct ntd_channel *channel = ntd_machine_channel(machine, NTD_CHANNEL_WAY_IN);
	_cleanup_result_ struct ntd_result result = {0};

	if (!channel || !channel->ready)
		return ntd_machine_error(err, machine, NTD_E_MACHINE,
					 "there is no way into the guest");
	if (channel->ops->run(channel, &command, &result, waiter, err) < 0)
		return -1;
	ntd_buf_append(output, ntd_buf_bytes(&result.output), result.output.len);
	if (result.status == 0)
		return 0;
	return ntd_machine_error(
		err, machine, NTD_E_MACHINE, "exit status %d: %.*s", result.status,
		(int)(result.output.len < SHOWN_MOST ? result.output.len : SHOWN_MOST),
		ntd_buf_bytes(&result.output));
}

/* ---- what the guest has printed */

/* Takes the first line of a text with its newline off, and returns it without that. */
static char *next_line(char **text)
{
	char *line = *text, *end = line + strcspn(line, "\n");

	*text = *end ? end + 1 : end;
	*end = '\0';
	return line;
}

/* What follows `word` and a space in the line; NULL: it begins with another word. */
static const char *after(const char *line, const char *word)
{
	size_t len = strlen(word);

	return !strncmp(line, word, len) && line[len] == ' ' ? line + len + 1 : NULL;
}

static void add_other(struct ntd_buf *others, const char *words)
{
	_cleanup_free_ char *shown = ntd_shown(words, strcspn(words, "\n"));
	int tag = (int)strcspn(shown, " ");

	ntd_buf_printf(others, "\n    the guest has mounted the share '%.*s' at%s", tag, shown,
		       shown + tag);
}

static int read_unmounted(const struct ntd_machine *machine, char *text, struct ntd_buf *shares,
			  struct ntd_buf *others, struct ntd_error **err)
{
	const char *busy = NULL, *rest;

	while (*text) {
		const char *line = next_line(&text);

		if ((rest = after(line, "own")))
			ntd_buf_printf(shares, "%s\n", rest);
		else if ((rest = after(line, "other")))
			add_other(others, rest);
		else if ((rest = after(line, "busy")))
			busy = rest;
	}
	if (busy) {
		_cleanup_free_ char *shown = ntd_shown(busy, strlen(busy));

		return ntd_machine_error(err, machine, NTD_E_MACHINE,
					 "the guest uses a directory that it shares with the host, "
					 "and cannot unmount it: %s",
					 shown);
	}
	return 0;
}

/* ---- both */

int ntd_shares_unmount(struct ntd_machine *machine, char **shares, char **others,
		       struct ntd_waiter *waiter, struct ntd_error **err)
{
	_cleanup_buf_ struct ntd_buf output = {0}, own = {0}, rest = {0};
	_cleanup_free_ char *text = NULL;
	int result = ntd_guest_tell(machine, unmount, &output, waiter, err);

	text = ntd_buf_take_string(&output);
	if (result == 0)
		result = read_unmounted(machine, text, &own, &rest, err);
	*shares = ntd_buf_take_string(&own);
	*others = ntd_buf_take_string(&rest);
	return result;
}

/* By a channel that can do it without a command. 1: there is none. */
static int mount_at_once(struct ntd_machine *machine, const char *shares, struct ntd_waiter *waiter,
			 struct ntd_error **err)
{
	struct ntd_channel *channel = ntd_machine_channel(machine, NTD_CHANNEL_ANY);

	return channel && channel->ready && channel->ops->mount
		       ? channel->ops->mount(channel, shares, waiter, err)
		       : 1;
}

static int mount_by_command(struct ntd_machine *machine, const char *shares,
			    struct ntd_waiter *waiter, struct ntd_error **err)
{
	_cleanup_buf_ struct ntd_buf line = {0}, output = {0};
	_cleanup_free_ char *text = NULL;

	ntd_buf_puts(&line, mount);
	ntd_shell_quote(&line, shares, strlen(shares) - 1); /* the shell adds the last newline */
	ntd_buf_puts(&line, "\nexit $failed");
	text = ntd_buf_take_string(&line);
	return ntd_guest_tell(machine, text, &output, waiter, err);
}

int ntd_shares_mount(struct ntd_machine *machine, const char *shares, struct ntd_waiter *waiter,
		     struct ntd_error **err)
{
	int result;

	if (!*shares)
		return 0;
	result = mount_at_once(machine, shares, waiter, err);
	if (result > 0)
		result = mount_by_command(machine, shares, waiter, err);
	if (result == 0)
		return 0;
	return ntd_error_wrap(err, "mounting the driver's shares again");
}
