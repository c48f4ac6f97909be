/* Errors of the core as exceptions, and exceptions as errors of the core. All of this runs on
 * threads that hold the GIL.
 */
#include "base/printable.h"
#include "bridge/py_bridge.h"

#include <assert.h>

/* The bases of each exception are what scripts may catch: MachineError for trouble with the
 * machine, and the builtin that says what kind of trouble. BrokenPipeError is what upstream's
 * driver raises when a connection has ended. */
int py_add_exceptions(PyObject *module, struct py_state *state)
{
	const struct {
		PyObject **slot;
		const char *name, *doc;
		PyObject *builtin, *second;
		bool machine_error;
	} exceptions[] = {
		{&state->machine_error, "MachineError",
		 "Trouble with a machine or the driver's surroundings, not a failed check.",
		 PyExc_Exception, NULL, false},
		{&state->requested_assertion_failed, "RequestedAssertionFailed",
		 "A check that the test script asked for did not hold.", PyExc_AssertionError, NULL,
		 false},
		{&state->machine_died, "MachineDied",
		 "The machine's process has ended, or was not running.", PyExc_RuntimeError,
		 PyExc_BrokenPipeError, true},
		{&state->machine_timeout, "MachineTimeout",
		 "The machine did not do something within the driver's own time limit.",
		 PyExc_TimeoutError, NULL, true},
		{&state->protocol_error, "MachineProtocolError",
		 "The machine sent something that its protocol does not allow.", PyExc_RuntimeError,
		 NULL, true},
	};

	for (size_t i = 0; i < sizeof exceptions / sizeof *exceptions; i++) {
		_cleanup_free_ char *name =
			ntd_asprintf("test_driver.errors.%s", exceptions[i].name);
		_cleanup_pyref_ PyObject *bases =
			exceptions[i].machine_error
				? PyTuple_Pack(exceptions[i].second ? 3 : 2, state->machine_error,
					       exceptions[i].builtin, exceptions[i].second)
				: PyTuple_Pack(1, exceptions[i].builtin);

		*exceptions[i].slot =
			PyErr_NewExceptionWithDoc(name, exceptions[i].doc, bases, NULL);
		if (!*exceptions[i].slot ||
		    PyModule_AddObjectRef(module, exceptions[i].name, *exceptions[i].slot) < 0)
			return -1;
	}
	return 0;
}

static PyObject *exception_for(struct py_state *state, enum ntd_errc code)
{
	PyObject *const table[] = {
		[NTD_E_SYS] = PyExc_OSError,
		[NTD_E_USAGE] = PyExc_ValueError,
		[NTD_E_VALUE] = PyExc_ValueError,
		[NTD_E_ASSERTION] = state->requested_assertion_failed,
		[NTD_E_MACHINE] = state->machine_error,
		[NTD_E_DEAD] = state->machine_died,
		[NTD_E_TIMEOUT] = state->machine_timeout,
		[NTD_E_PROTOCOL] = state->protocol_error,
		[NTD_E_CANCELLED] = PyExc_KeyboardInterrupt,
	};
	static_assert(sizeof table / sizeof *table == NTD_E_COUNT, "every code has an exception");

	return table[code];
}

/* Returns the exception, a reference that this function takes, or NULL with another exception. */
static PyObject *with_note(PyObject *exception, const char *note)
{
	_cleanup_free_ char *printable = ntd_printable_text(note);
	_cleanup_pyref_ PyObject *text = py_text_of(printable);
	_cleanup_pyref_ PyObject *done =
		text ? PyObject_CallMethod(exception, "add_note", "O", text) : NULL;

	if (!done)
		Py_CLEAR(exception);
	return exception;
}

/* Messages quote what guests printed. Python itself shows them at the prompt and for exceptions of
 * threads, so what commands a terminal is taken out here. */
PyObject *py_raise(struct py_state *state, struct ntd_error *error)
{
	PyObject *type = exception_for(state, error->code);
	_cleanup_pyref_ PyObject *message = NULL, *exception = NULL;

	if (!PyErr_Occurred()) {
		_cleanup_free_ char *text = ntd_printable_text(error->message);

		message = py_text_of(text);
		if (message && error->code == NTD_E_SYS) /* becomes FileNotFoundError and so on */
			exception = PyObject_CallFunction(type, "iO", error->sys_errno, message);
		else if (message)
			exception = PyObject_CallOneArg(type, message);
		if (exception && error->note)
			exception = with_note(exception, error->note);
		if (exception)
			PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
	}
	ntd_error_free(error);
	return NULL;
}

int py_error_from_python(struct ntd_error **err)
{
	return ntd_error_set(err, NTD_E_CANCELLED, "a Python exception was raised");
}

/* ---- objects that converters refuse */

/* The attribute of the exception that holds the refused object. */
static const char refused_attribute[] = "refused_";

int py_refuse(PyObject *object, PyObject *type, const char *message)
{
	_cleanup_pyref_ PyObject *text = PyUnicode_FromString(message);
	_cleanup_pyref_ PyObject *error = text ? PyObject_CallOneArg(type, text) : NULL;

	if (error && PyObject_SetAttrString(error, refused_attribute, object) == 0)
		PyErr_SetObject(type, error);
	return 0;
}

PyObject *py_refused(PyObject *exception)
{
	PyObject *object = PyObject_GetAttrString(exception, refused_attribute);

	PyErr_Clear();
	return object;
}
