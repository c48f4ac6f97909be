/* The methods that machine.process uses, on one of the processes that a machine has had; a process
 * is known by the number of its start. The class is in test_driver.machine.process. The methods run
 * on threads that hold the GIL, which PY_BLOCKING_CALL releases for calls that can block.
 */
#include "machine/py_machine.h"

#include <sys/wait.h>

PyObject *py_machine_make_process(PyObject *object, unsigned start)
{
	return py_call("test_driver.machine.process", "Process", "(OI)", object, start);
}

static PyObject *make_pid(PyObject *object, unsigned number)
{
	pid_t pid = ntd_machine_status(py_machine_self(object)->machine).pid;

	if (!pid)
		Py_RETURN_NONE;
	return PyLong_FromLong(pid);
}

const struct py_machine_kept_attribute py_machine_kept_pid = {
	.slot = PY_MACHINE_KEPT_PID, .make = make_pid, .passing = true};

/* The exit status, or minus the number of a signal; None while the process runs. */
static PyObject *return_code(const struct ntd_machine_process *process)
{
	if (!process->ended)
		Py_RETURN_NONE;
	if (WIFSIGNALED(process->wait_status))
		return PyLong_FromLong(-WTERMSIG(process->wait_status));
	return PyLong_FromLong(WEXITSTATUS(process->wait_status));
}

static PyObject *describe_process(PyObject *object, PyObject *args)
{
	struct ntd_machine *machine = py_machine_self(object)->machine;
	struct ntd_machine_process process;
	PyObject *line, *code;
	unsigned number;

	if (!PyArg_ParseTuple(args, "I:_describe_process", &number))
		return NULL;
	process = ntd_machine_process(machine, number);
	line = PyUnicode_DecodeFSDefault(process.line ? process.line : "");
	code = line ? return_code(&process) : NULL;
	return code ? Py_BuildValue("(iNN)", process.pid, line, code) : NULL;
}

static PyObject *signal_process(PyObject *object, PyObject *args)
{
	unsigned number;
	int signal;

	if (!PyArg_ParseTuple(args, "Ii:_signal_process", &number, &signal))
		return NULL;
	ntd_machine_signal_process(py_machine_self(object)->machine, number, signal);
	Py_RETURN_NONE;
}

static PyObject *wait_for_process(PyObject *object, PyObject *args)
{
	struct ntd_machine *machine = py_machine_self(object)->machine;
	double seconds;
	unsigned number;
	int result;

	if (!PyArg_ParseTuple(args, "Id:_wait_for_process", &number, &seconds))
		return NULL;
	if (PY_BLOCKING_CALL(result,
			     ntd_machine_wait_for_process(
				     machine, number,
				     seconds < 0 ? NTD_FOREVER : ntd_after(ntd_span(seconds)),
				     waiter, error)))
		Py_RETURN_TRUE;
	if (!PyErr_ExceptionMatches(py_state()->machine_timeout))
		return NULL;
	PyErr_Clear();
	Py_RETURN_FALSE;
}

static PyObject *write_to_process(PyObject *object, PyObject *bytes)
{
	struct ntd_machine *machine = py_machine_self(object)->machine;
	struct ntd_error *error = NULL;
	Py_buffer view;
	Py_ssize_t len;
	int result;

	if (PyObject_GetBuffer(bytes, &view, PyBUF_SIMPLE) < 0)
		return NULL;
	len = view.len;
	PY_WITHOUT_GIL(result = ntd_console_write(ntd_machine_console(machine), view.buf,
						  (size_t)len, &error));
	PyBuffer_Release(&view);
	return result < 0 ? py_raise(py_state(), error) : PyLong_FromSsize_t(len);
}

PyMethodDef py_machine_process_methods[] = {
	{"_describe_process", describe_process, METH_VARARGS,
	 "_describe_process($self, number, /)\n--\n\n"
	 "Returns the process id, the command that the shell ran, and the exit status:\n"
	 "minus the number of a signal, or None while the process runs."},
	{"_signal_process", signal_process, METH_VARARGS,
	 "_signal_process($self, number, signal, /)\n--\n\n"
	 "Sends a signal to the process if it runs."},
	{"_wait_for_process", wait_for_process, METH_VARARGS,
	 "_wait_for_process($self, number, seconds, /)\n--\n\n"
	 "Waits for the end of the process, for so many seconds, or for ever if they are\n"
	 "negative; returns whether it has ended."},
	{"_write_to_process", write_to_process, METH_O,
	 "_write_to_process($self, data, /)\n--\n\n"
	 "Writes bytes to the standard input of the process that runs; returns their\n"
	 "number."},
	{NULL, NULL, 0, NULL},
};
