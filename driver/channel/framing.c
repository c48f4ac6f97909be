/* Theory of operation
 *
 * The guest's end is a bash that reads hvc0 line by line. One command is one write of one line and
 * one line of reply: there is no second round trip for the status. Bash reads its script byte by
 * byte, a system call each, so the line is short: what is the same for all commands is in
 * functions, guest.bash, which are defined together with the first command for each shell. In
 * essence,
 *
 *   ntd() { bash -c "set -euo pipefail; $2" | ntd_read; ntd_reply "${PIPESTATUS[*]}"; }
 *
 * and the same with a time-out. guest.bash says what a command's standard input and output are in
 * the guest.
 *
 * Flow control. QEMU's virtconsole throws away what its socket does not take at once, and says
 * nothing: a guest writes 12 MB/s, the socket holds 0.2 MB, so a host that is busy for 16 ms loses
 * output. A short output is in the reply. A longer one is kept by the guest and sent in pieces,
 * each when the host asks for it, so that no more is on its way than the socket holds.
 *
 * Input for a command, and the text of one that does not fit into an argument (128 KiB on Linux),
 * follow the line as raw bytes, whose number the line says.
 *
 * Output counts as complete when every holder has closed it, so a command whose child keeps it open
 * would block, past the time-out that ended only the command. Hence the reader of the output in
 * the guest has a limit of its own, some seconds after the command's time-out. Then the reader
 * names the processes that hold the output, and kills what is left of the command, even if it
 * ignores its time-out.
 *
 * A command whose caller has gone away (Ctrl-C) is killed, too, by an empty line. The command may
 * read hvc0 itself, and then takes every other line, so the caller of these functions sends empty
 * lines until the reply comes.
 *
 * Any thread: the functions below only append to buffers.
 */
#include "channel/framing.h"

#include "base/text.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

enum {
	ARGUMENT_LIMIT = 120 << 10, /* below MAX_ARG_STRLEN, 128 KiB, with room for the prefix */
	LONGEST = 1000000000,       /* seconds, that bash and timeout can count on any machine */
};

#define MOMENT 0.001 /* seconds; bash waits so long, but not for a time of 0 */

#define TEXT_OF(number) #number
#define TEXT(macro) TEXT_OF(macro)

static bool must_stream(const struct ntd_command *command)
{
	return command->text_len > ARGUMENT_LIMIT;
}

static void append_seconds(struct ntd_buf *line, double seconds)
{
	if (seconds == floor(seconds) && seconds < 1e15)
		ntd_buf_printf(line, "%.0f", seconds);
	else
		ntd_buf_printf(line, "%.6f", seconds);
}

/* Appends a text, with the driver's values in place of the variables that stand for them. */
static void define(const struct ntd_framing *framing, const char *text, struct ntd_buf *out)
{
	const struct {
		const char *name, *value;
	} values[] = {{"$NTD_IDENTITY", framing->identity},
		      {"$NTD_SHORT_OUTPUT", TEXT(NTD_SHORT_OUTPUT)}};
	size_t count = sizeof values / sizeof *values;

	for (const char *at = text; *at;) {
		size_t i = 0, plain = 1 + strcspn(at + 1, "$");

		while (i < count && !ntd_has_prefix(at, values[i].name))
			i++;
		if (i < count)
			ntd_buf_puts(out, values[i].value);
		else
			ntd_buf_append(out, at, plain);
		at += i < count ? strlen(values[i].name) : plain;
	}
}

static bool is_timed(const struct ntd_command *command)
{
	return command->timeout > 0;
}

/* Appends the command's time-out, how much of it is in its first second, the rest, and the grace.
 * The shell cannot count fractions of seconds. */
static void append_time_out(const struct ntd_framing *framing, const struct ntd_command *command,
			    struct ntd_buf *line)
{
	double timeout = fmin(command->timeout, LONGEST);

	append_seconds(line, timeout);
	ntd_buf_puts(line, " ");
	append_seconds(line, fmin(timeout, 1));
	ntd_buf_puts(line, " ");
	append_seconds(line, fmax(timeout - 1, MOMENT));
	ntd_buf_printf(line, " %u ", framing->grace);
}

/* Appends the command's time-out, then the limit for its output; both empty when it has no
 * time-out. */
static void append_limits(const struct ntd_framing *framing, const struct ntd_command *command,
			  struct ntd_buf *line)
{
	if (is_timed(command)) {
		append_seconds(line, command->timeout);
		ntd_buf_printf(line, " %.0f ",
			       fmin(ceil(command->timeout) + framing->grace, LONGEST));
	} else {
		ntd_buf_puts(line, "'' '' ");
	}
}

static void write_line(const struct ntd_framing *framing, const struct ntd_command *command,
		       unsigned number, struct ntd_buf *out)
{
	if (command->in_shell)
		ntd_buf_printf(out, "ntd_own %u ", number);
	else
		ntd_buf_printf(out, is_timed(command) ? "ntd_timeout %u " : "ntd %u ", number);
	if (is_timed(command))
		append_time_out(framing, command, out);
	ntd_shell_quote(out, command->text, command->text_len);
	ntd_buf_puts(out, "\n");
}

/* Writes a command that raw bytes follow: its standard input, or its own long text for an eval. */
static void write_streamed(const struct ntd_framing *framing, const struct ntd_command *command,
			   unsigned number, struct ntd_buf *out)
{
	static const char eval[] = "eval \"$(cat)\"";
	size_t input_len = 0;
	const char *input = ntd_framing_input(command, &input_len);

	ntd_buf_printf(out, "ntd_input %u ", number);
	append_limits(framing, command, out);
	ntd_buf_printf(out, "%zu ", input_len);
	if (must_stream(command))
		ntd_shell_quote(out, eval, sizeof eval - 1);
	else
		ntd_shell_quote(out, command->text, command->text_len);
	ntd_buf_puts(out, "\n");
	if (!framing->port)
		ntd_buf_append(out, input, input_len);
}

int ntd_framing_check(const struct ntd_command *command, struct ntd_error **err)
{
	if (command->input && must_stream(command))
		return ntd_error_set(err, NTD_E_VALUE,
				     "a command of %zu bytes cannot have standard input",
				     command->text_len);
	return 0;
}

void ntd_framing_init(struct ntd_framing *framing, unsigned grace)
{
	uint32_t random = 0;

	while (getrandom(&random, sizeof random, 0) != sizeof random)
		;
	*framing = (struct ntd_framing){.grace = grace};
	snprintf(framing->identity, sizeof framing->identity, "%08x", random);
}

void ntd_framing_forget(struct ntd_framing *framing)
{
	memset(framing->sent, 0, sizeof framing->sent);
	framing->port = framing->port_left = false;
}

void ntd_framing_token(const struct ntd_framing *framing, unsigned number,
		       char token[static NTD_TOKEN_SIZE])
{
	snprintf(token, NTD_TOKEN_SIZE, "%s-%u", framing->identity, number);
}

bool ntd_framing_can_interrupt(const struct ntd_command *command)
{
	return !command->input && !must_stream(command) && !command->in_shell;
}

const char *ntd_framing_input(const struct ntd_command *command, size_t *len)
{
	*len = must_stream(command) ? command->text_len : command->input_len;
	return must_stream(command) ? command->text : command->input;
}

/* A shell that was killed has not read all that it was sent, so the next one reads the rest first,
 * which may end within quotes: there it would wait for ever. Of these two lines each is a comment,
 * or ends one kind of quotes. */
static const char unquoted[] = "\n#'\n#\"\n";

/* Sees to it that the shell has the functions of guest.bash, and those of another text. */
static void prepare(struct ntd_framing *framing, enum ntd_guest_text which, struct ntd_buf *out)
{
	static const char *const texts[] = {[NTD_GUEST_BASIC] = ntd_guest_bash,
					    [NTD_GUEST_LONG] = ntd_guest_long_bash,
					    [NTD_GUEST_PORT] = ntd_guest_port_bash};
	static_assert(sizeof texts / sizeof *texts == NTD_GUEST_TEXTS, "");

	if (which != NTD_GUEST_BASIC)
		prepare(framing, NTD_GUEST_BASIC, out);
	else if (!framing->sent[which])
		ntd_buf_puts(out, unquoted);
	if (!framing->sent[which])
		define(framing, texts[which], out);
	framing->sent[which] = true;
}

void ntd_framing_write(struct ntd_framing *framing, const struct ntd_command *command,
		       unsigned number, struct ntd_buf *out)
{
	bool streams = command->input || must_stream(command);

	prepare(framing, streams ? NTD_GUEST_LONG : NTD_GUEST_BASIC, out);
	if (framing->port_left)
		ntd_buf_puts(out, "ntd_p=0; exec 3>&-\n");
	framing->port_left = false;
	if (framing->port && command->on_output)
		ntd_buf_puts(out, "ntd_o=1\n");
	if (streams)
		write_streamed(framing, command, number, out);
	else
		write_line(framing, command, number, out);
}

void ntd_framing_write_interrupt(struct ntd_buf *out)
{
	ntd_buf_puts(out, "\n");
}

void ntd_framing_write_port(struct ntd_framing *framing, unsigned number, const char *name,
			    struct ntd_buf *out)
{
	prepare(framing, NTD_GUEST_PORT, out);
	framing->port_left = false;
	ntd_buf_printf(out, "ntd_port %u %s\n", number, name);
}

void ntd_framing_write_send(unsigned number, struct ntd_buf *out)
{
	ntd_buf_printf(out, "ntd_send %u\n", number);
}

void ntd_framing_write_first(struct ntd_framing *framing, unsigned number, struct ntd_buf *out)
{
	prepare(framing, NTD_GUEST_LONG, out);
	ntd_buf_printf(out, "ntd_encode %u %d\n", number, NTD_PIECE_SIZE);
}

void ntd_framing_write_more(struct ntd_buf *out)
{
	ntd_buf_puts(out, "ntd_more\n");
}

void ntd_framing_write_leave(const struct ntd_framing *framing, struct ntd_buf *out)
{
	if (framing->sent[NTD_GUEST_LONG])
		ntd_buf_puts(out, "ntd_leave\n");
}
