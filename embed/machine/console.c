/* The methods that are about the serial console and QEMU's monitors. They run on threads that hold
 * the GIL, which PY_BLOCKING_CALL releases for calls that can block.
 */
#include "machine/py_machine.h"

#include "machine/qemu.h"

static PyObject *get_console_log(PyObject *object, PyObject *unused)
{
	_cleanup_buf_ struct ntd_buf log = {0};

	ntd_console_copy_log(ntd_machine_console(py_machine_self(object)->machine), &log);
	return py_text(&log);
}

static PyObject *send_monitor_command(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"command", NULL};
	struct ntd_machine *machine = py_machine_self(object)->machine;
	_cleanup_buf_ struct ntd_buf reply = {0};
	_cleanup_path_ struct py_path_arg line = {0};
	int result;

	if (!py_parse(args, kwargs, "O&:send_monitor_command", names, py_convert_text, &line) ||
	    !PY_BLOCKING_CALL(
		    result, ntd_machine_monitor_command(machine, line.text, &reply, waiter, error)))
		return NULL;
	return py_text(&reply);
}

static PyObject *wait_for_monitor_prompt(PyObject *object, PyObject *unused)
{
	struct ntd_machine *machine = py_machine_self(object)->machine;
	_cleanup_buf_ struct ntd_buf reply = {0};
	int result;

	if (!PY_BLOCKING_CALL(result, ntd_monitor_command(ntd_machine_monitor(machine), NULL,
							  &reply, NTD_FOREVER, waiter, error)))
		return NULL;
	return py_text(&reply);
}

static PyObject *send_console(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"chars", NULL};
	struct ntd_machine *machine = py_machine_self(object)->machine;
	struct ntd_error *error = NULL;
	PyObject *chars;
	const char *text;
	Py_ssize_t len;

	if (!py_parse(args, kwargs, "U:send_console", names, &chars) ||
	    !(text = PyUnicode_AsUTF8AndSize(chars, &len)))
		return NULL;
	if (ntd_console_write(ntd_machine_console(machine), text, (size_t)len, &error) < 0)
		return py_raise(py_state(), error);
	Py_RETURN_NONE;
}

static PyObject *forward_port(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"host_port", "guest_port", NULL};
	struct ntd_machine *machine = py_machine_self(object)->machine;
	_cleanup_buf_ struct ntd_buf reply = {0};
	_cleanup_free_ char *line = NULL;
	int host = 8080, guest = 80, result;

	if (!py_parse(args, kwargs, "|O&O&:forward_port", names, py_convert_port, &host,
		      py_convert_port, &guest))
		return NULL;
	line = ntd_asprintf("hostfwd_add tcp::%d-:%d", host, guest);
	if (!PY_BLOCKING_CALL(result,
			      ntd_machine_monitor_command(machine, line, &reply, waiter, error)))
		return NULL;
	Py_RETURN_NONE;
}

/* Sets the link of the second network card, which is the first VLAN's. */
static PyObject *set_link(PyObject *object, const char *line)
{
	struct ntd_machine *machine = py_machine_self(object)->machine;
	_cleanup_buf_ struct ntd_buf reply = {0};
	int result;

	if (!PY_BLOCKING_CALL(result,
			      ntd_machine_monitor_command(machine, line, &reply, waiter, error)))
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *block(PyObject *object, PyObject *unused)
{
	return set_link(object, "set_link virtio-net-pci.1 off");
}

static PyObject *unblock(PyObject *object, PyObject *unused)
{
	return set_link(object, "set_link virtio-net-pci.1 on");
}

PyMethodDef py_machine_console_methods[] = {
	PY_METHOD("wait_for_console_text", py_machine_wait_for_console_text,
		  "wait_for_console_text($self, regex, timeout=None)\n--\n\n"
		  "Waits until what the console has shown since the last such wait matches a\n"
		  "regular expression: a line, even one that has just begun (a prompt), or lines\n"
		  "joined without newlines. Messages of the kernel in the middle of a line do not\n"
		  "hide it. timeout is in seconds; None: no limit. RequestedAssertionFailed when\n"
		  "the time is over, re.error for a bad expression. The time that the expression\n"
		  "itself takes is the script's own affair: what a guest prints can keep one that\n"
		  "backtracks without bound busy for ever."),
	{"get_console_log", get_console_log, METH_NOARGS,
	 "get_console_log($self)\n--\n\n"
	 "Returns all console lines since the start of the machine, as one str."},
	PY_METHOD("send_monitor_command", send_monitor_command,
		  "send_monitor_command($self, command)\n--\n\n"
		  "Runs a command on QEMU's monitor; returns its reply, with echo and prompt."),
	PY_METHOD("wait_for_qmp_event", py_machine_wait_for_qmp_event,
		  "wait_for_qmp_event($self, event_filter, timeout=600)\n--\n\n"
		  "Returns the next QMP event, a dict, for which event_filter(event) is true;\n"
		  "others are dropped. timeout is in seconds; TimeoutError when the time is over,\n"
		  "RuntimeError when the machine has no QMP connection yet."),
	{"wait_for_monitor_prompt", wait_for_monitor_prompt, METH_NOARGS,
	 "wait_for_monitor_prompt($self)\n--\n\n"
	 "Waits for QEMU's monitor to prompt; returns what it has said."},
	PY_METHOD("send_console", send_console,
		  "send_console($self, chars)\n--\n\n"
		  "Writes text to the guest's serial port. MachineError when the machine does not\n"
		  "run."),
	PY_METHOD("forward_port", forward_port,
		  "forward_port($self, host_port=8080, guest_port=80)\n--\n\n"
		  "Forwards a TCP port of the host to a port of the guest."),
	{"block", block, METH_NOARGS,
	 "block($self)\n--\n\nPulls the cable of the first VLAN's network card."},
	{"unblock", unblock, METH_NOARGS,
	 "unblock($self)\n--\n\n"
	 "Plugs the cable that block() has pulled in again."},
	{NULL, NULL, 0, NULL},
};
