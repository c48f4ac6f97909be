/* A user at a machine: shell and console on the terminal. These are written in Python
 * (test_driver/interact.py), whose module is imported when a script uses it. All of this runs on
 * threads that hold the GIL.
 */
#include "machine/py_machine.h"

static PyObject *show_serial(PyObject *self, PyObject *shown)
{
	int truth = PyObject_IsTrue(shown);

	if (truth < 0)
		return NULL;
	PY_WITHOUT_GIL(ntd_terminal_make_way(py_state()->session->terminal, true));
	return PyBool_FromLong(ntd_terminal_show_serial(py_state()->session->terminal, truth));
}

static PyObject *shell_interact(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"address", NULL};
	const char *address = NULL;

	if (!py_parse(args, kwargs, "|z:shell_interact", names, &address))
		return NULL;
	if (!address)
		return py_call("test_driver.interact", "shell", "(O)", object);
	return py_call("test_driver.interact", "shell_at", "(Os)", object, address);
}

static PyObject *console_interact(PyObject *object, PyObject *unused)
{
	return py_call("test_driver.interact", "serial", "(O)", object);
}

PyMethodDef py_machine_interact_methods[] = {
	PY_METHOD(
		"shell_interact", shell_interact,
		"shell_interact($self, address=None)\n--\n\n"
		"Opens a root shell of the guest on this terminal; Ctrl-] leaves it, all other\n"
		"keys are the guest's. Starts the machine if necessary. With an address of\n"
		"socat's, such as \"tcp:127.0.0.1:4444\", serves a shell without prompt and echo\n"
		"there."),
	{"console_interact", console_interact, METH_NOARGS,
	 "console_interact($self)\n--\n\n"
	 "Connects this terminal to the guest's serial console; Ctrl-] leaves it."},
	{NULL, NULL, 0, NULL},
};

static PyObject *open_terminal(PyObject *module, PyObject *args)
{
	struct ntd_machine *machine;
	struct ntd_channel *channel;
	PyObject *object;
	unsigned rows, columns;
	int fd;

	if (!PyArg_ParseTuple(args, "OII:open_terminal", &object, &rows, &columns))
		return NULL;
	machine = py_machine_of(object);
	if (!machine)
		return NULL;
	channel = ntd_machine_channel(machine, NTD_CHANNEL_ANY);
	if (!channel || !channel->ops->terminal)
		Py_RETURN_NONE;
	if (!PY_BLOCKING_CALL(fd, channel->ops->terminal(channel, rows, columns, waiter, error)))
		return NULL;
	return PyLong_FromLong(fd);
}

PyMethodDef py_machine_interact_functions[] = {
	{"open_terminal", open_terminal, METH_VARARGS,
	 "open_terminal(machine, rows, columns, /)\n--\n\n"
	 "Starts the login shell on a new terminal of the guest, by the channel that runs\n"
	 "commands. Returns a descriptor of the terminal's bytes, or None if that channel\n"
	 "has no terminals."},
	{"show_serial", show_serial, METH_O,
	 "show_serial(shown, /)\n--\n\n"
	 "Shows console lines on the terminal or hides them; returns whether they were\n"
	 "shown before."},
	{NULL, NULL, 0, NULL},
};
