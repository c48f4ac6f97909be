/* Texts of C as objects of Python and back, and calls of functions written in Python. All of this
 * runs on threads that hold the GIL.
 */
#include "bridge/py_bridge.h"

PyObject *py_text(const struct ntd_buf *bytes)
{
	return PyUnicode_DecodeUTF8(ntd_buf_bytes(bytes), (Py_ssize_t)bytes->len, "replace");
}

PyObject *py_text_of(const char *text)
{
	return PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace");
}

const char *py_utf8(PyObject *text, const char *what)
{
	Py_ssize_t len;
	const char *utf8 = PyUnicode_AsUTF8AndSize(text, &len);

	if (!utf8 || strlen(utf8) == (size_t)len)
		return utf8;
	PyErr_Format(PyExc_ValueError, "%s: embedded null character", what);
	return NULL;
}

PyObject *py_escaped(PyObject *text)
{
	return PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace");
}

char *py_shown_text(PyObject *object)
{
	_cleanup_pyref_ PyObject *text = PyObject_Str(object);
	_cleanup_pyref_ PyObject *utf8 = text ? py_escaped(text) : NULL;

	return utf8 ? ntd_shown(PyBytes_AsString(utf8), (size_t)PyBytes_Size(utf8)) : NULL;
}

/* Whether the object's class defines str() otherwise than as repr(): then the object stands for
 * text. */
static bool has_text(PyObject *object)
{
	PyObject *class = (PyObject *)Py_TYPE(object);
	_cleanup_pyref_ PyObject *own = PyObject_GetAttrString(class, "__str__");
	_cleanup_pyref_ PyObject *plain =
		PyObject_GetAttrString((PyObject *)&PyBaseObject_Type, "__str__");

	PyErr_Clear();
	return own != plain && !PyObject_CheckBuffer(object);
}

PyObject *py_formatted(PyObject *object)
{
	PyObject *text = NULL;

	if (PyUnicode_Check(object))
		return Py_NewRef(object);
	if (PyObject_HasAttrString((PyObject *)Py_TYPE(object), "__fspath__"))
		text = PyOS_FSPath(object);
	else if (has_text(object))
		text = PyObject_Format(object, NULL);
	if (text && !PyUnicode_Check(text))
		Py_CLEAR(text);
	PyErr_Clear();
	return text;
}

/* ---- calls of Python */

PyObject *py_call(const char *module, const char *name, const char *format, ...)
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

PyObject *py_path(const char *path)
{
	_cleanup_pyref_ PyObject *text = PyUnicode_DecodeFSDefault(path);

	return text ? py_call("pathlib", "Path", "(O)", text) : NULL;
}

PyObject *py_regex(PyObject *object, const char *parameter)
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
