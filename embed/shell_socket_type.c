/* machine.shell: for scripts that speak to the root shell by themselves. */
#include "embed.h"

struct socket_object {
	PyObject_HEAD
	PyObject *owner; /* the machine object */
	struct ntd_machine *machine;
};

PyObject *ntd_shell_socket_object(struct ntd_module_state *state, PyObject *owner,
				  struct ntd_machine *machine)
{
	struct socket_object *self = PyObject_New(struct socket_object, state->shell_socket_type);

	if (!self)
		return NULL;
	self->owner = Py_NewRef(owner);
	self->machine = machine;
	return (PyObject *)self;
}

static void socket_dealloc(PyObject *object)
{
	PyTypeObject *type = Py_TYPE(object);

	Py_DECREF(((struct socket_object *)object)->owner);
	PyObject_Free(object);
	Py_DECREF(type);
}

static PyObject *socket_send(PyObject *object, PyObject *bytes)
{
	struct ntd_shell *shell = ntd_machine_shell(((struct socket_object *)object)->machine);
	struct ntd_error *error = NULL;
	Py_buffer view;
	Py_ssize_t len;
	int result;

	if (PyObject_GetBuffer(bytes, &view, PyBUF_SIMPLE) < 0)
		return NULL;
	len = view.len;
	Py_BEGIN_ALLOW_THREADS
	result = ntd_shell_send(shell, view.buf, (size_t)view.len, &error);
	Py_END_ALLOW_THREADS
	PyBuffer_Release(&view);
	return result < 0 ? ntd_raise(ntd_state_of(object), error) : PyLong_FromSsize_t(len);
}

int ntd_add_shell_socket_type(PyObject *module, struct ntd_module_state *state)
{
	static PyMethodDef methods[] = {
		{"send", socket_send, METH_O,
		 "send($self, data, /)\n--\n\nWrites bytes to the root shell; their number."},
		{"sendall", socket_send, METH_O,
		 "sendall($self, data, /)\n--\n\nThe same as send()."},
		{NULL, NULL, 0, NULL},
	};
	static PyType_Slot slots[] = {
		{Py_tp_doc, (void *)"The root shell's socket."},
		{Py_tp_dealloc, socket_dealloc},
		{Py_tp_methods, methods},
		{0, NULL},
	};
	static PyType_Spec spec = {
		.name = "_test_driver.ShellSocket",
		.basicsize = sizeof(struct socket_object),
		.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
		.slots = slots,
	};

	state->shell_socket_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
	return state->shell_socket_type ? PyModule_AddType(module, state->shell_socket_type) : -1;
}
