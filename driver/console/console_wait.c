/* Waiting for text on a console.
 *
 * A line is known when its newline has come; one that has just begun is only shown, after a pause,
 * to those who wait. Who has found what he wanted in it uses it up so far: `partial_used` raw
 * bytes, which are skipped when the line is whole.
 */
#include "console/console_internal.h"

#include <string.h>

/* How long a line that has begun must have stood as it is to be shown. Shorter, and the pauses of a
 * guest that writes character by character would be taken for the end. */
#define QUIET (100 * NTD_MS)

struct ntd_console_wait {
	struct ntd_request request;
	struct ntd_console *console;
	struct ntd_console_news *news;
	size_t limit;
	struct ntd_list_link link;
};

/* Whole lines, up to `limit` bytes, but at least one; false when there is none. */
static bool take_lines(struct ntd_console *console, struct ntd_console_news *news, size_t limit)
{
	const char *from = ntd_buf_bytes(&console->log) + console->unread;
	size_t left = console->log.len - console->unread;
	const char *end = left > limit ? memrchr(from, '\n', limit) : from + left - 1;

	if (!left)
		return false;
	if (!end)
		end = memchr(from, '\n', left);
	ntd_buf_append(&news->lines, from, (size_t)(end - from) + 1);
	console->unread += (size_t)(end - from) + 1;
	news->seen = 0;
	return true;
}

/* Shows the partial line if it has been quiet; else sees to it that this is done when it has.
 * False: nothing new is shown. */
static bool show_partial(struct ntd_console *console, struct ntd_console_news *news)
{
	size_t len = console->partial.len;

	if (len == news->seen || len <= console->partial_used)
		return false;
	if (ntd_now() < console->partial_at + QUIET) {
		ntd_timer_set(console->loop, &console->quiet, console->partial_at + QUIET);
		return false;
	}
	ntd_buf_clear(&news->partial);
	ntd_console_append_partial(console, console->partial_used, &news->partial);
	news->line = console->line;
	news->seen = len;
	return true;
}

void ntd_console_serve(struct ntd_console *console)
{
	ntd_list_each (struct ntd_console_wait, wait, &console->waits, link)
		if (take_lines(console, wait->news, wait->limit) ||
		    show_partial(console, wait->news)) {
			ntd_list_unlink(&wait->link);
			ntd_request_complete(&wait->request, NULL);
		}
}

void ntd_console_quiet(struct ntd_timer *timer)
{
	ntd_console_serve(ntd_container_of(timer, struct ntd_console, quiet));
}

void ntd_console_fail_pending(struct ntd_console *console, const struct ntd_error *why)
{
	struct ntd_console_wait *wait;

	ntd_console_serve(console);
	while ((wait = ntd_list_take(&console->waits, struct ntd_console_wait, link)))
		ntd_request_complete(&wait->request, ntd_error_copy(why));
}

/* ---- script threads */

static void wait_begin(struct ntd_request *request)
{
	struct ntd_console_wait *wait = ntd_container_of(request, struct ntd_console_wait, request);
	struct ntd_console *console = wait->console;

	if (take_lines(console, wait->news, wait->limit) || show_partial(console, wait->news)) {
		ntd_request_complete(request, NULL);
	} else if (console->output.fd < 0) {
		ntd_request_complete(
			request,
			ntd_error_new(NTD_E_DEAD, "machine '%s' is not running", console->machine));
	} else {
		ntd_list_append(&console->waits, &wait->link);
	}
}

static void wait_abandon(struct ntd_request *request)
{
	ntd_list_unlink(&ntd_container_of(request, struct ntd_console_wait, request)->link);
}

int ntd_console_take(struct ntd_console *console, struct ntd_console_news *news, size_t limit,
		     int64_t deadline, struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct ntd_console_wait wait = {
		.request = {.begin = wait_begin, .abandon = wait_abandon, .looks = true},
		.console = console,
		.news = news,
		.limit = limit};

	return ntd_request_run(console->loop, &wait.request, deadline, waiter, err);
}

struct unread_query {
	const struct ntd_console *console;
	size_t lines;
};

static void count_unread(void *arg)
{
	struct unread_query *query = arg;
	const char *bytes = ntd_buf_bytes(&query->console->log);

	for (size_t i = query->console->unread; i < query->console->log.len; i++)
		query->lines += bytes[i] == '\n';
}

size_t ntd_console_unread(struct ntd_console *console)
{
	struct unread_query query = {.console = console};

	ntd_loop_call(console->loop, count_unread, &query);
	return query.lines;
}

struct returned {
	struct ntd_console *console;
	size_t count;
};

static void take_back(void *arg)
{
	const struct returned *returned = arg;
	struct ntd_console *console = returned->console;

	console->unread -= returned->count < console->unread ? returned->count : console->unread;
}

void ntd_console_give_back(struct ntd_console *console, size_t count)
{
	ntd_loop_call(console->loop, take_back,
		      &(struct returned){.console = console, .count = count});
}

struct taken_partial {
	struct ntd_console *console;
	const struct ntd_console_news *news;
};

/* The line may have been completed in the meantime: then it is the first that is unread. */
static void take_partial(void *arg)
{
	const struct taken_partial *taken = arg;
	struct ntd_console *console = taken->console;
	const char *unread = ntd_buf_bytes(&console->log) + console->unread;
	size_t left = console->log.len - console->unread;
	size_t line = left ? (size_t)((const char *)memchr(unread, '\n', left) - unread) : 0;

	if (console->line == taken->news->line)
		console->partial_used = taken->news->seen;
	else
		console->unread +=
			taken->news->partial.len < line ? taken->news->partial.len : line;
}

void ntd_console_take_partial(struct ntd_console *console, const struct ntd_console_news *news)
{
	ntd_loop_call(console->loop, take_partial,
		      &(struct taken_partial){.console = console, .news = news});
}
