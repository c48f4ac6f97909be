/* The X server and its windows. */
#include "machine_object.h"

static const char list_windows[] =
	"xwininfo -root -tree | sed 's/.*0x[0-9a-f]* \\\"\\([^\\\"]*\\)\\\".*/\\1/; t; d'";

static PyObject *wait_for_x(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"timeout", NULL};
	struct ntd_machine *machine = ntd_machine_self(object)->machine;
	double timeout = NTD_DEFAULT_TIMEOUT;
	int result;

	if (!ntd_parse(args, kwargs, "|O&:wait_for_x", names, ntd_convert_duration, &timeout) ||
	    !NTD_BLOCKING_CALL(result, ntd_machine_wait_for_x(machine, timeout, waiter, error)))
		return NULL;
	Py_RETURN_NONE;
}

static int fetch_windows(const struct ntd_text_wait *wait, struct ntd_buf *text,
			 struct ntd_waiter *waiter, struct ntd_error **err)
{
	return ntd_machine_succeed(
		wait->machine,
		(struct ntd_bytes){.data = list_windows, .len = sizeof list_windows - 1},
		NTD_NO_TIMEOUT, text, waiter, err);
}

static PyObject *get_window_names(PyObject *object, PyObject *unused)
{
	struct ntd_text_wait windows = {.machine = ntd_machine_self(object)->machine};
	_cleanup_buf_ struct ntd_buf names = {0};
	_cleanup_pyref_ PyObject *text = NULL;
	int result;

	if (!NTD_BLOCKING_CALL(result, fetch_windows(&windows, &names, waiter, error)))
		return NULL;
	text = ntd_text(&names);
	return text ? PyObject_CallMethod(text, "splitlines", NULL) : NULL;
}

static PyObject *wait_for_window(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"regexp", "timeout", NULL};
	struct ntd_text_wait wait = {.machine = ntd_machine_self(object)->machine,
				     .fetch = fetch_windows,
				     .by_line = true};
	_cleanup_free_ char *shown = NULL, *last_chance = NULL;
	double timeout = NTD_DEFAULT_TIMEOUT;
	PyObject *regexp;

	if (!ntd_parse(args, kwargs, "O|O&:wait_for_window", names, &regexp, ntd_convert_duration,
		       &timeout))
		return NULL;
	shown = ntd_shown_text(regexp);
	if (!shown)
		return NULL;
	last_chance = ntd_asprintf("Last chance to match %s on the window list, which currently "
				   "contains: ",
				   shown);
	wait.last_chance = last_chance;
	return ntd_wait_for_text(&wait, regexp, "waiting for a window to appear", timeout);
}

PyMethodDef ntd_machine_desktop_methods[] = {
	NTD_METHOD("wait_for_x", wait_for_x,
		   "wait_for_x($self, timeout=900)\n--\n\n"
		   "Waits until a graphical session and its X server are there: systemd has "
		   "reached the "
		   "session's\n"
		   "target, and the server has its socket, where clients wait until it answers."),
	{"get_window_names", get_window_names, METH_NOARGS,
	 "get_window_names($self)\n--\n\nThe titles of all X windows, as a list."},
	NTD_METHOD("wait_for_window", wait_for_window,
		   "wait_for_window($self, regexp, timeout=900)\n--\n\n"
		   "Waits until the title of an X window matches a regular expression. One that "
		   "appears\n"
		   "meanwhile counts when the windows have stayed the same for a moment, at the "
		   "latest "
		   "after a\n"
		   "second. A server that does not answer is asked again for 5 seconds."),
	{NULL, NULL, 0, NULL},
};
