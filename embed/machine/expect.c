/* machine.expect(): waiting until the console matches one of several regular expressions of Python.
 * The core has the text, on which the expressions are tried on the thread that waits, which then
 * holds the GIL; it sleeps without it.
 */
#include "guest/retry.h"
#include "machine/py_machine.h"
#include "machine/qemu.h"

struct search {
	struct ntd_wait wait; /* of it, only the limit is used */
	PyObject *patterns;   /* a list of re.Pattern */
	Py_ssize_t which;     /* then: the pattern that matches */
	PyObject *match;      /* and its re.Match */
};

/* The place of the first character after the match, in bytes of the text; -1 with an exception. */
static Py_ssize_t end_of(PyObject *match, PyObject *text)
{
	_cleanup_pyref_ PyObject *end = PyObject_CallMethod(match, "end", NULL);
	_cleanup_pyref_ PyObject *before =
		end ? PyUnicode_Substring(text, 0, PyLong_AsSsize_t(end)) : NULL;
	Py_ssize_t len = -1;

	return before && PyUnicode_AsUTF8AndSize(before, &len) ? len : -1;
}

/* Where the match begins, in characters; -1 with an exception. */
static Py_ssize_t start_of(PyObject *match)
{
	_cleanup_pyref_ PyObject *start = PyObject_CallMethod(match, "start", NULL);

	return start ? PyLong_AsSsize_t(start) : -1;
}

/* Of several patterns, the one that matches first in the text wins; else the first of them. */
static int try_patterns(struct search *search, PyObject *text)
{
	Py_ssize_t best = PY_SSIZE_T_MAX;

	for (Py_ssize_t i = 0; i < PyList_Size(search->patterns); i++) {
		_cleanup_pyref_ PyObject *match = PyObject_CallMethod(
			PyList_GetItem(search->patterns, i), "search", "O", text);
		Py_ssize_t start = best;

		if (!match || (match != Py_None && (start = start_of(match)) < 0))
			return -1;
		if (start >= best)
			continue;
		best = start;
		search->which = i;
		Py_XSETREF(search->match, Py_NewRef(match));
	}
	return search->match != NULL;
}

static int look(struct search *search, const char *bytes, size_t len, size_t *end)
{
	_cleanup_pyref_ PyObject *text = PyUnicode_DecodeUTF8(bytes, (Py_ssize_t)len, "replace");
	int found = text ? try_patterns(search, text) : -1;
	Py_ssize_t place;

	if (found <= 0)
		return found;
	place = end_of(search->match, text);
	*end = (size_t)place;
	return place < 0 ? -1 : 1;
}

static int match(void *arg, const char *text, size_t len, size_t *end, struct ntd_waiter *waiter,
		 struct ntd_error **err)
{
	return PY_IN_PYTHON(waiter, err, look(arg, text, len, end));
}

/* The limit may become longer meanwhile. */
static int search_console(struct search *search, const char *shown, struct ntd_waiter *waiter,
			  struct ntd_error **err)
{
	struct ntd_expect *expect = ntd_machine_expect(search->wait.machine);
	int64_t began = ntd_now();

	for (;;) {
		_cleanup_free_ char *stretched = NULL;
		struct ntd_error *error = NULL;

		if (ntd_expect_wait(expect, match, search, ntd_wait_deadline(&search->wait, began),
				    waiter, &error) == 0)
			return 0;
		if (error->code != NTD_E_TIMEOUT)
			return ntd_error_move(err, error);
		if (ntd_now() < ntd_wait_deadline(&search->wait, began)) {
			ntd_error_free(error);
			continue;
		}
		stretched = ntd_stretched(search->wait.machine);
		ntd_error_wrap(&error, "expect(%s) timed out after %.2f seconds%s", shown,
			       ntd_seconds(ntd_now() - began), stretched);
		return ntd_error_move(err, error);
	}
}

/* Compiles the patterns; false with an exception. */
static bool compile(struct search *search, PyObject *args)
{
	if (!PyTuple_Size(args))
		return PyErr_Format(PyExc_TypeError, "expect() needs a pattern");
	for (Py_ssize_t i = 0; i < PyTuple_Size(args); i++) {
		_cleanup_pyref_ PyObject *pattern =
			py_regex(PyTuple_GetItem(args, i), "a pattern of expect()");

		if (!pattern || PyList_Append(search->patterns, pattern) < 0)
			return false;
	}
	return true;
}

static PyObject *shown_patterns(const struct search *search)
{
	_cleanup_pyref_ PyObject *shown = PyList_New(0), *comma = PyUnicode_FromString(", ");

	for (Py_ssize_t i = 0; shown && i < PyList_Size(search->patterns); i++) {
		_cleanup_pyref_ PyObject *source =
			PyObject_GetAttrString(PyList_GetItem(search->patterns, i), "pattern");
		_cleanup_pyref_ PyObject *repr = source ? PyObject_Repr(source) : NULL;

		if (!repr || PyList_Append(shown, repr) < 0)
			return NULL;
	}
	return shown && comma ? PyUnicode_Join(comma, shown) : NULL;
}

static PyObject *run(struct search *search)
{
	_cleanup_pyref_ PyObject *text = shown_patterns(search);
	_cleanup_free_ char *shown = text ? py_shown_text(text) : NULL;
	_cleanup_free_ char *step = NULL;
	struct ntd_nest nest;
	bool found;
	int result;

	if (!shown)
		return NULL;
	step = ntd_asprintf("expecting %s on console", shown);
	py_log_begin_wait(&nest, &search->wait, step);
	found = PY_BLOCKING_CALL(result, search_console(search, shown, waiter, error));
	py_log_end_wait(&nest, &search->wait, !found);
	return found ? Py_BuildValue("(nO)", search->which, search->match) : NULL;
}

static PyObject *expect(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"timeout", NULL};
	_cleanup_pyref_ PyObject *none = PyTuple_New(0), *patterns = PyList_New(0);
	struct search search = {.wait = {.machine = py_machine_self(object)->machine,
					 .timeout = NTD_DEFAULT_TIMEOUT},
				.patterns = patterns};
	PyObject *result;

	if (!none || !patterns ||
	    !py_parse(none, kwargs, "|$O&:expect", names, py_convert_duration,
		      &search.wait.timeout) ||
	    !compile(&search, args))
		return NULL;
	result = run(&search);
	Py_XDECREF(search.match);
	return result;
}

PyMethodDef py_machine_expect_methods[] = {
	PY_METHOD("expect", expect,
		  "expect($self, *patterns, timeout=900)\n--\n\n"
		  "Waits until one of the regular expressions matches what the console has shown\n"
		  "since the last match of expect(), or at first since the start of the machine;\n"
		  "returns (index of the pattern, re.Match). Of several that match, the one whose\n"
		  "match begins first counts. Control sequences and carriage returns are removed\n"
		  "from the text, and newlines are not. timeout is in seconds; None: no limit.\n"
		  "MachineTimeout with the text when the time is over, MachineError when the\n"
		  "machine has ended or is not running, re.error for a bad expression."),
	{NULL, NULL, 0, NULL},
};
