/* The dialogue with the loop in the guest (channel/serial.sh says what the lines are), on the
 * script thread whose turn it is.
 *
 * Nothing that comes is relied on alone: an answer that does not come, or is damaged by what else
 * is printed on the console, is asked for again by repeating the line, which the loop then does not
 * obey a second time; and output is asked for again until each of its lines has the length it must
 * have.
 */
#include "channel/serial_internal.h"

#include <math.h>
#include <string.h>

/* Until a line that has no answer is repeated, and until a command that runs is asked about. */
#define ANSWER_PATIENCE (15 * NTD_SECOND)
#define COMMAND_PATIENCE (60 * NTD_SECOND)
/* Between the interrupts of a command, and until it must have ended. */
#define INTERRUPT_PAUSE (2 * NTD_SECOND)
#define END_PATIENCE (90 * NTD_SECOND)
/* For how long a login prompt must stand at the end for the shell to be gone. */
#define GONE_PATIENCE (3 * NTD_SECOND)

enum {
	REPEATS = 8,
	PIECE = 1000,           /* characters of a line for the loop */
	PART = 1000,            /* lines of output asked for at once */
	TEXT_LIMIT = 100 << 10, /* the text becomes one argument of a program, of 128 KiB at most */
	OUTPUT_LIMIT = 16 << 20,
	STATUS_TIMED_OUT = 124,
};

/* A command that runs. */
struct serial_run {
	struct ntd_serial *serial;
	struct ntd_waiter *waiter;
	const struct ntd_command *command;
	char *line; /* the last line for the loop */
	struct ntd_serial_answer answer;
};

/* ---- answers */

static int shown(const struct ntd_command *command)
{
	return command->text_len < 200 ? (int)command->text_len : 200;
}

static int gone(struct serial_run *run, struct ntd_error **err)
{
	const struct ntd_command *command = run->command;
	_cleanup_free_ char *result =
		command ? ntd_asprintf(": `%.*s` has no result", shown(command), command->text)
			: ntd_strdup("");

	run->serial->identity[0] = '\0';
	return ntd_error_set(err, NTD_E_MACHINE,
			     "machine '%s': the shell on the serial console has ended, and the "
			     "console asks for a login (did the guest reboot?)%s; log in again "
			     "with login()",
			     run->serial->machine, result);
}

static int broken(struct serial_run *run, const char *what, struct ntd_error **err)
{
	_cleanup_free_ char *tail = ntd_serial_tail(run->serial);

	run->serial->unfinished = run->serial->abandoned = true;
	return ntd_error_set(err, NTD_E_PROTOCOL, "machine '%s': the serial console %s%s",
			     run->serial->machine, what, tail);
}

/* Waits until `until` for a line, and says what it is in `answer`; LATE when the time is over. */
static int next_answer(struct serial_run *run, int64_t until, struct ntd_error **err)
{
	struct ntd_serial *serial = run->serial;

	for (;;) {
		bool login = ntd_serial_begun(serial) == NTD_SERIAL_LOGIN;
		int64_t now = ntd_now();
		int result;

		if (now >= until) /* also if the console never falls silent */
			return NTD_SERIAL_LATE;
		result = ntd_serial_line(serial,
					 login ? ntd_earlier(until, now + GONE_PATIENCE) : until,
					 run->waiter, err);
		if (result < 0)
			return -1;
		if (result == NTD_SERIAL_LATE && login && ntd_now() >= now + GONE_PATIENCE)
			return gone(run, err);
		if (result == NTD_SERIAL_BEGUN)
			continue;
		if (result == NTD_SERIAL_LINE)
			run->answer = ntd_serial_answer(ntd_buf_bytes(&serial->lines.line),
							serial->lines.line.len, serial->identity);
		return result;
	}
}

/* Sends the line, for the first time or again. */
static int send(struct serial_run *run, struct ntd_error **err)
{
	_cleanup_free_ char *text = ntd_asprintf("%s\n", run->line);

	return ntd_serial_type(run->serial, text, err);
}

/* A line for the loop: sends it until it has an answer. That answer is in `answer`. */
static int ask(struct serial_run *run, char kind, const char *data, size_t len,
	       struct ntd_error **err)
{
	struct ntd_serial *serial = run->serial;

	serial->number++;
	free(run->line);
	run->line = ntd_asprintf("%u %c %zu %.*s", serial->number, kind, len, (int)len, data);
	for (int i = 0; i < REPEATS; i++) {
		int64_t until = ntd_after(ANSWER_PATIENCE);
		int result;

		if (send(run, err) < 0)
			return -1;
		while ((result = next_answer(run, until, err)) > 0) {
			if (run->answer.word == NTD_SERIAL_BAD)
				break; /* it came damaged, so once more */
			if (run->answer.word && run->answer.number == serial->number)
				return 0;
		}
		if (result < 0)
			return -1;
	}
	return broken(run, "does not answer", err);
}

/* ---- sending a command */

/* Sends text in as many lines as it takes: of `first` and then of `more`; the last is of `last`. */
static int send_text(struct serial_run *run, const struct ntd_buf *text, char first, char more,
		     char last, struct ntd_error **err)
{
	const char *at = ntd_buf_bytes(text);
	size_t left = text->len;
	char kind = first;

	while (left > PIECE) {
		if (ask(run, kind, at, PIECE, err) < 0)
			return -1;
		at += PIECE;
		left -= PIECE;
		kind = more;
	}
	/* of a text of one line, the kind also says that it begins */
	if (last == 'x' && kind == 'T')
		last = 'X';
	return ask(run, last, at, left, err);
}

static int send_command(struct serial_run *run, struct ntd_error **err)
{
	const struct ntd_command *command = run->command;
	_cleanup_buf_ struct ntd_buf text = {0}, input = {0};

	ntd_serial_escape(&text, command->text, command->text_len);
	if (!command->input)
		return send_text(run, &text, 'T', 't', 'x', err);
	ntd_serial_escape(&input, command->input, command->input_len);
	if (send_text(run, &text, 'T', 't', text.len > PIECE ? 't' : 'T', err) < 0 ||
	    send_text(run, &input, 'i', 'i', 'i', err) < 0)
		return -1;
	return ask(run, 'x', "", 0, err);
}

/* ---- the end of a command */

static bool is_done(const struct serial_run *run)
{
	return run->answer.word == NTD_SERIAL_DONE && run->answer.number == run->serial->number;
}

/* Kills the command by empty lines until it has ended. The host's clock counts. */
static int interrupt(struct serial_run *run, struct ntd_error **err)
{
	int64_t give_up = ntd_after(END_PATIENCE);

	while (ntd_now() < give_up) {
		int64_t until = ntd_after(INTERRUPT_PAUSE);
		int result;

		if (ntd_serial_type(run->serial, "\n", err) < 0 || send(run, err) < 0)
			return -1;
		while ((result = next_answer(run, until, err)) > 0)
			if (is_done(run))
				return 0;
		if (result < 0)
			return -1;
	}
	return broken(run, "does not tell of the end of a command that was killed", err);
}

/* Waits until the command has ended, or has been killed at its time-out: 0 or 1. */
static int await_end(struct serial_run *run, int64_t limit, struct ntd_error **err)
{
	while (!is_done(run)) {
		int result = next_answer(run, ntd_earlier(limit, ntd_after(COMMAND_PATIENCE)), err);

		if (result < 0)
			return -1;
		if (result > 0)
			continue;
		if (ntd_now() >= limit)
			return interrupt(run, err) < 0 ? -1 : 1;
		if (send(run, err) < 0) /* if it has ended, the loop says so again */
			return -1;
	}
	return 0;
}

/* ---- output */

struct output {
	unsigned long lines, bytes; /* of the encoded text */
	unsigned long have;         /* lines that have been decoded */
	struct ntd_buf *decoded;
};

/* The length that the next line must have. */
static size_t length_of_next(const struct ntd_serial *serial, const struct output *output)
{
	size_t whole = ntd_serial_line_length(serial->encoding);

	if (output->have + 1 < output->lines)
		return whole;
	return output->bytes - output->have * (whole + 1) - 1;
}

/* Takes lines of a part, after its beginning, until its end. What is no line of it is left out. */
static int read_part(struct serial_run *run, unsigned long to, struct output *output,
		     struct ntd_error **err)
{
	struct ntd_serial *serial = run->serial;
	const struct ntd_buf *line = &serial->lines.line;

	while (output->have < to) {
		int result = next_answer(run, ntd_after(ANSWER_PATIENCE), err);

		if (result <= 0)
			return result;
		if (run->answer.word == NTD_SERIAL_END)
			return 0;
		if (line->len == length_of_next(serial, output) &&
		    ntd_serial_decode(serial->encoding, ntd_buf_bytes(line), line->len,
				      output->decoded))
			output->have++;
	}
	return 0;
}

/* Waits for the beginning of a part at the line that is wanted next, and takes its lines. A damaged
 * line takes all that follow it with it, for a line does not tell its number. */
static int fetch_part(struct serial_run *run, struct output *output, struct ntd_error **err)
{
	unsigned long from = output->have,
		      to = from + PART < output->lines ? from + PART : output->lines;
	_cleanup_free_ char *range = ntd_asprintf("%lu,%lu", from + 1, to);

	if (ask(run, 'p', range, strlen(range), err) < 0)
		return -1;
	if (run->answer.word != NTD_SERIAL_PART || run->answer.values[0] != from + 1)
		return 0;
	if (read_part(run, to, output, err) < 0)
		return -1;
	if (output->have < to) { /* which lines are missing is not known */
		output->have = from;
		output->decoded->len = from * ntd_serial_line_bytes(run->serial->encoding);
	}
	return 0;
}

/* Short output follows the command's end by itself. */
static int read_short(struct serial_run *run, struct output *output, struct ntd_error **err)
{
	int result;

	while ((result = next_answer(run, ntd_after(ANSWER_PATIENCE), err)) > 0)
		if (run->answer.word == NTD_SERIAL_PART &&
		    run->answer.number == run->serial->number)
			break;
	if (result <= 0)
		return result;
	if (read_part(run, output->lines, output, err) < 0)
		return -1;
	if (output->have < output->lines) {
		output->have = 0;
		ntd_buf_clear(output->decoded);
	}
	return 0;
}

static int read_output(struct serial_run *run, struct ntd_result *result, struct ntd_error **err)
{
	struct output output = {.lines = run->answer.values[1],
				.bytes = run->answer.values[2],
				.decoded = &result->output};
	size_t most = output.lines * (ntd_serial_line_length(run->serial->encoding) + 1);
	unsigned long before = output.lines;
	int vain = 0;

	if (output.lines > 1 + OUTPUT_LIMIT / ntd_serial_line_bytes(run->serial->encoding))
		return ntd_error_set(
			err, NTD_E_VALUE,
			"machine '%s': command `%.*s` printed more than 16 MiB, which is "
			"too much for a shell on a serial console",
			run->serial->machine, shown(run->command), run->command->text);
	if (output.bytes > most) /* what encodes was killed within a line */
		output.bytes = most;
	if (output.lines && output.bytes <= most - ntd_serial_line_length(run->serial->encoding))
		return broken(run, "tells of output that cannot be", err);
	if (output.lines && output.lines <= 40 && read_short(run, &output, err) < 0)
		return -1;
	while (output.have < output.lines) {
		if (output.have == before && ++vain > REPEATS)
			return broken(run, "damages the output of a command again and again", err);
		vain = output.have == before ? vain : 0;
		before = output.have;
		if (fetch_part(run, &output, err) < 0)
			return -1;
	}
	return 0;
}

/* ---- a command */

int ntd_serial_settle(struct ntd_serial *serial, int64_t deadline, struct ntd_waiter *waiter,
		      struct ntd_error **err)
{
	struct serial_run run = {.serial = serial, .waiter = waiter};
	unsigned first = serial->number + 1;
	int result = 0;

	if (!serial->unfinished)
		return 0;
	while (ntd_now() < deadline) {
		int64_t until = ntd_after(INTERRUPT_PAUSE);
		_cleanup_free_ char *text = ntd_asprintf(
			"%s%u s 0 \n", serial->abandoned ? "\n" : "", ++serial->number);

		result = ntd_serial_type(serial, text, err);
		while (result == 0 && (result = next_answer(&run, until, err)) > 0) {
			if (run.answer.word == NTD_SERIAL_OK && run.answer.number >= first) {
				serial->unfinished = serial->abandoned = false;
				return 0;
			}
			result = 0;
		}
		if (result < 0)
			return -1;
	}
	return broken(&run, "is busy with an earlier command", err);
}

static int run_and_read(struct serial_run *run, struct ntd_result *result, struct ntd_error **err)
{
	const struct ntd_command *command = run->command;
	int64_t limit = command->timeout > 0 ? ntd_after(ntd_span(command->timeout)) : NTD_FOREVER;
	int ended;

	if (send_command(run, err) < 0)
		return -1;
	if (command->no_reply) {
		run->serial->abandoned = false;
		result->status = -2;
		return 0;
	}
	ended = await_end(run, limit, err);
	if (ended < 0)
		return -1;
	result->status = ended ? STATUS_TIMED_OUT : (int)run->answer.values[0];
	if (read_output(run, result, err) < 0)
		return -1;
	if (command->no_status)
		result->status = -1;
	ntd_command_tell(command, ntd_buf_bytes(&result->output), result->output.len);
	run->serial->unfinished = run->serial->abandoned = false;
	return 0;
}

int ntd_serial_run(struct ntd_serial *serial, const struct ntd_command *command,
		   struct ntd_result *result, struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct serial_run run = {.serial = serial, .waiter = waiter, .command = command};
	int status;

	if (command->text_len > TEXT_LIMIT)
		return ntd_error_set(err, NTD_E_VALUE,
				     "a command of %zu bytes is too long for a shell on a serial "
				     "console",
				     command->text_len);
	/* until this is over, whatever ends it */
	serial->unfinished = serial->abandoned = true;
	status = run_and_read(&run, result, err);
	free(run.line);
	if (status < 0 && *serial->identity && serial->unfinished)
		ntd_serial_type(serial, "\n", NULL); /* kills what may be running */
	return status;
}
