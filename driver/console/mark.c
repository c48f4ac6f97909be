/* Going back to what a console had printed at an earlier moment, when its machine is restored to
 * the state of that moment. The loop thread runs it.
 *
 * Whoever waits, or looks at what it has got, belongs to the future that is given up. So what such
 * a thread has carries a number, `era` for lines and the number of its first byte for a reader's
 * text, by which it is told from what comes after going back.
 */
#include "console/console_internal.h"

struct ntd_console_mark {
	struct ntd_lines lines;
	struct ntd_expect_marks readers;
};

struct ntd_console_mark *ntd_console_mark(struct ntd_console *console)
{
	struct ntd_console_mark *mark = ntd_calloc(1, sizeof *mark);

	ntd_console_read_rest(console);
	ntd_console_serve(console);
	ntd_lines_mark(&console->lines, &mark->lines);
	ntd_expect_mark(console, &mark->readers);
	return mark;
}

struct ntd_console_mark *ntd_console_mark_of(const char *text, size_t len, size_t unread)
{
	struct ntd_console_mark *mark = ntd_calloc(1, sizeof *mark);
	struct ntd_buf *log = &mark->lines.log;

	ntd_buf_append(log, text, len);
	if (len)
		ntd_buf_puts(log, "\n");
	mark->lines.unread = log->len;
	while (unread-- && mark->lines.unread) {
		size_t at = mark->lines.unread - 1;

		while (at && ntd_buf_bytes(log)[at - 1] != '\n')
			at--;
		mark->lines.unread = at;
	}
	return mark;
}

/* The log gets what has come since, also the line that has begun. */
static void finish(struct ntd_console *console)
{
	console->abandoned = true;
	ntd_console_read_rest(console);
	ntd_lines_end(&console->lines);
	console->abandoned = false;
}

void ntd_console_go_back(struct ntd_console *console, const struct ntd_console_mark *mark,
			 const struct ntd_error *why)
{
	ntd_console_fail_waits(console, why);
	ntd_expect_fail_waits(console, why);
	finish(console);
	ntd_console_discard_input(console);
	ntd_lines_go_back(&console->lines, &mark->lines);
	ntd_expect_go_back(console, &mark->readers);
	ntd_error_free(console->back);
	console->back = ntd_error_copy(why);
	console->era++;
}

void ntd_console_mark_free(struct ntd_console_mark *mark)
{
	if (!mark)
		return;
	ntd_lines_free(&mark->lines);
	for (size_t i = 0; i < mark->readers.count; i++)
		ntd_buf_free(&mark->readers.items[i].text);
	ntd_vec_free(&mark->readers);
	free(mark);
}
