/* Waiting until some text in the guest matches a regular expression of Python. The text is got
 * without the GIL, and searched with it.
 */
#include "machine/py_machine.h"

/* Whether the pattern is found in the text; -1 with an exception. */
static int found_in(const struct py_machine_text_wait *wait, PyObject *text)
{
	_cleanup_pyref_ PyObject *match = PyObject_CallMethod(wait->pattern, "search", "O", text);

	return match ? match != Py_None : -1;
}

static int found_in_a_line(const struct py_machine_text_wait *wait, PyObject *text)
{
	_cleanup_pyref_ PyObject *lines = PyObject_CallMethod(text, "splitlines", NULL);
	int found = lines ? 0 : -1;

	for (Py_ssize_t i = 0; found == 0 && i < PyList_Size(lines); i++)
		found = found_in(wait, PyList_GetItem(lines, i));
	return found;
}

/* Logs the text at the last attempt; -1 with an exception. */
static int log_last_chance(const struct py_machine_text_wait *wait, PyObject *text)
{
	_cleanup_pyref_ PyObject *lines = PyObject_CallMethod(text, "splitlines", NULL);
	_cleanup_pyref_ PyObject *comma = PyUnicode_FromString(", ");
	_cleanup_pyref_ PyObject *listed = lines && comma ? PyUnicode_Join(comma, lines) : NULL;
	_cleanup_free_ char *shown = listed ? py_shown_text(wait->by_line ? listed : text) : NULL;

	if (!shown)
		return -1;
	py_log(ntd_machine_context(wait->machine)->report, NTD_LEVEL_ALWAYS,
	       ntd_machine_name(wait->machine), "%s%s", wait->last_chance, shown);
	return 0;
}

static int look(const struct py_machine_text_wait *wait, const struct ntd_buf *bytes, bool last)
{
	_cleanup_pyref_ PyObject *text = py_text(bytes);

	if (!text)
		return -1;
	if (last && log_last_chance(wait, text) < 0)
		return -1;
	return wait->by_line ? found_in_a_line(wait, text) : found_in(wait, text);
}

/* A text that has not changed is not got again. In one that could not be got no pattern is found. A
 * text that matches may be half drawn, so it is looked at twice. */
static int attempt(void *arg, bool last, struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct py_machine_text_wait *wait = arg;
	int found, status, sight = NTD_UNSEEN;

	if (!wait->glance.since)
		sight = ntd_machine_await_change(&wait->how, &wait->awaited, last, waiter, err);
	if (sight < 0 || sight == NTD_FAILS)
		return sight < 0 ? -1 : NTD_NOT_YET;
	ntd_buf_clear(&wait->seen);
	status = wait->fetch(wait, &wait->seen, waiter, err);
	if (status < 0)
		return (*err)->code == NTD_E_ASSERTION ? NTD_CANNOT_TELL : -1;
	found = PY_IN_PYTHON(waiter, err, look(wait, &wait->seen, last));
	if (found <= 0)
		return found;
	return status ? NTD_NOT_YET : ntd_glance_again(&wait->glance, &wait->seen);
}

static char *observed(const void *arg)
{
	const struct py_machine_text_wait *wait = arg;
	_cleanup_free_ char *excerpt = ntd_excerpt(ntd_buf_bytes(&wait->seen), wait->seen.len);

	return ntd_asprintf("%s%s", *excerpt ? "the text" : "no text", excerpt);
}

PyObject *py_machine_wait_for_match(struct py_machine_text_wait *wait, PyObject *regexp,
				    const char *step, double timeout)
{
	_cleanup_pyref_ PyObject *pattern = py_regex(regexp, "regexp");
	bool held;
	int result;

	wait->how = (struct ntd_wait){.step = step,
				      .attempt = attempt,
				      .observed = observed,
				      .met = observed,
				      .arg = wait,
				      .pace = NTD_PACE_ADAPTIVE,
				      .timeout = timeout,
				      .machine = wait->machine};
	wait->pattern = pattern;
	held = pattern && PY_BLOCKING_CALL(result, ntd_machine_wait(&wait->how, waiter, error));
	free(wait->awaited.mark);
	ntd_buf_free(&wait->seen);
	ntd_buf_free(&wait->glance.seen);
	if (!held)
		return NULL;
	Py_RETURN_NONE;
}
