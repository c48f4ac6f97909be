/* retry(fn): the same retrying that the driver's own waits use, around a Python function. */
#include "machine/py_machine.h"

const char py_retry_doc[] =
	"retry(fn, timeout_seconds=900, timeout=None)\n--\n\n"
	"Calls fn(False) at once and then every second until it returns something true;\n"
	"when the time is over, fn(True) once more, which with a time of 0 is the only\n"
	"call. Then RequestedAssertionFailed. Exceptions of fn pass. timeout_seconds is the\n"
	"older name of timeout.";

static int try_function(void *arg, bool last, struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct py_blocking *blocking = py_blocking_of(waiter);
	PyObject *result;
	int truth = -1;

	py_into_python(blocking);
	result = PyObject_CallOneArg(arg, last ? Py_True : Py_False);
	if (result)
		truth = PyObject_IsTrue(result);
	Py_XDECREF(result);
	if (truth < 0)
		py_error_from_python(err);
	if (!py_back(blocking) && truth >= 0) {
		py_error_from_python(err);
		truth = -1;
	}
	return truth;
}

static PyObject *retry(PyObject *function, struct ntd_wait how)
{
	int result;

	if (!PyCallable_Check(function))
		return PyErr_Format(PyExc_TypeError, "retry() needs a function, not %s",
				    Py_TYPE(function)->tp_name);
	how.attempt = try_function;
	how.arg = function;
	how.pace = NTD_PACE_SECOND;
	if (!PY_BLOCKING_CALL(result, ntd_retry(&how, waiter, error)))
		return NULL;
	Py_RETURN_NONE;
}

PyObject *py_retry_function(PyObject *self, PyObject *args, PyObject *kwargs)
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

PyObject *py_machine_retry(PyObject *object, PyObject *args)
{
	struct ntd_wait how = {.machine = py_machine_self(object)->machine};
	PyObject *function;

	if (!PyArg_ParseTuple(args, "sOO&:_retry", &how.step, &function, py_convert_duration,
			      &how.timeout))
		return NULL;
	return retry(function, how);
}
