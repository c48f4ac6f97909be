/* The object of a Driver: how it is made, copied and freed. All of this runs on threads that hold
 * the GIL.
 */
#include "driver/py_driver.h"

#include <assert.h>

/* ---- attributes that are written in Python */

static PyObject *make_assertions(struct py_state *state)
{
	return py_call("test_driver.assertions", "Assertions", "()");
}

static PyObject *make_debug(struct py_state *state)
{
	return py_call("test_driver.debug", "for_run", "(Oz)", state->driver,
		       state->session->config->debug_hook_attach);
}

int py_driver_add_assertions(PyObject *object)
{
	_cleanup_pyref_ PyObject *assertions = py_lazy_object(py_state(), make_assertions);

	return assertions ? PyObject_SetAttrString(object, "t", assertions) : -1;
}

static int add_lazy(PyObject *object)
{
	_cleanup_pyref_ PyObject *debug = py_lazy_object(py_state(), make_debug);

	if (!debug || py_driver_add_assertions(object) < 0)
		return -1;
	return PyObject_SetAttrString(object, "debug", debug);
}

/* ---- the object */

static int fill_lists(struct py_driver *self, struct py_state *state)
{
	struct ntd_session *session = state->session;
	size_t count, vlan_count;
	_cleanup_free_ struct ntd_machine **machines = ntd_session_machines(session, &count);
	_cleanup_free_ struct ntd_vlan **vlans = ntd_session_vlans(session, &vlan_count);

	for (size_t i = 0; i < count; i++) {
		_cleanup_pyref_ PyObject *machine = py_machine_object(state, machines[i]);

		if (!machine ||
		    PyList_Append(self->lists[PY_DRIVER_ALL_MACHINES].list, machine) < 0)
			return -1;
	}
	for (size_t i = 0; i < vlan_count; i++) {
		_cleanup_pyref_ PyObject *vlan = py_vlan_object(state, vlans[i]);

		if (!vlan || PyList_Append(self->vlans, vlan) < 0)
			return -1;
	}
	return 0;
}

PyObject *py_driver_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
	struct py_state *state = py_state();
	struct py_driver *self = (struct py_driver *)PyType_GenericAlloc(type, 0);

	if (!self)
		return NULL;
	self->vlans = PyList_New(0);
	self->polling_conditions = PyList_New(0);
	self->logger = py_logger_object(state);
	self->deadline = &state->session->deadline;
	if (!py_driver_make_lists(self) || !self->vlans || !self->polling_conditions ||
	    !self->logger)
		Py_CLEAR(self);
	return (PyObject *)self;
}

PyObject *py_driver_object(struct py_state *state)
{
	_cleanup_pyref_ PyObject *object = py_driver_new(state->driver_type, NULL, NULL);
	const struct ntd_config *config = state->session->config;

	if (!object || fill_lists(py_driver_self(object), state) < 0 || add_lazy(object) < 0)
		return NULL;
	py_driver_self(object)->keep_machine_state = config && config->keep_state;
	return ntd_steal(&object);
}

static PyObject **reference(struct py_driver *self, size_t index)
{
	struct py_driver_machines *lists = self->lists;
	static_assert(PY_DRIVER_LISTS == 3, "every list is here");
	PyObject **const references[] = {&lists[PY_DRIVER_ALL_MACHINES].list,
					 &lists[PY_DRIVER_ALL_MACHINES].seen,
					 &lists[PY_DRIVER_QEMU_MACHINES].list,
					 &lists[PY_DRIVER_QEMU_MACHINES].seen,
					 &lists[PY_DRIVER_NSPAWN_MACHINES].list,
					 &lists[PY_DRIVER_NSPAWN_MACHINES].seen,
					 &self->vlans,
					 &self->logger,
					 &self->polling_conditions,
					 &self->out_dir,
					 &self->config,
					 &self->tests,
					 &self->code};

	return index < sizeof references / sizeof *references ? references[index] : NULL;
}

int py_driver_traverse(PyObject *object, visitproc visit, void *arg)
{
	PyObject **place;

	for (size_t i = 0; (place = reference(py_driver_self(object), i)); i++)
		Py_VISIT(*place);
	Py_VISIT(py_driver_self(object)->original);
	return py_object_traverse(object, visit, arg);
}

/* Keeps the original: it tells that the deadline belongs to another object. */
int py_driver_clear(PyObject *object)
{
	PyObject **place;

	for (size_t i = 0; (place = reference(py_driver_self(object), i)); i++)
		Py_CLEAR(*place);
	return py_object_clear(object);
}

void py_driver_dealloc(PyObject *object)
{
	struct py_driver *self = py_driver_self(object);

	if (!py_object_end(object))
		return;
	if (self->is_own && !self->original) {
		ntd_deadline_stop(self->deadline);
		free(self->deadline);
	}
	Py_CLEAR(self->original);
	py_object_free(object);
}

PyObject *py_driver_copy(PyObject *object, PyObject *unused)
{
	struct py_driver *self = py_driver_self(object);
	struct py_driver *copy = (struct py_driver *)py_object_like(object);
	PyObject **place;

	if (!copy)
		return NULL;
	for (size_t i = 0; (place = reference(copy, i)); i++)
		*place = Py_XNewRef(*reference(self, i));
	copy->original = Py_NewRef(object);
	copy->deadline = self->deadline;
	copy->keep_machine_state = self->keep_machine_state;
	copy->is_own = self->is_own;
	return py_object_finish_copy(object, (PyObject *)copy);
}
