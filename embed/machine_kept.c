/* Attributes of a machine that belong to one of its starts: the process, connections, the console's lines. What stands
 * for them is made when a script first asks, and stays until the next start, whatever becomes of the process; what a
 * script puts in its place stays as long, unless the script deletes it, as the end of a mock.patch.object() does.
 * All of this runs on threads that hold the GIL.
 */
#include "machine_object.h"

/* Of a copy, the slots are those of the object that was copied first. */
static struct ntd_kept *slot_of(PyObject *object, const struct ntd_kept_attribute *attribute)
{
	while (ntd_machine_self(object)->original)
		object = ntd_machine_self(object)->original;
	return &ntd_machine_self(object)->kept[attribute->slot];
}

static unsigned present_start(PyObject *object)
{
	return ntd_machine_status(ntd_machine_self(object)->machine).starts;
}

static void keep(struct ntd_kept *slot, PyObject *value, unsigned start)
{
	slot->start = start;
	Py_XSETREF(slot->value, Py_NewRef(value));
}

PyObject *ntd_machine_kept(PyObject *object, const struct ntd_kept_attribute *attribute)
{
	struct ntd_kept *slot = slot_of(object, attribute);
	unsigned start = present_start(object);

	return slot->value && slot->start == start ? slot->value : NULL;
}

PyObject *ntd_machine_get_kept(PyObject *object, void *closure)
{
	const struct ntd_kept_attribute *attribute = closure;
	unsigned start = present_start(object);
	PyObject *value = ntd_machine_kept(object, attribute), *made;

	if (value)
		return Py_NewRef(value);
	if (!start && !attribute->before)
		Py_RETURN_NONE;
	made = attribute->make(object, start);
	value = ntd_machine_kept(object, attribute); /* another thread was faster */
	if (made && value) {
		Py_DECREF(made);
		return Py_NewRef(value);
	}
	if (made && made != Py_None && !attribute->passing)
		keep(slot_of(object, attribute), made, start);
	return made;
}

int ntd_machine_set_kept(PyObject *object, PyObject *value, void *closure)
{
	if (value)
		keep(slot_of(object, closure), value, present_start(object));
	else
		Py_CLEAR(slot_of(object, closure)->value);
	return 0;
}

int ntd_machine_traverse_kept(struct machine_object *self, visitproc visit, void *arg)
{
	for (size_t i = 0; i < NTD_KEPT_COUNT; i++)
		Py_VISIT(self->kept[i].value);
	return 0;
}

void ntd_machine_clear_kept(struct machine_object *self)
{
	for (size_t i = 0; i < NTD_KEPT_COUNT; i++)
		Py_CLEAR(self->kept[i].value);
}
