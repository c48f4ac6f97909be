/* retry(fn): the retrying of the driver's own waits, around a function in Python. The function is
 * called with the GIL.
 */
#include "machine/py_machine.h"

/* What fn(last) returns as a truth value; -1 with an exception. */
static int call(PyObject *function, bool last)
{
	_cleanup_pyref_ PyObject *result = PyObject_CallOneArg(function, last ? Py_True : Py_False);

	return result ? PyObject_IsTrue(result) : -1;
}

static int attempt(void *function, bool last, struct ntd_waiter *waiter, struct ntd_error **err)
{
	return PY_IN_PYTHON(waiter, err, call(function, last));
}

static PyObject *retry(PyObject *function, struct ntd_wait how)
{
	int result;

	if (!PyCallable_Check(function))
		return PyErr_Format(PyExc_TypeError, "retry() needs a function, not %s",
				    Py_TYPE(function)->tp_name);
	how.attempt = attempt;
	how.arg = function;
	how.pace = NTD_PACE_SECOND;
	if (!PY_BLOCKING_CALL(result, ntd_retry(&how, waiter, error)))
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *retry_function(PyObject *self, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"fn", "timeout_seconds", "timeout", NULL};
	double seconds = NTD_NO_TIMEOUT, timeout = NTD_NO_TIMEOUT;
	PyObject *function;

	if (!py_parse(args, kwargs, "O|O&O&:retry", names, &function, py_convert_duration, &seconds,
		      py_convert_duration, &timeout) ||
	    !py_one_of_two(args, kwargs, names, 1, "retry"))
		return NULL;
	seconds = timeout >= 0 ? timeout : seconds >= 0 ? seconds : NTD_DEFAULT_TIMEOUT;
	return retry(function, (struct ntd_wait){.timeout = seconds});
}

static PyObject *retry_method(PyObject *object, PyObject *args)
{
	struct ntd_wait how = {.machine = py_machine_self(object)->machine};
	PyObject *function;

	if (!PyArg_ParseTuple(args, "sOO&:_retry", &how.step, &function, py_convert_duration,
			      &how.timeout))
		return NULL;
	return retry(function, how);
}

PyMethodDef py_machine_retry_functions[] = {
	PY_METHOD(
		"retry", retry_function,
		"retry(fn, timeout_seconds=900, timeout=None)\n--\n\n"
		"Calls fn(False) at once and then every second until it returns something true;\n"
		"when the time is over, fn(True) once more, which with a time of 0 is the only\n"
		"call. Then RequestedAssertionFailed. Exceptions of fn pass. timeout, in seconds,\n"
		"is the newer name of timeout_seconds."),
	{NULL, NULL, 0, NULL},
};

PyMethodDef py_machine_retry_methods[] = {
	{"_retry", retry_method, METH_VARARGS,
	 "_retry($self, step, fn, timeout, /)\n--\n\n"
	 "Does what retry() does as a wait for the machine; the error names the step."},
	{NULL, NULL, 0, NULL},
};
