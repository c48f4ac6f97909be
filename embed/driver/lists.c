/* The lists of a driver's machines: all machines, the virtual ones, and the containers. Drivers
 * before 2026 have the first, to which scripts append machines that they made; in later drivers
 * scripts append to the others. Here the script may change all three: before the driver looks at a
 * list, it carries changes in one over to the others. All of this runs on threads that hold the
 * GIL.
 */
#include "driver/py_driver.h"

#include <assert.h>

static bool holds(PyObject *list, PyObject *one)
{
	for (Py_ssize_t i = 0; i < PyList_Size(list); i++)
		if (PyList_GetItem(list, i) == one)
			return true;
	return false;
}

static int drop(PyObject *list, PyObject *one)
{
	for (Py_ssize_t i = PyList_Size(list); i-- > 0;)
		if (PyList_GetItem(list, i) == one && PyList_SetSlice(list, i, i + 1, NULL) < 0)
			return -1;
	return 0;
}

/* Takes the machines that a script took out of one list out of the others. */
static int drop_missing(struct py_driver *self, const struct py_driver_machines *changed)
{
	for (Py_ssize_t i = 0; i < PyList_Size(changed->seen); i++) {
		PyObject *one = PyList_GetItem(changed->seen, i);

		if (holds(changed->list, one))
			continue;
		for (size_t list = 0; list < PY_DRIVER_LISTS; list++)
			if (drop(self->lists[list].list, one) < 0)
				return -1;
	}
	return 0;
}

/* The index for a machine in a list that is sorted by name. */
static Py_ssize_t place_of(PyObject *list, PyObject *one)
{
	_cleanup_pyref_ PyObject *name = PyObject_GetAttrString(one, "name");
	Py_ssize_t place = PyList_Size(list);

	for (; name && place > 0; place--) {
		/* The name may be a property, which may change the list. */
		_cleanup_pyref_ PyObject *other = Py_XNewRef(PyList_GetItem(list, place - 1));
		_cleanup_pyref_ PyObject *before =
			other ? PyObject_GetAttrString(other, "name") : NULL;

		if (!before || PyObject_RichCompareBool(before, name, Py_GT) != 1)
			break;
	}
	PyErr_Clear(); /* objects without names stay where they are */
	return place;
}

static int put(struct py_driver *self, enum py_driver_list kind, PyObject *one)
{
	PyObject *list = self->lists[kind].list;

	return holds(list, one) ? 0 : PyList_Insert(list, place_of(list, one), one);
}

static int put_everywhere(struct py_driver *self, PyObject *one)
{
	struct py_state *state = py_state();

	if (put(self, PY_DRIVER_ALL_MACHINES, one) < 0)
		return -1;
	if (PyObject_TypeCheck(one, state->qemu_machine_type))
		return put(self, PY_DRIVER_QEMU_MACHINES, one);
	if (PyObject_TypeCheck(one, state->nspawn_machine_type))
		return put(self, PY_DRIVER_NSPAWN_MACHINES, one);
	return 0;
}

static int put_new(struct py_driver *self, const struct py_driver_machines *changed)
{
	for (Py_ssize_t i = 0; i < PyList_Size(changed->list); i++) {
		_cleanup_pyref_ PyObject *one = Py_NewRef(PyList_GetItem(changed->list, i));

		if (!holds(changed->seen, one) && put_everywhere(self, one) < 0)
			return -1;
	}
	return 0;
}

static int reconcile(struct py_driver *self)
{
	for (size_t i = 0; i < PY_DRIVER_LISTS; i++)
		if (drop_missing(self, &self->lists[i]) < 0)
			return -1;
	for (size_t i = 0; i < PY_DRIVER_LISTS; i++)
		if (put_new(self, &self->lists[i]) < 0)
			return -1;
	for (size_t i = 0; i < PY_DRIVER_LISTS; i++) {
		PyObject *copy = PyList_GetSlice(self->lists[i].list, 0, PY_SSIZE_T_MAX);

		if (!copy)
			return -1;
		Py_SETREF(self->lists[i].seen, copy);
	}
	return 0;
}

PyObject *py_driver_machines(struct py_driver *self)
{
	if (reconcile(self) < 0)
		return NULL;
	return Py_NewRef(self->lists[PY_DRIVER_ALL_MACHINES].seen);
}

bool py_driver_make_lists(struct py_driver *self)
{
	for (size_t i = 0; i < PY_DRIVER_LISTS; i++) {
		self->lists[i].list = PyList_New(0);
		self->lists[i].seen = PyList_New(0);
		if (!self->lists[i].list || !self->lists[i].seen)
			return false;
	}
	return true;
}

/* ---- attributes; the closure is a list's name */

static const char *const names[] = {
	[PY_DRIVER_ALL_MACHINES] = "machines",
	[PY_DRIVER_QEMU_MACHINES] = "machines_qemu",
	[PY_DRIVER_NSPAWN_MACHINES] = "machines_nspawn",
};
static_assert(sizeof names / sizeof *names == PY_DRIVER_LISTS, "every list has a name");

static struct py_driver_machines *list_called(PyObject *object, const char *name)
{
	size_t i = 0;

	while (i + 1 < PY_DRIVER_LISTS && strcmp(names[i], name) != 0)
		i++;
	return &py_driver_self(object)->lists[i];
}

PyObject *py_driver_get_list(PyObject *object, void *name)
{
	return reconcile(py_driver_self(object)) < 0 ? NULL
						     : Py_NewRef(list_called(object, name)->list);
}

int py_driver_set_list(PyObject *object, PyObject *value, void *name)
{
	struct py_driver *self = py_driver_self(object);

	if (!value || !PyList_Check(value)) {
		PyErr_Format(PyExc_TypeError, "%s must be a list", (const char *)name);
		return -1;
	}
	if (reconcile(self) < 0)
		return -1;
	Py_SETREF(list_called(object, name)->list, Py_NewRef(value));
	return reconcile(self);
}
