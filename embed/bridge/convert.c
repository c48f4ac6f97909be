/* Arguments of methods as values of C: converters for "O&", and attributes of events. All of this
 * runs on threads that hold the GIL.
 */
#include "bridge/py_bridge.h"
#include "guest/command.h"

#include <math.h>

/* ---- texts and ports */

static int refuse_type(PyObject *object, const char *wanted)
{
	_cleanup_free_ char *message =
		ntd_asprintf("it must be %s, not %s", wanted, Py_TYPE(object)->tp_name);

	return py_refuse(object, PyExc_TypeError, message);
}

int py_convert_text(PyObject *object, void *path_arg)
{
	struct py_path_arg *arg = path_arg;
	_cleanup_pyref_ PyObject *text = py_formatted(object);
	PyObject *bytes = NULL;

	if (!text)
		return refuse_type(object, "a str");
	if (!PyUnicode_FSConverter(text, &bytes))
		return 0;
	arg->owner = bytes;
	arg->text = PyBytes_AS_STRING(bytes);
	return 1;
}

int py_convert_message(PyObject *object, void *message)
{
	_cleanup_pyref_ PyObject *text = py_formatted(object);
	char *shown = text ? py_shown_text(text) : NULL;

	*(char **)message = shown;
	if (!text)
		return refuse_type(object, "a str");
	return shown != NULL;
}

int py_convert_text_or_none(PyObject *object, void *path_arg)
{
	return object == Py_None ? 1 : py_convert_text(object, path_arg);
}

/* The number that the text of an object is; NULL without an exception. */
static PyObject *number_in(PyObject *object)
{
	_cleanup_pyref_ PyObject *text = py_formatted(object);
	PyObject *number = text ? PyLong_FromUnicodeObject(text, 10) : NULL;

	PyErr_Clear();
	return number;
}

int py_convert_port(PyObject *object, void *port)
{
	bool is_number = PyIndex_Check(object) && !PyBool_Check(object);
	_cleanup_pyref_ PyObject *number = is_number ? PyNumber_Index(object) : number_in(object);
	long value;

	if (!number && PyUnicode_Check(object))
		return py_refuse(object, PyExc_ValueError, "a port must be a number");
	if (!number)
		return refuse_type(object, "a number");
	value = PyLong_AsLong(number);
	PyErr_Clear();
	if (value < 0 || value > 65535)
		return py_refuse(object, PyExc_ValueError, "a port must be 0 to 65535");
	*(int *)port = (int)value;
	return 1;
}

/* ---- durations */

/* Parses a number, with or without a unit of sleep(1) and timeout(1) after it; a float, in seconds.
 * NULL without an exception for other texts. */
static PyObject *seconds_in(PyObject *text)
{
	static const struct {
		char unit;
		double seconds;
	} units[] = {{'s', 1}, {'m', 60}, {'h', 60 * 60}, {'d', 24 * 60 * 60}};
	Py_ssize_t len;
	const char *utf8 = PyUnicode_AsUTF8AndSize(text, &len);
	_cleanup_free_ char *number = utf8 ? ntd_strndup(utf8, (size_t)len) : NULL;
	double unit = 1, value;

	PyErr_Clear();
	for (size_t i = 0; number && len && i < sizeof units / sizeof *units; i++)
		if (number[len - 1] == units[i].unit) {
			number[--len] = '\0';
			unit = units[i].seconds;
		}
	value = number && strlen(number) == (size_t)len ? PyOS_string_to_double(number, NULL, NULL)
							: -1;
	PyErr_Clear();
	return value < 0 ? NULL : PyFloat_FromDouble(value * unit);
}

int py_convert_duration(PyObject *object, void *seconds)
{
	_cleanup_pyref_ PyObject *total = NULL;
	double value;

	if (object == Py_None) {
		*(double *)seconds = NTD_NO_TIMEOUT;
		return 1;
	}
	if (PyUnicode_Check(object)) {
		total = seconds_in(object);
		if (!total)
			return py_refuse(object, PyExc_ValueError,
					 "a duration must be a number of seconds");
	} else if (!PyBool_Check(object) && !PyLong_Check(object) && !PyFloat_Check(object)) {
		total = PyObject_CallMethod(object, "total_seconds", NULL);
		PyErr_Clear();
	}
	if (PyBool_Check(object) || (!total && !PyLong_Check(object) && !PyFloat_Check(object))) {
		_cleanup_free_ char *message = ntd_asprintf(
			"a duration must be a timedelta, a number of seconds or None, not %s",
			Py_TYPE(object)->tp_name);

		return py_refuse(object, PyExc_TypeError, message);
	}
	value = PyFloat_AsDouble(total ? total : object);
	if (value == -1.0 && PyErr_Occurred())
		return 0;
	if (isnan(value))
		return py_refuse(object, PyExc_ValueError, "a duration must be a number, not nan");
	/* after a time that is over, one last attempt is made */
	*(double *)seconds = value > 0 ? value : 0;
	return 1;
}

int py_convert_path(PyObject *object, void *path_arg)
{
	struct py_path_arg *arg = path_arg;
	_cleanup_pyref_ PyObject *path = PyOS_FSPath(object);
	PyObject *bytes = NULL;

	if (!path) {
		_cleanup_free_ char *message = ntd_asprintf(
			"a path must be a str or os.PathLike, not %s", Py_TYPE(object)->tp_name);

		PyErr_Clear();
		return py_refuse(object, PyExc_TypeError, message);
	}
	if (!PyUnicode_FSConverter(path, &bytes))
		return 0;
	arg->owner = bytes;
	arg->text = PyBytes_AS_STRING(bytes);
	return 1;
}

/* The texts are made from a copy of the items, since the str() of a key or a value may change the
 * dict. */
int py_convert_attributes(PyObject *object, char ***attributes)
{
	_cleanup_pyref_ PyObject *items = NULL;
	_cleanup_strv_ char **list = NULL;

	*attributes = NULL;
	if (!object || object == Py_None)
		return 0;
	if (!PyDict_Check(object)) {
		PyErr_Format(PyExc_TypeError, "attributes must be a dict, not %s",
			     Py_TYPE(object)->tp_name);
		return -1;
	}
	items = PyDict_Items(object);
	if (!items)
		return -1;
	list = ntd_calloc(2 * (size_t)PyList_Size(items) + 1, sizeof *list);
	for (Py_ssize_t i = 0; i < PyList_Size(items); i++) {
		PyObject *item = PyList_GetItem(items, i);
		char **pair = list + 2 * i;

		pair[0] = py_shown_text(PyTuple_GetItem(item, 0));
		pair[1] = pair[0] ? py_shown_text(PyTuple_GetItem(item, 1)) : NULL;
		if (!pair[1])
			return -1;
	}
	*attributes = ntd_steal(&list);
	return 0;
}
