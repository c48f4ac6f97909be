/* machine.shell, machine.monitor and qmp_client.sock: sockets of Python, the other end of which is
 * the driver's. The class is in test_driver.machine.connection. All of this runs on threads that
 * hold the GIL.
 */
#include "machine/py_machine.h"

#include "machine/qemu.h"

#include <unistd.h>

static struct ntd_script_socket *socket_named(struct ntd_machine *machine, const char *name)
{
	return !strcmp(name, "shell") ? ntd_shell_socket(ntd_machine_shell(machine))
				      : ntd_monitor_socket(ntd_machine_monitor(machine));
}

PyObject *py_machine_connection(struct ntd_script_socket *socket, PyObject *limit)
{
	struct ntd_error *error = NULL;
	PyObject *made;
	int fd;

	PY_WITHOUT_GIL(fd = ntd_script_socket_fd(socket, &error));
	if (error)
		return py_raise(py_state(), error);
	if (fd < 0)
		Py_RETURN_NONE;
	made = py_call("test_driver.machine.connection", "connection", "(iO)", fd, limit);
	if (!made)
		close(fd);
	return made;
}

/* Makes the socket. It calls `limit` with the time-out that a script sets on its end. */
static PyObject *make(PyObject *object, const char *name, unsigned start)
{
	_cleanup_pyref_ PyObject *method = PyObject_GetAttrString(object, "_limit_answers");
	_cleanup_pyref_ PyObject *limit =
		method ? py_call("functools", "partial", "(OsI)", method, name, start) : NULL;

	return limit ? py_machine_connection(socket_named(py_machine_self(object)->machine, name),
					     limit)
		     : NULL;
}

PyObject *py_machine_make_shell(PyObject *object, unsigned start)
{
	return make(object, "shell", start);
}

PyObject *py_machine_make_monitor(PyObject *object, unsigned start)
{
	return make(object, "monitor", start);
}

/* _limit_answers(): a time-out that a script sets on the socket of an earlier start does not bound
 * this start. */
static PyObject *limit_answers(PyObject *object, PyObject *args)
{
	struct ntd_machine *machine = py_machine_self(object)->machine;
	const char *name;
	double seconds;
	unsigned start;

	if (!PyArg_ParseTuple(args, "sId:_limit_answers", &name, &start, &seconds))
		return NULL;
	if (start == ntd_machine_status(machine).starts)
		socket_named(machine, name)->limit = ntd_span(seconds);
	Py_RETURN_NONE;
}

PyMethodDef py_machine_socket_methods[] = {
	{"_limit_answers", limit_answers, METH_VARARGS,
	 "_limit_answers($self, name, start, seconds, /)\n--\n\n"
	 "Sets how many seconds the driver waits for an answer of the shell or the\n"
	 "monitor; 0: for ever."},
	{NULL, NULL, 0, NULL},
};
