/* retry(fn): the same retrying that the driver's own waits use, around a Python function. */
#include "embed.h"

const char ntd_retry_doc[] =
	"retry(fn, timeout_seconds=900, timeout=None)\n--\n\n"
	"Calls fn(False) at once and then every second until it returns something true; when the "
	"time\n"
	"is over, fn(True) once more. Then RequestedAssertionFailed. Exceptions of fn pass.";

struct retried {
	PyObject *function;
	struct ntd_blocking *blocking;
};

static int try_function(void *arg, bool last, struct ntd_waiter *waiter, struct ntd_error **err)
{
	const struct retried *retried = arg;
	PyObject *result;
	int truth = -1;

	ntd_into_python(retried->blocking);
	result = PyObject_CallOneArg(retried->function, last ? Py_True : Py_False);
	if (result)
		truth = PyObject_IsTrue(result);
	Py_XDECREF(result);
	if (truth < 0)
		ntd_error_from_python(err);
	if (!ntd_back(retried->blocking) && truth >= 0) {
		ntd_error_from_python(err);
		truth = -1;
	}
	return truth;
}

PyObject *ntd_retry_function(PyObject *self, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"fn", "timeout_seconds", "timeout", NULL};
	double seconds = NTD_NO_TIMEOUT, timeout = NTD_NO_TIMEOUT;
	struct ntd_blocking blocking;
	struct retried retried = {.blocking = &blocking};
	struct ntd_error *error = NULL;
	int result;

	if (!ntd_parse(args, kwargs, "O|O&O&:retry", names, &retried.function, ntd_convert_duration,
		       &seconds, ntd_convert_duration, &timeout))
		return NULL;
	if (!PyCallable_Check(retried.function))
		return PyErr_Format(PyExc_TypeError, "retry() needs a function, not %s",
				    Py_TYPE(retried.function)->tp_name);
	seconds = timeout >= 0 ? timeout : seconds >= 0 ? seconds : NTD_DEFAULT_TIMEOUT;
	if (!ntd_block(&blocking))
		return NULL;
	result = ntd_retry(&(struct ntd_wait){.attempt = try_function,
					      .arg = &retried,
					      .pace = NTD_PACE_SECOND,
					      .timeout = seconds},
			   &blocking.waiter, &error);
	ntd_unblock(&blocking);
	if (result < 0)
		return ntd_raise(ntd_module_state(), error);
	Py_RETURN_NONE;
}
