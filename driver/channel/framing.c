/* Theory of operation
 *
 * The guest's end is a bash that reads hvc0 line by line. One command is one write of one line and
 * one line of reply: there is no second round trip for the status. Bash reads its script byte by
 * byte, a system call each, so the line is short: what is the same for all commands is in
 * functions, defined together with the first command for each shell. In essence,
 *
 *   ntd() { bash -c "set -euo pipefail; $2" | ntd_read; ntd_reply "${PIPESTATUS[*]}"; }
 *
 * and the same with `timeout`. Since the whole line is read before it runs, nothing of it is left
 * on hvc0 for the command's standard input.
 *
 * That is hvc0 as it always was, for tty, stty and su; but what reads it would wait for ever and
 * take what is meant for the shell. So hvc0 is open there for writing only, as by nohup(1), and
 * reading fails at once. With a time-out it can be read: timeout(1) makes the command a background
 * process group, which the kernel stops when it reads its terminal, until the time-out ends it.
 * Where the shell has no terminal it is /dev/null.
 *
 * A process costs more than anything else here (a third of the time of `true`, emulated), so a
 * short output needs none but the command's own. `lastpipe` lets the shell itself run the last part
 * of the pipeline: ntd_read reads up to SHORT bytes into x with the builtin, until the output is
 * closed by all who hold it, and ntd_reply sends x as bash quotes it, which is one line of ASCII
 * whatever is in it.
 *
 * Flow control. QEMU's virtconsole throws away what its socket does not take at once, and says
 * nothing: a guest writes 12 MB/s, the socket holds 0.2 MB, so a host that is busy for 16 ms loses
 * output. Hence an output that is longer, or has a NUL in it, which bash cannot hold, goes in
 * base64 to a file that is in memory and has no name; it is sent in pieces, each when the host asks
 * for it. What is on its way is never more than the socket holds.
 *
 * Input for a command, and the text of one that does not fit into an argument (128 KiB on Linux),
 * follow the line as raw bytes; `head -c` passes on exactly their number, and what the command
 * leaves is swallowed, so the shell never sees them as commands.
 *
 * Output counts as complete when every holder has closed it, so a command whose child keeps it open
 * blocks, past the `timeout` that ended only the command. Hence what reads the output has a limit
 * of its own, some seconds after the command's; then ntd_held tells who holds it and kills what is
 * left of the command, one that ignores its time-out included.
 *
 * A command whose caller has gone away (Ctrl-C) is killed, too: the host sends an empty line, which
 * a child of the shell waits for when a command has taken a second. The command may read hvc0 none
 * the less, by another name. Who reads a terminal first gets what comes next, then it is the
 * other's turn; so the host goes on with empty lines until it is told. Not for commands with input,
 * which comes by that way.
 */
#include "channel/framing.h"

#include "base/text.h"

#include <math.h>
#include <stdio.h>
#include <sys/random.h>

enum {
	ARGUMENT_LIMIT = 120 << 10, /* below MAX_ARG_STRLEN, 128 KiB, with room for the prefix */
	LONGEST = 1000000000,       /* seconds, that bash and timeout can count on any machine */
};

#define TEXT_OF(number) #number
#define TEXT(macro) TEXT_OF(macro)
#define SHORT_TEXT TEXT(NTD_SHORT_OUTPUT)

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

/* What the lines below use; ~ stands for the identity. Everywhere n is the command's number, x its
 * output, more the mark of a long one; l is the limit for reading it in seconds, or nothing; i says
 * that it can be interrupted, and w is the process that waits for that; s are statuses. Descriptor
 * 6 is the input of commands without a time-out, ntd_in that of others, 7 is hvc0. In ntd_kill and
 * ntd_held, p is a process, c the shell's descendants (b: as known before), which are killed with
 * the process groups that they lead; e is a descriptor of p, f the holders. */
static const char functions[] =
	"exec 7<&0\n"
	"ntd_in=0; [ -t 0 ] && exec 6> /proc/$$/fd/0 || { ntd_in=6; exec 6< /dev/null; }\n"
	"ntd_kill() { local a b= c=\" $$ \" p; while [ \"$b\" != \"$c\" ]; do b=$c\n"
	"for p in /proc/[0-9]*; do read -r a < $p/stat && set -- ${a##*) } && p=${p#/proc/} &&\n"
	"[[ $c == *\" $2 \"* && $c != *\" $p \"* && $p != $BASHPID ]] && c=\"$c$p \"; done; done\n"
	"for p in ${c#* $$ }; do kill -KILL -- -$p $p; done; } 2> /dev/null\n"
	"ntd_held() { local a e f= p; for p in /proc/[0-9]*; do [ $p = /proc/$$ ] && continue\n"
	"for e in $p/fd/*; do\n"
	"[ $e -ef /proc/$$/fd/0 ] && read -r a < $p/comm && f=\"$f ${p#/proc/} ($a)\" && break\n"
	"done; done 2> /dev/null; echo; echo \"~-$n held$f\"; ntd_kill; }\n"
	"ntd_watch() { [ $i ] && [ ! $w ] || return\n"
	"{ read -r -u 7 && ntd_kill; } < /dev/null > /dev/null 2>&1 6>&- 8<&- 9<&- & w=$!; }\n"
	"ntd_unwatch() { [ $w ] && { kill -KILL $w; wait $w; } 2> /dev/null; }\n"
	"ntd_spool() { local e= f s; [ ${#x} -lt " SHORT_TEXT " ] && e='\\0'\n"
	"for f in /dev/shm /run /tmp; do [ -w $f ] && break; done; f=$f/.ntd-$$\n"
	"exec 9> $f 8< $f && rm $f || return\n"
	"ntd_watch\n"
	"{ printf \"%s$e\" \"$x\"; ${l:+timeout $l} cat; } | base64 -w 0 >&9\n"
	"s=(${PIPESTATUS[*]}); exec 9>&-; x= more=' more'\n"
	"[ ${s[0]} = 124 ] && ntd_held; return ${s[1]}; }\n"
	"ntd_read() { local LC_ALL=C e=$((SECONDS + l)) s y; while :; do\n"
	"IFS= read -r -d '' -n $((" SHORT_TEXT " - ${#x})) -t 1 y; s=$?; x=$x$y\n"
	"case $s in 0) ntd_spool; return;; 1) return 0;; esac\n"
	"[ $l ] && [ $SECONDS -ge $e ] && { ntd_held; return; }\n"
	"[ $w ] && ! kill -0 $w 2> /dev/null && return; ntd_watch\n"
	"done; }\n"
	"ntd_reply() { local LC_ALL=C; ntd_unwatch; echo \"${x@Q} $1 ~-$n$more\"; }\n"
	"ntd() { local i=1 l= n=$1 w= x= more=; set +m; shopt -s lastpipe\n"
	"bash -c \"set -euo pipefail; $2\" <&6 6>&- 7<&- 8<&- | ntd_read\n"
	"ntd_reply \"${PIPESTATUS[*]}\"; }\n"
	"ntd_timeout() { local i=1 l=$3 n=$1 w= x= more=; set +m; shopt -s lastpipe\n"
	"timeout $2 bash -c \"set -euo pipefail; $4\" <&$ntd_in 6>&- 7<&- 8<&- | ntd_read\n"
	"ntd_reply \"${PIPESTATUS[*]}\"; }\n"
	"ntd_input() { local i= l=$3 n=$1 w= x= more=; set +m; shopt -s lastpipe\n"
	"head -c $4 | (${2:+timeout $2} bash -c \"set -euo pipefail; $5\"; s=$?\n"
	"cat > /dev/null; exit $s) 6>&- 7<&- 8<&- | ntd_read; ntd_reply \"${PIPESTATUS[*]:1}\"; }\n"
	"ntd_more() { dd bs=$2 count=1 <&8 2> /dev/null; echo \" ~-$1\"; }\n";

static void define_functions(const struct ntd_framing *framing, struct ntd_buf *out)
{
	for (const char *c = functions; *c; c++)
		if (*c == '~')
			ntd_buf_puts(out, framing->identity);
		else
			ntd_buf_append(out, c, 1);
}

/* The time-out of the command, then the limit for its output; both empty when it has none. */
static void append_times(const struct ntd_framing *framing, const struct ntd_command *command,
			 struct ntd_buf *line)
{
	if (command->timeout > 0) {
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
	bool timed = command->timeout > 0;

	ntd_buf_printf(out, timed ? "ntd_timeout %u " : "ntd %u ", number);
	if (timed)
		append_times(framing, command, out);
	ntd_shell_quote(out, command->text, command->text_len);
	ntd_buf_puts(out, "\n");
}

/* With standard input, or with the command itself as standard input of an eval. */
static void write_streamed(const struct ntd_framing *framing, const struct ntd_command *command,
			   unsigned number, struct ntd_buf *out)
{
	static const char eval[] = "eval \"$(cat)\"";
	bool long_text = must_stream(command);
	const char *input = long_text ? command->text : command->input;
	size_t input_len = long_text ? command->text_len : command->input_len;

	ntd_buf_printf(out, "ntd_input %u ", number);
	append_times(framing, command, out);
	ntd_buf_printf(out, "%zu ", input_len);
	if (long_text)
		ntd_shell_quote(out, eval, sizeof eval - 1);
	else
		ntd_shell_quote(out, command->text, command->text_len);
	ntd_buf_puts(out, "\n");
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
	framing->prepared = false;
}

void ntd_framing_token(const struct ntd_framing *framing, unsigned number,
		       char token[static NTD_TOKEN_SIZE])
{
	snprintf(token, NTD_TOKEN_SIZE, "%s-%u", framing->identity, number);
}

bool ntd_framing_can_interrupt(const struct ntd_command *command)
{
	return !command->input && !must_stream(command);
}

void ntd_framing_write(struct ntd_framing *framing, const struct ntd_command *command,
		       unsigned number, struct ntd_buf *out)
{
	if (!framing->prepared)
		define_functions(framing, out);
	framing->prepared = true;
	if (!ntd_framing_can_interrupt(command))
		write_streamed(framing, command, number, out);
	else
		write_line(framing, command, number, out);
}

void ntd_framing_write_interrupt(struct ntd_buf *out)
{
	ntd_buf_puts(out, "\n");
}

void ntd_framing_write_more(unsigned number, struct ntd_buf *out)
{
	ntd_buf_printf(out, "ntd_more %u %d\n", number, NTD_PIECE_SIZE);
}
