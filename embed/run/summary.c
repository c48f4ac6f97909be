/* What the last lines of a failed run say (session/summary.h), as Python knows it: the exception,
 * and the line of the script that raised it. All of this runs on threads that hold the GIL.
 */
#include "base/forked.h"
#include "run/py_run.h"

#include <signal.h>
#include <string.h>

/* ---- where */

/* The file of a frame's code; NULL without an exception: there is none. */
static PyObject *file_of(PyObject *frame)
{
	_cleanup_pyref_ PyObject *code = PyObject_GetAttrString(frame, "f_code");
	PyObject *file = code ? PyObject_GetAttrString(code, "co_filename") : NULL;

	PyErr_Clear();
	return file;
}

static bool is_text(PyObject *file)
{
	return PyUnicode_Check(file) && PyUnicode_CompareWithASCIIString(file, PY_SCRIPT_NAME) == 0;
}

/* Whether the file is the script, or one of the tests'; pytest knows these by their paths. */
static bool is_script(const struct py_state *state, PyObject *file)
{
	_cleanup_free_ char *path = py_shown_text(file);

	PyErr_Clear();
	return is_text(file) || (path && py_place_is_of_tests(state->session->config, path));
}

static long number_of(PyObject *object, const char *attribute)
{
	_cleanup_pyref_ PyObject *number = PyObject_GetAttrString(object, attribute);
	long value = number ? PyLong_AsLong(number) : 0;

	PyErr_Clear();
	return value;
}

/* Says that it failed at this line of the file. */
static void tell_place(struct py_state *state, PyObject *file, long line)
{
	_cleanup_pyref_ PyObject *source = py_call("linecache", "getline", "(Ol)", file, line);
	_cleanup_free_ char *text = source ? py_shown_text(source) : NULL;
	_cleanup_free_ char *path = is_text(file) ? ntd_strdup(state->session->config->test_script)
						  : py_shown_text(file);
	_cleanup_free_ char *place = ntd_asprintf("%s:%ld", path ? path : "", line);

	PyErr_Clear();
	ntd_summary_place(state->session, place, text ? text : "");
}

/* The innermost line of the script in a traceback, or the innermost of all. */
static void tell_place_of(struct py_state *state, PyObject *exception)
{
	_cleanup_pyref_ PyObject *traceback = PyException_GetTraceback(exception);
	_cleanup_pyref_ PyObject *found = NULL;
	long line = 0;

	if (py_source_remember(state) < 0)
		PyErr_Clear();
	while (traceback && traceback != Py_None) {
		_cleanup_pyref_ PyObject *frame = PyObject_GetAttrString(traceback, "tb_frame");
		_cleanup_pyref_ PyObject *file = frame ? file_of(frame) : NULL;

		if (file && (!found || is_script(state, file) || !is_script(state, found))) {
			line = number_of(traceback, "tb_lineno");
			Py_XSETREF(found, Py_NewRef(file));
		}
		Py_SETREF(traceback, PyObject_GetAttrString(traceback, "tb_next"));
	}
	PyErr_Clear();
	if (found)
		tell_place(state, found, line);
}

void py_summary_tell_main_thread(struct py_state *state)
{
	_cleanup_pyref_ PyObject *frames = py_call("sys", "_current_frames", "()");
	_cleanup_pyref_ PyObject *thread = PyLong_FromUnsignedLong(py_signals_main_thread());
	_cleanup_pyref_ PyObject *frame =
		frames && thread ? Py_XNewRef(PyDict_GetItem(frames, thread)) : NULL;

	if (py_source_remember(state) < 0)
		PyErr_Clear();
	while (frame && frame != Py_None) {
		_cleanup_pyref_ PyObject *file = file_of(frame);

		if (file && is_script(state, file)) {
			tell_place(state, file, number_of(frame, "f_lineno"));
			break;
		}
		Py_SETREF(frame, PyObject_GetAttrString(frame, "f_back"));
	}
	PyErr_Clear();
}

/* ---- what */

/* What a SystemExit means, a new string; NULL: nothing has failed. */
static char *exit_text(PyObject *exception)
{
	_cleanup_pyref_ PyObject *code = PyObject_GetAttrString(exception, "code");
	_cleanup_free_ char *text = NULL;

	PyErr_Clear();
	if (py_signals_ending())
		return ntd_asprintf("SIG%s ended the run", sigabbrev_np(py_signals_ending()));
	if (!code || code == Py_None || PyObject_IsTrue(code) == 0)
		return NULL;
	text = py_shown_text(code);
	PyErr_Clear();
	return PyLong_Check(code) ? ntd_asprintf("the script exits with status %s", text)
				  : ntd_strdup(text ? text : "");
}

static char *exception_text(PyObject *exception)
{
	_cleanup_free_ char *message = py_shown_text(exception);

	PyErr_Clear();
	return ntd_asprintf("%s%s%s",
			    strrchr(Py_TYPE(exception)->tp_name, '.')
				    ? strrchr(Py_TYPE(exception)->tp_name, '.') + 1
				    : Py_TYPE(exception)->tp_name,
			    message && *message ? ": " : "", message ? message : "");
}

static void tell(struct py_state *state, PyObject *exception)
{
	_cleanup_free_ char *what = NULL;

	if (PyErr_GivenExceptionMatches(exception, PyExc_KeyboardInterrupt))
		return;
	what = PyErr_GivenExceptionMatches(exception, PyExc_SystemExit) ? exit_text(exception)
									: exception_text(exception);
	if (!what)
		return;
	PY_WITHOUT_GIL(ntd_summary_failure(state->session, what));
	tell_place_of(state, exception);
}

void py_summary_tell(struct py_state *state)
{
	PyObject *type, *exception, *traceback;

	if (ntd_is_forked())
		return;
	PyErr_Fetch(&type, &exception, &traceback);
	PyErr_NormalizeException(&type, &exception, &traceback);
	if (traceback)
		PyException_SetTraceback(exception, traceback);
	tell(state, exception);
	PyErr_Clear();
	PyErr_Restore(type, exception, traceback);
}

/* ---- tests in pytest style */

static PyObject *test_failed(PyObject *self, PyObject *args)
{
	struct py_state *state = py_state();
	_cleanup_free_ char *what = NULL, *place = NULL, *source = NULL;

	if (!PyArg_ParseTuple(args, "O&O&O&:test_failed", py_convert_message, &what,
			      py_convert_message, &place, py_convert_message, &source))
		return NULL;
	PY_WITHOUT_GIL(ntd_summary_failure(state->session, what));
	if (*place)
		ntd_summary_place(state->session, place, source);
	Py_RETURN_NONE;
}

PyMethodDef py_summary_functions[] = {
	{"test_failed", test_failed, METH_VARARGS,
	 "test_failed(what, place, source, /)\n--\n\n"
	 "Says what the last lines of the run are to tell, if it is the first test that\n"
	 "failed: what, where (\"FILE:LINE\", or \"\") and the text of that line."},
	{NULL, NULL, 0, NULL},
};
