/* The state of the module _test_driver. It is in the module object, and there is one for the whole
 * process, however often a script imports the module: a module that a script has removed from
 * sys.modules and imports again has the objects of the first one.
 */
#include "bridge/py_bridge.h"

/* The first module and its state. They live as long as the process: types and objects refer to
 * them, whatever a script does to sys.modules. */
static PyObject *the_module;
static struct py_state *the_state;

struct py_state *py_state(void)
{
	return the_state;
}

PyObject *py_state_set(PyObject *module)
{
	if (!the_module) {
		the_module = Py_NewRef(module);
		the_state = PyModule_GetState(module);
	}
	return the_module;
}

/* The places of the references in the state; NULL after the last. */
static PyObject **reference(struct py_state *state, size_t index)
{
	PyObject **const places[] = {&state->machine_error,
				     &state->requested_assertion_failed,
				     &state->machine_died,
				     &state->machine_timeout,
				     &state->protocol_error,
				     (PyObject **)&state->object_type,
				     (PyObject **)&state->method_type,
				     (PyObject **)&state->lazy_type,
				     &state->watch,
				     &state->warned,
				     &state->sources,
				     (PyObject **)&state->logger_type,
				     (PyObject **)&state->step_type,
				     &state->logger,
				     (PyObject **)&state->base_machine_type,
				     (PyObject **)&state->qemu_machine_type,
				     (PyObject **)&state->nspawn_machine_type,
				     (PyObject **)&state->qmp_type,
				     &state->call_names,
				     &state->script_text,
				     &state->script_code,
				     &state->script_symbols,
				     (PyObject **)&state->driver_type,
				     (PyObject **)&state->timer_type,
				     (PyObject **)&state->vlan_type,
				     &state->driver};

	return index < sizeof places / sizeof *places ? places[index] : NULL;
}

int py_state_traverse(struct py_state *state, visitproc visit, void *arg)
{
	PyObject **place;

	for (size_t i = 0; (place = reference(state, i)); i++)
		Py_VISIT(*place);
	return 0;
}

void py_state_clear(struct py_state *state)
{
	PyObject **place;

	for (size_t i = 0; (place = reference(state, i)); i++)
		Py_CLEAR(*place);
}
