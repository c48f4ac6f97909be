/* Lazy: an object that is made when a script first does something with it, as `t` and `debug` are.
 * Their modules are written in Python, and importing these takes longer than the rest of the start;
 * most scripts use neither.
 *
 * Attributes of a Lazy, `__class__` among them, are those of the object it stands for, so that
 * isinstance() sees that object's class. All of this runs on threads that hold the GIL.
 */
#include "bridge/py_bridge.h"

struct lazy_object {
	struct py_object head;
	PyObject *(*make)(struct py_state *state);
	PyObject *made; /* NULL until a script uses it */
};

PyObject *py_lazy_object(struct py_state *state, PyObject *(*make)(struct py_state *state))
{
	struct lazy_object *self =
		(struct lazy_object *)state->lazy_type->tp_alloc(state->lazy_type, 0);

	if (self)
		self->make = make;
	return (PyObject *)self;
}

/* The object that this one stands for, borrowed. */
static PyObject *made(PyObject *object)
{
	struct lazy_object *self = (struct lazy_object *)object;
	_cleanup_pyref_ PyObject *first = NULL;

	if (self->made)
		return self->made;
	first = py_object_first(&self->made, self->make(py_state()));
	return first ? self->made : NULL;
}

static int lazy_traverse(PyObject *object, visitproc visit, void *arg)
{
	Py_VISIT(((struct lazy_object *)object)->made);
	return py_object_traverse(object, visit, arg);
}

static int lazy_clear(PyObject *object)
{
	Py_CLEAR(((struct lazy_object *)object)->made);
	return py_object_clear(object);
}

static PyObject *lazy_getattro(PyObject *object, PyObject *name)
{
	PyObject *target = made(object);

	return target ? PyObject_GetAttr(target, name) : NULL;
}

static int lazy_setattro(PyObject *object, PyObject *name, PyObject *value)
{
	PyObject *target = made(object);

	return target ? PyObject_SetAttr(target, name, value) : -1;
}

static PyObject *lazy_repr(PyObject *object)
{
	PyObject *target = made(object);

	return target ? PyObject_Repr(target) : NULL;
}

static PyObject *lazy_copy(PyObject *object, PyObject *unused)
{
	PyObject *target = made(object);

	return target ? py_call("copy", "copy", "(O)", target) : NULL;
}

int py_lazy_add_type(PyObject *module, struct py_state *state)
{
	static PyMethodDef methods[] = {
		{"__copy__", lazy_copy, METH_NOARGS, "A copy of what it stands for."},
		{NULL, NULL, 0, NULL},
	};
	static PyType_Slot slots[] = {
		{Py_tp_doc, (void *)"An object that is made when it is first used."},
		{Py_tp_traverse, lazy_traverse},
		{Py_tp_clear, lazy_clear},
		{Py_tp_getattro, lazy_getattro},
		{Py_tp_setattro, lazy_setattro},
		{Py_tp_repr, lazy_repr},
		{0, NULL},
	};
	static PyType_Spec spec = {
		.name = "_test_driver.Lazy",
		.basicsize = sizeof(struct lazy_object),
		.flags =
			Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
		.slots = slots,
	};

	PyMethodDef *const lists[] = {methods, NULL};

	return py_add_type(module, &spec, NULL, lists, &state->lazy_type);
}
