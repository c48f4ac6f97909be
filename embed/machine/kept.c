/* Attributes of a machine that belong to one of its starts: the process, connections, the console's
 * lines. An object for them is made when a script first asks, and stays until the next start,
 * whatever becomes of the process. A value that a script sets stays as long, unless the script
 * deletes it, as the end of a mock.patch.object() does. All of this runs on threads that hold the
 * GIL.
 */
#include "machine/py_machine.h"

/* The slot of the attribute. Copies use the slots of the object that was copied first. */
static struct py_machine_kept_value *slot_of(PyObject *object,
					     const struct py_machine_kept_attribute *attribute)
{
	while (py_machine_self(object)->original)
		object = py_machine_self(object)->original;
	return &py_machine_self(object)->kept[attribute->slot];
}

static unsigned present_start(PyObject *object)
{
	return ntd_machine_status(py_machine_self(object)->machine).starts;
}

static void keep(struct py_machine_kept_value *slot, PyObject *value, unsigned start)
{
	slot->start = start;
	Py_XSETREF(slot->value, Py_NewRef(value));
}

PyObject *py_machine_kept(PyObject *object, const struct py_machine_kept_attribute *attribute)
{
	struct py_machine_kept_value *slot = slot_of(object, attribute);
	unsigned start = present_start(object);

	return slot->value && slot->start == start ? slot->value : NULL;
}

PyObject *py_machine_get_kept(PyObject *object, void *closure)
{
	const struct py_machine_kept_attribute *attribute = closure;
	unsigned start = present_start(object);
	PyObject *value = py_machine_kept(object, attribute), *made;

	if (value)
		return Py_NewRef(value);
	if (!start && !attribute->before)
		Py_RETURN_NONE;
	made = attribute->make(object, start);
	value = py_machine_kept(object, attribute); /* another thread was faster */
	if (made && value) {
		Py_DECREF(made);
		return Py_NewRef(value);
	}
	if (made && made != Py_None && !attribute->passing)
		keep(slot_of(object, attribute), made, start);
	return made;
}

int py_machine_set_kept(PyObject *object, PyObject *value, void *closure)
{
	if (value)
		keep(slot_of(object, closure), value, present_start(object));
	else
		Py_CLEAR(slot_of(object, closure)->value);
	return 0;
}

int py_machine_traverse_kept(struct py_machine *self, visitproc visit, void *arg)
{
	for (size_t i = 0; i < PY_MACHINE_KEPT_COUNT; i++)
		Py_VISIT(self->kept[i].value);
	return 0;
}

void py_machine_clear_kept(struct py_machine *self)
{
	for (size_t i = 0; i < PY_MACHINE_KEPT_COUNT; i++)
		Py_CLEAR(self->kept[i].value);
}
