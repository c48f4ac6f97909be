/* The classes beside QemuMachine, for annotations and isinstance(). */
#include "embed.h"

static PyTypeObject *make_class(PyObject *module, const char *name, const char *doc, PyObject *base)
{
	PyType_Slot slots[] = {
		{Py_tp_doc, (void *)doc},
		{0, NULL},
	};
	PyType_Spec spec = {
		.name = name,
		.basicsize = sizeof(PyObject),
		.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE |
			 Py_TPFLAGS_DISALLOW_INSTANTIATION,
		.slots = slots,
	};
	PyTypeObject *type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, base);

	if (type && PyModule_AddType(module, type) < 0)
		Py_CLEAR(type);
	return type;
}

int ntd_add_machine_classes(PyObject *module, struct ntd_module_state *state)
{
	_cleanup_pyref_ PyObject *nspawn = NULL;

	state->base_machine_type = make_class(module, "test_driver.machine.BaseMachine",
					      "A machine of any kind.", NULL);
	if (!state->base_machine_type)
		return -1;
	nspawn = (PyObject *)make_class(module, "test_driver.machine.NspawnMachine", "A container.",
					(PyObject *)state->base_machine_type);
	return nspawn ? 0 : -1;
}
