/* The serial console of a machine: pipes from and to the QEMU process, and the file that keeps the
 * raw bytes. The loop thread reads and writes the pipes, and it alone uses the fields of a console;
 * the functions for other threads post their work to it.
 *
 * Reading is bounded per wake-up, so a console flood shares the loop fairly with everything else.
 * The pipe holds the guest back when the loop is behind, so nothing is lost.
 *
 * What the bytes mean is in lines.c; waiting for lines is in console_wait.c, going back in mark.c.
 */
#include "console/console_internal.h"

#include "base/printable.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

enum {
	READ_SIZE = 64 << 10,
	DRAIN_READS = 64, /* 4 MiB: more than a pipe holds */
	LOG_LIMIT = 256 << 20,
	INPUT_LIMIT = 16 << 20,
};

static void line_complete(void *owner, const char *text, size_t len, bool panic)
{
	struct ntd_console *console = owner;

	ntd_report_emit(console->report, &(struct ntd_event){.kind = NTD_EVENT_SERIAL,
							     .level = NTD_LEVEL_ALWAYS,
							     .machine = console->machine,
							     .text = text,
							     .text_len = len});
	if (panic && !console->abandoned)
		console->panicked(console->owner);
}

static void add_bytes(struct ntd_console *console, const char *bytes, size_t len)
{
	if (console->raw)
		ntd_background_write(console->raw, bytes, len);
	ntd_expect_feed(console, bytes, len);
	ntd_lines_add(&console->lines, bytes, len);
	console->heard_at = ntd_now();
}

/* ---- the pipes */

/* Reads at most `batches` times READ_SIZE bytes. False at the end of the pipe. */
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
		ntd_source_remove(source); /* the process has closed its end */
	else
		flush_input(console);
}

void ntd_console_discard_input(struct ntd_console *console)
{
	char path[40], bytes[4096];
	_cleanup_fd_ int pipe = -1;

	ntd_buf_clear(&console->pending_input);
	ntd_source_modify(&console->input, 0);
	/* a pipe can be opened again at its other end, unless it has been closed */
	snprintf(path, sizeof path, "/proc/self/fd/%d", console->input.fd);
	if (console->input.fd >= 0)
		pipe = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	while (pipe >= 0 && read(pipe, bytes, sizeof bytes) > 0)
		;
}

int ntd_console_open(struct ntd_console *console, int output_fd, int input_fd, int raw_fd,
		     void (*panicked)(void *owner), void *owner, struct ntd_error **err)
{
	console->panicked = panicked;
	console->owner = owner;
	ntd_lines_forget(&console->lines);
	ntd_expect_begin(console);
	ntd_buf_clear(&console->pending_input);
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

void ntd_console_read_rest(struct ntd_console *console)
{
	if (console->output.fd >= 0)
		read_output(console, DRAIN_READS);
}

void ntd_console_drain(struct ntd_console *console)
{
	if (console->output.fd < 0)
		return;
	ntd_console_read_rest(console);
	ntd_lines_end(&console->lines);
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
	ntd_expect_end(console, why);
}

char *ntd_console_tail(const struct ntd_console *console, int lines)
{
	return ntd_lines_tail(&console->lines, lines);
}

int64_t ntd_console_heard(const struct ntd_console *console)
{
	return console->heard_at;
}

const char *ntd_console_panic(const struct ntd_console *console)
{
	return console->lines.panic;
}

void ntd_console_forget_panic(struct ntd_console *console)
{
	free(ntd_steal(&console->lines.panic));
}

/* ---- for other threads */

struct query {
	const struct ntd_console *console;
	int lines;
	struct ntd_buf *copy;
	char *tail;
};

static void copy_log(void *arg)
{
	const struct query *query = arg;

	ntd_buf_clear(query->copy);
	ntd_lines_copy(&query->console->lines, query->copy);
}

void ntd_console_copy_log(struct ntd_console *console, struct ntd_buf *log)
{
	ntd_loop_call(console->loop, copy_log, &(struct query){.console = console, .copy = log});
}

static void read_tail(void *arg)
{
	struct query *query = arg;

	query->tail = ntd_console_tail(query->console, query->lines);
}

char *ntd_console_tail_now(struct ntd_console *console, int lines)
{
	struct query query = {.console = console, .lines = lines};

	ntd_loop_call(console->loop, read_tail, &query);
	return query.tail;
}

char *ntd_console_last_line_now(struct ntd_console *console, size_t most)
{
	enum { LINES = 50 };
	char *tail = ntd_console_tail_now(console, LINES), *line = NULL;

	do {
		char *newline = strrchr(tail, '\n');

		/* Each line is cut off behind the one before it; the first has no newline left. */
		free(line);
		line = ntd_printable_line(newline ? newline + 1 : tail, most);
		tail[newline ? newline - tail : 0] = 0;
	} while (!*line && *tail);
	free(tail);
	return line;
}

static void copy_tail(void *arg)
{
	const struct query *query = arg;

	ntd_lines_copy_tail(&query->console->lines, query->lines, query->copy);
}

void ntd_console_copy_tail(struct ntd_console *console, int lines, struct ntd_buf *tail)
{
	ntd_loop_call(console->loop, copy_tail,
		      &(struct query){.console = console, .lines = lines, .copy = tail});
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

	*console = (struct ntd_console){
		.loop = loop,
		.report = report,
		.machine = ntd_strdup(machine),
		.era = 1,
		.lines = {.limit = LOG_LIMIT, .complete = line_complete, .owner = console},
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
	ntd_lines_free(&console->lines);
	ntd_buf_free(&console->pending_input);
	ntd_error_free(console->back);
	free(console->machine);
	free(console);
}
