/* A run of pytest style tests: what the package test_driver_pytest needs of the core. All of this
 * runs on the main thread, or on a thread of the script, with the GIL held.
 */
#include "base/forked.h"
#include "base/printable.h"
#include "guest/evidence.h"
#include "report/recall.h"
#include "report/times.h"
#include "run/py_run.h"
#include "session/keep.h"

enum { RECALL_LIMIT = 32 << 20 };

/* ---- the run */

static void prepare(struct py_state *state)
{
	if (state->recall)
		return;
	state->recall = ntd_recall_sink(RECALL_LIMIT);
	ntd_report_add(state->session->report, state->recall);
	state->times = ntd_times_sink();
	ntd_report_add(state->session->report, state->times);
	if (state->session->junit)
		ntd_junit_tests_only(state->session->junit);
	/* pytest puts files in the place of standard output and error while a test runs. */
	ntd_terminal_keep_output(state->session->terminal);
}

static PyObject *list_of(char *const *strings)
{
	PyObject *list = PyList_New(0);

	for (; list && strings && *strings; strings++) {
		_cleanup_pyref_ PyObject *text = PyUnicode_DecodeFSDefault(*strings);

		if (!text || PyList_Append(list, text) < 0)
			Py_CLEAR(list);
	}
	return list;
}

/* Raises what the signal that ended the run raises in a script. */
static int raise_signal(int number)
{
	_cleanup_pyref_ PyObject *code = PyLong_FromLong(128 + number);

	if (number == SIGINT)
		PyErr_SetNone(PyExc_KeyboardInterrupt);
	else if (code)
		PyErr_SetObject(PyExc_SystemExit, code);
	return -1;
}

/* None for an ordinary session. */
static PyObject *script_path(const struct ntd_config *config)
{
	return config->pytest_session ? Py_NewRef(Py_None)
				      : PyUnicode_DecodeFSDefault(config->test_script);
}

int py_pytest_execute(struct py_state *state)
{
	const struct ntd_config *config = state->session->config;
	_cleanup_pyref_ PyObject *module = PyImport_ImportModule("test_driver_pytest.run");
	_cleanup_pyref_ PyObject *arguments = list_of(config->pytest_arguments);
	_cleanup_pyref_ PyObject *path = script_path(config);
	_cleanup_pyref_ PyObject *status = NULL;
	struct ntd_nest nest;

	py_log_begin(&nest, state->session->report, NTD_STEP_RUN, NULL, "run the VM test script",
		     NULL, false);
	prepare(state);
	if (module && arguments && path)
		status = PyObject_CallMethod(module, "run", "OOO(ii)OOOOi", state->driver, path,
					     arguments, config->shard.index, config->shard.count,
					     config->restart_dead ? Py_True : Py_False,
					     config->no_skip ? Py_True : Py_False,
					     py_prompt_can_pause(state) ? Py_True : Py_False,
					     config->isolation ? Py_True : Py_False, config->rerun);
	ntd_strv_free(nest.attributes);
	nest.attributes = ntd_steal(&state->run_attributes);
	py_log_end(&nest, !status);
	state->pytest_status = status ? (int)PyLong_AsLong(status) : 1;
	if (state->pytest_status < 0 && !PyErr_Occurred())
		return raise_signal(-state->pytest_status);
	return status && !PyErr_Occurred() ? 0 : -1;
}

/* ---- functions of _test_driver */

/* Whether this is a run of pytest style tests; false with a RuntimeError. */
static bool is_prepared(const struct py_state *state)
{
	if (!state->recall)
		PyErr_SetString(PyExc_RuntimeError, "no tests in pytest style are run");
	return state->recall;
}

static PyObject *begin_test(PyObject *self, PyObject *args)
{
	struct py_state *state = py_state();
	const char *title;

	if (!PyArg_ParseTuple(args, "s:begin_test", &title) || !is_prepared(state))
		return NULL;
	py_log_begin(&state->test, state->session->report, NTD_STEP_TEST, NULL, title, NULL, true);
	return PyLong_FromSize_t(ntd_recall_position(state->recall));
}

/* Gives the end of the test an attribute, any text, unless it is None. */
static int add_attribute(struct py_state *state, const char *name, PyObject *value)
{
	char *text = NULL;

	if (value == Py_None)
		return 0;
	if (!py_convert_message(value, &text))
		return -1;
	ntd_strv_add(&state->test.attributes, name);
	ntd_strv_give(&state->test.attributes, text);
	return 0;
}

static PyObject *end_test(PyObject *self, PyObject *args)
{
	struct py_state *state = py_state();
	PyObject *skipped, *verdict;
	int failed;

	if (!PyArg_ParseTuple(args, "pOO:end_test", &failed, &skipped, &verdict) ||
	    !is_prepared(state) || add_attribute(state, "rerun", verdict) < 0 ||
	    add_attribute(state, "skipped", skipped) < 0)
		return NULL;
	py_log_end(&state->test, failed);
	Py_RETURN_NONE;
}

static PyObject *tell_failure(PyObject *self, PyObject *args)
{
	struct py_state *state = py_state();
	_cleanup_free_ char *text = NULL, *traceback = NULL;
	struct py_failure failure = {0};
	PyObject *path;

	if (!PyArg_ParseTuple(args, "O&O&OI:tell_failure", py_convert_message, &text,
			      py_convert_message, &traceback, &path, &failure.line))
		return NULL;
	failure.text = text;
	failure.traceback = traceback;
	failure.source = py_place_source(state, path);
	py_report_failure(state, &failure);
	Py_RETURN_NONE;
}

static PyObject *recall(PyObject *self, PyObject *args)
{
	struct py_state *state = py_state();
	_cleanup_buf_ struct ntd_buf text = {0};
	Py_ssize_t from;
	const char *console;

	if (!PyArg_ParseTuple(args, "nz:recall", &from, &console) || !is_prepared(state))
		return NULL;
	PY_WITHOUT_GIL(ntd_report_flush(state->session->report, ntd_after(NTD_SECOND));
		       ntd_recall(state->recall, (size_t)from, console, &text));
	return py_text(&text);
}

static PyObject *log_position(PyObject *self, PyObject *unused)
{
	struct py_state *state = py_state();

	if (!is_prepared(state))
		return NULL;
	PY_WITHOUT_GIL(ntd_report_flush(state->session->report, ntd_after(NTD_SECOND)));
	return PyLong_FromSize_t(ntd_recall_position(state->recall));
}

static PyObject *spent(PyObject *self, PyObject *unused)
{
	struct py_state *state = py_state();
	double boot, waiting, commands;

	if (!is_prepared(state))
		return NULL;
	PY_WITHOUT_GIL(ntd_report_flush(state->session->report, ntd_after(NTD_SECOND));
		       ntd_times(state->times, &boot, &waiting));
	commands = ntd_seconds(state->blocked) - boot - waiting;
	return Py_BuildValue("(ddd)", boot, waiting, commands);
}

static PyObject *cause_of_death(PyObject *self, PyObject *machine)
{
	struct ntd_machine *core = py_machine_of(machine);
	_cleanup_error_ struct ntd_error *cause = core ? ntd_machine_death(core) : NULL;

	if (!core)
		return NULL;
	if (!cause)
		Py_RETURN_NONE;
	return py_text_of(cause->message);
}

/* Within the time that the machine has for it; what cannot be collected is missing. */
static int collect_in_time(struct ntd_machine *machine, const char *directory, int64_t since,
			   const struct ntd_waiter *waiter)
{
	struct ntd_waiter limited = *waiter;

	limited.deadline = ntd_after(ntd_machine_collect_patience(machine));
	if (ntd_machine_was_started(machine))
		ntd_machine_collect(machine, directory, since, &limited);
	return 0;
}

static PyObject *collect(PyObject *self, PyObject *args)
{
	int64_t began = py_state()->test.began;
	struct ntd_machine *machine;
	const char *directory;
	PyObject *object;
	int result;

	if (!PyArg_ParseTuple(args, "Os:collect", &object, &directory))
		return NULL;
	machine = py_machine_of(object);
	if (!machine ||
	    !PY_BLOCKING_CALL(result, ntd_keep_failure(py_state()->session, waiter, error)) ||
	    !PY_BLOCKING_CALL(result, collect_in_time(machine, directory, began, waiter)))
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *leave_if_forked(PyObject *self, PyObject *exception)
{
	if (!ntd_is_forked())
		Py_RETURN_NONE;
	if (exception != Py_None)
		PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
	py_report_end_forked(py_state());
	Py_UNREACHABLE();
}

static PyObject *ending(PyObject *self, PyObject *unused)
{
	return PyLong_FromLong(py_signals_ending());
}

static PyObject *pause_run(PyObject *self, PyObject *args)
{
	const char *banner;
	PyObject *names;

	if (!PyArg_ParseTuple(args, "O!s:pause", &PyDict_Type, &names, &banner) ||
	    py_prompt_pause_at(py_state(), names, banner) < 0)
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *printable(PyObject *self, PyObject *args)
{
	_cleanup_buf_ struct ntd_buf out = {0};
	_cleanup_pyref_ PyObject *utf8 = NULL;
	PyObject *text;
	int colours;

	if (!PyArg_ParseTuple(args, "Up:printable", &text, &colours))
		return NULL;
	utf8 = py_escaped(text);
	if (!utf8)
		return NULL;
	ntd_printable(&out, PyBytes_AsString(utf8), (size_t)PyBytes_Size(utf8), colours);
	return py_text(&out);
}

PyMethodDef py_pytest_functions[] = {
	{"begin_test", begin_test, METH_VARARGS,
	 "begin_test(title)\n--\n\n"
	 "Logs the beginning of a test; returns the position of the log, for recall()."},
	{"end_test", end_test, METH_VARARGS,
	 "end_test(failed, skipped, verdict)\n--\n\n"
	 "Logs the end of the test. skipped says why it was skipped, verdict what runs\n"
	 "of it again have shown, or they are None."},
	{"tell_failure", tell_failure, METH_VARARGS,
	 "tell_failure(text, traceback, path, line)\n--\n\n"
	 "Tells the timeline of the run what failed the test, and where."},
	{"recall", recall, METH_VARARGS,
	 "recall(position, machine)\n--\n\n"
	 "Returns what was logged since that position: the lines of the console of a\n"
	 "machine, or, with None for the machine, messages and steps."},
	{"log_position", log_position, METH_NOARGS,
	 "log_position()\n--\n\nReturns the position of the end of the log, for recall()."},
	{"spent", spent, METH_NOARGS,
	 "spent()\n--\n\nReturns the seconds until now as (boot, waiting, commands)."},
	{"cause_of_death", cause_of_death, METH_O,
	 "cause_of_death(machine)\n--\n\n"
	 "Says why QEMU ended though it had not been asked to; None when it has not ended."},
	{"collect", collect, METH_VARARGS,
	 "collect(machine, directory)\n--\n\n"
	 "Writes what the machine can still tell to files in the directory; of the\n"
	 "journal, the part since the test began."},
	{"leave_if_forked", leave_if_forked, METH_O,
	 "leave_if_forked(exception)\n--\n\n"
	 "In a process that a test has forked: ends it, with the exit status that the\n"
	 "exception (or None) means."},
	{"ending", ending, METH_NOARGS,
	 "ending()\n--\n\n"
	 "Returns the signal that has come to end the run, SIGTERM or SIGHUP; 0 without\n"
	 "one."},
	{"printable", printable, METH_VARARGS,
	 "printable(text, colours)\n--\n\n"
	 "Returns the text without what commands a terminal; colours stay if `colours` is\n"
	 "true."},
	{"pause", pause_run, METH_VARARGS,
	 "pause(names, banner)\n--\n\nShows a prompt with these names. SystemExit for exit()."},
	{NULL, NULL, 0, NULL},
};
