/* The methods that run commands: execute, succeed, fail, waiting for either, and sleep. They run on
 * threads that hold the GIL, which PY_BLOCKING_CALL releases for calls that can block.
 */
#include "guest/live_output.h"
#include "machine/py_machine.h"

/* Gets a command's text; false with a TypeError. The bytes belong to *owner. */
static bool command_text(PyObject *object, PyObject **owner, struct ntd_bytes *bytes)
{
	Py_ssize_t len;

	Py_XSETREF(*owner, py_formatted(object));
	if (!*owner) {
		PyErr_Format(PyExc_TypeError, "command must be a str, not %s",
			     Py_TYPE(object)->tp_name);
		return false;
	}
	bytes->data = PyUnicode_AsUTF8AndSize(*owner, &len);
	bytes->len = (size_t)len;
	return bytes->data;
}

typedef int run_function(struct ntd_machine *machine, const struct ntd_command *command,
			 struct ntd_result *result, struct ntd_waiter *waiter,
			 struct ntd_error **err);

/* Calls the script's function with a piece of output, and leaves the beginning of a character for
 * the next piece. Returns the number of bytes used; -1 with an exception. */
static int tell(PyObject *function, const char *bytes, size_t len, bool last)
{
	Py_ssize_t used = (Py_ssize_t)len;
	_cleanup_pyref_ PyObject *text = PyUnicode_DecodeUTF8Stateful(
		bytes, (Py_ssize_t)len, "replace", last ? NULL : &used);
	_cleanup_pyref_ PyObject *result =
		text && used ? PyObject_CallOneArg(function, text) : Py_XNewRef(text);

	return result ? (int)used : -1;
}

static int take_output(void *function, const char *bytes, size_t len, bool last,
		       struct ntd_waiter *waiter, struct ntd_error **err)
{
	return PY_IN_PYTHON(waiter, err, tell(function, bytes, len, last));
}

/* Runs a command whose output the script's function gets while it runs; None: which the script gets
 * at the end only. */
static int run_live(run_function *run, struct ntd_machine *machine, struct ntd_command *command,
		    PyObject *function, struct ntd_result *answer, struct ntd_waiter *waiter,
		    struct ntd_error **err)
{
	struct ntd_live_output live = {.machine = machine, .take = take_output, .owner = function};

	if (function == Py_None || command->no_reply)
		return run(machine, command, answer, waiter, err);
	if (ntd_live_output_begin(&live, command, waiter, err) < 0)
		return -1;
	return ntd_live_output_end(&live, run(machine, command, answer, waiter, err), waiter, err);
}

/* What execute() returns. */
static PyObject *answer_object(const struct ntd_result *answer, bool errors)
{
	if (!errors)
		return Py_BuildValue("(iN)", answer->status, py_text(&answer->output));
	return Py_BuildValue("(iNN)", answer->status, py_text(&answer->output),
			     py_text(&answer->errors));
}

static PyObject *run_by(run_function *run, PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {
		"command", "check_return", "check_output", "timeout", "on_output", "stderr", NULL};
	struct ntd_machine *machine = py_machine_self(object)->machine;
	_cleanup_result_ struct ntd_result answer = {0};
	struct ntd_command command = {0};
	struct ntd_bytes bytes;
	int check_return = true, check_output = true, errors = false, result;
	_cleanup_pyref_ PyObject *owner = NULL;
	PyObject *text, *on_output = Py_None;

	command.timeout = NTD_DEFAULT_TIMEOUT;
	if (!py_parse(args, kwargs, "O|ppO&$Op:execute", names, &text, &check_return, &check_output,
		      py_convert_duration, &command.timeout, &on_output, &errors) ||
	    !command_text(text, &owner, &bytes))
		return NULL;
	if (on_output != Py_None && !PyCallable_Check(on_output))
		return PyErr_Format(PyExc_TypeError, "on_output must be a function, not %s",
				    Py_TYPE(on_output)->tp_name);
	command.text = bytes.data;
	command.text_len = bytes.len;
	command.no_status = !check_return;
	command.no_reply = !check_output;
	command.errors = errors && check_output;
	if (!PY_BLOCKING_CALL(result,
			      run_live(run, machine, &command, on_output, &answer, waiter, error)))
		return NULL;
	return answer_object(&answer, errors);
}

static PyObject *execute(PyObject *object, PyObject *args, PyObject *kwargs)
{
	return run_by(ntd_machine_run, object, args, kwargs);
}

static PyObject *execute_only(PyObject *object, PyObject *args, PyObject *kwargs)
{
	return run_by(ntd_machine_run_in_guest, object, args, kwargs);
}

typedef int check_function(struct ntd_machine *machine, const struct ntd_check *check,
			   struct ntd_buf *output, struct ntd_waiter *waiter,
			   struct ntd_error **err);

/* Does succeed() and fail(): runs each command, and returns the outputs joined. */
static PyObject *check_all(PyObject *object, PyObject *args, PyObject *kwargs, const char *format,
			   check_function *function)
{
	static char *names[] = {"timeout", "stderr", NULL};
	struct ntd_machine *machine = py_machine_self(object)->machine;
	_cleanup_buf_ struct ntd_buf output = {0};
	_cleanup_pyref_ PyObject *none = PyTuple_New(0), *owner = NULL;
	struct ntd_check check = {.timeout = NTD_NO_TIMEOUT};
	int errors = false;

	if (!none ||
	    !py_parse(none, kwargs, format, names, py_convert_duration, &check.timeout, &errors))
		return NULL;
	check.errors = errors;
	for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(args); i++)
		if (!command_text(PyTuple_GET_ITEM(args, i), &owner, &check.command))
			return NULL;
	for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(args); i++) {
		int result;

		if (!command_text(PyTuple_GET_ITEM(args, i), &owner, &check.command) ||
		    !PY_BLOCKING_CALL(result, function(machine, &check, &output, waiter, error)))
			return NULL;
	}
	return py_text(&output);
}

static PyObject *succeed(PyObject *object, PyObject *args, PyObject *kwargs)
{
	return check_all(object, args, kwargs, "|$O&p:succeed", ntd_machine_succeed);
}

static PyObject *fail(PyObject *object, PyObject *args, PyObject *kwargs)
{
	return check_all(object, args, kwargs, "|$O&p:fail", ntd_machine_fail);
}

static PyObject *wait_until(PyObject *object, PyObject *args, PyObject *kwargs, const char *format,
			    bool fails)
{
	static char *names[] = {"command", "timeout", NULL};
	struct ntd_machine *machine = py_machine_self(object)->machine;
	_cleanup_buf_ struct ntd_buf output = {0};
	double timeout = NTD_DEFAULT_TIMEOUT;
	_cleanup_pyref_ PyObject *owner = NULL;
	struct ntd_bytes command;
	PyObject *text;
	int result;

	if (!py_parse(args, kwargs, format, names, &text, py_convert_duration, &timeout) ||
	    !command_text(text, &owner, &command) ||
	    !PY_BLOCKING_CALL(result, ntd_machine_wait_until(machine, command, fails, timeout,
							     &output, waiter, error)))
		return NULL;
	return py_text(&output);
}

static PyObject *wait_until_succeeds(PyObject *object, PyObject *args, PyObject *kwargs)
{
	return wait_until(object, args, kwargs, "O|O&:wait_until_succeeds", false);
}

static PyObject *wait_until_fails(PyObject *object, PyObject *args, PyObject *kwargs)
{
	return wait_until(object, args, kwargs, "O|O&:wait_until_fails", true);
}

/* sleep(secs) and, in the newest drivers, sleep(duration=): sleeps in the guest, whose clock may be
 * slower. */
static PyObject *sleep_in_guest(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"secs", "duration", NULL};
	struct ntd_machine *machine = py_machine_self(object)->machine;
	_cleanup_buf_ struct ntd_buf output = {0}, text = {0};
	_cleanup_free_ char *number = NULL;
	double seconds = NTD_NO_TIMEOUT;
	struct ntd_check check = {.timeout = NTD_NO_TIMEOUT};
	int result;

	if (!py_parse(args, kwargs, "|O&O&:sleep", names, py_convert_duration, &seconds,
		      py_convert_duration, &seconds) ||
	    !py_one_of_two(args, kwargs, names, 0, "sleep"))
		return NULL;
	if (seconds < 0)
		return PyErr_Format(PyExc_TypeError, "sleep() needs a duration");
	number = ntd_float_text(seconds);
	ntd_buf_printf(&text, "sleep %s", number);
	check.command = ntd_buf_view(&text);
	if (!PY_BLOCKING_CALL(result, ntd_machine_succeed(machine, &check, &output, waiter, error)))
		return NULL;
	Py_RETURN_NONE;
}

PyMethodDef py_machine_command_methods[] = {
	PY_METHOD(
		"execute", execute,
		"execute($self, command, check_return=True, check_output=True, timeout=900, *,\n"
		"        on_output=None, stderr=False)\n--\n\n"
		"Runs a bash command as root; returns (exit status, standard output). The output\n"
		"is complete when every process has closed it. After timeout seconds (None:\n"
		"never) the guest ends the command, and the status is 124. Without check_return\n"
		"the status is -1; without check_output the command is only sent, and the result\n"
		"is (-2, ''). on_output(text) is called with each piece of output as it arrives;\n"
		"what it raises ends the call and the command. With stderr the result has a third\n"
		"part, the last MiB of standard error, which goes to the console nevertheless;\n"
		"ValueError where commands go by a channel that does not keep it apart.\n"
		"MachineError when the machine ends or breaks the protocol."),
	PY_METHOD("_execute", execute_only,
		  "_execute($self, command, check_return=True, check_output=True, timeout=900, *,\n"
		  "         on_output=None, stderr=False)\n--\n\n"
		  "Does what execute() does, without calling the callbacks."),
	PY_METHOD(
		"succeed", succeed,
		"succeed($self, *commands, timeout=None, stderr=False)\n--\n\n"
		"Runs commands, each of which must exit with 0; returns their outputs as one str.\n"
		"timeout bounds each command, in seconds; None: no limit.\n"
		"RequestedAssertionFailed for another exit status; with stderr, its message ends\n"
		"with the last lines of standard error (see execute())."),
	PY_METHOD(
		"fail", fail,
		"fail($self, *commands, timeout=None, stderr=False)\n--\n\n"
		"Runs commands, each of which must not exit with 0; returns their outputs as one\n"
		"str. timeout bounds each command, in seconds; None: no limit.\n"
		"RequestedAssertionFailed for the exit status 0. stderr is as in succeed()."),
	PY_METHOD("wait_until_succeeds", wait_until_succeeds,
		  "wait_until_succeeds($self, command, timeout=900)\n--\n\n"
		  "Repeats a command every second until it exits with 0; returns its last output.\n"
		  "timeout, in seconds, bounds the waiting and each attempt.\n"
		  "RequestedAssertionFailed when the time is over."),
	PY_METHOD("wait_until_fails", wait_until_fails,
		  "wait_until_fails($self, command, timeout=900)\n--\n\n"
		  "Repeats a command every second until it does not exit with 0; returns its last\n"
		  "output. timeout is as in wait_until_succeeds(). RequestedAssertionFailed when\n"
		  "the time is over."),
	PY_METHOD("sleep", sleep_in_guest,
		  "sleep($self, secs=None, duration=None)\n--\n\n"
		  "Sleeps for some seconds, by the guest's clock. duration is the newer name of\n"
		  "secs."),
	{NULL, NULL, 0, NULL},
};
