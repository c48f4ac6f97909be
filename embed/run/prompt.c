/* The Python prompt: in place of the script (--interactive) or after its failure
 * (--pause-on-failure). The prompt itself is test_driver/repl.py. All of this runs on the main
 * thread, with the GIL held.
 *
 * The prompt shows the exception of what a user types, KeyboardInterrupt included, and goes on; a
 * signal that ends the run comes through the prompt as SystemExit.
 */
#include "run/py_run.h"

/* Shows the prompt with these names, and with `reload` unless the script has a name like that. -1
 * with SystemExit for exit(). */
static int prompt(struct py_state *state, PyObject *symbols, const char *banner)
{
	_cleanup_pyref_ PyObject *repl = PyImport_ImportModule("test_driver.repl");
	_cleanup_pyref_ PyObject *name = PyUnicode_FromString("reload");
	_cleanup_pyref_ PyObject *reload = PyObject_GetAttrString(state->driver, "reload");
	_cleanup_pyref_ PyObject *result = NULL;
	bool was_hidden;

	if (!repl || !name || !reload || !PyDict_SetDefault(symbols, name, reload) ||
	    py_source_remember(state) < 0)
		return -1;
	py_log_deliver(state);
	PY_WITHOUT_GIL(was_hidden = ntd_terminal_hide_live_line(state->session->terminal, true));
	py_signals_attended(true);
	result = PyObject_CallMethod(repl, "start", "Os", symbols, banner);
	py_signals_attended(false);
	PY_WITHOUT_GIL(ntd_terminal_hide_live_line(state->session->terminal, was_hidden));
	/* IPython leaves the terminal raw after SystemExit */
	ntd_session_restore_terminal(state->session);
	return result ? 0 : -1;
}

int py_prompt_run(struct py_state *state)
{
	static const char banner[] =
		"test_script() runs the test script, reload() reads it again. Ctrl-D leaves.";
	_cleanup_pyref_ PyObject *symbols =
		PyObject_CallMethod(state->driver, "test_symbols", NULL);

	if (!symbols || py_names_print(state->driver, symbols) < 0 ||
	    prompt(state, symbols, banner) < 0)
		return py_report_exception(state);
	return 0;
}

/* ---- after a failure */

static bool has_terminal(void)
{
	return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
}

void py_prompt_announce_pause(struct py_state *state)
{
	if (state->session->config->pause_on_failure && !has_terminal())
		py_log(state->session->report, NTD_LEVEL_WARNING, NULL,
		       "--pause-on-failure needs a terminal as standard input and output; without "
		       "one, a failure ends the run");
}

/* Whether the exception is a failure of the script. A signal that ends the run is none: its sender
 * wants the run to end. */
static bool is_failure(PyObject *exception)
{
	_cleanup_pyref_ PyObject *code = NULL;
	bool success;

	if (py_signals_ending() || PyErr_GivenExceptionMatches(exception, PyExc_KeyboardInterrupt))
		return false;
	if (!PyErr_GivenExceptionMatches(exception, PyExc_SystemExit))
		return true;
	code = PyObject_GetAttrString(exception, "code");
	success = !code || code == Py_None || PyObject_IsTrue(code) == 0;
	PyErr_Clear();
	return !success;
}

/* Sets sys.last_value and its kin for pdb.pm(), as the interpreter does after an exception that
 * nothing has handled. */
static void remember_exception(PyObject *type, PyObject *exception, PyObject *traceback)
{
	if (PySys_SetObject("last_type", type) < 0 ||
	    PySys_SetObject("last_value", exception) < 0 ||
	    PySys_SetObject("last_traceback", traceback ? traceback : Py_None) < 0)
		PyErr_Clear();
}

bool py_prompt_can_pause(const struct py_state *state)
{
	return state->session->config->pause_on_failure && has_terminal();
}

bool py_prompt_pause_wanted(struct py_state *state)
{
	PyObject *type, *exception, *traceback;
	bool wanted;

	if (!py_prompt_can_pause(state))
		return false;
	PyErr_Fetch(&type, &exception, &traceback);
	PyErr_NormalizeException(&type, &exception, &traceback);
	wanted = is_failure(exception);
	remember_exception(type, exception, traceback);
	PyErr_Restore(type, exception, traceback);
	if (wanted) /* the limit is off while the failure is reported, too */
		ntd_deadline_stop(&state->session->deadline);
	return wanted;
}

int py_prompt_pause_at(struct py_state *state, PyObject *symbols, const char *banner)
{
	ntd_deadline_stop(&state->session->deadline);
	py_log(state->session->report, NTD_LEVEL_ALWAYS, NULL,
	       "the test failed; the run is paused, its time limit is off");
	return prompt(state, symbols, banner);
}

int py_prompt_pause(struct py_state *state, int status)
{
	_cleanup_free_ char *banner =
		ntd_asprintf("The machines are as the failure left them, and there is no time "
			     "limit any more. Ctrl-D ends the run with status %d;\n"
			     "test_script() runs the script again, reload() reads it again, "
			     "import pdb; pdb.pm() looks at the failure.",
			     status);
	int result;

	PY_WITHOUT_GIL(ntd_session_yield_to_abort(state->session));
	py_log(state->session->report, NTD_LEVEL_ALWAYS, NULL,
	       "the test script failed; the run is paused, its time limit is off");
	if (!state->script_symbols)
		return status;
	result = prompt(state, state->script_symbols, banner);
	if (result < 0 && py_signals_ending())
		return py_report_exception(state);
	PyErr_Clear(); /* of exit() */
	return status;
}
