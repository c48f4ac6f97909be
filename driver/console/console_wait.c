/* Waiting for text on a console. The loop thread serves the waits; script threads make them.
 *
 * A line can be taken when its newline has come. A line that has begun is only shown to the waits,
 * after a pause. A wait that finds its text in there uses the line up so far, and what it has used
 * is skipped when the line is complete (lines.c).
 */
#include "console/console_internal.h"

/* How long a line that has begun must have stood as it is to be shown. With less, the pauses of a
 * guest that writes character by character would look like the end of a prompt. */
#define QUIET (100 * NTD_MS)

struct ntd_console_wait {
	struct ntd_request request;
	struct ntd_console *console;
	struct ntd_console_news *news;
	size_t limit;
	struct ntd_list_link link; /* in the console's `waits`, unless it is complete */
};

static bool take_lines(struct ntd_console *console, struct ntd_console_news *news, size_t limit)
{
	if (!ntd_lines_take(&console->lines, limit, &news->lines))
		return false;
	news->seen = 0;
	return true;
}

/* Shows the line that has begun if it has been quiet; else sets the timer for it. False: nothing
 * new is shown. */
static bool show_partial(struct ntd_console *console, struct ntd_console_news *news)
{
	const struct ntd_lines *lines = &console->lines;
	size_t len = lines->partial.len;

	if (len == news->seen || len <= lines->partial_used)
		return false;
	if (ntd_now() < console->heard_at + QUIET) {
		ntd_timer_set(console->loop, &console->quiet, console->heard_at + QUIET);
		return false;
	}
	ntd_buf_clear(&news->partial);
	ntd_lines_copy_partial(lines, lines->partial_used, &news->partial);
	news->line = lines->line;
	news->seen = len;
	return true;
}

static bool serve(const struct ntd_console_wait *wait)
{
	return take_lines(wait->console, wait->news, wait->limit) ||
	       show_partial(wait->console, wait->news);
}

static void complete(struct ntd_console_wait *wait, struct ntd_error *error)
{
	ntd_list_unlink(&wait->link);
	ntd_request_complete(&wait->request, error);
}

void ntd_console_serve(struct ntd_console *console)
{
	ntd_list_each (struct ntd_console_wait, wait, &console->waits, link)
		if (serve(wait))
			complete(wait, NULL);
}

void ntd_console_quiet(struct ntd_timer *timer)
{
	ntd_console_serve(ntd_container_of(timer, struct ntd_console, quiet));
}

void ntd_console_fail_waits(struct ntd_console *console, const struct ntd_error *why)
{
	ntd_list_each (struct ntd_console_wait, wait, &console->waits, link)
		complete(wait, ntd_error_copy(why));
}

void ntd_console_fail_pending(struct ntd_console *console, const struct ntd_error *why)
{
	ntd_console_serve(console);
	ntd_console_fail_waits(console, why);
}

/* ---- for script threads */

/* Whether what `news` has is of before the console last went back. */
static bool is_abandoned(const struct ntd_console *console, const struct ntd_console_news *news)
{
	return news->era && news->era != console->era;
}

static void wait_begin(struct ntd_request *request)
{
	struct ntd_console_wait *wait = ntd_container_of(request, struct ntd_console_wait, request);
	const struct ntd_console *console = wait->console;

	if (is_abandoned(console, wait->news)) {
		ntd_request_complete(request, ntd_error_copy(console->back));
		return;
	}
	wait->news->era = console->era;
	if (serve(wait))
		ntd_request_complete(request, NULL);
	else if (console->output.fd < 0)
		ntd_request_complete(
			request,
			ntd_error_new(NTD_E_DEAD, "machine '%s' is not running", console->machine));
	else
		ntd_list_append(&wait->console->waits, &wait->link);
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

struct query {
	struct ntd_console *console;
	size_t count;
	const struct ntd_console_news *news;
};

static void count_unread(void *arg)
{
	struct query *query = arg;

	query->count = ntd_lines_unread(&query->console->lines);
}

size_t ntd_console_unread(struct ntd_console *console)
{
	struct query query = {.console = console};

	ntd_loop_call(console->loop, count_unread, &query);
	return query.count;
}

static void give_back(void *arg)
{
	const struct query *query = arg;

	if (!is_abandoned(query->console, query->news))
		ntd_lines_give_back(&query->console->lines, query->count);
}

void ntd_console_give_back(struct ntd_console *console, const struct ntd_console_news *news,
			   size_t count)
{
	ntd_loop_call(console->loop, give_back,
		      &(struct query){.console = console, .count = count, .news = news});
}

static void take_partial(void *arg)
{
	const struct query *query = arg;
	const struct ntd_console_news *news = query->news;

	if (!is_abandoned(query->console, news))
		ntd_lines_take_partial(&query->console->lines, news->line, news->seen,
				       news->partial.len);
}

void ntd_console_take_partial(struct ntd_console *console, const struct ntd_console_news *news)
{
	ntd_loop_call(console->loop, take_partial,
		      &(struct query){.console = console, .news = news});
}
