/* The last line of a terminal; see live_line.h. The sink's functions run on the thread that
 * delivers events, the others on any thread.
 *
 * The cursor stays in the line's first column, so that "erase to the end of the screen" removes the
 * line also after a resize has broken it in two. The width is asked for whenever the line is drawn,
 * hence no signal is needed to know of a resize.
 *
 * A driver that is killed leaves the line. The keeper outlives it, but does not remove the line:
 * the shell learns of the driver's end at the same moment, takes the terminal and prints its
 * prompt, and no check of the terminal's foreground group and a write() after it are one operation.
 * So the keeper would at times erase a prompt, or what another program prints, which is worse than
 * a line that the next output covers.
 *
 * A thread that is about to write says so in `away` and `mid_line`, and then looks at `visible`;
 * the sink sets `visible`, and then looks at these. So one of the two sees the other, and no text
 * of a script comes to stand in the line.
 */
#include "report/live_line.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define REMOVE "\r\033[J"
#define BEGIN "\r\033[36m"
#define END "\033[0m\033[J\r"

/* A change shows up after a second at most. */
#define DRAW_EVERY (1 * NTD_SECOND)
/* A log that goes on and on gets the line so often. */
#define DRAW_LEAST (50 * NTD_MS)
/* A script that prints has the terminal for so long. */
#define AWAY_FOR (300 * NTD_MS)

enum { DEFAULT_WIDTH = 80 };

static bool can_move_cursor(void)
{
	const char *kind = getenv("TERM");

	return kind && *kind && strcmp(kind, "dumb") != 0;
}

void ntd_live_line_init(struct ntd_live_line *line, int fd)
{
	pthread_mutex_init(&line->mutex, NULL);
	line->enabled = isatty(fd) && can_move_cursor();
}

void ntd_live_line_free(struct ntd_live_line *line)
{
	ntd_status_free(&line->status);
	pthread_mutex_destroy(&line->mutex);
}

/* ---- whether the terminal is the log's */

/* A program that edits a line, or takes the whole screen, reads keys as they come. */
static bool is_edited(int fd)
{
	struct termios mode;

	return tcgetattr(fd, &mode) < 0 || !(mode.c_lflag & ICANON);
}

/* The terminal may be none that the process can ask about; then nobody else has it. */
static bool is_foreground(int fd)
{
	pid_t group = tcgetpgrp(fd);

	return group < 0 || group == getpgrp();
}

/* A terminal that is stopped takes nothing; the log may wait for it, the line does not. */
static bool takes_output(int fd)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};

	return poll(&poll_fd, 1, 0) == 1 && poll_fd.revents & POLLOUT;
}

static bool is_free(int fd)
{
	return is_foreground(fd) && !is_edited(fd) && takes_output(fd);
}

/* The last column stays free: some terminals begin another line after it. */
static size_t width_of(int fd)
{
	struct winsize size;

	if (ioctl(fd, TIOCGWINSZ, &size) < 0 || !size.ws_col)
		return DEFAULT_WIDTH - 1;
	return (size_t)size.ws_col - 1;
}

/* ---- the sink */

/* When the line may appear, a time that may have come; NTD_FOREVER: nothing is to be shown. */
static int64_t wanted_at(const struct ntd_live_line *line)
{
	int64_t due = line->off ? NTD_FOREVER : ntd_status_due(&line->status);

	return due < line->away ? line->away : due;
}

/* Makes the line visible, or removes it, because a thread is about to write. */
static bool claim(struct ntd_live_line *line, int64_t now, struct ntd_buf *bytes)
{
	bool was_visible = atomic_exchange(&line->visible, true);

	if (!line->off && !line->mid_line && line->away <= now)
		return true;
	line->visible = false;
	if (was_visible)
		ntd_buf_puts(bytes, REMOVE);
	return false;
}

static void draw(struct ntd_live_line *line, int fd, bool console, int64_t now,
		 struct ntd_buf *bytes)
{
	_cleanup_buf_ struct ntd_buf text = {0};

	if (!ntd_status_line(&line->status, now, width_of(fd), console, &text) ||
	    !claim(line, now, bytes))
		return;
	ntd_buf_puts(bytes, BEGIN);
	ntd_buf_append(bytes, ntd_buf_bytes(&text), text.len);
	ntd_buf_puts(bytes, END);
	line->drawn = now;
}

void ntd_live_line_remove(struct ntd_live_line *line, struct ntd_buf *bytes)
{
	_cleanup_buf_ struct ntd_buf log = *bytes;

	*bytes = (struct ntd_buf){0};
	if (line->visible)
		ntd_buf_puts(bytes, REMOVE);
	line->visible = false;
	if (log.len)
		line->mid_line = false;
	ntd_buf_append(bytes, ntd_buf_bytes(&log), log.len);
}

int64_t ntd_live_line_compose(struct ntd_live_line *line, int fd, bool console,
			      struct ntd_buf *bytes)
{
	int64_t now = ntd_now(), at = wanted_at(line);
	bool was_visible = line->visible, log = bytes->len > 0;

	if (log || at > now)
		ntd_live_line_remove(line, bytes);
	if (at > now)
		return at == NTD_FOREVER ? 0 : at;
	if (now - line->drawn < (log ? DRAW_LEAST : DRAW_EVERY) && (log || was_visible))
		return line->drawn + (log ? DRAW_LEAST : DRAW_EVERY);
	if (is_free(fd))
		draw(line, fd, console, now, bytes);
	else if (!is_foreground(fd) || is_edited(fd))
		line->visible = false; /* the screen is not the log's any more */
	return now + DRAW_EVERY;
}

/* ---- others that write */

static void write_removal(int fd)
{
	const char *bytes = REMOVE;

	while (*bytes) {
		ssize_t written = write(fd, bytes, strlen(bytes));

		if (written >= 0)
			bytes += written;
		else if (errno == EAGAIN)
			poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
		else if (errno != EINTR)
			return;
	}
}

static void remove_now(struct ntd_live_line *line, int fd)
{
	if (!line->visible)
		return;
	pthread_mutex_lock(&line->mutex);
	if (line->visible)
		write_removal(fd);
	line->visible = false;
	pthread_mutex_unlock(&line->mutex);
}

void ntd_live_line_make_way(struct ntd_live_line *line, int fd, bool ends_line)
{
	if (!line->enabled)
		return;
	line->away = ntd_after(AWAY_FOR);
	line->mid_line = !ends_line;
	remove_now(line, fd);
}

bool ntd_live_line_hide(struct ntd_live_line *line, int fd, bool hidden)
{
	bool was = atomic_exchange(&line->off, hidden);

	remove_now(line, fd);
	return was;
}
