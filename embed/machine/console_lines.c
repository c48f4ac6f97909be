/* The console as attributes of a machine: last_lines, full_console_log, serial_thread, and the
 * methods that these objects use. Their classes are in test_driver.machine.console. All of this
 * runs on threads that hold the GIL.
 */
#include "machine/py_machine.h"

/* Takes the next whole line. The core hands over lines that have only begun, too; they are not
 * taken. */
static int take_line(struct ntd_console *console, struct ntd_buf *line, int64_t deadline)
{
	struct ntd_console_news news = {0};
	int result = 0;

	while (result == 0 && !news.lines.len)
		PY_BLOCKING_CALL(result,
				 ntd_console_take(console, &news, 1, deadline, waiter, error));
	*line = news.lines;
	ntd_buf_free(&news.partial);
	return result;
}

/* _take_console_line(seconds): the next line that nothing has used yet; None when there is none in
 * time. */
static PyObject *take_console_line(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"seconds", NULL};
	struct ntd_console *console = ntd_machine_console(py_machine_self(object)->machine);
	_cleanup_buf_ struct ntd_buf line = {0};
	double seconds = NTD_NO_TIMEOUT;

	if (!py_parse(args, kwargs, "O&:_take_console_line", names, py_convert_duration, &seconds))
		return NULL;
	if (seconds == 0 && !ntd_console_unread(console))
		Py_RETURN_NONE;
	if (take_line(console, &line, seconds < 0 ? NTD_FOREVER : ntd_after(ntd_span(seconds))) ==
	    0) {
		line.len -= 1; /* the newline */
		return py_text(&line);
	}
	if (!PyErr_ExceptionMatches(py_state()->machine_timeout))
		return NULL;
	PyErr_Clear();
	Py_RETURN_NONE;
}

static PyObject *count_console_lines(PyObject *object, PyObject *unused)
{
	return PyLong_FromSize_t(
		ntd_console_unread(ntd_machine_console(py_machine_self(object)->machine)));
}

/* Makes an object of the class `name` for the machine. */
static PyObject *made_of(PyObject *object, const char *name)
{
	return py_call("test_driver.machine.console", name, "(O)", object);
}

PyObject *py_machine_make_last_lines(PyObject *object, unsigned start)
{
	return made_of(object, "LastLines");
}

/* From then on the console's lines go to the script's queue. */
int py_machine_set_last_lines(PyObject *object, PyObject *value, void *closure)
{
	_cleanup_pyref_ PyObject *adopted =
		value ? py_call("test_driver.machine.console", "adopt", "(OO)", object, value)
		      : NULL;

	if (value && !adopted)
		return -1;
	return py_machine_set_kept(object, adopted, closure);
}

PyObject *py_machine_make_serial_thread(PyObject *object, unsigned start)
{
	return made_of(object, "SerialThread");
}

static PyObject *lines_of_console(PyObject *object)
{
	_cleanup_buf_ struct ntd_buf log = {0};
	_cleanup_pyref_ PyObject *text = NULL, *newline = PyUnicode_FromString("\n");

	ntd_console_copy_log(ntd_machine_console(py_machine_self(object)->machine), &log);
	text = log.len ? py_text(&log) : NULL;
	if (!log.len)
		return PyList_New(0);
	return text && newline ? PyUnicode_Split(text, newline, -1) : NULL;
}

/* The list that a script has set, and after it the lines since then. */
PyObject *py_machine_get_full_console_log(PyObject *object, void *closure)
{
	PyObject *kept = py_machine_kept(object, closure);
	_cleanup_pyref_ PyObject *set = Py_XNewRef(kept), *all = lines_of_console(object);
	_cleanup_pyref_ PyObject *since = NULL;

	if (!all || !set)
		return ntd_steal(&all);
	since = PyList_GetSlice(all, PyLong_AsSsize_t(PyTuple_GetItem(set, 1)), PY_SSIZE_T_MAX);
	return since ? PySequence_Concat(PyTuple_GetItem(set, 0), since) : NULL;
}

int py_machine_set_full_console_log(PyObject *object, PyObject *value, void *closure)
{
	_cleanup_pyref_ PyObject *all = NULL, *set = NULL;

	if (!value || !PyList_Check(value)) {
		PyErr_SetString(PyExc_TypeError, "full_console_log must be a list");
		return -1;
	}
	all = lines_of_console(object);
	set = all ? Py_BuildValue("(On)", value, PyList_Size(all)) : NULL;
	return set ? py_machine_set_kept(object, set, closure) : -1;
}

PyMethodDef py_machine_console_line_methods[] = {
	PY_METHOD(
		"_take_console_line", take_console_line,
		"_take_console_line($self, seconds)\n--\n\n"
		"Returns the next console line that nothing has used yet; None when there is none\n"
		"in so many seconds."),
	{"_count_console_lines", count_console_lines, METH_NOARGS,
	 "_count_console_lines($self)\n--\n\n"
	 "Returns the number of console lines that nothing has used yet."},
	{NULL, NULL, 0, NULL},
};
