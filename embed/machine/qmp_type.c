/* QMPSession: machine.qmp_client, and connections of a script's own; commands and events of QMP.
 * Python's json converts between the objects of Python and cJSON's; it is imported when a script
 * first uses QMP. All of this runs on threads that hold the GIL, which PY_BLOCKING_CALL releases
 * for calls that can block.
 */
#include "machine/py_machine.h"
#include "machine/qemu.h"

#define COMMAND_PATIENCE (600 * NTD_SECOND)
#define GREETING_PATIENCE (60 * NTD_SECOND)

struct qmp_object {
	struct py_object head;
	PyObject *owner; /* the machine object, or NULL */
	/* the start of the machine to which the connection belongs */
	unsigned start;
	PyObject *sock, *pending_events, *results; /* NULL until a script asks */
	struct ntd_loop *loop;
	struct ntd_qmp *qmp; /* the owner's; this object's own without an owner */
	bool closed;
};

/* Returns None before QMP can be used. */
PyObject *py_machine_make_qmp_client(PyObject *object, unsigned start)
{
	struct ntd_qmp *qmp = ntd_machine_qmp(py_machine_self(object)->machine);
	struct qmp_object *self;

	if (!ntd_qmp_is_open(qmp) && ntd_machine_status(py_machine_self(object)->machine).pid)
		Py_RETURN_NONE;
	self = (struct qmp_object *)PyType_GenericAlloc(py_state()->qmp_type, 0);
	if (!self)
		return NULL;
	self->owner = Py_NewRef(object);
	self->start = start;
	self->qmp = qmp;
	return (PyObject *)self;
}

/* Closes a connection of a script's own. That of a machine stays open: the driver itself needs
 * it. */
static void close_client(struct qmp_object *self)
{
	if (!self->owner && !self->closed)
		ntd_qmp_hang_up(self->loop, self->qmp);
	self->closed = true;
}

static int qmp_traverse(PyObject *object, visitproc visit, void *arg)
{
	const struct qmp_object *self = (struct qmp_object *)object;

	Py_VISIT(self->owner);
	Py_VISIT(self->sock);
	Py_VISIT(self->pending_events);
	Py_VISIT(self->results);
	return py_object_traverse(object, visit, arg);
}

/* Keeps the owner: it tells that the connection belongs to a machine. */
static int qmp_clear(PyObject *object)
{
	struct qmp_object *self = (struct qmp_object *)object;

	Py_CLEAR(self->sock);
	Py_CLEAR(self->pending_events);
	Py_CLEAR(self->results);
	return py_object_clear(object);
}

static void qmp_dealloc(PyObject *object)
{
	struct qmp_object *self = (struct qmp_object *)object;

	if (!py_object_end(object))
		return;
	close_client(self);
	if (!self->owner)
		ntd_qmp_free(self->qmp);
	Py_CLEAR(self->owner);
	py_object_free(object);
}

/* After close(), NULL with a ValueError, as that of a closed file. */
static struct ntd_qmp *client_of(PyObject *object)
{
	const struct qmp_object *self = (struct qmp_object *)object;
	struct ntd_machine *machine = self->owner ? py_machine_self(self->owner)->machine : NULL;

	if (self->closed)
		PyErr_SetString(PyExc_ValueError, "this QMP session was closed");
	else if (machine && ntd_machine_status(machine).starts != self->start)
		py_raise(py_state(),
			 ntd_error_new(NTD_E_DEAD,
				       "machine '%s': the QMP connection is of an earlier start",
				       ntd_machine_name(machine)));
	else
		return self->qmp;
	return NULL;
}

/* ---- attributes */

static PyObject *get_sock(PyObject *object, void *closure)
{
	struct qmp_object *self = (struct qmp_object *)object;

	if (self->sock)
		return Py_NewRef(self->sock);
	return py_object_first(&self->sock,
			       py_machine_connection(ntd_qmp_socket(self->qmp), Py_None));
}

static PyObject *get_pending_events(PyObject *object, void *closure)
{
	struct qmp_object *self = (struct qmp_object *)object;

	if (self->pending_events)
		return Py_NewRef(self->pending_events);
	return py_object_first(&self->pending_events,
			       py_call("test_driver.machine.qmp", "EventQueue", "(O)", object));
}

static PyObject *get_results(PyObject *object, void *closure)
{
	struct qmp_object *self = (struct qmp_object *)object;

	if (self->results)
		return Py_NewRef(self->results);
	return py_object_first(&self->results, py_call("queue", "Queue", "()"));
}

static PyObject *qmp_count_events(PyObject *object, PyObject *unused)
{
	struct ntd_qmp *qmp = client_of(object);

	return qmp ? PyLong_FromSize_t(ntd_qmp_count_events(qmp)) : NULL;
}

/* ---- conversions */

/* Whether a text in JSON has a NUL in it, where cJSON's strings end. */
static bool has_nul(const char *json)
{
	while ((json = strchr(json, '\\'))) {
		if (ntd_has_prefix(json, "\\u0000"))
			return true;
		json += 2;
	}
	return false;
}

static cJSON *json_of(PyObject *object)
{
	_cleanup_pyref_ PyObject *text = py_call("json", "dumps", "(O)", object);
	const char *utf8 = text ? PyUnicode_AsUTF8(text) : NULL;

	if (utf8 && has_nul(utf8)) {
		PyErr_SetString(PyExc_ValueError, "QMP arguments: embedded null character");
		return NULL;
	}
	if (utf8 && *utf8 != '{')
		return (cJSON *)PyErr_Format(PyExc_TypeError,
					     "QMP arguments must be a dict, not %s",
					     Py_TYPE(object)->tp_name);
	if (!utf8)
		return NULL;
	return strcmp(utf8, "{}") ? cJSON_CreateRaw(utf8) : cJSON_CreateObject();
}

/* The message as a dict, without the id, which is the driver's. */
static PyObject *python_of_message(const cJSON *message)
{
	_cleanup_pyref_ PyObject *text = py_text_of(ntd_qmp_text(message));
	_cleanup_pyref_ PyObject *dict = text ? py_call("json", "loads", "(O)", text) : NULL;

	if (!dict ||
	    (PyMapping_HasKeyString(dict, "id") && PyMapping_DelItemString(dict, "id") < 0))
		return NULL;
	return ntd_steal(&dict);
}

static PyObject *raise_api_error(const cJSON *reply)
{
	_cleanup_pyref_ PyObject *module = PyImport_ImportModule("test_driver.machine.qmp");
	_cleanup_pyref_ PyObject *type =
		module ? PyObject_GetAttrString(module, "QMPAPIError") : NULL;
	_cleanup_pyref_ PyObject *message = type ? python_of_message(reply) : NULL;
	_cleanup_pyref_ PyObject *exception = message ? PyObject_CallOneArg(type, message) : NULL;

	if (exception)
		PyErr_SetObject(type, exception);
	return NULL;
}

/* ---- methods */

struct execution {
	struct ntd_machine *machine; /* NULL: the connection is a script's own */
	struct ntd_qmp *qmp;
	const char *command;
	const cJSON *arguments;
};

static cJSON *execute(const struct execution *execution, struct ntd_waiter *waiter,
		      struct ntd_error **err)
{
	if (execution->machine && ntd_machine_before_qmp(execution->machine, execution->command,
							 execution->arguments, waiter, err) < 0)
		return NULL;
	return ntd_qmp_execute(execution->qmp, execution->command, execution->arguments,
			       ntd_after(COMMAND_PATIENCE), waiter, err);
}

static PyObject *qmp_send(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"cmd", "args", NULL};
	_cleanup_cjson_ cJSON *arguments = NULL, *reply = NULL;
	struct ntd_qmp *qmp = client_of(object);
	PyObject *owner = ((struct qmp_object *)object)->owner, *given = NULL;
	struct execution execution;
	const char *command;
	int result;

	if (!qmp || !py_parse(args, kwargs, "s|O:send", names, &command, &given))
		return NULL;
	if (given && given != Py_None && !(arguments = json_of(given)))
		return NULL;
	execution = (struct execution){owner ? py_machine_self(owner)->machine : NULL, qmp, command,
				       arguments};
	if (!PY_BLOCKING_CALL(result, (reply = execute(&execution, waiter, error)) ? 0 : -1))
		return NULL;
	return cJSON_GetObjectItemCaseSensitive(reply, "error") ? raise_api_error(reply)
								: python_of_message(reply);
}

PyObject *py_machine_next_qmp_event(struct ntd_qmp *qmp, double timeout)
{
	int64_t deadline = timeout < 0 ? NTD_FOREVER : ntd_after(ntd_span(timeout));
	_cleanup_cjson_ cJSON *event = NULL;
	int result;

	if (!PY_BLOCKING_CALL(result,
			      (event = ntd_qmp_next_event(qmp, deadline, waiter, error)) ? 0 : -1))
		return NULL;
	return python_of_message(event);
}

static PyObject *qmp_wait_for_event(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"timeout", NULL};
	struct ntd_qmp *qmp = client_of(object);
	double timeout = 10;

	if (!qmp ||
	    !py_parse(args, kwargs, "|O&:wait_for_event", names, py_convert_duration, &timeout))
		return NULL;
	return py_machine_next_qmp_event(qmp, timeout);
}

/* events(): an iterator over the events that are queued. */
static PyObject *qmp_events(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"timeout", NULL};
	_cleanup_pyref_ PyObject *list = PyList_New(0);
	struct ntd_qmp *qmp = client_of(object);
	double timeout = 10;

	if (!qmp || !list ||
	    !py_parse(args, kwargs, "|O&:events", names, py_convert_duration, &timeout))
		return NULL;
	for (;;) {
		_cleanup_pyref_ PyObject *event = py_machine_next_qmp_event(qmp, 0);

		if (!event && PyErr_ExceptionMatches(PyExc_TimeoutError)) {
			PyErr_Clear();
			return PyObject_GetIter(list);
		}
		if (!event || PyList_Append(list, event) < 0)
			return NULL;
	}
}

static PyObject *qmp_read_pending_messages(PyObject *object, PyObject *unused)
{
	return client_of(object) ? Py_NewRef(Py_None) : NULL;
}

static PyObject *qmp_from_path(PyObject *type, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"path", NULL};
	struct ntd_loop *loop = py_state()->session->loop;
	_cleanup_path_ struct py_path_arg path = {0};
	struct ntd_qmp *qmp = NULL;
	struct qmp_object *self;
	int result;

	if (!py_parse(args, kwargs, "O&:from_path", names, py_convert_path, &path) ||
	    !PY_BLOCKING_CALL(result,
			      (qmp = ntd_qmp_connect(loop, path.text, ntd_after(GREETING_PATIENCE),
						     waiter, error))
				      ? 0
				      : -1))
		return NULL;
	self = (struct qmp_object *)PyType_GenericAlloc((PyTypeObject *)type, 0);
	if (!self) {
		ntd_qmp_hang_up(loop, qmp);
		ntd_qmp_free(qmp);
		return NULL;
	}
	self->loop = loop;
	self->qmp = qmp;
	return (PyObject *)self;
}

static PyObject *qmp_close(PyObject *object, PyObject *unused)
{
	close_client((struct qmp_object *)object);
	Py_RETURN_NONE;
}

int py_machine_add_qmp_type(PyObject *module, struct py_state *state)
{
	static PyMethodDef methods[] = {
		PY_METHOD(
			"send", qmp_send,
			"send($self, cmd, args={})\n--\n\n"
			"Executes a QMP command with its arguments, a dict; returns the whole reply as a\n"
			"dict, {'return': ...}. QMPAPIError when QEMU refuses it, ValueError after\n"
			"close()."),
		PY_METHOD(
			"wait_for_event", qmp_wait_for_event,
			"wait_for_event($self, timeout=10)\n--\n\n"
			"Returns the next event, as a dict. timeout is in seconds; TimeoutError when none\n"
			"comes in time."),
		PY_METHOD("events", qmp_events,
			  "events($self, timeout=10)\n--\n\n"
			  "Returns an iterator over the events so far. timeout is not used."),
		{"read_pending_messages", qmp_read_pending_messages, METH_NOARGS,
		 "read_pending_messages($self)\n--\n\n"
		 "Does nothing: messages are read as they come."},
		{"close", qmp_close, METH_NOARGS,
		 "close($self)\n--\n\n"
		 "Ends this session; its methods raise ValueError afterwards. A machine's own\n"
		 "connection stays open for the driver."},
		{"from_path", (PyCFunction)(void (*)(void))qmp_from_path,
		 METH_VARARGS | METH_KEYWORDS | METH_CLASS,
		 "from_path($type, path)\n--\n\n"
		 "Returns a session with the QMP socket at a path, other than that of a machine."},
		{"_count_events", qmp_count_events, METH_NOARGS,
		 "_count_events($self)\n--\n\n"
		 "Returns the number of events that nothing has taken yet."},
		{NULL, NULL, 0, NULL},
	};
	static PyGetSetDef attributes[] = {
		{"sock", get_sock, NULL,
		 "Connection: for commands written by hand; receives the replies to them.", NULL},
		{"pending_events", get_pending_events, NULL,
		 "Queue: the events that nothing has taken yet.", NULL},
		{"results", get_results, NULL, "Queue: empty; send() returns each reply.", NULL},
		{NULL, NULL, NULL, NULL, NULL},
	};
	static PyType_Slot slots[] = {
		{Py_tp_doc, (void *)"The QMP monitor of a machine."},
		{Py_tp_dealloc, qmp_dealloc},
		{Py_tp_traverse, qmp_traverse},
		{Py_tp_clear, qmp_clear},
		{Py_tp_getset, attributes},
		{0, NULL},
	};
	static PyType_Spec spec = {
		.name = "test_driver.machine.qmp.QMPSession",
		.basicsize = sizeof(struct qmp_object),
		.flags =
			Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
		.slots = slots,
	};

	PyMethodDef *const lists[] = {methods, NULL};

	return py_add_type(module, &spec, NULL, lists, &state->qmp_type);
}
