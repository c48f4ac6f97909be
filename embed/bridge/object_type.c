/* Object: the base of the types that scripts see. It makes their objects ordinary ones of Python,
 * which can have attributes of the script's own, can be referred to weakly, and are found by the
 * garbage collection when they refer to each other. All of this runs on threads that hold the GIL.
 */
#include "base/forked.h"
#include "bridge/py_bridge.h"

#include <structmember.h>

static struct py_object *self_of(PyObject *object)
{
	return (struct py_object *)object;
}

int py_object_traverse(PyObject *object, visitproc visit, void *arg)
{
	Py_VISIT(Py_TYPE(object));
	Py_VISIT(self_of(object)->dict);
	return 0;
}

int py_object_clear(PyObject *object)
{
	Py_CLEAR(self_of(object)->dict);
	return 0;
}

bool py_object_end(PyObject *object)
{
	if (PyObject_CallFinalizerFromDealloc(object) < 0)
		return false;
	PyObject_GC_UnTrack(object);
	PyObject_ClearWeakRefs(object);
	return true;
}

void py_object_free(PyObject *object)
{
	PyTypeObject *type = Py_TYPE(object);

	type->tp_clear(object);
	type->tp_free(object);
	Py_DECREF(type);
}

/* In a process that the script has forked, attributes raise, except for names such as __class__,
 * which any object has. */
static PyObject *object_getattro(PyObject *object, PyObject *name)
{
	const char *text = ntd_is_forked() ? PyUnicode_AsUTF8(name) : NULL;

	if (text && strncmp(text, "__", 2) != 0 && py_forked_refuse())
		return NULL;
	self_of(object)->uses++;
	return PyObject_GenericGetAttr(object, name);
}

static void object_dealloc(PyObject *object)
{
	if (py_object_end(object))
		py_object_free(object);
}

PyObject *py_object_first(PyObject **place, PyObject *made)
{
	if (!made)
		return NULL;
	if (*place)
		Py_DECREF(made); /* it came late */
	else
		*place = made;
	return Py_NewRef(*place);
}

/* ---- copies */

/* Copies the values in the __slots__ of subclasses. */
static int copy_slots(PyObject *object, PyObject *copy)
{
	_cleanup_pyref_ PyObject *names =
		py_call("copyreg", "_slotnames", "(O)", (PyObject *)Py_TYPE(object));
	Py_ssize_t count = names && PyList_Check(names) ? PyList_Size(names) : 0;

	for (Py_ssize_t i = 0; i < count; i++) {
		PyObject *name = PyList_GetItem(names, i);
		_cleanup_pyref_ PyObject *value = PyObject_GetAttr(object, name);

		if (value ? PyObject_SetAttr(copy, name, value) < 0
			  : !PyErr_ExceptionMatches(PyExc_AttributeError))
			return -1;
		PyErr_Clear(); /* a slot without a value */
	}
	return names ? 0 : -1;
}

PyObject *py_object_like(PyObject *object)
{
	return Py_TYPE(object)->tp_alloc(Py_TYPE(object), 0);
}

PyObject *py_object_finish_copy(PyObject *object, PyObject *copy)
{
	PyObject *dict = self_of(object)->dict;

	if ((dict && !(self_of(copy)->dict = PyDict_Copy(dict))) || copy_slots(object, copy) < 0)
		Py_CLEAR(copy);
	return copy;
}

/* ---- types */

int py_object_add_subtype(PyObject *module, PyType_Spec *spec, PyTypeObject *base,
			  PyTypeObject **place)
{
	PyObject *type = PyType_FromModuleAndSpec(
		module, spec, (PyObject *)(base ? base : py_state()->object_type));

	*place = (PyTypeObject *)type;
	return type ? PyModule_AddType(module, *place) : -1;
}

int py_object_add_type(PyObject *module, struct py_state *state)
{
	static PyMemberDef members[] = {
		{"__dictoffset__", T_PYSSIZET, offsetof(struct py_object, dict), READONLY, NULL},
		{"__weaklistoffset__", T_PYSSIZET, offsetof(struct py_object, weakrefs), READONLY,
		 NULL},
		{NULL, 0, 0, 0, NULL},
	};
	static PyGetSetDef attributes[] = {
		{"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
		{NULL, NULL, NULL, NULL, NULL},
	};
	static PyType_Slot slots[] = {
		{Py_tp_doc, (void *)"What the driver's objects have in common."},
		{Py_tp_dealloc, object_dealloc},
		{Py_tp_getattro, object_getattro},
		{Py_tp_traverse, py_object_traverse},
		{Py_tp_clear, py_object_clear},
		{Py_tp_members, members},
		{Py_tp_getset, attributes},
		{0, NULL},
	};
	static PyType_Spec spec = {
		.name = "_test_driver.Object",
		.basicsize = sizeof(struct py_object),
		.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE |
			 Py_TPFLAGS_DISALLOW_INSTANTIATION,
		.slots = slots,
	};

	return py_object_add_subtype(module, &spec, NULL, &state->object_type);
}
