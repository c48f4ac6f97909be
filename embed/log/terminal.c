/* The terminal of the log, which scripts write to as well. All of this runs on threads that hold
 * the GIL.
 */
#include "log/py_log.h"

static PyObject *make_way(PyObject *self, PyObject *ends_line)
{
	int truth = PyObject_IsTrue(ends_line);

	if (truth < 0)
		return NULL;
	PY_WITHOUT_GIL(ntd_terminal_make_way(py_state()->session->terminal, truth));
	Py_RETURN_NONE;
}

PyMethodDef py_log_functions[] = {
	{"make_way", make_way, METH_O,
	 "make_way(ends_line, /)\n--\n\n"
	 "Is called before something else than the log writes to the log's terminal: removes\n"
	 "the line below the log for a moment, or, unless what is written ends with a\n"
	 "newline, until a line ends."},
	{NULL, NULL, 0, NULL},
};

int py_log_watch_output(struct py_state *state)
{
	_cleanup_pyref_ PyObject *result = NULL;

	if (!ntd_terminal_has_live_line(state->session->terminal))
		return 0;
	result = py_call("test_driver.script_output", "watch", "()");
	return result ? 0 : -1;
}
