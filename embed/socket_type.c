/* machine.shell and machine.monitor, for scripts that speak to the root shell or the monitor by themselves: what
 * they use of socket.socket. What is received is what came while the driver waited for no answer.
 */
#include "embed.h"

struct socket_object {
	PyObject_HEAD
	PyObject *owner; /* the machine object */
	struct ntd_machine *machine;
	enum ntd_socket_kind kind;
	double timeout; /* of recv(); NTD_NO_TIMEOUT: none */
};

static struct socket_object *self_of(PyObject *object)
{
	return (struct socket_object *)object;
}

PyObject *ntd_socket_object(struct ntd_module_state *state, PyObject *owner,
			    struct ntd_machine *machine, enum ntd_socket_kind kind)
{
	struct socket_object *self = PyObject_New(struct socket_object, state->socket_type);

	if (!self)
		return NULL;
	self->owner = Py_NewRef(owner);
	self->machine = machine;
	self->kind = kind;
	self->timeout = NTD_NO_TIMEOUT;
	return (PyObject *)self;
}

static void socket_dealloc(PyObject *object)
{
	PyTypeObject *type = Py_TYPE(object);

	Py_DECREF(self_of(object)->owner);
	PyObject_Free(object);
	Py_DECREF(type);
}

static int send_bytes(const struct socket_object *self, const Py_buffer *view,
		      struct ntd_error **err)
{
	if (self->kind == NTD_SOCKET_SHELL)
		return ntd_shell_send(ntd_machine_shell(self->machine), view->buf,
				      (size_t)view->len, err);
	return ntd_monitor_send(ntd_machine_monitor(self->machine), view->buf, (size_t)view->len,
				err);
}

static PyObject *socket_send(PyObject *object, PyObject *bytes)
{
	struct ntd_error *error = NULL;
	Py_buffer view;
	Py_ssize_t len;
	int result;

	if (PyObject_GetBuffer(bytes, &view, PyBUF_SIMPLE) < 0)
		return NULL;
	len = view.len;
	Py_BEGIN_ALLOW_THREADS
	result = send_bytes(self_of(object), &view, &error);
	Py_END_ALLOW_THREADS
	PyBuffer_Release(&view);
	return result < 0 ? ntd_raise(ntd_state_of(object), error) : PyLong_FromSsize_t(len);
}

static PyObject *socket_sendall(PyObject *object, PyObject *bytes)
{
	_cleanup_pyref_ PyObject *count = socket_send(object, bytes);

	return count ? Py_NewRef(Py_None) : NULL;
}

static PyObject *socket_recv(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"bufsize", NULL};
	const struct socket_object *self = self_of(object);
	struct ntd_inbox *inbox = self->kind == NTD_SOCKET_SHELL
					  ? ntd_shell_inbox(ntd_machine_shell(self->machine))
					  : ntd_monitor_inbox(ntd_machine_monitor(self->machine));
	int64_t deadline = self->timeout < 0 ? NTD_FOREVER : ntd_after(ntd_span(self->timeout));
	_cleanup_buf_ struct ntd_buf bytes = {0};
	Py_ssize_t limit;
	int result = 0;

	if (!ntd_parse(args, kwargs, "n:recv", names, &limit))
		return NULL;
	if (limit < 0)
		return PyErr_Format(PyExc_ValueError, "recv() argument 'bufsize' is negative");
	if (limit && !NTD_BLOCKING_CALL(result, ntd_inbox_take(inbox, (size_t)limit, &bytes,
							       deadline, waiter, error)))
		return NULL;
	return PyBytes_FromStringAndSize(ntd_buf_bytes(&bytes), (Py_ssize_t)bytes.len);
}

static PyObject *socket_settimeout(PyObject *object, PyObject *value)
{
	double seconds;

	if (!ntd_convert_duration(value, &seconds))
		return NULL;
	self_of(object)->timeout = seconds;
	Py_RETURN_NONE;
}

int ntd_add_socket_type(PyObject *module, struct ntd_module_state *state)
{
	static PyMethodDef methods[] = {
		{"send", socket_send, METH_O,
		 "send($self, data, /)\n--\n\nWrites bytes; their number."},
		{"sendall", socket_sendall, METH_O,
		 "sendall($self, data, /)\n--\n\nThe same, and returns None."},
		NTD_METHOD(
			"recv", socket_recv,
			"recv($self, bufsize)\n--\n\n"
			"Waits for bytes; b'' when the machine has ended. Replies to the driver's "
			"own\n"
			"commands are not among them."),
		{"settimeout", socket_settimeout, METH_O,
		 "settimeout($self, value, /)\n--\n\nSeconds after which this object's recv() "
		 "raises a TimeoutError; None: never."},
		{NULL, NULL, 0, NULL},
	};
	static PyType_Slot slots[] = {
		{Py_tp_doc, (void *)"A connection to QEMU or the guest."},
		{Py_tp_dealloc, socket_dealloc},
		{Py_tp_methods, methods},
		{0, NULL},
	};
	static PyType_Spec spec = {
		.name = "_test_driver.Socket",
		.basicsize = sizeof(struct socket_object),
		.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
		.slots = slots,
	};

	state->socket_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
	return state->socket_type ? PyModule_AddType(module, state->socket_type) : -1;
}
