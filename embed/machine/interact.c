/* A person at a machine: its shell, its console. Written in Python (test_driver/interact.py), which
 * is imported when it is used.
 */
#include "machine/py_machine.h"

static PyObject *show_serial(PyObject *self, PyObject *shown)
{
	int truth = PyObject_IsTrue(shown);

	if (truth < 0)
		return NULL;
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
		"A root shell of the guest on this terminal; Ctrl-] leaves it, all other keys are\n"
		"the guest's. Starts the machine if necessary. With an address of socat's, a shell\n"
		"without prompt and echo there, such as \"tcp:127.0.0.1:4444\"."),
	{"console_interact", console_interact, METH_NOARGS,
	 "console_interact($self)\n--\n\n"
	 "The guest's serial console on this terminal; Ctrl-] leaves it."},
	{NULL, NULL, 0, NULL},
};

PyMethodDef py_machine_interact_functions[] = {
	{"show_serial", show_serial, METH_O,
	 "show_serial(shown, /)\n--\n\n"
	 "Shows console lines on the terminal or not; whether they were shown before."},
	{NULL, NULL, 0, NULL},
};
