/* Method: the methods of the driver's types, as their classes hold them. To scripts a Method is a
 * function, and it binds as one: machine.succeed is a types.MethodType with __self__ and __func__.
 * weakref.WeakMethod needs that, and unittest.mock takes the signature from it and knows what to do
 * with `self`. A call by its name makes no bound method. All of this runs on threads that hold the
 * GIL.
 *
 * A script may replace a method of a machine. A method that calls the replaced one is then done by
 * its counterpart in Python (class _Calls, test_driver/machine/overridden.py), which makes that
 * call by name (machine/calls.c). The counterpart gets the method in C as its first argument, for
 * the method's own part of the work.
 */
#include "bridge/py_bridge.h"

#include <structmember.h>

struct method_object {
	struct py_object head;
	vectorcallfunc call;
	PyObject *descriptor; /* what CPython makes of the PyMethodDef */
	PyObject *name;       /* interned */
	uint64_t calls;       /* the set of methods that it calls; see machine/calls.c */
	bool special;         /* its name begins with __, as __exit__ */
};

static struct method_object *self_of(PyObject *object)
{
	return (struct method_object *)object;
}

static PyObject *call_in_python(const struct method_object *self, PyObject *const *args,
				size_t flags, PyObject *names)
{
	size_t count = (size_t)PyVectorcall_NARGS(flags);
	size_t all = count + (names ? (size_t)PyTuple_Size(names) : 0);
	_cleanup_free_ PyObject **with_own = ntd_calloc(all + 1, sizeof *with_own);
	_cleanup_pyref_ PyObject *module = PyImport_ImportModule("test_driver.machine.overridden");
	_cleanup_pyref_ PyObject *class = module ? PyObject_GetAttrString(module, "_Calls") : NULL;
	_cleanup_pyref_ PyObject *function = class ? PyObject_GetAttr(class, self->name) : NULL;

	with_own[0] = self->descriptor;
	memcpy(with_own + 1, args, all * sizeof *args);
	return function ? PyObject_Vectorcall(function, with_own, count + 1, names) : NULL;
}

/* In a process that the script has forked, methods raise, except for special ones, which `with` and
 * the like call: these do nothing there. */
static PyObject *call(PyObject *object, PyObject *const *args, size_t flags, PyObject *names)
{
	const struct method_object *self = self_of(object);
	const struct py_state *state = py_state();

	if (!self->special && py_forked_refuse())
		return NULL;
	if (self->calls && PyVectorcall_NARGS(flags) &&
	    state->calls_are_replaced(state, args[0], self->calls))
		return call_in_python(self, args, flags, names);
	return PyObject_Vectorcall(self->descriptor, args, flags, names);
}

PyObject *py_method_object(struct py_state *state, PyTypeObject *type, PyMethodDef *definition)
{
	_cleanup_pyref_ PyObject *object = state->method_type->tp_alloc(state->method_type, 0);

	if (!object)
		return NULL;
	self_of(object)->call = call;
	self_of(object)->special = strncmp(definition->ml_name, "__", 2) == 0;
	self_of(object)->descriptor = PyDescr_NewMethod(type, definition);
	self_of(object)->name = PyUnicode_InternFromString(definition->ml_name);
	return self_of(object)->descriptor && self_of(object)->name ? ntd_steal(&object) : NULL;
}

bool py_method_is(const struct py_state *state, PyObject *object, PyObject *name)
{
	return Py_TYPE(object) == state->method_type && self_of(object)->name == name;
}

void py_method_set_calls(const struct py_state *state, PyTypeObject *type, PyObject *name,
			 uint64_t calls)
{
	_cleanup_pyref_ PyObject *method = PyObject_GetAttr((PyObject *)type, name);

	PyErr_Clear(); /* not every kind of machine has every method */
	if (method && py_method_is(state, method, name))
		self_of(method)->calls = calls;
}

static int method_traverse(PyObject *object, visitproc visit, void *arg)
{
	Py_VISIT(self_of(object)->descriptor);
	Py_VISIT(self_of(object)->name);
	return py_object_traverse(object, visit, arg);
}

static int method_clear(PyObject *object)
{
	Py_CLEAR(self_of(object)->descriptor);
	Py_CLEAR(self_of(object)->name);
	return py_object_clear(object);
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

/* mock looks at the flags of a function's code, which tell that it is no coroutine. */
static PyObject *get_code(PyObject *object, void *closure)
{
	_cleanup_pyref_ PyObject *name = get(object, (void *)"__name__");
	const char *text = name ? PyUnicode_AsUTF8(name) : NULL;

	return text ? (PyObject *)PyCode_NewEmpty("<test_driver>", text, 1) : NULL;
}

static PyObject *get_signature(PyObject *object, void *closure)
{
	return py_call("inspect", "signature", "(O)", self_of(object)->descriptor);
}

int py_method_add_type(PyObject *module, struct py_state *state)
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

	return py_object_add_subtype(module, &spec, NULL, &state->method_type);
}
