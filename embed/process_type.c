/* machine.process: QEMU's process, with what scripts use of subprocess.Popen. */
#include "embed.h"

#include <structmember.h>
#include <sys/wait.h>

struct process_object {
	PyObject_HEAD
	PyObject *owner; /* the machine object */
	struct ntd_machine *machine;
	int pid;
};

static struct process_object *self_of(PyObject *object)
{
	return (struct process_object *)object;
}

PyObject *ntd_process_object(struct ntd_module_state *state, PyObject *owner,
			     struct ntd_machine *machine, pid_t pid)
{
	struct process_object *self = PyObject_New(struct process_object, state->process_type);

	if (!self)
		return NULL;
	self->owner = Py_NewRef(owner);
	self->machine = machine;
	self->pid = pid;
	return (PyObject *)self;
}

static void process_dealloc(PyObject *object)
{
	PyTypeObject *type = Py_TYPE(object);

	Py_DECREF(self_of(object)->owner);
	PyObject_Free(object);
	Py_DECREF(type);
}

/* None while it runs; else the exit status, or minus the signal. */
static PyObject *returncode(PyObject *object, void *closure)
{
	struct ntd_machine_status status = ntd_machine_status(self_of(object)->machine);

	if (status.pid == self_of(object)->pid)
		Py_RETURN_NONE;
	if (WIFSIGNALED(status.wait_status))
		return PyLong_FromLong(-WTERMSIG(status.wait_status));
	return PyLong_FromLong(WEXITSTATUS(status.wait_status));
}

static PyObject *get_stdin(PyObject *object, void *closure)
{
	return ntd_call("test_driver.machine.console", "SerialInput", "(O)",
			self_of(object)->owner);
}

static PyObject *process_poll(PyObject *object, PyObject *unused)
{
	return returncode(object, NULL);
}

static PyObject *process_wait(PyObject *object, PyObject *args, PyObject *kwargs)
{
	_cleanup_pyref_ PyObject *method =
		PyObject_GetAttrString(self_of(object)->owner, "wait_for_shutdown");
	_cleanup_pyref_ PyObject *done = method ? PyObject_Call(method, args, kwargs) : NULL;

	return done ? returncode(object, NULL) : NULL;
}

static PyObject *send_signal(PyObject *object, int number)
{
	if (ntd_machine_status(self_of(object)->machine).pid == self_of(object)->pid)
		kill(self_of(object)->pid, number);
	Py_RETURN_NONE;
}

static PyObject *process_send_signal(PyObject *object, PyObject *number)
{
	long value = PyLong_AsLong(number);

	return value == -1 && PyErr_Occurred() ? NULL : send_signal(object, (int)value);
}

static PyObject *process_terminate(PyObject *object, PyObject *unused)
{
	return send_signal(object, SIGTERM);
}

static PyObject *process_kill(PyObject *object, PyObject *unused)
{
	return send_signal(object, SIGKILL);
}

int ntd_add_process_type(PyObject *module, struct ntd_module_state *state)
{
	static PyMethodDef methods[] = {
		{"poll", process_poll, METH_NOARGS,
		 "poll($self)\n--\n\nThe exit status, or None while the process runs."},
		{"wait", (PyCFunction)(void (*)(void))process_wait, METH_VARARGS | METH_KEYWORDS,
		 "wait($self, timeout=None)\n--\n\nWaits for the end; the exit status."},
		{"send_signal", process_send_signal, METH_O,
		 "send_signal($self, signal, /)\n--\n\nSends a signal if the process runs."},
		{"terminate", process_terminate, METH_NOARGS,
		 "terminate($self)\n--\n\nSends SIGTERM if the process runs."},
		{"kill", process_kill, METH_NOARGS,
		 "kill($self)\n--\n\nSends SIGKILL if the process runs."},
		{NULL, NULL, 0, NULL},
	};
	static PyMemberDef members[] = {
		{"pid", T_INT, offsetof(struct process_object, pid), READONLY,
		 "int: the process id."},
		{NULL, 0, 0, 0, NULL},
	};
	static PyGetSetDef attributes[] = {
		{"returncode", returncode, NULL,
		 "int | None: exit status or minus the signal; None while the process runs.", NULL},
		{"stdin", get_stdin, NULL, "SerialInput: writes to the guest's serial port.", NULL},
		{NULL, NULL, NULL, NULL, NULL},
	};
	static PyType_Slot slots[] = {
		{Py_tp_doc, (void *)"A machine's process."},
		{Py_tp_dealloc, process_dealloc},
		{Py_tp_methods, methods},
		{Py_tp_members, members},
		{Py_tp_getset, attributes},
		{0, NULL},
	};
	static PyType_Spec spec = {
		.name = "_test_driver.Process",
		.basicsize = sizeof(struct process_object),
		.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
		.slots = slots,
	};

	state->process_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
	return state->process_type ? PyModule_AddType(module, state->process_type) : -1;
}
