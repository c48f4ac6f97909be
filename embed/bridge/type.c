/* How the types that scripts see get their methods. Runs on the main thread, when the module is
 * made.
 */
#include "bridge/py_bridge.h"

static int add_methods(struct py_state *state, PyTypeObject *type, PyMethodDef *methods)
{
	for (; methods->ml_name; methods++) {
		_cleanup_pyref_ PyObject *method = methods->ml_flags & METH_CLASS
							   ? PyDescr_NewClassMethod(type, methods)
							   : py_method_object(state, type, methods);

		if (!method ||
		    PyObject_SetAttrString((PyObject *)type, methods->ml_name, method) < 0)
			return -1;
	}
	return 0;
}

int py_add_type(PyObject *module, PyType_Spec *spec, PyTypeObject *base,
		PyMethodDef *const *methods, PyTypeObject **place)
{
	if (py_object_add_subtype(module, spec, base, place) < 0)
		return -1;
	for (; *methods; methods++)
		if (add_methods(py_state(), *place, *methods) < 0)
			return -1;
	return 0;
}
