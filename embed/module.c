/* The module _test_driver, which the package test_driver re-exports: its definition, and the list
 * of its types and functions. It is made on the main thread.
 */
#include "py_program.h"

/* The types; each comes after those that it needs. */
static int (*const types[])(PyObject *module, struct py_state *state) = {
	py_add_exceptions,        py_object_add_type,         py_method_add_type,
	py_lazy_add_type,         py_step_add_type,           py_logger_add_type,
	py_vlan_add_type,         py_machine_add_qmp_type,    py_machine_add_base_type,
	py_machine_add_qemu_type, py_machine_add_nspawn_type, py_driver_add_timer_type,
	py_driver_add_type,
};

static PyObject *current_driver(PyObject *module, PyObject *unused)
{
	PyObject *driver = py_state()->driver;

	return Py_NewRef(driver ? driver : Py_None);
}

static PyMethodDef own_functions[] = {
	{"current_driver", current_driver, METH_NOARGS,
	 "current_driver()\n--\n\nThe driver of the run; None before there is one."},
	{NULL, NULL, 0, NULL},
};

static PyMethodDef *const functions[] = {
	own_functions,
	py_scope_functions,
	py_log_functions,
	py_machine_retry_functions,
	py_machine_start_functions,
	py_machine_interact_functions,
	py_machine_ssh_functions,
	py_driver_global_functions,
	py_pytest_functions,
	py_summary_functions,
	py_pytest_moment_functions,
};

/* A script may have the module made again; that module gets the objects of the first one. */
static int module_exec(PyObject *module)
{
	PyObject *first = py_state_set(module);

	if (first != module)
		return PyDict_Update(PyModule_GetDict(module), PyModule_GetDict(first));
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (types[i](module, py_state()) < 0)
			return -1;
	for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
		if (PyModule_AddFunctions(module, functions[i]) < 0)
			return -1;
	return py_machine_add_calls(py_state());
}

static int module_traverse(PyObject *module, visitproc visit, void *arg)
{
	struct py_state *state = PyModule_GetState(module);

	return state ? py_state_traverse(state, visit, arg) : 0;
}

static int module_clear(PyObject *module)
{
	struct py_state *state = PyModule_GetState(module);

	if (state)
		py_state_clear(state);
	return 0;
}

static void module_free(void *module)
{
	struct py_state *state = PyModule_GetState(module);

	module_clear(module);
	if (state)
		free(ntd_steal(&state->calls));
}

PyObject *py_module_init(void)
{
	static PyModuleDef_Slot slots[] = {
		{Py_mod_exec, module_exec},
		{0, NULL},
	};
	static struct PyModuleDef definition = {
		PyModuleDef_HEAD_INIT,
		.m_name = PY_MODULE_NAME,
		.m_doc = "The test driver's core. Import test_driver instead.",
		.m_size = sizeof(struct py_state),
		.m_slots = slots,
		.m_traverse = module_traverse,
		.m_clear = module_clear,
		.m_free = module_free,
	};

	return PyModuleDef_Init(&definition);
}
