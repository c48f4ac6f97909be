/* The log is one buffer of lines, each with its newline; `unread` is the offset of the first line
 * that no wait has taken. Past LOG_LIMIT the oldest half of what is kept in memory goes; the raw
 * file is whole.
 *
 * Reading is bounded per wake-up: a console flood shares the loop fairly with everything else. The
 * pipe holds the guest back when the loop is behind, so nothing is lost.
 *
 * Those who wait for lines are in console_wait.c.
 */
#include "console/console_internal.h"

#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum {
	READ_SIZE = 64 << 10,
	LINE_LIMIT = 64 << 10, /* a longer line is split */
	LOG_LIMIT = 256 << 20,
	INPUT_LIMIT = 16 << 20,
};

/* ---- lines */

/* The bytes without a UTF-8 character at the end of which only the beginning has been read. */
static size_t whole_characters(const struct ntd_buf *bytes)
{
	const unsigned char *at = (const unsigned char *)ntd_buf_bytes(bytes);
	size_t cut = bytes->len, back = 1;

	while (back < 4 && back < cut && (at[cut - back] & 0xc0) == 0x80)
		back++;
	if (cut && at[cut - back] >= 0xc0 &&
	    !ntd_utf8_sequence((const char *)at + cut - back, back))
		cut -= back;
	return cut;
}

/* Spaces at the end, which whole lines lose, belong to a prompt. */
void ntd_console_append_partial(const struct ntd_console *console, size_t from, struct ntd_buf *out)
{
	const char *bytes = ntd_buf_bytes(&console->partial);
	size_t end = whole_characters(&console->partial), len;
	_cleanup_free_ char *text = NULL;

	if (end <= from)
		return;
	text = ntd_console_text(bytes + from, end - from, &len);
	ntd_buf_append(out, text, len);
	for (size_t at = end; at > from && bytes[at - 1] == ' '; at--)
		ntd_buf_puts(out, " ");
}

static void forget_oldest(struct ntd_console *console)
{
	const char *bytes = ntd_buf_bytes(&console->log);
	const char *end = memchr(bytes + LOG_LIMIT / 2, '\n', console->log.len - LOG_LIMIT / 2);
	size_t drop = end ? (size_t)(end - bytes) + 1 : console->log.len;

	ntd_buf_consume(&console->log, drop);
	console->unread -= drop < console->unread ? drop : console->unread;
}

/* Whether the kernel begins a line before `at`: there stands nothing, or its time stamp, before
 * which there may be what the firmware left. */
static bool begins_line(const char *text, const char *at)
{
	const char *stamp = memrchr(text, '[', (size_t)(at - text));

	return at == text ||
	       (stamp && strspn(stamp + 1, " .0123456789") == strcspn(stamp + 1, "]") &&
		stamp + strcspn(stamp, "]") + 2 == at);
}

/* The kernel's own line; not a log that quotes one. */
static bool is_panic(const char *text)
{
	const char *at = strstr(text, "Kernel panic - not syncing");

	return at && begins_line(text, at);
}

/* The line at the end of the log was the partial one: what was used of it is not read again. */
static void skip_used(struct ntd_console *console, size_t line_start, size_t text_len)
{
	size_t used = console->partial_used;
	size_t used_text;

	console->partial_used = 0;
	console->line++;
	if (!used || console->unread != line_start)
		return;
	free(ntd_console_text(ntd_buf_bytes(&console->partial),
			      used < console->partial.len ? used : console->partial.len,
			      &used_text));
	console->unread += used_text < text_len ? used_text : text_len;
}

static void add_line(struct ntd_console *console, const char *bytes, size_t len)
{
	size_t text_len;
	_cleanup_free_ char *text = ntd_console_text(bytes, len, &text_len);

	ntd_report_emit(console->report, &(struct ntd_event){.kind = NTD_EVENT_SERIAL,
							     .level = NTD_LEVEL_ALWAYS,
							     .machine = console->machine,
							     .text = text,
							     .text_len = text_len});
	if (is_panic(text)) {
		free(console->panic);
		console->panic = ntd_strndup(text, text_len);
		console->panicked(console->owner);
	}
	ntd_buf_append(&console->log, text, text_len);
	ntd_buf_append(&console->log, "\n", 1);
	skip_used(console, console->log.len - text_len - 1, text_len);
	if (console->log.len > LOG_LIMIT)
		forget_oldest(console);
}

static void add_bytes(struct ntd_console *console, const char *bytes, size_t len)
{
	const char *end;

	if (console->raw)
		ntd_background_write(console->raw, bytes, len);
	while (len && (end = memchr(bytes, '\n', len))) {
		size_t step = (size_t)(end - bytes) + 1;

		ntd_buf_append(&console->partial, bytes, step - 1);
		add_line(console, ntd_buf_bytes(&console->partial), console->partial.len);
		ntd_buf_clear(&console->partial);
		bytes += step;
		len -= step;
	}
	ntd_buf_append(&console->partial, bytes, len);
	console->partial_at = ntd_now();
	if (console->partial.len > LINE_LIMIT) {
		size_t whole = whole_characters(&console->partial);

		add_line(console, ntd_buf_bytes(&console->partial), whole);
		ntd_buf_consume(&console->partial, whole);
	}
}

/* ---- the pipes */

/* False at the end of the pipe. */
static bool read_output(struct ntd_console *console, int batches)
{
	char bytes[READ_SIZE];

	while (batches--) {
		ssize_t got = read(console->output.fd, bytes, sizeof bytes);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 && errno == EAGAIN;
		add_bytes(console, bytes, (size_t)got);
	}
	return true;
}

static void output_ready(struct ntd_source *source, uint32_t events)
{
	struct ntd_console *console = ntd_container_of(source, struct ntd_console, output);

	if (!read_output(console, 1))
		ntd_source_remove(source);
	ntd_console_serve(console);
}

static void flush_input(struct ntd_console *console)
{
	while (console->pending_input.len) {
		ssize_t written = write(console->input.fd, ntd_buf_bytes(&console->pending_input),
					console->pending_input.len);

		if (written > 0)
			ntd_buf_consume(&console->pending_input, (size_t)written);
		else if (errno == EAGAIN)
			break;
		else if (errno != EINTR)
			ntd_buf_clear(&console->pending_input);
	}
	ntd_source_modify(&console->input, console->pending_input.len ? (uint32_t)EPOLLOUT : 0);
}

static void input_ready(struct ntd_source *source, uint32_t events)
{
	struct ntd_console *console = ntd_container_of(source, struct ntd_console, input);

	if (events & EPOLLERR)
		ntd_source_remove(source); /* nobody reads it any more */
	else
		flush_input(console);
}

int ntd_console_open(struct ntd_console *console, int output_fd, int input_fd, int raw_fd,
		     void (*panicked)(void *owner), void *owner, struct ntd_error **err)
{
	console->panicked = panicked;
	console->owner = owner;
	ntd_buf_clear(&console->partial);
	ntd_buf_free(&console->log);
	ntd_buf_clear(&console->pending_input);
	console->unread = console->partial_used = 0;
	console->line++;
	free(ntd_steal(&console->panic));
	console->output.fd = output_fd;
	console->input.fd = input_fd;
	console->raw = ntd_background_open(ntd_report_background(console->report), raw_fd, err);
	if (!console->raw)
		return -1;
	fcntl(output_fd, F_SETFL, O_NONBLOCK);
	fcntl(input_fd, F_SETFL, O_NONBLOCK);
	if (ntd_source_add(console->loop, &console->output, EPOLLIN, err) < 0)
		return -1;
	return ntd_source_add(console->loop, &console->input, 0, err);
}

void ntd_console_drain(struct ntd_console *console)
{
	if (console->output.fd < 0)
		return;
	/* What it wrote is in the pipe, at most its capacity. */
	read_output(console, 64);
	if (console->partial.len) {
		add_line(console, ntd_buf_bytes(&console->partial), console->partial.len);
		ntd_buf_clear(&console->partial);
	}
	ntd_console_serve(console);
}

void ntd_console_close(struct ntd_console *console, const struct ntd_error *why)
{
	ntd_console_drain(console);
	if (console->output.fd >= 0) {
		ntd_source_remove(&console->output);
		ntd_source_remove(&console->input);
		ntd_close_fd(&console->output.fd);
		ntd_close_fd(&console->input.fd);
		ntd_background_close(ntd_steal(&console->raw));
	}
	ntd_timer_cancel(&console->quiet);
	ntd_console_fail_pending(console, why);
}

/* Where the last lines begin. */
static size_t tail_start(const struct ntd_console *console, int lines)
{
	const char *bytes = ntd_buf_bytes(&console->log);
	size_t start = console->log.len;

	for (int i = console->partial.len > 0; i < lines && start; i++) {
		const char *end = memrchr(bytes, '\n', start - 1);

		start = end ? (size_t)(end - bytes) + 1 : 0;
	}
	return start;
}

char *ntd_console_tail(const struct ntd_console *console, int lines)
{
	struct ntd_buf tail = {0};
	const char *bytes = ntd_buf_bytes(&console->log);
	size_t start = tail_start(console, lines);

	while (start < console->log.len) {
		const char *end = memchr(bytes + start, '\n', console->log.len - start);
		size_t len = (size_t)(end - bytes) - start;

		ntd_buf_puts(&tail, "    ");
		ntd_buf_append(&tail, bytes + start, len);
		ntd_buf_puts(&tail, "\n");
		start += len + 1;
	}
	if (lines > 0 && console->partial.len) {
		ntd_buf_puts(&tail, "    ");
		ntd_console_append_partial(console, 0, &tail);
		ntd_buf_puts(&tail, "\n");
	}
	return ntd_buf_take_string(&tail);
}

int64_t ntd_console_heard(const struct ntd_console *console)
{
	return console->partial_at;
}

const char *ntd_console_panic(const struct ntd_console *console)
{
	return console->panic;
}

/* ---- script threads */

struct log_copy {
	struct ntd_console *console;
	struct ntd_buf *log;
};

static void copy_log(void *arg)
{
	struct log_copy *copy = arg;
	size_t len = copy->console->log.len;

	ntd_buf_clear(copy->log);
	ntd_buf_append(copy->log, ntd_buf_bytes(&copy->console->log),
		       len && !copy->console->partial.len ? len - 1 : len);
	ntd_console_append_partial(copy->console, 0, copy->log);
}

void ntd_console_copy_log(struct ntd_console *console, struct ntd_buf *log)
{
	ntd_loop_call(console->loop, copy_log, &(struct log_copy){.console = console, .log = log});
}

struct tail_query {
	struct ntd_console *console;
	int lines;
	char *tail;
	struct ntd_buf *copy;
};

static void read_tail(void *arg)
{
	struct tail_query *query = arg;

	query->tail = ntd_console_tail(query->console, query->lines);
}

char *ntd_console_tail_now(struct ntd_console *console, int lines)
{
	struct tail_query query = {.console = console, .lines = lines};

	ntd_loop_call(console->loop, read_tail, &query);
	return query.tail;
}

static void copy_tail(void *arg)
{
	struct tail_query *query = arg;
	const struct ntd_buf *log = &query->console->log;
	size_t start = tail_start(query->console, query->lines);

	ntd_buf_append(query->copy, ntd_buf_bytes(log) + start, log->len - start);
	ntd_console_append_partial(query->console, 0, query->copy);
}

void ntd_console_copy_tail(struct ntd_console *console, int lines, struct ntd_buf *tail)
{
	ntd_loop_call(console->loop, copy_tail,
		      &(struct tail_query){.console = console, .lines = lines, .copy = tail});
}

struct input {
	struct ntd_console *console;
	const char *bytes;
	size_t len;
	bool closed, full;
};

static void queue_input(void *arg)
{
	struct input *input = arg;
	struct ntd_console *console = input->console;

	input->closed = console->input.fd < 0 || !console->input.loop;
	input->full = console->pending_input.len + input->len > INPUT_LIMIT;
	if (input->closed || input->full)
		return;
	ntd_buf_append(&console->pending_input, input->bytes, input->len);
	flush_input(console);
}

int ntd_console_write(struct ntd_console *console, const char *bytes, size_t len,
		      struct ntd_error **err)
{
	struct input input = {.console = console, .bytes = bytes, .len = len};

	ntd_loop_call(console->loop, queue_input, &input);
	if (input.closed)
		return ntd_error_set(err, NTD_E_DEAD, "machine '%s' is not running",
				     console->machine);
	if (input.full)
		return ntd_error_set(err, NTD_E_MACHINE,
				     "machine '%s' does not read its serial console",
				     console->machine);
	return 0;
}

/* ---- life */

struct ntd_console *ntd_console_new(struct ntd_loop *loop, struct ntd_report *report,
				    const char *machine)
{
	struct ntd_console *console = ntd_calloc(1, sizeof *console);

	*console = (struct ntd_console){.loop = loop,
					.report = report,
					.machine = ntd_strdup(machine),
					.output = {.fd = -1, .ready = output_ready},
					.input = {.fd = -1, .ready = input_ready},
					.quiet = {.expired = ntd_console_quiet}};
	return console;
}

void ntd_console_set_report(struct ntd_console *console, struct ntd_report *report)
{
	console->report = report;
}

void ntd_console_free(struct ntd_console *console)
{
	if (!console)
		return;
	ntd_buf_free(&console->partial);
	ntd_buf_free(&console->log);
	ntd_buf_free(&console->pending_input);
	free(console->panic);
	free(console->machine);
	free(console);
}
