/* Theory of operation
 *
 * The guest's end is a bash that reads hvc0 line by line. One command is one write of one line and one
 * line of reply: there is no second round trip for the status, and no subshell. Bash reads its script
 * byte by byte, a system call each, so the line is short: what is the same for all commands is in
 * functions, defined together with the first command for each shell. In essence,
 *
 *   ntd() { bash -c "set -euo pipefail; $2" | base64 -w 0 > FILE; read x < FILE; echo "$x STATUSES TOKEN"; }
 *
 * and the same with `timeout`. Since the whole line is read before it runs, nothing of it is left on hvc0
 * for the command's standard input, which is hvc0 as it always was.
 *
 * Flow control. QEMU's virtconsole throws away what its socket does not take at once, and says nothing:
 * a guest writes 12 MB/s, the socket holds 0.2 MB, so a host that is busy for 16 ms loses output. Hence
 * the base64 goes to FILE first, which is in memory and has no name; a short one is sent with the
 * statuses, a long one in pieces, each when the host asks for it. What is on its way is never more than
 * the socket holds.
 *
 * Input for a command, and the text of one that does not fit into an argument (128 KiB on Linux), follow
 * the line as raw bytes; `head -c` passes on exactly their number, and what the command leaves is
 * swallowed, so the shell never sees them as commands.
 *
 * The watchdog. Output counts as complete when every holder has closed it, so a command whose child
 * keeps it open blocks, past the `timeout` that ended only the command. The guest's shell then waits
 * for base64, deaf to the host. So with the first command that has a time-out, a background loop of the
 * same bash is left in the guest. It starts no processes, and sleeps in a read of a FIFO. Once a second it reads the shell's line in
 * /proc, which does not change while the shell waits; only when it has not for some seconds are the
 * shell's children looked for. A base64 that has lived longer than the seconds in its environment
 * (NTD_LIMIT, set on base64 alone) gets its pipe's holders listed on hvc0 and is killed, together with a
 * command that ignores its time-out.
 */
#include "machine/framing.h"

#include "base/text.h"

#include <math.h>
#include <stdio.h>
#include <sys/random.h>

enum { ARGUMENT_LIMIT = 120 << 10 }; /* below MAX_ARG_STRLEN, 128 KiB, with room for the prefix */

/* s: the shell; b: its state at the last tick, q: for how many ticks the same; k: the base64 that it waits
 * for, or "none", or empty when not looked for yet; i: when that began; n, t: limit and token in its
 * environment; f: the holders of its pipe; c: the shell's children, which are killed with what they lead. */
static const char watchdog_text[] =
	"ntd_watchdog() {\n"
	"local s=$$ a b c e f i k n p q=0 t u; f=$ntd_dir/.ntd-watch-$$\n"
	"mkfifo $f && exec 9<> $f && rm $f || return\n"
	"while read -r -t 1 -u 9; read -r a < /proc/$s/stat; do\n"
	"if [ \"$a\" = \"$b\" ]; then q=$((q + 1)); else b=$a q=0 k=; fi\n"
	"if [ $q -lt 4 ] || [ \"$k\" = none ]; then continue; fi\n"
	"if [ -z \"$k\" ]; then k=none; for p in /proc/[0-9]*; do\n"
	"read -r a < $p/stat && set -- ${a##*) } && [ \"$2\" = $s ] || continue; i=${20} n=\n"
	"while IFS= read -r -d '' e; do\n"
	"case $e in NTD_LIMIT=*) n=${e#*=};; NTD_TOKEN=*) t=${e#*=};; esac\n"
	"done < $p/environ\n"
	"if [ \"$n\" ]; then k=$p; break; fi\n"
	"done; [ $k = none ] && continue; fi\n"
	"read -r a < $k/stat && set -- ${a##*) } && [ \"${20}\" = $i ] || { k=; continue; }\n"
	"read -r u e < /proc/uptime; [ $((${u%.*} - i / 100)) -ge $n ] || continue\n"
	"c= f=; for p in /proc/[0-9]*; do\n"
	"read -r a < $p/stat && set -- ${a##*) } && [ \"$2\" = $s ] &&\n"
	"[ ${p#/proc/} != $BASHPID ] && c=\"$c ${p#/proc/}\"\n"
	"[ $p = $k ] || for e in $p/fd/*; do\n"
	"[ $e -ef $k/fd/0 ] && read -r a < $p/comm && f=\"$f ${p#/proc/} ($a)\" && break\n"
	"done; done\n"
	"echo; echo \"$t held$f\"; k=; for p in $c; do kill -KILL -- -$p $p; done\n"
	"done; }\n"
	"ntd_watchdog 2> /dev/null < /dev/null & disown $!; unset -f ntd_watchdog\n";

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

/* What the lines below use. $1 is the command's number; @ stands for the identity. */
static const char functions[] =
	"for ntd_dir in /dev/shm /run /tmp; do [ -w $ntd_dir ] && break; done\n"
	"ntd_file=$ntd_dir/.ntd-$$; exec 9<> $ntd_file\n"
	"[ -e /proc/$$/fd/9 ] && rm $ntd_file && ntd_file=/proc/$$/fd/9\n"
	"ntd_reply() { local x; IFS= read -r -n 4096 x < $ntd_file\n"
	"if [ ${#x} -lt 4096 ]; then echo \"$x $2 @-$1\"\n"
	"else exec 8< $ntd_file; echo \" $2 @-$1 more\"; fi; }\n"
	"ntd_more() { dd bs=$2 count=1 <&8 2> /dev/null; echo \" @-$1\"; }\n"
	"ntd() { bash -c \"set -euo pipefail; $2\" 8<&- 9<&- | base64 -w 0 > $ntd_file\n"
	"ntd_reply $1 \"${PIPESTATUS[*]}\"; }\n"
	"ntd_timeout() { timeout $2 bash -c \"set -euo pipefail; $4\" 8<&- 9<&- |\n"
	"NTD_LIMIT=$3 NTD_TOKEN=@-$1 base64 -w 0 > $ntd_file\n"
	"ntd_reply $1 \"${PIPESTATUS[*]}\"; }\n";

static void define_functions(const struct ntd_framing *framing, struct ntd_buf *out)
{
	for (const char *c = functions; *c; c++)
		if (*c == '@')
			ntd_buf_puts(out, framing->identity);
		else
			ntd_buf_append(out, c, 1);
}

static void prepare(struct ntd_framing *framing, bool watched, struct ntd_buf *out)
{
	if (!framing->prepared)
		define_functions(framing, out);
	if (watched && !framing->watched)
		ntd_buf_puts(out, watchdog_text);
	framing->prepared = true;
	framing->watched |= watched;
}

static double limit_of(const struct ntd_framing *framing, const struct ntd_command *command)
{
	return ceil(command->timeout) + framing->grace;
}

static void write_line(const struct ntd_framing *framing, const struct ntd_command *command,
		       unsigned number, struct ntd_buf *out)
{
	if (command->timeout > 0) {
		ntd_buf_printf(out, "ntd_timeout %u ", number);
		append_seconds(out, command->timeout);
		ntd_buf_printf(out, " %.0f ", limit_of(framing, command));
	} else {
		ntd_buf_printf(out, "ntd %u ", number);
	}
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
	_cleanup_buf_ struct ntd_buf text = {0};
	char token[NTD_TOKEN_SIZE];

	ntd_framing_token(framing, number, token);
	ntd_buf_puts(&text, "set -euo pipefail; ");
	ntd_buf_append(&text, long_text ? eval : command->text,
		       long_text ? sizeof eval - 1 : command->text_len);
	ntd_buf_printf(out, "head -c %zu | (", input_len);
	if (command->timeout > 0) {
		ntd_buf_puts(out, "timeout ");
		append_seconds(out, command->timeout);
	}
	ntd_buf_puts(out, " bash -c ");
	ntd_shell_quote(out, ntd_buf_bytes(&text), text.len);
	ntd_buf_puts(out, "; s=$?; cat > /dev/null; exit $s) 8<&- 9<&- | ");
	if (command->timeout > 0)
		ntd_buf_printf(out, "NTD_LIMIT=%.0f NTD_TOKEN=%s ", limit_of(framing, command),
			       token);
	ntd_buf_printf(out, "base64 -w 0 > $ntd_file; ntd_reply %u \"${PIPESTATUS[*]:1}\"\n",
		       number);
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
	framing->prepared = framing->watched = false;
}

void ntd_framing_token(const struct ntd_framing *framing, unsigned number,
		       char token[static NTD_TOKEN_SIZE])
{
	snprintf(token, NTD_TOKEN_SIZE, "%s-%u", framing->identity, number);
}

void ntd_framing_write(struct ntd_framing *framing, const struct ntd_command *command,
		       unsigned number, struct ntd_buf *out)
{
	prepare(framing, command->timeout > 0, out);
	if (command->input || must_stream(command))
		write_streamed(framing, command, number, out);
	else
		write_line(framing, command, number, out);
}

void ntd_framing_write_more(unsigned number, struct ntd_buf *out)
{
	ntd_buf_printf(out, "ntd_more %u %d\n", number, NTD_PIECE_SIZE);
}
