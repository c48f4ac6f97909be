/* Attributes that have the driver's value until a script sets one: they are plain attributes in
 * upstream's drivers. The script's value is in the object's __dict__, beside the attributes that
 * the script has added; to delete it, as the end of a mock.patch.object() does, brings the driver's
 * value back. All of this runs on threads that hold the GIL.
 */
#include "bridge/py_bridge.h"

PyObject *py_value_own(PyObject *object, const char *name)
{
	PyObject *dict = ((struct py_object *)object)->dict;

	return dict ? PyDict_GetItemString(dict, name) : NULL;
}

static int set_own(PyObject *object, const char *name, PyObject *value)
{
	struct py_object *self = (struct py_object *)object;

	if (!value && py_value_own(object, name))
		return PyDict_DelItemString(self->dict, name);
	if (!value) {
		PyErr_Format(PyExc_AttributeError, "%s is the driver's own", name);
		return -1;
	}
	if (!self->dict && !(self->dict = PyDict_New()))
		return -1;
	return PyDict_SetItemString(self->dict, name, value);
}

PyObject *py_value_get(PyObject *object, void *closure)
{
	const struct py_value *value = closure;
	PyObject *own = py_value_own(object, value->name);

	return own ? Py_NewRef(own) : value->get(object, value->closure);
}

int py_value_set(PyObject *object, PyObject *to, void *closure)
{
	const struct py_value *value = closure;

	return set_own(object, value->name, to);
}
