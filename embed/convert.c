#include "embed.h"

#include <math.h>

PyObject *ntd_text(const struct ntd_buf *bytes)
{
	return PyUnicode_DecodeUTF8(ntd_buf_bytes(bytes), (Py_ssize_t)bytes->len, "replace");
}

PyObject *ntd_text_of(const char *text)
{
	return PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace");
}

const char *ntd_utf8(PyObject *text, const char *what)
{
	Py_ssize_t len;
	const char *utf8 = PyUnicode_AsUTF8AndSize(text, &len);

	if (!utf8 || strlen(utf8) == (size_t)len)
		return utf8;
	PyErr_Format(PyExc_ValueError, "%s: embedded null character", what);
	return NULL;
}

char *ntd_shown_text(PyObject *object)
{
	_cleanup_pyref_ PyObject *text = PyObject_Str(object);
	Py_ssize_t len;
	const char *utf8 = text ? PyUnicode_AsUTF8AndSize(text, &len) : NULL;

	return utf8 ? ntd_shown(utf8, (size_t)len) : NULL;
}

PyObject *ntd_call(const char *module, const char *name, const char *format, ...)
{
	_cleanup_pyref_ PyObject *imported = PyImport_ImportModule(module);
	_cleanup_pyref_ PyObject *function =
		imported ? PyObject_GetAttrString(imported, name) : NULL;
	_cleanup_pyref_ PyObject *args = NULL;
	va_list list;

	va_start(list, format);
	args = function ? Py_VaBuildValue(format, list) : NULL;
	va_end(list);
	return args ? PyObject_Call(function, args, NULL) : NULL;
}

PyObject *ntd_path(const char *path)
{
	_cleanup_pyref_ PyObject *text = PyUnicode_DecodeFSDefault(path);

	return text ? ntd_call("pathlib", "Path", "(O)", text) : NULL;
}

int ntd_convert_duration(PyObject *object, void *seconds)
{
	_cleanup_pyref_ PyObject *total = NULL;
	double value;

	if (object == Py_None) {
		*(double *)seconds = NTD_NO_TIMEOUT;
		return 1;
	}
	if (!PyBool_Check(object) && !PyLong_Check(object) && !PyFloat_Check(object)) {
		total = PyObject_CallMethod(object, "total_seconds", NULL);
		PyErr_Clear();
	}
	if (PyBool_Check(object) || (!total && !PyLong_Check(object) && !PyFloat_Check(object))) {
		_cleanup_free_ char *message = ntd_asprintf(
			"a duration must be a timedelta, a number of seconds or None, not %s",
			Py_TYPE(object)->tp_name);

		return ntd_refuse(object, PyExc_TypeError, message);
	}
	value = PyFloat_AsDouble(total ? total : object);
	if (value == -1.0 && PyErr_Occurred())
		return 0;
	if (isnan(value))
		return ntd_refuse(object, PyExc_ValueError, "a duration must be a number, not nan");
	*(double *)seconds = value > 0 ? value : 0; /* a time already over: one last attempt */
	return 1;
}

int ntd_convert_path(PyObject *object, void *path_arg)
{
	struct ntd_path_arg *arg = path_arg;
	_cleanup_pyref_ PyObject *path = PyOS_FSPath(object);
	PyObject *bytes = NULL;

	if (!path) {
		_cleanup_free_ char *message = ntd_asprintf(
			"a path must be a str or os.PathLike, not %s", Py_TYPE(object)->tp_name);

		PyErr_Clear();
		return ntd_refuse(object, PyExc_TypeError, message);
	}
	if (!PyUnicode_FSConverter(path, &bytes))
		return 0;
	arg->owner = bytes;
	arg->text = PyBytes_AS_STRING(bytes);
	return 1;
}

PyObject *ntd_regex(PyObject *object, const char *parameter)
{
	_cleanup_pyref_ PyObject *re = PyImport_ImportModule("re");
	_cleanup_pyref_ PyObject *compiled = re ? PyObject_GetAttrString(re, "Pattern") : NULL;
	_cleanup_pyref_ PyObject *source = NULL;
	int is_compiled = compiled ? PyObject_IsInstance(object, compiled) : -1;

	if (is_compiled < 0)
		return NULL;
	source = is_compiled ? PyObject_GetAttrString(object, "pattern") : Py_NewRef(object);
	if (source && PyUnicode_Check(source))
		return PyObject_CallMethod(re, "compile", "O", object);
	if (source)
		PyErr_Format(PyExc_TypeError, "%s must be a regular expression for str, not %R",
			     parameter, object);
	return NULL;
}

int ntd_convert_attributes(PyObject *object, char ***attributes)
{
	PyObject *key, *value;
	Py_ssize_t position = 0, used = 0;
	char **list;

	*attributes = NULL;
	if (!object || object == Py_None)
		return 0;
	if (!PyDict_Check(object)) {
		PyErr_Format(PyExc_TypeError, "attributes must be a dict, not %s",
			     Py_TYPE(object)->tp_name);
		return -1;
	}
	list = ntd_calloc(2 * (size_t)PyDict_Size(object) + 1, sizeof *list);
	while (PyDict_Next(object, &position, &key, &value)) {
		list[used] = ntd_shown_text(key);
		if (list[used])
			list[++used] = ntd_shown_text(value);
		if (!list[used]) {
			ntd_strv_free(list);
			return -1;
		}
		used++;
	}
	*attributes = list;
	return 0;
}
