/* Method: a method of a type of ours, in its class. It is a function as far as scripts can tell, and binds as one:
 * machine.succeed is a types.MethodType with __self__ and __func__. weakref.WeakMethod needs that, and so does
 * unittest.mock for knowing the signature and what to do with `self`. A call by its name makes no bound method. All of
 * this runs on threads that hold the GIL.
 */
#include "embed.h"

#include <structmember.h>

struct method_object {
	struct ntd_object head;
	vectorcallfunc call;
	PyObject *descriptor; /* what CPython makes of a PyMethodDef */
};

static struct method_object *self_of(PyObject *object)
{
	return (struct method_object *)object;
}

static PyObject *call(PyObject *object, PyObject *const *args, size_t flags, PyObject *names)
{
	return PyObject_Vectorcall(self_of(object)->descriptor, args, flags, names);
}

PyObject *ntd_method_object(struct ntd_module_state *state, PyTypeObject *type,
			    PyMethodDef *definition)
{
	_cleanup_pyref_ PyObject *object = state->method_type->tp_alloc(state->method_type, 0);

	if (!object)
		return NULL;
	self_of(object)->call = call;
	self_of(object)->descriptor = PyDescr_NewMethod(type, definition);
	return self_of(object)->descriptor ? ntd_steal(&object) : NULL;
}

static int method_traverse(PyObject *object, visitproc visit, void *arg)
{
	Py_VISIT(self_of(object)->descriptor);
	return ntd_object_traverse(object, visit, arg);
}

static int method_clear(PyObject *object)
{
	Py_CLEAR(self_of(object)->descriptor);
	return ntd_object_clear(object);
}

static PyObject *bind(PyObject *object, PyObject *instance, PyObject *type)
{
	return instance ? PyMethod_New(object, instance) : Py_NewRef(object);
}

static PyObject *method_repr(PyObject *object)
{
	return PyObject_Repr(self_of(object)->descriptor);
}

static PyObject *get(PyObject *object, void *name)
{
	return PyObject_GetAttrString(self_of(object)->descriptor, name);
}

static PyObject *get_class(PyObject *object, void *closure)
{
	return Py_NewRef((PyObject *)&PyFunction_Type);
}

static PyObject *get_module(PyObject *object, void *closure)
{
	_cleanup_pyref_ PyObject *class =
		PyObject_GetAttrString(self_of(object)->descriptor, "__objclass__");

	return class ? PyObject_GetAttrString(class, "__module__") : NULL;
}

/* A function has one, whose flags tell that it is no coroutine. */
static PyObject *get_code(PyObject *object, void *closure)
{
	_cleanup_pyref_ PyObject *name = get(object, (void *)"__name__");
	const char *text = name ? PyUnicode_AsUTF8(name) : NULL;

	return text ? (PyObject *)PyCode_NewEmpty("<test_driver>", text, 1) : NULL;
}

static PyObject *get_signature(PyObject *object, void *closure)
{
	return ntd_call("inspect", "signature", "(O)", self_of(object)->descriptor);
}

int ntd_add_method_type(PyObject *module, struct ntd_module_state *state)
{
	static PyMemberDef members[] = {
		{"__vectorcalloffset__", T_PYSSIZET, offsetof(struct method_object, call), READONLY,
		 NULL},
		{NULL, 0, 0, 0, NULL},
	};
	static PyGetSetDef attributes[] = {
		{"__name__", get, NULL, NULL, (void *)"__name__"},
		{"__qualname__", get, NULL, NULL, (void *)"__qualname__"},
		{"__doc__", get, NULL, NULL, (void *)"__doc__"},
		{"__text_signature__", get, NULL, NULL, (void *)"__text_signature__"},
		{"__objclass__", get, NULL, NULL, (void *)"__objclass__"},
		{"__class__", get_class, NULL, NULL, NULL},
		{"__module__", get_module, NULL, NULL, NULL},
		{"__code__", get_code, NULL, NULL, NULL},
		{"__signature__", get_signature, NULL, NULL, NULL},
		{NULL, NULL, NULL, NULL, NULL},
	};
	static PyType_Slot slots[] = {
		{Py_tp_traverse, method_traverse}, {Py_tp_clear, method_clear},
		{Py_tp_call, PyVectorcall_Call},   {Py_tp_descr_get, bind},
		{Py_tp_repr, method_repr},         {Py_tp_members, members},
		{Py_tp_getset, attributes},        {0, NULL},
	};
	static PyType_Spec spec = {
		.name = "_test_driver.Method",
		.basicsize = sizeof(struct method_object),
		.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL |
			 Py_TPFLAGS_METHOD_DESCRIPTOR | Py_TPFLAGS_DISALLOW_INSTANTIATION,
		.slots = slots,
	};

	return ntd_add_type(module, &spec, NULL, NULL, &state->method_type);
}
