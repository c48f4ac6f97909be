/* Running a test script, and telling how it went: exit status and the report of a failure. */
#include "base/forked.h"
#include "driver/py_driver.h"

#include <fcntl.h>

static const char script_name[] = "<string>"; /* what tracebacks have always shown */

/* ---- compiling */

/* The text, without a byte order mark, and with \n at the end of each line. */
static PyObject *read_script(const char *path)
{
	_cleanup_pyref_ PyObject *file =
		py_call("io", "open", "(ssis)", path, "r", -1, "utf-8-sig");
	_cleanup_pyref_ PyObject *text = file ? PyObject_CallMethod(file, "read", NULL) : NULL;
	_cleanup_pyref_ PyObject *closed = text ? PyObject_CallMethod(file, "close", NULL) : NULL;

	return closed ? ntd_steal(&text) : NULL;
}

/* A statement, or a word in a comment: then the cost is a few milliseconds. */
static bool has_assert(const char *script)
{
	while ((script = strstr(script, "assert"))) {
		script += strlen("assert");
		if (strchr(" \t\\([{'\"-~", *script) && *script)
			return true;
	}
	return false;
}

/* By Python's compile(), for which a script is text: a coding cookie in it means nothing, and a NUL
 * is an error, where functions of C would take a cookie at its word and the text as over at a NUL.
 */
static PyObject *compile_plainly(PyObject *text, const char *file_name)
{
	return py_call("builtins", "compile", "(Ossii)", text, file_name, "exec", 0, true);
}

static PyObject *compile_text(PyObject *text)
{
	const char *utf8 = PyUnicode_AsUTF8(text);
	_cleanup_pyref_ PyObject *code = NULL;

	if (utf8 && has_assert(utf8))
		return py_call("test_driver.assert_rewriting", "compile_script", "(Os)", text,
			       script_name);
	code = utf8 ? compile_plainly(text, script_name) : NULL;
	return code ? PyTuple_Pack(1, code) : NULL;
}

/* Of garbage collection, which would look at the nodes of a growing tree again and again. */
static void resume_collection(int *was_enabled)
{
	if (*was_enabled)
		PyGC_Enable();
}

PyObject *py_script_code(PyObject *text)
{
	_cleanup_(resume_collection) int was_enabled = PyGC_Disable();

	return compile_text(text);
}

/* pytest compiles its scripts itself, but what is wrong with them is found here. */
static PyObject *compile_by_style(struct py_state *state, PyObject *text)
{
	if (py_style_choose(state, text) < 0)
		return NULL;
	return state->mode == NTD_MODE_PYTEST
		       ? compile_plainly(text, state->session->config->test_script)
		       : py_script_code(text);
}

/* SyntaxError if there is a NUL: what looks at the text in C would take it as over there. */
static bool is_text(PyObject *text)
{
	Py_ssize_t at = PyUnicode_FindChar(text, 0, 0, PyUnicode_GetLength(text), 1);
	_cleanup_pyref_ PyObject *before = at > 0 ? PyUnicode_Substring(text, 0, at) : NULL;
	_cleanup_pyref_ PyObject *newline = PyUnicode_FromString("\n");

	if (at >= 0 && !PyErr_Occurred())
		PyErr_Format(PyExc_SyntaxError, "there is a NUL byte in line %zd of %s",
			     before ? PyUnicode_Count(before, newline, 0, at) + 1 : 1,
			     py_state()->session->config->test_script);
	return at == -1;
}

int py_script_compile(struct py_state *state)
{
	_cleanup_(resume_collection) int was_enabled = PyGC_Disable();
	_cleanup_pyref_ PyObject *text = NULL;
	PyObject *code;

	if (py_style_is_directory(state))
		return py_style_choose(state, NULL);
	text = read_script(state->session->config->test_script);
	code = text && is_text(text) ? compile_by_style(state, text) : NULL;
	if (!code)
		return -1;
	Py_XSETREF(state->script_text, ntd_steal(&text));
	Py_XSETREF(state->script_code, code);
	return 0;
}

/* ---- running */

static PyObject *names_of(PyObject *objects, const char *prefix, const char *attribute)
{
	_cleanup_pyref_ PyObject *names = PyList_New(0), *separator = PyUnicode_FromString(", ");

	for (Py_ssize_t i = 0; names && i < PyList_Size(objects); i++) {
		_cleanup_pyref_ PyObject *name =
			PyObject_GetAttrString(PyList_GetItem(objects, i), attribute);
		_cleanup_pyref_ PyObject *full =
			name ? PyUnicode_FromFormat("%s%S", prefix, name) : NULL;

		if (!full || PyList_Append(names, full) < 0)
			return NULL;
	}
	return names && separator ? PyUnicode_Join(separator, names) : NULL;
}

/* The names that are neither machines nor VLANs, in the order in which they were added. */
static PyObject *general_names(PyObject *symbols)
{
	_cleanup_pyref_ PyObject *names = PyList_New(0), *separator = PyUnicode_FromString(", ");
	struct py_state *state = py_state();
	PyObject *name, *value;
	Py_ssize_t position = 0;

	while (names && PyDict_Next(symbols, &position, &name, &value))
		if (!PyObject_TypeCheck(value, state->base_machine_type) &&
		    !PyObject_TypeCheck(value, state->vlan_type) && PyList_Append(names, name) < 0)
			return NULL;
	return names && separator ? PyUnicode_Join(separator, names) : NULL;
}

int py_script_print_symbols(PyObject *driver, PyObject *symbols)
{
	bool quiet = py_state()->session->config->quiet;
	_cleanup_pyref_ PyObject *machines = PyObject_GetAttrString(driver, "machines");
	_cleanup_pyref_ PyObject *vlans = PyObject_GetAttrString(driver, "vlans");
	_cleanup_pyref_ PyObject *machine_names = machines ? names_of(machines, "", "name") : NULL;
	_cleanup_pyref_ PyObject *vlan_names = vlans ? names_of(vlans, "vlan", "nr") : NULL;
	_cleanup_pyref_ PyObject *others = general_names(symbols);

	if (!machine_names || !vlan_names || !others)
		return -1;
	if (quiet)
		return 0;
	PySys_FormatStdout("additionally exposed symbols:\n    %U,\n    %U,\n    %U\n",
			   machine_names, vlan_names, others);
	return PyErr_Occurred() ? -1 : 0;
}

static int execute_parts(PyObject *symbols, PyObject *parts)
{
	for (Py_ssize_t i = 0; i < PyTuple_Size(parts); i++) {
		_cleanup_pyref_ PyObject *result =
			PyEval_EvalCode(PyTuple_GetItem(parts, i), symbols, symbols);

		if (!result)
			return -1;
	}
	return 0;
}

int py_script_execute_code(PyObject *driver, PyObject *parts)
{
	struct py_state *state = py_state();
	_cleanup_pyref_ PyObject *logger = PyObject_GetAttrString(driver, "logger");
	PyObject *step =
		logger ? py_step_enter(logger, NTD_STEP_RUN, "run the VM test script") : NULL;
	_cleanup_pyref_ PyObject *symbols = NULL;
	_cleanup_pyref_ PyObject *kept = Py_NewRef(parts); /* the script may set another */
	int result = -1;

	if (!step)
		return -1;
	symbols = PyObject_CallMethod(driver, "test_symbols", NULL);
	if (symbols && py_script_print_symbols(driver, symbols) == 0 &&
	    PyDict_SetItemString(symbols, "__builtins__", PyEval_GetBuiltins()) == 0) {
		if (state->session->config->pause_on_failure)
			Py_XSETREF(state->script_symbols, Py_NewRef(symbols));
		py_driver_warn_of_alias(symbols, parts);
		result = execute_parts(symbols, parts);
		py_forked_end(state);
	}
	py_step_leave(step);
	return PyErr_Occurred() ? -1 : result; /* also when the step has not been left */
}

int py_script_execute(struct py_state *state)
{
	return state->mode == NTD_MODE_PYTEST
		       ? py_pytest_execute(state)
		       : py_script_execute_code(state->driver, state->script_code);
}

/* ---- telling about a failure */

static long line_of(PyObject *traceback)
{
	_cleanup_pyref_ PyObject *number = PyObject_GetAttrString(traceback, "tb_lineno");
	long line = number ? PyLong_AsLong(number) : 0;

	PyErr_Clear();
	return line;
}

/* The frame's file and function; false when they cannot be had. */
static bool place_of(PyObject *traceback, PyObject **file, PyObject **function)
{
	_cleanup_pyref_ PyObject *frame = PyObject_GetAttrString(traceback, "tb_frame");
	_cleanup_pyref_ PyObject *code = frame ? PyObject_GetAttrString(frame, "f_code") : NULL;

	*file = code ? PyObject_GetAttrString(code, "co_filename") : NULL;
	*function = code ? PyObject_GetAttrString(code, "co_name") : NULL;
	return *file && *function;
}

/* Of an error that a subtest has told this is the traceback only. */
static void log_error(struct py_state *state, PyObject *exception, const char *text)
{
	if (py_step_told_by_subtest(exception))
		ntd_log_subtest_error(state->session->report, text);
	else
		ntd_log_test_error(state->session->report, text);
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

/* The frames of the script itself, each with its source line. */
static void report_frames(struct py_state *state, PyObject *exception)
{
	_cleanup_pyref_ PyObject *traceback = PyException_GetTraceback(exception);

	while (traceback && traceback != Py_None) {
		_cleanup_pyref_ PyObject *file = NULL, *function = NULL;
		long number = line_of(traceback);

		if (place_of(traceback, &file, &function) &&
		    PyUnicode_CompareWithASCIIString(file, script_name) == 0) {
			_cleanup_free_ char *source = source_line(state, number);
			_cleanup_free_ char *text =
				ntd_asprintf("  File \"%s\", line %ld, in %s\n    %s", script_name,
					     number, PyUnicode_AsUTF8(function), source);

			log_error(state, exception, text);
		}
		PyErr_Clear();
		Py_SETREF(traceback, PyObject_GetAttrString(traceback, "tb_next"));
	}
	PyErr_Clear();
}

static void report_assertion(struct py_state *state, PyObject *exception)
{
	_cleanup_free_ char *message = py_shown_text(exception);
	_cleanup_pyref_ PyObject *name =
		PyObject_GetAttrString((PyObject *)Py_TYPE(exception), "__name__");
	_cleanup_free_ char *text = NULL;

	log_error(state, exception, "Traceback (most recent call last):");
	report_frames(state, exception);
	text = ntd_asprintf("\n%s: %s", name ? PyUnicode_AsUTF8(name) : "", message ? message : "");
	PyErr_Clear();
	log_error(state, exception, text);
	py_log_deliver(state);
}

int py_script_remember(struct py_state *state)
{
	_cleanup_pyref_ PyObject *linecache = NULL, *cache = NULL, *lines = NULL, *entry = NULL;

	if (!state->script_text) /* it is a directory */
		return 0;
	linecache = PyImport_ImportModule("linecache");
	cache = linecache ? PyObject_GetAttrString(linecache, "cache") : NULL;
	lines = cache ? PyObject_CallMethod(state->script_text, "splitlines", "i", true) : NULL;
	entry = lines ? Py_BuildValue("(nOOs)", PyUnicode_GetLength(state->script_text), Py_None,
				      lines, script_name)
		      : NULL;
	return entry ? PyMapping_SetItemString(cache, script_name, entry) : -1;
}

/* The whole traceback as text, or NULL without one. */
static char *whole_traceback(struct py_state *state, PyObject *exception)
{
	_cleanup_pyref_ PyObject *lines = NULL, *text = NULL;
	_cleanup_pyref_ PyObject *empty = PyUnicode_FromString("");
	char *shown;

	if (py_script_remember(state) < 0)
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
		py_log_deliver(state);
	} else {
		PySys_FormatStderr("%s", text);
	}
}

/* ---- exit status */

/* sys.exit(n): n; None: 0; anything else is printed, and 1. */
int py_script_exit_status(PyObject *exception)
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

/* Of a run that failed by itself, what the machines can still tell is kept. Returns the exit
 * status: another one when this is ended by a signal. */
static int collect_evidence(struct py_state *state, int status)
{
	int result;

	if (!status || status == 128 + SIGINT || py_signals_ending() || ntd_is_forked() ||
	    state->session->config->interactive)
		return status;
	if (!PY_BLOCKING_CALL(result, ntd_session_collect(state->session, waiter, error)))
		return py_script_report_exception(state);
	return status;
}

/* With --debug-hook-attach, a debugger may look at the failure while the machines still run.
 * Returns the exit status: another one when the wait for it is ended by a signal. */
static int break_after(struct py_state *state, PyObject *exception, int status)
{
	_cleanup_pyref_ PyObject *debug = NULL, *result = NULL;

	if (!state->driver || !state->session->config->debug_hook_attach || ntd_is_forked() ||
	    !PyErr_GivenExceptionMatches(exception, PyExc_Exception))
		return status;
	debug = PyObject_GetAttrString(state->driver, "debug");
	result = debug ? PyObject_CallMethod(debug, "post_mortem", "O", exception) : NULL;
	if (!result && !PyErr_ExceptionMatches(PyExc_Exception))
		return py_script_report_exception(state);
	if (!result)
		PyErr_Print();
	return status;
}

int py_script_report_exception(struct py_state *state)
{
	PyObject *type, *exception, *traceback;
	int status = 1, collected;

	PyErr_Fetch(&type, &exception, &traceback);
	PyErr_NormalizeException(&type, &exception, &traceback);
	if (traceback)
		PyException_SetTraceback(exception, traceback);
	if (PyErr_GivenExceptionMatches(exception, PyExc_SystemExit)) {
		status = py_script_exit_status(exception);
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
	collected = collect_evidence(state, status);
	status = collected == status ? break_after(state, exception, status) : collected;
	Py_XDECREF(type);
	Py_XDECREF(exception);
	Py_XDECREF(traceback);
	return status;
}

int py_script_run(struct py_state *state)
{
	int64_t began = ntd_now();
	_cleanup_pyref_ PyObject *result = NULL;

	py_prompt_announce_pause(state);
	result = PyObject_CallMethod(state->driver, "run_tests", NULL);
	if (!result) {
		bool pause = py_prompt_pause_wanted(state);
		int status = py_script_report_exception(state);

		py_driver_cancel_own_timer(state->driver);
		return pause ? py_prompt_pause(state, status) : status;
	}
	py_driver_cancel_own_timer(state->driver);
	if (!state->pytest_status)
		ntd_log(state->session->report, NTD_LEVEL_INFO, NULL,
			"test script finished in %.2fs", ntd_seconds(ntd_now() - began));
	py_log_deliver(state);
	return state->pytest_status;
}
