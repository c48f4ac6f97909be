/* From a shell on the serial console to the driver's loop in it (channel/serial.sh), on the script
 * thread whose turn it is.
 *
 * The login shell, which may be any, becomes a POSIX shell that reads the text of the loop line by
 * line, up to a dot, and then runs it. That shell is not interactive, so it has no prompt, no
 * history and no editor that would limit lines. The whole text fits into what a terminal's driver
 * holds, 4095 bytes, if the shell is slow to read it.
 */
#include "channel/serial_internal.h"

#include "base/text.h"

#include <string.h>

#define PATIENCE (120 * NTD_SECOND)

/* "$NTD_IDENTITY" in the loop's text. */
static const char placeholder[] = "$NTD_IDENTITY";

static char *loop_text(const struct ntd_serial *serial)
{
	struct ntd_buf text = {0};
	const char *at = ntd_serial_sh, *found;

	while ((found = strstr(at, placeholder))) {
		ntd_buf_append(&text, at, (size_t)(found - at));
		ntd_buf_puts(&text, serial->identity);
		at = found + sizeof placeholder - 1;
	}
	ntd_buf_printf(&text, "%s.\n", at);
	return ntd_buf_take_string(&text);
}

/* The line must not have its own answer in it, for the terminal echoes it. */
static char *reader_line(const struct ntd_serial *serial)
{
	return ntd_asprintf(
		"exec sh -c 'stty -echo 2>/dev/null; n=$(printf \"\\n.\") n=${n%%.} x=; "
		"echo \"%s\"\" reads\"; while IFS= read -r l && [ \"$l\" != . ]; do "
		"x=$x$l$n; done; eval \"$x\"'\n",
		serial->identity);
}

struct setup {
	struct ntd_serial *serial;
	int64_t deadline; /* of the login */
	int64_t until;    /* the end of the patience, at most that deadline */
	struct ntd_waiter *waiter;
};

static int not_in_time(const struct setup *setup, struct ntd_error **err)
{
	_cleanup_free_ char *tail = ntd_serial_tail(setup->serial);

	return ntd_error_set(
		err, setup->until < setup->deadline ? NTD_E_MACHINE : NTD_E_TIMEOUT,
		"machine '%s': the shell on the serial console did not run the driver's commands "
		"in time: this needs sh, sed, wc, id, and base64 or od in the guest%s",
		setup->serial->machine, tail);
}

/* Waits for the next line. */
static int await_line(const struct setup *setup, struct ntd_error **err)
{
	int result;

	do {
		if (ntd_now() >= setup->until) /* also if the console never falls silent */
			return not_in_time(setup, err);
		result = ntd_serial_line(setup->serial, setup->until, setup->waiter, err);
	} while (result >= 0 && result != NTD_SERIAL_LINE);
	return result;
}

/* Waits for a line with the text. */
static int await_text(const struct setup *setup, const char *text, struct ntd_error **err)
{
	const struct ntd_buf *line = &setup->serial->lines.line;

	do
		if (await_line(setup, err) < 0)
			return -1;
	while (!ntd_find(ntd_buf_bytes(line), line->len, text));
	return 0;
}

static int await_ready(const struct setup *setup, struct ntd_error **err)
{
	struct ntd_serial *serial = setup->serial;
	const struct ntd_buf *line = &serial->lines.line;
	struct ntd_serial_answer answer;

	do {
		if (await_line(setup, err) < 0)
			return -1;
		answer = ntd_serial_answer(ntd_buf_bytes(line), line->len, serial->identity);
	} while (answer.word != NTD_SERIAL_READY);
	memcpy(serial->user, answer.user, sizeof serial->user);
	serial->encoding =
		strcmp(answer.encoding, "base64") == 0 ? NTD_SERIAL_BASE64 : NTD_SERIAL_HEX;
	return 0;
}

int ntd_serial_set_up(struct ntd_serial *serial, int64_t deadline, struct ntd_waiter *waiter,
		      struct ntd_error **err)
{
	const struct setup setup = {.serial = serial,
				    .deadline = deadline,
				    .until = ntd_earlier(deadline, ntd_after(PATIENCE)),
				    .waiter = waiter};
	_cleanup_free_ char *reader = reader_line(serial), *text = loop_text(serial);
	_cleanup_free_ char *answer = ntd_asprintf("%s reads", serial->identity);

	if (ntd_serial_type(serial, reader, err) < 0 || await_text(&setup, answer, err) < 0 ||
	    ntd_serial_type(serial, text, err) < 0)
		return -1;
	serial->number = 0;
	serial->unfinished = serial->abandoned = false;
	return await_ready(&setup, err);
}
