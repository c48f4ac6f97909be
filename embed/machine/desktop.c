/* The methods that are about the X server and its windows. They run on threads that hold the GIL,
 * which PY_BLOCKING_CALL releases for calls that can block.
 */
#include "machine/py_machine.h"

static const char list_windows[] =
	"xwininfo -root -tree | sed 's/.*0x[0-9a-f]* \\\"\\([^\\\"]*\\)\\\".*/\\1/; t; d'";

static PyObject *wait_for_x(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"timeout", NULL};
	struct ntd_machine *machine = py_machine_self(object)->machine;
	double timeout = NTD_DEFAULT_TIMEOUT;
	int result;

	if (!py_parse(args, kwargs, "|O&:wait_for_x", names, py_convert_duration, &timeout) ||
	    !PY_BLOCKING_CALL(result, ntd_machine_wait_for_x(machine, timeout, waiter, error)))
		return NULL;
	Py_RETURN_NONE;
}

static int fetch_windows(const struct py_machine_text_wait *wait, struct ntd_buf *text,
			 struct ntd_waiter *waiter, struct ntd_error **err)
{
	static const struct ntd_check check = {
		.command = {.data = list_windows, .len = sizeof list_windows - 1},
		.timeout = NTD_NO_TIMEOUT};

	return ntd_machine_succeed(wait->machine, &check, text, waiter, err);
}

static PyObject *get_window_names(PyObject *object, PyObject *unused)
{
	struct py_machine_text_wait windows = {.machine = py_machine_self(object)->machine};
	_cleanup_buf_ struct ntd_buf names = {0};
	_cleanup_pyref_ PyObject *text = NULL;
	int result;

	if (!PY_BLOCKING_CALL(result, fetch_windows(&windows, &names, waiter, error)))
		return NULL;
	text = py_text(&names);
	return text ? PyObject_CallMethod(text, "splitlines", NULL) : NULL;
}

static PyObject *wait_for_window(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"regexp", "timeout", NULL};
	struct py_machine_text_wait wait = {.machine = py_machine_self(object)->machine,
					    .fetch = fetch_windows,
					    .by_line = true};
	_cleanup_free_ char *shown = NULL, *last_chance = NULL;
	double timeout = NTD_DEFAULT_TIMEOUT;
	PyObject *regexp;

	if (!py_parse(args, kwargs, "O|O&:wait_for_window", names, &regexp, py_convert_duration,
		      &timeout))
		return NULL;
	shown = py_shown_text(regexp);
	if (!shown)
		return NULL;
	last_chance = ntd_asprintf("Last chance to match %s on the window list, which currently "
				   "contains: ",
				   shown);
	wait.last_chance = last_chance;
	return py_machine_wait_for_match(&wait, regexp, "waiting for a window to appear", timeout);
}

PyMethodDef py_machine_desktop_methods[] = {
	PY_METHOD(
		"wait_for_x", wait_for_x,
		"wait_for_x($self, timeout=900)\n--\n\n"
		"Waits until a graphical session and its X server are there: systemd has reached\n"
		"the session's target, and the server has its socket, where clients wait until it\n"
		"answers. timeout is in seconds. RequestedAssertionFailed when the time is over."),
	{"get_window_names", get_window_names, METH_NOARGS,
	 "get_window_names($self)\n--\n\nReturns the titles of all X windows, as a list."},
	PY_METHOD(
		"wait_for_window", wait_for_window,
		"wait_for_window($self, regexp, timeout=900)\n--\n\n"
		"Waits until the title of an X window matches a regular expression. A window that\n"
		"appears meanwhile counts when the windows have stayed the same for a moment, at\n"
		"the latest after a second. A server that does not answer is asked again for 5\n"
		"seconds. timeout is in seconds. RequestedAssertionFailed when the time is over."),
	{NULL, NULL, 0, NULL},
};
