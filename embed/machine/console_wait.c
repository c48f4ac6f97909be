/* wait_for_console_text(): waiting for text on the serial console. The core hands over lines as
 * they arrive; whether they match is decided by the class ConsoleSearch, in Python, with the
 * script's regular expression. All of this runs on threads that hold the GIL, which
 * PY_BLOCKING_CALL releases for calls that can block.
 */
#include "guest/retry.h"
#include "machine/py_machine.h"

enum {
	TAKE_LIMIT = 256 << 10, /* bytes searched at a time */
	REPORTED_LINES = 2000   /* lines looked through for near misses */
};

#define GRACE (10 * NTD_SECOND)

struct search {
	struct ntd_wait wait; /* of it, only the limit, the error and `met` are used */
	PyObject *object;     /* a ConsoleSearch */
	struct ntd_console_news news;
	bool over; /* the time is over; then `left` lines are still to be searched */
	size_t left;
	char *report;
	char *matched; /* the line that completes a match, a new string; NULL: none has */
};

static PyObject *new_search(PyObject *regex)
{
	_cleanup_pyref_ PyObject *pattern = py_regex(regex, "regex");

	return pattern ? py_call("test_driver.console_search", "ConsoleSearch", "(O)", pattern)
		       : NULL;
}

/* Gives the lines after the first `used` back to the console, and keeps the last of these. */
static void give_back(struct search *search, Py_ssize_t used)
{
	const char *bytes = ntd_buf_bytes(&search->news.lines);
	const char *end = bytes + search->news.lines.len, *at = bytes, *line = bytes;

	while (used-- && at < end) {
		line = at;
		at = (const char *)memchr(at, '\n', (size_t)(end - at)) + 1;
	}
	if (at > line)
		search->matched = ntd_strndup(line, (size_t)(at - line) - 1);
	ntd_console_give_back(ntd_machine_console(search->wait.machine), &search->news,
			      (size_t)(end - at));
}

static size_t count_lines(const struct ntd_buf *lines)
{
	const char *bytes = ntd_buf_bytes(lines);
	size_t count = 0;

	for (size_t i = 0; i < lines->len; i++)
		count += bytes[i] == '\n';
	return count;
}

static int look_at_lines(struct search *search)
{
	size_t count = count_lines(&search->news.lines);
	_cleanup_pyref_ PyObject *text = py_text(&search->news.lines);
	_cleanup_pyref_ PyObject *result =
		text ? PyObject_CallMethod(search->object, "add", "O", text) : NULL;
	Py_ssize_t used = result ? PyLong_AsSsize_t(result) : -1;

	if (used > 0)
		give_back(search, used);
	ntd_buf_clear(&search->news.lines);
	search->left -= count < search->left ? count : search->left;
	return used < 0 ? -1 : used > 0;
}

static int look_at_partial(struct search *search)
{
	_cleanup_pyref_ PyObject *text = py_text(&search->news.partial);
	_cleanup_pyref_ PyObject *result =
		text ? PyObject_CallMethod(search->object, "add_partial", "O", text) : NULL;
	int found = result ? PyObject_IsTrue(result) : -1;

	if (found > 0) {
		search->matched =
			ntd_strndup(ntd_buf_bytes(&search->news.partial), search->news.partial.len);
		ntd_console_take_partial(ntd_machine_console(search->wait.machine), &search->news);
	}
	return found;
}

static char *observed(const void *arg)
{
	const struct search *search = arg;

	return ntd_strdup(*search->report ? search->report : "nothing on the console");
}

static char *met(const void *arg)
{
	const struct search *search = arg;

	return search->matched ? ntd_asprintf("the line: %s", search->matched) : NULL;
}

/* Raises the exception of a wait whose time is over; -1. */
static int timed_out(struct search *search, int64_t waited)
{
	_cleanup_free_ char *tail =
		ntd_console_tail_now(ntd_machine_console(search->wait.machine), REPORTED_LINES);
	_cleanup_pyref_ PyObject *console = py_text_of(tail);
	_cleanup_pyref_ PyObject *report =
		console ? PyObject_CallMethod(search->object, "report", "O", console) : NULL;

	search->report = report ? py_shown_text(report) : NULL;
	if (!search->report)
		return -1;
	py_raise(py_state(), ntd_wait_timed_out(&search->wait, waited));
	free(search->report);
	return -1;
}

/* Whether to give up. Lines that had arrived when the time was over still count, as far as they can
 * be searched in as much time again; but a console that never stops does not keep the wait from
 * ending. */
static bool is_over(struct search *search, int64_t began)
{
	int64_t deadline = ntd_wait_deadline(&search->wait, began), now = ntd_now();
	int64_t patience = deadline - began > GRACE ? deadline - began : GRACE;

	if (now < deadline)
		return false;
	if (!search->over)
		search->left = ntd_console_unread(ntd_machine_console(search->wait.machine));
	search->over = true;
	return !search->left || now - deadline > patience;
}

static int search_console(struct search *search)
{
	struct ntd_console *console = ntd_machine_console(search->wait.machine);
	int64_t began = ntd_now();
	int result, found = 0;

	while (!found) {
		if (PY_BLOCKING_CALL(result,
				     ntd_console_take(console, &search->news, TAKE_LIMIT,
						      ntd_wait_deadline(&search->wait, began),
						      waiter, error))) {
			found = search->news.lines.len ? look_at_lines(search)
						       : look_at_partial(search);
		} else {
			if (!PyErr_ExceptionMatches(py_state()->machine_timeout))
				return -1;
			PyErr_Clear();
		}
		/* the limit may have become longer meanwhile */
		if (!found && is_over(search, began))
			return timed_out(search, ntd_now() - began);
	}
	return found < 0 ? -1 : 0;
}

PyObject *py_machine_wait_for_console_text(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"regex", "timeout", NULL};
	struct search search = {.wait = {.machine = py_machine_self(object)->machine,
					 .timeout = NTD_NO_TIMEOUT,
					 .observed = observed,
					 .met = met,
					 .arg = &search}};
	_cleanup_pyref_ PyObject *searcher = NULL;
	_cleanup_free_ char *shown = NULL, *step = NULL;
	PyObject *regex;
	struct ntd_nest nest;
	int result;

	if (!py_parse(args, kwargs, "O|O&:wait_for_console_text", names, &regex,
		      py_convert_duration, &search.wait.timeout))
		return NULL;
	shown = py_shown_text(regex);
	search.object = searcher = shown ? new_search(regex) : NULL;
	if (!searcher)
		return NULL;
	step = ntd_asprintf("waiting for %s to appear on console", shown);
	search.wait.step = step;
	py_log_begin_wait(&nest, &search.wait, step);
	result = search_console(&search);
	py_log_end_wait(&nest, &search.wait, result < 0);
	ntd_buf_free(&search.news.lines);
	ntd_buf_free(&search.news.partial);
	free(search.matched);
	if (result < 0)
		return NULL;
	Py_RETURN_NONE;
}
