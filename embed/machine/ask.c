/* Methods of machines for what is collected about them: questions to a guest or a QEMU that may
 * hang, the console, and the evidence of a unit. test_driver.diagnostics and
 * test_driver.machine.overridden use them. They run on threads that hold the GIL, which
 * PY_BLOCKING_CALL releases for calls that can block.
 */
#include "guest/ask.h"
#include "guest/evidence.h"
#include "guest/unit_evidence.h"
#include "machine/py_machine.h"
#include "machine/qemu.h"

struct question {
	struct ntd_result answer;
	char *trouble; /* why the answer is not complete; NULL: it is */
	bool silent;   /* the guest did not answer in time */
};

static void question_free(struct question *question)
{
	ntd_result_free(&question->answer);
	free(question->trouble);
}

/* Fails only when the thread is interrupted. */
static int put(struct ntd_machine *machine, const char *text, double seconds,
	       struct question *question, const struct ntd_waiter *waiter, struct ntd_error **err)
{
	_cleanup_error_ struct ntd_error *error = NULL;
	double patience = ntd_ask_patience(machine, seconds);

	if (ntd_machine_ask(machine, text, patience, &question->answer, waiter, &error) == 0)
		return 0;
	if (error->code == NTD_E_CANCELLED)
		return ntd_error_move(err, ntd_steal(&error));
	question->silent = error->code == NTD_E_TIMEOUT;
	question->trouble = question->silent ? ntd_strdup("the guest does not answer")
					     : ntd_strdup(error->message);
	return 0;
}

static PyObject *ask(PyObject *object, PyObject *args)
{
	struct ntd_machine *machine = py_machine_self(object)->machine;
	_cleanup_(question_free) struct question question = {0};
	const struct ntd_buf *output = &question.answer.output;
	const char *text;
	double seconds;
	int result;

	if (!PyArg_ParseTuple(args, "sd:_ask", &text, &seconds) ||
	    !PY_BLOCKING_CALL(result, put(machine, text, seconds, &question, waiter, error)))
		return NULL;
	return Py_BuildValue("(y#NO)", ntd_buf_bytes(output), (Py_ssize_t)output->len,
			     question.trouble ? py_text_of(question.trouble) : Py_NewRef(Py_None),
			     question.silent ? Py_True : Py_False);
}

/* Fails only when the thread is interrupted; *reply is then, and without an answer, NULL. */
static int query(struct ntd_machine *machine, const char *command, const char *text, double seconds,
		 cJSON **reply, struct ntd_waiter *waiter, struct ntd_error **err)
{
	_cleanup_cjson_ cJSON *arguments = text ? cJSON_CreateRaw(text) : NULL;
	_cleanup_error_ struct ntd_error *error = NULL;
	struct ntd_qmp *qmp = ntd_machine_qmp(machine);

	if (!qmp || !ntd_qmp_is_open(qmp))
		return 0;
	*reply = ntd_qmp_execute(qmp, command, arguments,
				 ntd_after(ntd_span(ntd_ask_patience(machine, seconds))), waiter,
				 &error);
	if (error && error->code == NTD_E_CANCELLED)
		return ntd_error_move(err, ntd_steal(&error));
	return 0;
}

static PyObject *query_qemu(PyObject *object, PyObject *args)
{
	struct ntd_machine *machine = py_machine_self(object)->machine;
	const char *command, *arguments;
	_cleanup_cjson_ cJSON *reply = NULL;
	_cleanup_free_ char *text = NULL;
	double seconds;
	int result;

	if (!PyArg_ParseTuple(args, "szd:_query_qemu", &command, &arguments, &seconds) ||
	    !PY_BLOCKING_CALL(result,
			      query(machine, command, arguments, seconds, &reply, waiter, error)))
		return NULL;
	text = reply ? cJSON_PrintUnformatted(reply) : NULL;
	if (!text)
		Py_RETURN_NONE;
	return py_text_of(text);
}

static PyObject *console_tail(PyObject *object, PyObject *args)
{
	struct ntd_console *console = ntd_machine_console(py_machine_self(object)->machine);
	_cleanup_buf_ struct ntd_buf tail = {0};
	int lines, result;

	if (!PyArg_ParseTuple(args, "i:_console_tail", &lines) ||
	    !PY_BLOCKING_CALL(result,
			      ((void)waiter, ntd_console_copy_tail(console, lines, &tail), 0)))
		return NULL;
	return PyBytes_FromStringAndSize(ntd_buf_bytes(&tail), (Py_ssize_t)tail.len);
}

static PyObject *unit_evidence(PyObject *object, PyObject *args)
{
	struct ntd_machine *machine = py_machine_self(object)->machine;
	_cleanup_free_ char *path = NULL;
	const char *unit, *user;
	int result;

	if (!PyArg_ParseTuple(args, "sz:_unit_evidence", &unit, &user) ||
	    !PY_BLOCKING_CALL(result,
			      (path = ntd_unit_evidence_collect(machine, unit, user, waiter), 0)))
		return NULL;
	if (!path)
		Py_RETURN_NONE;
	return py_text_of(path);
}

static PyObject *was_started(PyObject *object, PyObject *unused)
{
	return PyBool_FromLong(ntd_machine_was_started(py_machine_self(object)->machine));
}

PyMethodDef py_machine_ask_methods[] = {
	{"_ask", ask, METH_VARARGS,
	 "_ask($self, command, seconds)\n--\n\n"
	 "Runs a command as root if a channel into the guest is ready, without starting the\n"
	 "machine and without its callbacks. The guest has seconds to answer, more on a slow\n"
	 "machine. Returns (the output in bytes, what went wrong or None, whether the guest\n"
	 "does not answer)."},
	{"_query_qemu", query_qemu, METH_VARARGS,
	 "_query_qemu($self, command, arguments, seconds)\n--\n\n"
	 "Executes a QMP command, whose arguments are JSON or None, and returns QEMU's reply as\n"
	 "JSON. None when there is no answer within seconds, or more on a slow machine."},
	{"_console_tail", console_tail, METH_VARARGS,
	 "_console_tail($self, lines)\n--\n\nReturns the last lines of the console, in bytes."},
	{"_unit_evidence", unit_evidence, METH_VARARGS,
	 "_unit_evidence($self, unit, user)\n--\n\n"
	 "Collects the status and the journal of a unit in a file; returns its path, or None."},
	{"_was_started", was_started, METH_NOARGS,
	 "_was_started($self)\n--\n\nReturns whether there was a start, of which files may tell."},
	{NULL, NULL, 0, NULL},
};
