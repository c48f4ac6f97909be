/* The module _test_driver: multi-phase, all state in the module object. It is one for the whole
 * process, however often a script imports it: what has been removed from sys.modules and is
 * imported again has the same objects in it.
 */
#include "embed.h"

static const char module_name[] = "_test_driver";

/* The first module and its state, which live as long as the process: types and objects refer to
 * them, whatever a script does to sys.modules. */
static PyObject *the_module;
static struct py_state *the_state;

static int module_exec(PyObject *module)
{
	struct py_state *state = PyModule_GetState(module);

	if (the_module)
		return PyDict_Update(PyModule_GetDict(module), PyModule_GetDict(the_module));
	the_module = Py_NewRef(module);
	the_state = state;
	if (PyModule_AddFunctions(module, py_pytest_functions) < 0 ||
	    py_add_exceptions(module, state) < 0 || py_add_object_type(module, state) < 0 ||
	    py_add_method_type(module, state) < 0 || py_add_step_type(module, state) < 0 ||
	    py_add_logger_type(module, state) < 0 || py_add_vlan_type(module, state) < 0 ||
	    py_add_qmp_type(module, state) < 0 || py_add_lazy_type(module, state) < 0 ||
	    py_add_timer_type(module, state) < 0 || py_add_base_machine_type(module, state) < 0 ||
	    py_add_qemu_machine_type(module, state) < 0 ||
	    py_add_nspawn_machine_type(module, state) < 0 || py_machine_add_calls(state) < 0 ||
	    py_add_driver_type(module, state) < 0)
		return -1;
	return 0;
}

static PyObject **const_slot(struct py_state *state, size_t index)
{
	PyObject **const slots[] = {&state->machine_error,
				    &state->requested_assertion_failed,
				    &state->machine_died,
				    &state->machine_timeout,
				    &state->protocol_error,
				    (PyObject **)&state->qemu_machine_type,
				    (PyObject **)&state->nspawn_machine_type,
				    (PyObject **)&state->vlan_type,
				    (PyObject **)&state->driver_type,
				    (PyObject **)&state->logger_type,
				    (PyObject **)&state->step_type,
				    (PyObject **)&state->qmp_type,
				    (PyObject **)&state->base_machine_type,
				    (PyObject **)&state->lazy_type,
				    (PyObject **)&state->timer_type,
				    (PyObject **)&state->object_type,
				    (PyObject **)&state->method_type,
				    &state->call_names,
				    &state->driver,
				    &state->logger,
				    &state->script_text,
				    &state->script_code,
				    &state->watch,
				    &state->script_symbols,
				    &state->warned};

	return index < sizeof slots / sizeof *slots ? slots[index] : NULL;
}

static int module_traverse(PyObject *module, visitproc visit, void *arg)
{
	struct py_state *state = PyModule_GetState(module);
	PyObject **slot;

	for (size_t i = 0; state && (slot = const_slot(state, i)); i++)
		Py_VISIT(*slot);
	return 0;
}

static int module_clear(PyObject *module)
{
	struct py_state *state = PyModule_GetState(module);
	PyObject **slot;

	for (size_t i = 0; state && (slot = const_slot(state, i)); i++)
		Py_CLEAR(*slot);
	return 0;
}

static void module_free(void *module)
{
	struct py_state *state = PyModule_GetState(module);

	module_clear(module);
	if (state)
		free(ntd_steal(&state->calls));
}

static PyObject *current_driver(PyObject *module, PyObject *unused)
{
	PyObject *driver = ((struct py_state *)PyModule_GetState(module))->driver;

	return Py_NewRef(driver ? driver : Py_None);
}

PyObject *py_module_init(void)
{
	static PyMethodDef functions[] = {
		{"retry", (PyCFunction)(void (*)(void))py_retry_function,
		 METH_VARARGS | METH_KEYWORDS, py_retry_doc},
		{"watch", py_watch_function, METH_O, py_watch_doc},
		{"start_command_line", py_start_command_line_function, METH_VARARGS,
		 py_start_command_line_doc},
		{"start_script_name", py_start_script_name_function, METH_VARARGS,
		 py_start_script_name_doc},
		{"kvm_probe", py_kvm_probe_function, METH_NOARGS, py_kvm_probe_doc},
		{"key_name", py_key_name_function, METH_VARARGS, py_key_name_doc},
		{"current_driver", current_driver, METH_NOARGS,
		 "current_driver()\n--\n\nThe driver of the run."},
		{"show_serial", py_show_serial_function, METH_O, py_show_serial_doc},
		{NULL, NULL, 0, NULL},
	};
	static PyModuleDef_Slot slots[] = {
		{Py_mod_exec, module_exec},
		{0, NULL},
	};
	static struct PyModuleDef definition = {
		PyModuleDef_HEAD_INIT,
		.m_name = module_name,
		.m_doc = "The test driver's core. Import test_driver instead.",
		.m_size = sizeof(struct py_state),
		.m_methods = functions,
		.m_slots = slots,
		.m_traverse = module_traverse,
		.m_clear = module_clear,
		.m_free = module_free,
	};

	return PyModuleDef_Init(&definition);
}

struct py_state *py_state(void)
{
	return the_state;
}

struct py_state *py_state_of(PyObject *self)
{
	return the_state;
}
