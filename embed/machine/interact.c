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

PyMethodDef py_machine_interact_functions[] = {
	{"show_serial", show_serial, METH_O,
	 "show_serial(shown, /)\n--\n\n"
	 "Shows console lines on the terminal or hides them; returns whether they were\n"
	 "shown before."},
	{NULL, NULL, 0, NULL},
};
