/* The methods that are about the EFI variables of a stopped machine. The format of their store is
 * written in Python (test_driver/efi.py), whose module is imported when a script uses it. All of
 * this runs on threads that hold the GIL.
 */
#include "machine/py_machine.h"

PyObject *py_machine_efi_store(PyObject *object)
{
	PyObject *own = py_value_own(object, "efi_vars");
	_cleanup_pyref_ PyObject *path =
		py_path(ntd_machine_path(py_machine_self(object)->machine, "efi_vars"));

	if (own)
		return Py_NewRef(own);
	return path ? py_call("test_driver.efi", "EfiVars", "(OO)", path, object) : NULL;
}

static PyObject *create_efi_vars(PyObject *object, PyObject *unused)
{
	_cleanup_pyref_ PyObject *store = py_machine_efi_store(object);

	return store ? PyObject_CallMethod(store, "create_empty", NULL) : NULL;
}

static PyObject *write_efi_vars(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"variables", NULL};
	_cleanup_pyref_ PyObject *store = NULL;
	PyObject *variables;

	if (!py_parse(args, kwargs, "O:write_efi_vars", names, &variables))
		return NULL;
	store = py_machine_efi_store(object);
	return store ? PyObject_CallMethod(store, "write", "(O)", variables) : NULL;
}

static PyObject *read_efi_vars(PyObject *object, PyObject *unused)
{
	_cleanup_pyref_ PyObject *store = py_machine_efi_store(object);

	return store ? PyObject_CallMethod(store, "read", NULL) : NULL;
}

static PyObject *dump_efi_vars(PyObject *object, PyObject *unused)
{
	_cleanup_pyref_ PyObject *store = py_machine_efi_store(object);

	return store ? PyObject_CallMethod(store, "dump", NULL) : NULL;
}

PyMethodDef py_machine_efi_methods[] = {
	{"create_efi_vars", create_efi_vars, METH_NOARGS,
	 "create_efi_vars($self)\n--\n\n"
	 "Makes an empty store of EFI variables, of the size that OVMF's 4 MB builds have.\n"
	 "This and the next three methods raise RequestedAssertionFailed while the machine\n"
	 "runs."},
	PY_METHOD(
		"write_efi_vars", write_efi_vars,
		"write_efi_vars($self, variables)\n--\n\n"
		"Adds EfiVariables to the store, in place of those with the same name and vendor."),
	{"read_efi_vars", read_efi_vars, METH_NOARGS,
	 "read_efi_vars($self)\n--\n\n"
	 "Returns the EFI variables in the store, as a list of EfiVariable."},
	{"dump_efi_vars", dump_efi_vars, METH_NOARGS,
	 "dump_efi_vars($self)\n--\n\nPrints the EFI variables in the store."},
	{NULL, NULL, 0, NULL},
};
