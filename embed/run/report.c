/* How a script failed: the report of an exception, and the exit status that it means. All of this
 * runs on threads that hold the GIL.
 */
#include "base/forked.h"
#include "run/py_run.h"

static long line_of(PyObject *traceback)
{
	_cleanup_pyref_ PyObject *number = PyObject_GetAttrString(traceback, "tb_lineno");
	long line = number ? PyLong_AsLong(number) : 0;

	PyErr_Clear();
	return line;
}

/* Gets the file and the function of a frame; false without an exception when there are none. */
static bool place_of(PyObject *traceback, PyObject **file, PyObject **function)
{
	_cleanup_pyref_ PyObject *frame = PyObject_GetAttrString(traceback, "tb_frame");
	_cleanup_pyref_ PyObject *code = frame ? PyObject_GetAttrString(frame, "f_code") : NULL;

	*file = code ? PyObject_GetAttrString(code, "co_filename") : NULL;
	*function = code ? PyObject_GetAttrString(code, "co_name") : NULL;
	return *file && *function;
}

/* Logs a part of the traceback; for an error that a subtest has told there is only this. */
static void log_error(struct py_state *state, PyObject *exception, const char *text)
{
	py_log_test_error(state->session->report, text, py_step_told_by_subtest(exception));
}

static char *source_line(struct py_state *state, long number)
{
	_cleanup_pyref_ PyObject *lines =
		PyObject_CallMethod(state->script_text, "splitlines", NULL);
	PyObject *line = lines && number >= 1 ? PyList_GetItem(lines, number - 1) : NULL;
	_cleanup_pyref_ PyObject *stripped = line ? PyObject_CallMethod(line, "strip", NULL) : NULL;
	const char *text = stripped ? PyUnicode_AsUTF8(stripped) : NULL;

	PyErr_Clear();
	return ntd_strdup(text ? text : "");
}

/* Logs the frames of the script itself, each with its source line. */
static void report_frames(struct py_state *state, PyObject *exception)
{
	_cleanup_pyref_ PyObject *traceback = PyException_GetTraceback(exception);

	while (traceback && traceback != Py_None) {
		_cleanup_pyref_ PyObject *file = NULL, *function = NULL;
		long number = line_of(traceback);

		if (place_of(traceback, &file, &function) &&
		    PyUnicode_CompareWithASCIIString(file, PY_SCRIPT_NAME) == 0) {
			_cleanup_free_ char *source = source_line(state, number);
			_cleanup_free_ char *text = ntd_asprintf(
				"  File \"%s\", line %ld, in %s\n    %s", PY_SCRIPT_NAME, number,
				PyUnicode_AsUTF8(function), source);

			log_error(state, exception, text);
		}
		PyErr_Clear();
		Py_SETREF(traceback, PyObject_GetAttrString(traceback, "tb_next"));
	}
	PyErr_Clear();
}

/* The notes of an exception, each on lines of its own. */
static char *notes_of(PyObject *exception)
{
	_cleanup_pyref_ PyObject *notes = PyObject_GetAttrString(exception, "__notes__");
	_cleanup_buf_ struct ntd_buf text = {0};

	for (Py_ssize_t i = 0; notes && PyList_Check(notes) && i < PyList_GET_SIZE(notes); i++) {
		_cleanup_free_ char *note = py_shown_text(PyList_GET_ITEM(notes, i));

		ntd_buf_printf(&text, "\n%s", note ? note : "");
	}
	PyErr_Clear();
	return ntd_buf_take_string(&text);
}

static void report_assertion(struct py_state *state, PyObject *exception)
{
	_cleanup_free_ char *message = py_shown_text(exception), *notes = notes_of(exception);
	_cleanup_pyref_ PyObject *name =
		PyObject_GetAttrString((PyObject *)Py_TYPE(exception), "__name__");
	_cleanup_free_ char *text = NULL;

	log_error(state, exception, "Traceback (most recent call last):");
	report_frames(state, exception);
	text = ntd_asprintf("\n%s: %s%s", name ? PyUnicode_AsUTF8(name) : "",
			    message ? message : "", notes);
	PyErr_Clear();
	log_error(state, exception, text);
}

/* The whole traceback as text, or NULL without one. */
static char *whole_traceback(struct py_state *state, PyObject *exception)
{
	_cleanup_pyref_ PyObject *lines = NULL, *text = NULL;
	_cleanup_pyref_ PyObject *empty = PyUnicode_FromString("");
	char *shown;

	if (py_source_remember(state) < 0)
		PyErr_Clear();
	lines = py_call("traceback", "format_exception", "(O)", exception);
	text = lines && empty ? PyUnicode_Join(empty, lines) : NULL;
	shown = text ? py_shown_text(text) : NULL;
	PyErr_Clear();
	return shown;
}

static void report_whole(struct py_state *state, PyObject *exception, bool test_error)
{
	_cleanup_free_ char *text = whole_traceback(state, exception);
	size_t len = text ? strlen(text) : 0;

	if (!text)
		return;
	if (test_error) {
		if (len && text[len - 1] == '\n')
			text[len - 1] = '\0';
		log_error(state, exception, text);
	} else {
		PySys_FormatStderr("%s", text);
	}
}

/* ---- for the timeline */

void py_report_failure(struct py_state *state, const struct py_failure *failure)
{
	char *attributes[] = {"traceback", (char *)failure->traceback, NULL};

	if (!ntd_report_has_timeline(state->session->report))
		return;
	py_log_emit(state->session->report, &(struct ntd_event){.kind = NTD_EVENT_DETAIL,
								.detail = NTD_DETAIL_FAILURE,
								.level = NTD_LEVEL_ALWAYS,
								.text = failure->text,
								.text_len = strlen(failure->text),
								.source = failure->source,
								.line = failure->line,
								.attributes = attributes});
}

/* Finds the innermost frame of the traceback that is in one of the test's sources. */
static void find_place(struct py_state *state, PyObject *exception, struct py_failure *failure)
{
	_cleanup_pyref_ PyObject *traceback = PyException_GetTraceback(exception);

	while (traceback && traceback != Py_None) {
		_cleanup_pyref_ PyObject *file = NULL, *function = NULL;
		long number = line_of(traceback);
		uint16_t source =
			place_of(traceback, &file, &function) ? py_place_source(state, file) : 0;

		if (source) {
			failure->source = source;
			failure->line = (uint32_t)number;
		}
		PyErr_Clear();
		Py_SETREF(traceback, PyObject_GetAttrString(traceback, "tb_next"));
	}
}

/* ---- exit status */

/* sys.exit(n): n; sys.exit(None): 0. Anything else is printed, and the status is 1. */
int py_report_exit_status(PyObject *exception)
{
	_cleanup_pyref_ PyObject *code = PyObject_GetAttrString(exception, "code");
	long status = 1;

	if (code == Py_None)
		return 0;
	if (code && PyLong_Check(code))
		status = PyLong_AsLong(code);
	else if (code)
		PySys_FormatStderr("%S\n", code);
	PyErr_Clear();
	return (int)(status & 0xff);
}

/* Of a run that failed by itself, keeps what the machines can still tell. Returns the exit status:
 * another one when a signal ends the collection. */
static int collect_evidence(struct py_state *state, int status)
{
	int result;

	if (!status || status == 128 + SIGINT || py_signals_ending() || ntd_is_forked() ||
	    state->session->config->interactive)
		return status;
	if (!PY_BLOCKING_CALL(result, ntd_session_collect(state->session, waiter, error)))
		return py_report_exception(state);
	return status;
}

/* With --debug-hook-attach, waits for a debugger to look at the failure while the machines still
 * run. Returns the exit status: another one when a signal ends the wait. */
static int break_after(struct py_state *state, PyObject *exception, int status)
{
	_cleanup_pyref_ PyObject *debug = NULL, *result = NULL;

	if (!state->driver || !state->session->config->debug_hook_attach || ntd_is_forked() ||
	    !PyErr_GivenExceptionMatches(exception, PyExc_Exception))
		return status;
	debug = PyObject_GetAttrString(state->driver, "debug");
	result = debug ? PyObject_CallMethod(debug, "post_mortem", "O", exception) : NULL;
	if (!result && !PyErr_ExceptionMatches(PyExc_Exception))
		return py_report_exception(state);
	if (!result)
		PyErr_Print();
	return status;
}

/* Tells the timeline which exception has failed the run, and where. */
static void tell_failure(struct py_state *state, PyObject *exception)
{
	_cleanup_free_ char *message = py_shown_text(exception), *notes = notes_of(exception);
	_cleanup_free_ char *whole = whole_traceback(state, exception);
	_cleanup_pyref_ PyObject *name =
		PyObject_GetAttrString((PyObject *)Py_TYPE(exception), "__name__");
	const char *type = name ? PyUnicode_AsUTF8(name) : NULL;
	_cleanup_free_ char *text =
		ntd_asprintf("%s%s%s%s", type ? type : "", message && *message ? ": " : "",
			     message ? message : "", notes);
	struct py_failure failure = {.text = text, .traceback = whole ? whole : ""};

	find_place(state, exception, &failure);
	PyErr_Clear();
	py_report_failure(state, &failure);
}

int py_report_exception(struct py_state *state)
{
	PyObject *type, *exception, *traceback;
	int status = 1, collected;

	PyErr_Fetch(&type, &exception, &traceback);
	PyErr_NormalizeException(&type, &exception, &traceback);
	if (traceback)
		PyException_SetTraceback(exception, traceback);
	if (PyErr_GivenExceptionMatches(exception, PyExc_SystemExit)) {
		status = py_report_exit_status(exception);
	} else if (PyErr_GivenExceptionMatches(exception, state->requested_assertion_failed) &&
		   !ntd_is_forked()) {
		report_assertion(state, exception);
	} else {
		report_whole(state, exception,
			     PyErr_GivenExceptionMatches(exception, state->machine_error) &&
				     !ntd_is_forked());
		if (PyErr_GivenExceptionMatches(exception, PyExc_KeyboardInterrupt))
			status = 128 + SIGINT;
	}
	if (status && !ntd_is_forked())
		tell_failure(state, exception);
	collected = collect_evidence(state, status);
	status = collected == status ? break_after(state, exception, status) : collected;
	Py_XDECREF(type);
	Py_XDECREF(exception);
	Py_XDECREF(traceback);
	return status;
}

void py_report_end_forked(struct py_state *state)
{
	if (ntd_is_forked())
		py_ending_leave_forked(PyErr_Occurred() ? py_report_exception(state) : 0);
}
