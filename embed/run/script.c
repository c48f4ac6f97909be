/* Reading, compiling and running a test script. All of this runs on the main thread, or on a thread
 * of the script, with the GIL held.
 */
#include "run/py_run.h"

/* ---- compiling */

/* The text of the script, without a byte order mark, and with \n at the end of each line. */
static PyObject *read_script(const char *path)
{
	_cleanup_pyref_ PyObject *file =
		py_call("io", "open", "(ssis)", path, "r", -1, "utf-8-sig");
	_cleanup_pyref_ PyObject *text = file ? PyObject_CallMethod(file, "read", NULL) : NULL;
	_cleanup_pyref_ PyObject *closed = text ? PyObject_CallMethod(file, "close", NULL) : NULL;

	return closed ? ntd_steal(&text) : NULL;
}

/* Whether the script may have an assertion. A word in a comment costs a few milliseconds, no
 * more. */
static bool has_assert(const char *script)
{
	while ((script = strstr(script, "assert"))) {
		script += strlen("assert");
		if (strchr(" \t\\([{'\"-~", *script) && *script)
			return true;
	}
	return false;
}

/* Compiles by Python's compile(), which takes the script as text: a coding cookie in it means
 * nothing, and a NUL is an error. C functions would follow the cookie, and end the text at the
 * NUL. */
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
			       PY_SCRIPT_NAME);
	code = utf8 ? compile_plainly(text, PY_SCRIPT_NAME) : NULL;
	return code ? PyTuple_Pack(1, code) : NULL;
}

/* Garbage collection would look at the nodes of a growing tree again and again, so it is off while
 * a script is compiled. */
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

/* pytest compiles its scripts itself; here their syntax errors are found before anything is
 * started. */
static PyObject *compile_by_style(struct py_state *state, PyObject *text)
{
	if (py_style_choose(state, text) < 0)
		return NULL;
	return state->mode == NTD_MODE_PYTEST
		       ? compile_plainly(text, state->session->config->test_script)
		       : py_script_code(text);
}

/* SyntaxError if there is a NUL: C functions that look at the text would end there. */
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

/* Has the timeline know the source before anything happens in it. */
static void tell_source(struct py_state *state, const char *file)
{
	_cleanup_pyref_ PyObject *name = PyUnicode_DecodeFSDefault(file);

	if (name)
		py_place_source(state, name);
	PyErr_Clear();
}

int py_script_execute_code(PyObject *driver, PyObject *parts)
{
	struct py_state *state = py_state();
	_cleanup_pyref_ PyObject *logger = PyObject_GetAttrString(driver, "logger");
	PyObject *step =
		logger ? py_step_enter(logger, NTD_STEP_RUN, "run the VM test script") : NULL;
	_cleanup_pyref_ PyObject *symbols = NULL;
	/* the script may set driver.tests to another */
	_cleanup_pyref_ PyObject *kept = Py_NewRef(parts);
	int result = -1;

	if (!step)
		return -1;
	tell_source(state, PY_SCRIPT_NAME);
	symbols = PyObject_CallMethod(driver, "test_symbols", NULL);
	if (symbols && py_names_print(driver, symbols) == 0 &&
	    PyDict_SetItemString(symbols, "__builtins__", PyEval_GetBuiltins()) == 0) {
		if (state->session->config->pause_on_failure)
			Py_XSETREF(state->script_symbols, Py_NewRef(symbols));
		py_names_warn_of_alias(symbols, parts);
		result = execute_parts(symbols, parts);
		py_report_end_forked(state);
	}
	py_step_leave(step);
	return PyErr_Occurred() ? -1 : result; /* leaving the step may raise, too */
}

int py_script_execute(struct py_state *state)
{
	if (state->mode == NTD_MODE_PYTEST && !py_style_is_directory(state))
		tell_source(state, state->session->config->test_script);
	return state->mode == NTD_MODE_PYTEST
		       ? py_pytest_execute(state)
		       : py_script_execute_code(state->driver, state->script_code);
}

void py_script_cancel_own_timer(PyObject *driver)
{
	_cleanup_pyref_ PyObject *timer = Py_XNewRef(py_value_own(driver, "race_timer"));
	_cleanup_pyref_ PyObject *result =
		timer ? PyObject_CallMethod(timer, "cancel", NULL) : NULL;

	if (timer && !result)
		PyErr_WriteUnraisable(driver);
}

int py_script_run(struct py_state *state)
{
	int64_t began = ntd_now();
	_cleanup_pyref_ PyObject *result = NULL;

	py_prompt_announce_pause(state);
	result = PyObject_CallMethod(state->driver, "run_tests", NULL);
	if (!result) {
		bool pause = py_prompt_pause_wanted(state);
		int status;

		py_summary_tell(state);
		status = py_report_exception(state);
		py_script_cancel_own_timer(state->driver);
		return pause ? py_prompt_pause(state, status) : status;
	}
	py_script_cancel_own_timer(state->driver);
	if (!state->pytest_status)
		py_log(state->session->report, NTD_LEVEL_INFO, NULL,
		       "test script finished in %.2fs", ntd_seconds(ntd_now() - began));
	return state->pytest_status;
}
