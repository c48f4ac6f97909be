/* The methods that copy files. They run on threads that hold the GIL, which PY_BLOCKING_CALL
 * releases for calls that can block.
 */
#include "guest/files.h"
#include "machine/py_machine.h"

typedef int copy_function(const struct ntd_copy *how, const char *source, const char *target,
			  struct ntd_waiter *waiter, struct ntd_error **err);

static PyObject *copy(PyObject *object, PyObject *args, PyObject *kwargs, const char *format,
		      char **names, const char *default_target, copy_function *function)
{
	const struct ntd_copy how = {.machine = py_machine_self(object)->machine};
	_cleanup_path_ struct py_path_arg source = {0}, target = {0};
	int result;

	if (!py_parse(args, kwargs, format, names, py_convert_path, &source, py_convert_path,
		      &target) ||
	    !PY_BLOCKING_CALL(result,
			      function(&how, source.text,
				       target.text ? target.text : default_target, waiter, error)))
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *copy_from_host(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"source", "target", NULL};

	return copy(object, args, kwargs, "O&O&:copy_from_host", names, NULL,
		    ntd_machine_copy_from_host);
}

static int copy_via_shell(const struct ntd_copy *how, const char *source, const char *target,
			  struct ntd_waiter *waiter, struct ntd_error **err)
{
	return ntd_machine_copy_via_shell(how->machine, source, target, waiter, err);
}

static PyObject *copy_from_host_via_shell(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"source", "target", NULL};

	return copy(object, args, kwargs, "O&O&:copy_from_host_via_shell", names, NULL,
		    copy_via_shell);
}

static PyObject *copy_from_machine(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"source", "target_dir", NULL};

	return copy(object, args, kwargs, "O&|O&:copy_from_machine", names, "",
		    ntd_machine_copy_from_guest);
}

static PyObject *copy_from_vm(PyObject *object, PyObject *args, PyObject *kwargs)
{
	if (PyErr_WarnEx(PyExc_DeprecationWarning, "Use copy_from_machine() instead", 1) < 0)
		return NULL;
	return copy_from_machine(object, args, kwargs);
}

static int call(PyObject *function, struct ntd_bytes command)
{
	_cleanup_pyref_ PyObject *text =
		PyUnicode_DecodeUTF8(command.data, (Py_ssize_t)command.len, "surrogateescape");
	_cleanup_pyref_ PyObject *output = text ? PyObject_CallOneArg(function, text) : NULL;

	return output ? 0 : -1;
}

/* Runs a command of a copy by a function in Python. */
static int succeed_in_python(void *function, struct ntd_bytes command, struct ntd_waiter *waiter,
			     struct ntd_error **err)
{
	return PY_IN_PYTHON(waiter, err, call(function, command));
}

/* _copy_by(): copy_from_host() or copy_from_machine(), whose commands succeed(command) runs. */
static PyObject *copy_by(PyObject *object, PyObject *args)
{
	struct ntd_copy how = {.machine = py_machine_self(object)->machine,
			       .succeed = succeed_in_python};
	_cleanup_path_ struct py_path_arg source = {0}, target = {0};
	copy_function *function;
	int from_host, result;

	if (!PyArg_ParseTuple(args, "OpO&O&:_copy_by", &how.arg, &from_host, py_convert_path,
			      &source, py_convert_path, &target))
		return NULL;
	function = from_host ? ntd_machine_copy_from_host : ntd_machine_copy_from_guest;
	if (!PY_BLOCKING_CALL(result, function(&how, source.text, target.text, waiter, error)))
		return NULL;
	Py_RETURN_NONE;
}

PyMethodDef py_machine_file_methods[] = {
	PY_METHOD(
		"copy_from_host", copy_from_host,
		"copy_from_host($self, source, target)\n--\n\n"
		"Copies a file or a tree from the host (source) to a path in the guest (target)."),
	PY_METHOD(
		"copy_from_host_via_shell", copy_from_host_via_shell,
		"copy_from_host_via_shell($self, source, target)\n--\n\n"
		"Copies a file of any size through the root shell, without the shared directory."),
	PY_METHOD(
		"copy_from_machine", copy_from_machine,
		"copy_from_machine($self, source, target_dir='')\n--\n\n"
		"Copies a file or a tree (source) from the guest into target_dir below the output\n"
		"directory."),
	PY_METHOD("copy_from_vm", copy_from_vm,
		  "copy_from_vm($self, source, target_dir='')\n--\n\n"
		  "The older name of copy_from_machine(). DeprecationWarning."),
	{"_copy_by", copy_by, METH_VARARGS,
	 "_copy_by($self, succeed, from_host, source, target, /)\n--\n\n"
	 "Does copy_from_host() or copy_from_machine(), with succeed(command) for each\n"
	 "command in the guest."},
	{NULL, NULL, 0, NULL},
};
