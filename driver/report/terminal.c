/* The format is upstream's, read by people and by scripts that search CI logs:
 *
 *   NAME: message                      a message; NAME: only for a machine's
 *   NAME: ESC[1mESC[32m step ESC[0m    a step begins
 *   (finished: step, in 0.12 seconds)  and ends; nothing when it failed
 *   ESC[2mNAME # line ESC[0m           a console line
 *   ESC[31m!!! ESC[0m text             a failed test
 */
#include "report/sinks.h"

#include "base/buf.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>

struct terminal {
	struct ntd_sink sink;
	int fd;
	_Atomic enum ntd_level level;
	atomic_bool serial;
	bool broken; /* the reader is gone: write no more */
	struct ntd_buf pending;
};

enum { WRITE_SIZE = 64 << 10 };

static void write_pending(struct terminal *terminal)
{
	while (terminal->pending.len && !terminal->broken) {
		ssize_t written = write(terminal->fd, ntd_buf_bytes(&terminal->pending),
					terminal->pending.len);

		if (written >= 0) {
			ntd_buf_consume(&terminal->pending, (size_t)written);
		} else if (errno == EAGAIN) {
			poll(&(struct pollfd){.fd = terminal->fd, .events = POLLOUT}, 1, -1);
		} else if (errno != EINTR) {
			terminal->broken = true;
		}
	}
	ntd_buf_clear(&terminal->pending);
}

static void line(struct terminal *terminal, const char *before, const struct ntd_event *event,
		 const char *separator, const char *after)
{
	struct ntd_buf *out = &terminal->pending;

	ntd_buf_puts(out, before);
	if (event->machine) {
		ntd_buf_puts(out, event->machine);
		ntd_buf_puts(out, separator);
	}
	ntd_buf_append(out, event->text, event->text_len);
	ntd_buf_puts(out, after);
}

static void step(struct terminal *terminal, const struct ntd_event *event, const char *title)
{
	struct ntd_buf *out = &terminal->pending;

	if (event->machine)
		ntd_buf_printf(out, "%s: ", event->machine);
	ntd_buf_printf(out, "\033[1m\033[32m%s", title);
	ntd_buf_append(out, event->text, event->text_len);
	ntd_buf_puts(out, "\033[0m\n");
}

static void step_end(struct terminal *terminal, const struct ntd_event *event, const char *title)
{
	struct ntd_buf *out = &terminal->pending;

	if (event->failed)
		return;
	ntd_buf_printf(out, "(finished: %s", title);
	ntd_buf_append(out, event->text, event->text_len);
	ntd_buf_printf(out, ", in %.2f seconds)\n", event->seconds);
}

static void terminal_event(struct ntd_sink *sink, const struct ntd_event *event)
{
	struct terminal *terminal = ntd_container_of(sink, struct terminal, sink);

	switch (event->kind) {
	case NTD_EVENT_MESSAGE:
		if (event->level >= terminal->level)
			line(terminal, "", event, ": ", "\n");
		break;
	case NTD_EVENT_NEST_BEGIN:
		step(terminal, event, "");
		break;
	case NTD_EVENT_NEST_END:
		step_end(terminal, event, "");
		break;
	case NTD_EVENT_SUBTEST_BEGIN:
		step(terminal, event, "subtest: ");
		break;
	case NTD_EVENT_SUBTEST_END:
		step_end(terminal, event, "subtest: ");
		break;
	case NTD_EVENT_SERIAL:
		if (terminal->serial)
			line(terminal, "\033[2m", event, " # ", "\033[0m\n");
		break;
	case NTD_EVENT_TEST_ERROR:
		line(terminal, "\033[31m!!! \033[0m", event, ": ", "\n");
		break;
	case NTD_EVENT_KIND_COUNT:
	default:
		break;
	}
	if (terminal->pending.len >= WRITE_SIZE)
		write_pending(terminal);
}

static void terminal_flush(struct ntd_sink *sink)
{
	write_pending(ntd_container_of(sink, struct terminal, sink));
}

static void terminal_close(struct ntd_sink *sink)
{
	struct terminal *terminal = ntd_container_of(sink, struct terminal, sink);

	write_pending(terminal);
	ntd_buf_free(&terminal->pending);
	free(terminal);
}

struct ntd_sink *ntd_terminal_sink(int fd, enum ntd_level level)
{
	struct terminal *terminal = ntd_calloc(1, sizeof *terminal);

	terminal->sink = (struct ntd_sink){
		.event = terminal_event, .flush = terminal_flush, .close = terminal_close};
	terminal->fd = fd;
	terminal->level = level;
	terminal->serial = true;
	return &terminal->sink;
}

void ntd_terminal_show_serial(struct ntd_sink *sink, bool shown)
{
	ntd_container_of(sink, struct terminal, sink)->serial = shown;
}

void ntd_terminal_set_level(struct ntd_sink *sink, enum ntd_level level)
{
	ntd_container_of(sink, struct terminal, sink)->level = level;
}
