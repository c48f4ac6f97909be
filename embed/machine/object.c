/* What every file about machines needs of a machine object. All of this runs on threads that hold
 * the GIL.
 */
#include "machine/py_machine.h"

struct ntd_machine *py_machine_of(PyObject *object)
{
	if (PyObject_TypeCheck(object, py_state()->base_machine_type))
		return py_machine_self(object)->machine;
	PyErr_Format(PyExc_TypeError, "expected a machine, not %s", Py_TYPE(object)->tp_name);
	return NULL;
}

PyTypeObject *py_machine_class_of(PyObject *object)
{
	struct py_state *state = py_state();

	return PyObject_TypeCheck(object, state->nspawn_machine_type) ? state->nspawn_machine_type
								      : state->qemu_machine_type;
}

bool py_machine_is_born(PyObject *object)
{
	return py_machine_self(object)->machine != py_state()->unborn;
}

bool py_machine_check_name(const char *name)
{
	if (*name && !strchr(name, '/'))
		return true;
	PyErr_Format(PyExc_ValueError, "name: '%s' cannot be the name of a machine", name);
	return false;
}
