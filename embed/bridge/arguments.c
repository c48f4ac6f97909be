/* The arguments of methods: PyArg_ParseTupleAndKeywords() with errors that name the parameter, and
 * with the warning about durations that are bare numbers, for all methods alike. All of this runs
 * on threads that hold the GIL.
 */
#include "bridge/py_bridge.h"

#include <ctype.h>

/* Parameters that take a duration. Parameters whose name says that they are seconds give no
 * warning. */
static const char *const durations[] = {"timeout", "delay", "duration", "interval"};

static bool is_duration(const char *name)
{
	for (size_t i = 0; i < sizeof durations / sizeof *durations; i++)
		if (!strcmp(durations[i], name))
			return true;
	return false;
}

/* The argument for a parameter, borrowed; NULL without an exception if there is none. */
static PyObject *given(PyObject *args, PyObject *kwargs, char *const *names, Py_ssize_t index)
{
	if (index < PyTuple_Size(args))
		return PyTuple_GetItem(args, index);
	return kwargs ? PyDict_GetItemString(kwargs, names[index]) : NULL;
}

/* ---- errors */

/* The parameter for which py_refuse() refused an object; NULL for another exception. */
static const char *name_of_refused(PyObject *args, PyObject *kwargs, char *const *names,
				   PyObject *error)
{
	_cleanup_pyref_ PyObject *object = py_refused(error);

	for (Py_ssize_t i = 0; object && names[i]; i++)
		if (given(args, kwargs, names, i) == object)
			return names[i];
	return NULL;
}

/* The parameter of CPython's message "argument 2 ..."; *rest becomes what follows the number. */
static const char *name_of_number(const char *message, char *const *names, const char **rest)
{
	const char *at = strstr(message, "argument ");
	long number = at ? strtol(at + strlen("argument "), (char **)rest, 10) : 0;

	for (long i = 1; number > 0 && names[i - 1]; i++)
		if (i == number)
			return names[i - 1];
	return NULL;
}

/* The parameter of CPython's message "'str' object cannot be interpreted as an integer": the only
 * one that was given an object of this type. */
static const char *name_of_type(PyObject *args, PyObject *kwargs, char *const *names,
				const char *message)
{
	size_t len = *message == '\'' ? strcspn(message + 1, "'") : 0;
	const char *found = NULL;

	for (Py_ssize_t i = 0; len && names[i]; i++) {
		PyObject *object = given(args, kwargs, names, i);
		const char *type = object ? Py_TYPE(object)->tp_name : "";

		if (strlen(type) != len || memcmp(type, message + 1, len) != 0)
			continue;
		if (found)
			return NULL;
		found = names[i];
	}
	return found;
}

/* The parameter that was given a str with a NUL, which CPython refuses without naming it. */
static const char *name_of_nul(PyObject *args, PyObject *kwargs, char *const *names)
{
	for (Py_ssize_t i = 0; names[i]; i++) {
		PyObject *object = given(args, kwargs, names, i);

		if (object && PyUnicode_Check(object) &&
		    PyUnicode_FindChar(object, 0, 0, PyUnicode_GetLength(object), 1) >= 0)
			return names[i];
	}
	return NULL;
}

static void name_parameter(PyObject *args, PyObject *kwargs, char *const *names,
			   const char *function)
{
	PyObject *type, *error, *traceback;
	_cleanup_pyref_ PyObject *text = NULL;
	const char *message, *name, *rest;

	PyErr_Fetch(&type, &error, &traceback);
	PyErr_NormalizeException(&type, &error, &traceback);
	text = PyObject_Str(error);
	message = text ? PyUnicode_AsUTF8(text) : NULL;
	rest = message ? message : "";
	name = name_of_refused(args, kwargs, names, error);
	if (!name && message)
		name = name_of_number(message, names, &rest);
	if (!name && message)
		name = name_of_type(args, kwargs, names, message);
	if (!name && PyErr_GivenExceptionMatches(type, PyExc_ValueError))
		name = name_of_nul(args, kwargs, names);
	PyErr_Clear();
	if (!name) {
		PyErr_Restore(type, error, traceback);
		return;
	}
	PyErr_Format(type, "%s() argument '%s'%s%s", function, name, *rest == ' ' ? "" : ": ",
		     rest);
	Py_XDECREF(type);
	Py_XDECREF(error);
	Py_XDECREF(traceback);
}

/* ---- the warning */

/* Warns, as the newest upstream driver does, if `value` is a bare number; by default Python shows
 * the warning once a function. -1 with an exception. */
static int warn_of_number(PyObject *value, const char *function)
{
	_cleanup_free_ char *text = NULL;
	struct py_state *state = py_state();

	if (!value || (!PyLong_Check(value) && !PyFloat_Check(value)) || PyBool_Check(value))
		return 0;
	if (!state->warned)
		state->warned = PyDict_New();
	/* All warnings come from one place: by default Python shows each text once a place. */
	text = ntd_asprintf("%s(): passing a bare int/float as a duration is deprecated. "
			    "Use datetime.timedelta instead.",
			    function);
	return PyErr_WarnExplicit(PyExc_UserWarning, text, NTD_PROGRAM, 1, "test_driver.duration",
				  state->warned);
}

static bool warn_of_numbers(PyObject *args, PyObject *kwargs, char *const *names,
			    const char *function)
{
	for (Py_ssize_t i = 0; names[i]; i++)
		if (is_duration(names[i]) &&
		    warn_of_number(given(args, kwargs, names, i), function) < 0)
			return false;
	return true;
}

/* ---- parsing */

bool py_one_of_two(PyObject *args, PyObject *kwargs, char *const *names, Py_ssize_t older,
		   const char *function)
{
	const PyObject *one = given(args, kwargs, names, older);
	const PyObject *other = given(args, kwargs, names, older + 1);

	if (!one || !other || one == Py_None || other == Py_None)
		return true;
	PyErr_Format(PyExc_TypeError, "%s() takes '%s' or its other name '%s', not both", function,
		     names[older], names[older + 1]);
	return false;
}

bool py_parse(PyObject *args, PyObject *kwargs, const char *format, char **names, ...)
{
	const char *colon = strchr(format, ':');
	const char *function = colon ? colon + 1 : "function";
	va_list list;
	int parsed;

	if (py_forked_refuse())
		return false;
	va_start(list, names);
	parsed = PyArg_VaParseTupleAndKeywords(args, kwargs, format, names, list);
	va_end(list);
	if (parsed)
		return warn_of_numbers(args, kwargs, names, function);
	if (PyErr_ExceptionMatches(PyExc_TypeError) || PyErr_ExceptionMatches(PyExc_ValueError) ||
	    PyErr_ExceptionMatches(PyExc_OverflowError))
		name_parameter(args, kwargs, names, function);
	return false;
}
