/* What the console shows, line by line, and what is typed there. On the script thread whose turn it
 * is.
 */
#include "channel/serial_internal.h"

#include <string.h>

enum { TAIL_LINES = 20 };

/* Fetches what the console has shown since the last time: BEGUN; LATE when the time is over. */
static int fetch(struct ntd_serial *serial, int64_t until, struct ntd_waiter *waiter,
		 struct ntd_error **err)
{
	struct ntd_expect_text text = {0};
	struct ntd_error *error = NULL;
	int result = ntd_expect_read(serial->reader, &text, until, waiter, &error);

	if (result == 0) {
		ntd_buf_append(&serial->text, ntd_buf_bytes(&text.bytes), text.bytes.len);
		ntd_expect_advance(serial->reader, &text, text.bytes.len);
	}
	ntd_buf_free(&text.bytes);
	if (!error)
		return NTD_SERIAL_BEGUN;
	if (error->code != NTD_E_TIMEOUT || (waiter && waiter->deadline && /* of the whole thread */
					     ntd_now() >= waiter->deadline))
		return ntd_error_move(err, error);
	ntd_error_free(error);
	return NTD_SERIAL_LATE;
}

int ntd_serial_line(struct ntd_serial *serial, int64_t until, struct ntd_waiter *waiter,
		    struct ntd_error **err)
{
	int result = serial->text.len ? NTD_SERIAL_BEGUN : fetch(serial, until, waiter, err);
	const char *text = ntd_buf_bytes(&serial->text);
	size_t len = serial->text.len;
	bool whole;

	if (result <= 0)
		return result;
	whole = ntd_serial_lines_next(&serial->lines, &text, &len);
	ntd_buf_consume(&serial->text, serial->text.len - len);
	return whole ? NTD_SERIAL_LINE : NTD_SERIAL_BEGUN;
}

enum ntd_serial_seen ntd_serial_begun(const struct ntd_serial *serial)
{
	if (serial->lines.complete)
		return NTD_SERIAL_NOTHING;
	return ntd_serial_prompt(ntd_buf_bytes(&serial->lines.line),
				 ntd_serial_lines_begun(&serial->lines));
}

void ntd_serial_skip(struct ntd_serial *serial)
{
	ntd_expect_skip(serial->reader);
	ntd_buf_clear(&serial->text);
	ntd_serial_lines_clear(&serial->lines);
}

int ntd_serial_type(struct ntd_serial *serial, const char *text, struct ntd_error **err)
{
	return ntd_console_write(serial->console, text, strlen(text), err);
}

char *ntd_serial_tail(const struct ntd_serial *serial)
{
	_cleanup_free_ char *lines = ntd_console_tail_now(serial->console, TAIL_LINES);

	return *lines ? ntd_asprintf("; last console lines:\n%s", lines)
		      : ntd_strdup("; the console has shown nothing");
}
