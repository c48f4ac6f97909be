/* The log on a terminal. The format is upstream's, which people read and programs search for in CI
 * logs:
 *
 *   NAME: message                      a message; "NAME: " only if it is about a machine
 *   NAME: ESC[1mESC[32m step ESC[0m    a step begins
 *   (finished: step, in 0.12 seconds)  the step ends; no line when it has failed
 *   ESC[2mNAME # line ESC[0m           a console line
 *   ESC[31m!!! ESC[0m text             a line of a failed test's report
 *
 * On a terminal, a line below the log says what the run waits for (report/live_line.h).
 *
 * Texts of guests and scripts are shown as text only (base/printable.h): nothing in them commands
 * the terminal. Colours pass where the log is a terminal.
 *
 * A quiet terminal keeps hidden lines while it may have to show them: messages until the next step
 * begins or ends, the last console lines of each machine until the run ends.
 */
#include "report/sinks.h"

#include "base/forked.h"
#include "base/printable.h"
#include "base/vec.h"
#include "report/live_line.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

/* The last console lines of a machine, with their colours. */
struct tail {
	char *machine;
	struct ntd_buf lines;
	int count;
};

struct terminal {
	struct ntd_sink sink;
	atomic_int fd;
	int own_fd; /* a copy of the descriptor, which the sink closes; -1: none */
	_Atomic enum ntd_level level;
	atomic_bool serial;
	bool broken;  /* a write has failed: write no more */
	bool colours; /* colours in texts pass */
	struct ntd_buf pending;
	struct ntd_live_line live;

	bool quiet;            /* the members below are for a quiet terminal */
	struct ntd_buf hidden; /* messages since a step last began or ended */
	ntd_vec(struct tail) tails;
};

enum { WRITE_SIZE = 64 << 10, HIDDEN_LIMIT = 64 << 10, TAIL_LINES = 20 };

static void write_bytes(struct terminal *terminal)
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

static void write_pending(struct terminal *terminal)
{
	pthread_mutex_lock(&terminal->live.mutex);
	ntd_live_line_remove(&terminal->live, &terminal->pending);
	write_bytes(terminal);
	pthread_mutex_unlock(&terminal->live.mutex);
}

/* Does the same, and draws the line below the log if there is something to say. */
static void write_with_line(struct terminal *terminal)
{
	pthread_mutex_lock(&terminal->live.mutex);
	terminal->sink.wake = ntd_live_line_compose(&terminal->live, terminal->fd, terminal->serial,
						    &terminal->pending);
	write_bytes(terminal);
	pthread_mutex_unlock(&terminal->live.mutex);
}

static void put_text(const struct terminal *terminal, struct ntd_buf *out,
		     const struct ntd_event *event)
{
	ntd_printable(out, event->text, event->text_len, terminal->colours);
}

static void put_machine(struct ntd_buf *out, const char *machine, const char *separator)
{
	if (!machine)
		return;
	ntd_printable(out, machine, strlen(machine), false);
	ntd_buf_puts(out, separator);
}

static void line(const struct terminal *terminal, struct ntd_buf *out, const char *before,
		 const struct ntd_event *event, const char *separator, const char *after)
{
	ntd_buf_puts(out, before);
	put_machine(out, event->machine, separator);
	put_text(terminal, out, event);
	ntd_buf_puts(out, after);
}

/* ---- quiet */

static bool is_trouble(const struct ntd_event *event)
{
	return event->level == NTD_LEVEL_WARNING || event->level == NTD_LEVEL_ERROR;
}

static void drop_first_line(struct ntd_buf *lines)
{
	const char *bytes = ntd_buf_bytes(lines), *end = memchr(bytes, '\n', lines->len);

	ntd_buf_consume(lines, end ? (size_t)(end - bytes) + 1 : lines->len);
}

static void hide_message(struct terminal *terminal, const struct ntd_event *event)
{
	line(terminal, &terminal->hidden, "", event, ": ", "\n");
	if (terminal->hidden.len > HIDDEN_LIMIT)
		ntd_buf_consume(&terminal->hidden, terminal->hidden.len - HIDDEN_LIMIT);
}

static void settle_hidden(struct terminal *terminal, bool show)
{
	if (show)
		ntd_buf_append(&terminal->pending, ntd_buf_bytes(&terminal->hidden),
			       terminal->hidden.len);
	ntd_buf_clear(&terminal->hidden);
}

static struct tail *tail_of(struct terminal *terminal, const char *machine)
{
	for (size_t i = 0; i < terminal->tails.count; i++)
		if (!strcmp(terminal->tails.items[i].machine, machine))
			return &terminal->tails.items[i];
	return ntd_vec_push(&terminal->tails, (struct tail){.machine = ntd_strdup(machine)});
}

static void hide_serial(struct terminal *terminal, const struct ntd_event *event)
{
	struct tail *tail = tail_of(terminal, event->machine ? event->machine : "");

	line(terminal, &tail->lines, "\033[2m", event, " # ", "\033[0m\n");
	if (tail->count == TAIL_LINES)
		drop_first_line(&tail->lines);
	else
		tail->count++;
}

static void show_tails(struct terminal *terminal)
{
	for (size_t i = 0; i < terminal->tails.count; i++) {
		const struct tail *tail = &terminal->tails.items[i];

		put_machine(&terminal->pending, tail->machine, ": last console lines:\n");
		ntd_buf_append(&terminal->pending, ntd_buf_bytes(&tail->lines), tail->lines.len);
	}
}

/* ---- lines of the log */

static void step(struct terminal *terminal, const struct ntd_event *event, const char *title)
{
	struct ntd_buf *out = &terminal->pending;

	settle_hidden(terminal, false);
	put_machine(out, event->machine, ": ");
	ntd_buf_printf(out, "\033[1m\033[32m%s", title);
	put_text(terminal, out, event);
	ntd_buf_puts(out, "\033[0m\n");
}

static void step_end(struct terminal *terminal, const struct ntd_event *event, const char *title)
{
	struct ntd_buf *out = &terminal->pending;

	settle_hidden(terminal, event->failed);
	if (event->failed)
		return;
	ntd_buf_printf(out, "(finished: %s", title);
	put_text(terminal, out, event);
	ntd_buf_printf(out, ", in %.2f seconds)\n", event->seconds);
}

/* ---- the sink */

static void message(struct terminal *terminal, const struct ntd_event *event)
{
	if (event->level < terminal->level)
		return;
	if (terminal->quiet && !is_trouble(event))
		hide_message(terminal, event);
	else
		line(terminal, &terminal->pending, "", event, ": ", "\n");
}

static void terminal_event(struct ntd_sink *sink, const struct ntd_event *event)
{
	struct terminal *terminal = ntd_container_of(sink, struct terminal, sink);

	if (terminal->live.enabled && ntd_status_event(&terminal->live.status, event) &&
	    terminal->live.visible)
		return;
	switch (event->kind) {
	case NTD_EVENT_MESSAGE:
		message(terminal, event);
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
		if (terminal->quiet)
			hide_serial(terminal, event);
		else if (terminal->serial)
			line(terminal, &terminal->pending, "\033[2m", event, " # ", "\033[0m\n");
		break;
	case NTD_EVENT_TEST_ERROR:
		line(terminal, &terminal->pending, "\033[31m!!! \033[0m", event, ": ", "\n");
		break;
	case NTD_EVENT_RUN_END:
		if (event->failed)
			show_tails(terminal);
		break;
	case NTD_EVENT_STATE:
	case NTD_EVENT_COMMAND_END:
	case NTD_EVENT_OUTPUT:
	case NTD_EVENT_BUSY:
	case NTD_EVENT_IDLE:
	case NTD_EVENT_DETAIL:
	case NTD_EVENT_KIND_COUNT:
	default:
		break;
	}
	if (terminal->pending.len >= WRITE_SIZE)
		write_pending(terminal);
}

static void terminal_flush(struct ntd_sink *sink)
{
	struct terminal *terminal = ntd_container_of(sink, struct terminal, sink);

	if (terminal->live.enabled)
		write_with_line(terminal);
	else
		write_bytes(terminal);
}

static void terminal_close(struct ntd_sink *sink)
{
	struct terminal *terminal = ntd_container_of(sink, struct terminal, sink);

	write_pending(terminal);
	ntd_buf_free(&terminal->pending);
	ntd_buf_free(&terminal->hidden);
	for (size_t i = 0; i < terminal->tails.count; i++) {
		ntd_buf_free(&terminal->tails.items[i].lines);
		free(terminal->tails.items[i].machine);
	}
	ntd_vec_free(&terminal->tails);
	ntd_live_line_free(&terminal->live);
	ntd_close_fd(&terminal->own_fd);
	free(terminal);
}

struct ntd_sink *ntd_terminal_sink(int fd, enum ntd_level level)
{
	struct terminal *terminal = ntd_calloc(1, sizeof *terminal);

	terminal->sink = (struct ntd_sink){
		.event = terminal_event, .flush = terminal_flush, .close = terminal_close};
	terminal->fd = fd;
	terminal->own_fd = -1;
	terminal->colours = isatty(fd);
	terminal->level = level;
	terminal->serial = true;
	ntd_live_line_init(&terminal->live, fd);
	terminal->sink.live = terminal->live.enabled;
	return &terminal->sink;
}

bool ntd_terminal_show_serial(struct ntd_sink *sink, bool shown)
{
	return atomic_exchange(&ntd_container_of(sink, struct terminal, sink)->serial, shown);
}

void ntd_terminal_set_level(struct ntd_sink *sink, enum ntd_level level)
{
	ntd_container_of(sink, struct terminal, sink)->level = level;
}

void ntd_terminal_be_quiet(struct ntd_sink *sink)
{
	struct terminal *terminal = ntd_container_of(sink, struct terminal, sink);

	terminal->quiet = true;
	sink->live = terminal->live.enabled = false;
}

bool ntd_terminal_has_live_line(const struct ntd_sink *sink)
{
	return ntd_container_of(sink, const struct terminal, sink)->live.enabled;
}

bool ntd_terminal_hide_live_line(struct ntd_sink *sink, bool hidden)
{
	struct terminal *terminal = ntd_container_of(sink, struct terminal, sink);

	return ntd_live_line_hide(&terminal->live, terminal->fd, hidden);
}

void ntd_terminal_make_way(struct ntd_sink *sink, bool ends_line)
{
	struct terminal *terminal = ntd_container_of(sink, struct terminal, sink);

	if (!ntd_is_forked())
		ntd_live_line_make_way(&terminal->live, terminal->fd, ends_line);
}

void ntd_terminal_keep_output(struct ntd_sink *sink)
{
	struct terminal *terminal = ntd_container_of(sink, struct terminal, sink);
	int copy = fcntl(terminal->fd, F_DUPFD_CLOEXEC, 3);

	if (copy >= 0)
		terminal->fd = terminal->own_fd = copy;
}
