/* What a Driver does with its script: runs it, reads it again, and checks the conditions that are
 * to hold meanwhile. All of this runs on threads that hold the GIL.
 */
#include "driver/py_driver.h"

/* At a prompt, a script's sys.exit() ends the script but not the session; then true, and the
 * exception is cleared. */
static bool script_exited(struct py_state *state)
{
	_cleanup_pyref_ PyObject *type = NULL, *exception = NULL, *traceback = NULL;

	if (!py_signals_are_attended() || py_signals_ending() ||
	    !PyErr_ExceptionMatches(PyExc_SystemExit))
		return false;
	PyErr_Fetch(&type, &exception, &traceback);
	PyErr_NormalizeException(&type, &exception, &traceback);
	py_log(state->session->report, NTD_LEVEL_ALWAYS, NULL,
	       "the test script ended with exit status %d", py_report_exit_status(exception));
	return true;
}

static int execute(PyObject *object)
{
	struct py_state *state = py_state();
	struct py_driver *self = py_driver_self(object);

	if (self->tests && !self->code && !(self->code = py_script_code(self->tests)))
		return -1;
	return self->code ? py_script_execute_code(object, self->code) : py_script_execute(state);
}

static PyObject *test_script(PyObject *object, PyObject *unused)
{
	struct py_state *state = py_state();

	if (execute(object) < 0 && !script_exited(state))
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *reload(PyObject *object, PyObject *unused)
{
	struct py_state *state = py_state();

	if (py_script_compile(state) < 0 || py_source_remember(state) < 0)
		return NULL;
	Py_RETURN_NONE;
}

static bool announce_limit(const struct py_driver *self)
{
	_cleanup_free_ char *seconds = ntd_float_text(self->deadline->seconds);
	_cleanup_free_ char *text =
		ntd_asprintf("Test will time out and terminate in %s seconds", seconds);
	_cleanup_pyref_ PyObject *told = PyObject_CallMethod(self->logger, "info", "s", text);

	return told;
}

static PyObject *run_tests(PyObject *object, PyObject *unused)
{
	struct py_driver *self = py_driver_self(object);
	_cleanup_pyref_ PyObject *result = NULL;

	if (!announce_limit(self) || py_driver_start_timer(object) < 0)
		return NULL;
	result = PyObject_CallMethod(object, "test_script", NULL);
	if (py_signals_are_attended()) /* the limit is the test's, not the session's */
		ntd_deadline_stop(self->deadline);
	if (!result)
		return NULL;
	/* A test that failed may have left a shell that is busy for ever. */
	if (!py_state()->pytest_status && py_driver_sync_all(self) < 0)
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *check_polling_conditions(PyObject *object, PyObject *unused)
{
	if (!PyList_Size(py_driver_self(object)->polling_conditions))
		Py_RETURN_NONE;
	return py_call("test_driver.polling_condition", "check_all", "(O)", object);
}

PyMethodDef py_driver_script_methods[] = {
	{"test_script", test_script, METH_NOARGS,
	 "test_script($self)\n--\n\n"
	 "Runs the script, or the tests of a pytest style script."},
	{"reload", reload, METH_NOARGS,
	 "reload($self)\n--\n\n"
	 "Reads the script's file again, for test_script(). The machines stay as they are.\n"
	 "SyntaxError for a syntax error in the file; then the driver keeps the previous\n"
	 "text."},
	{"run_tests", run_tests, METH_NOARGS,
	 "run_tests($self)\n--\n\n"
	 "Runs test_script() under the global time limit, then has the machines that are\n"
	 "up write their disks."},
	{"check_polling_conditions", check_polling_conditions, METH_NOARGS,
	 "check_polling_conditions($self)\n--\n\n"
	 "Checks the polling conditions in force. PollingConditionError unless they hold."},
	{NULL, NULL, 0, NULL},
};
