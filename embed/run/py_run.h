/* A run of a test script: its style, its execution, the report of a failure, the prompt, and the
 * end of the Python program. Exit statuses are those of the process.
 */
#pragma once

#include "machine/py_machine.h"

/* ---- ending.c */

/* Does what the end of a Python program does, on the main thread, after a run with this exit
 * status. Does not return if the process ends otherwise meanwhile. */
void py_ending_finish_python(struct ntd_session *session, int status);
/* Does the same beside the main thread, until the deadline; for struct ntd_session. Called without
 * the GIL. */
void py_ending_finish_script(struct ntd_session *session, int64_t deadline);
/* In a process that the script has forked: ends it with the exit status. Else does nothing. */
void py_ending_leave_forked(int status);

/* ---- report.c: how a script failed */

/* Reports the exception that is set, and clears it; returns the exit status that it means. */
int py_report_exception(struct py_state *state);
/* An exception that has failed a test or the run, for the timeline. */
struct py_failure {
	const char *text, *traceback;
	uint16_t source; /* as in struct ntd_event */
	uint32_t line;
};
void py_report_failure(struct py_state *state, const struct py_failure *failure);
/* The exit status that a SystemExit means. A message in it is printed. */
int py_report_exit_status(PyObject *exception);
/* In a process that the script has forked: ends it as Python ends a program, with a report of the
 * exception if one is set. Else does nothing. */
void py_report_end_forked(struct py_state *state);

/* ---- summary.c: the last lines of a failed run */

/* Has them tell of the exception that is set, which stays, if it means that the run has failed. */
void py_summary_tell(struct py_state *state);
/* Has them tell where in the script the main thread is. */
void py_summary_tell_main_thread(struct py_state *state);
/* Functions of the module for test_driver_pytest. */
extern PyMethodDef py_summary_functions[];

/* ---- source.c */

/* Makes the script's lines known to what shows tracebacks. -1 with an exception. */
int py_source_remember(struct py_state *state);

/* ---- style.c: the syntax of the script */

/* Chooses the style of the script with this text; NULL: it is a directory. The exception may be a
 * SyntaxError. */
int py_style_choose(struct py_state *state, PyObject *text);
/* NTD_E_USAGE when the command line does not go with the script's style. */
int py_style_check(const struct py_state *state, struct ntd_error **err);
bool py_style_is_directory(const struct py_state *state);

/* ---- names.c: the global names of the script */

/* Prints "additionally exposed symbols:" and the names, unless the run is quiet. */
int py_names_print(PyObject *driver, PyObject *symbols);
/* Warns when the script calls its only machine `machine` though that is not its name. Drivers with
 * JSON configurations do; `parts` is the script's code. An exception is dropped. */
void py_names_warn_of_alias(PyObject *symbols, PyObject *parts);

/* ---- prompt.c */

/* Shows a prompt with a script's names instead of running the script; returns the exit status. */
int py_prompt_run(struct py_state *state);
/* Warns if the run should pause after a failure, but cannot. */
void py_prompt_announce_pause(struct py_state *state);
/* Whether --pause-on-failure is given, and there is a terminal for the prompt. */
bool py_prompt_can_pause(const struct py_state *state);
/* Whether the run pauses because of the exception that is set, which stays. If so, the time limit
 * is off from now on. */
bool py_prompt_pause_wanted(struct py_state *state);
/* Shows the prompt of a pause, with the names of a test that failed; the run may go on after it. -1
 * with SystemExit for exit(). */
int py_prompt_pause_at(struct py_state *state, PyObject *symbols, const char *banner);
/* Shows the prompt of a pause, with the names of the script that failed with this exit status;
 * returns the exit status. */
int py_prompt_pause(struct py_state *state, int status);

/* ---- pytest_run.c */

/* Runs the tests; their exit status is in state->pytest_status. */
int py_pytest_execute(struct py_state *state);
/* Functions of the module for test_driver_pytest. */
extern PyMethodDef py_pytest_functions[];

/* ---- pytest_moment.c: what isolated tests need */

extern PyMethodDef py_pytest_moment_functions[];

/* ---- script.c */

/* The code of a script: a tuple of what is to be executed one after the other. Assertions in it
 * explain themselves; a script without any does not pay for that. */
PyObject *py_script_code(PyObject *text);
/* Reads and compiles the test script. */
int py_script_compile(struct py_state *state);
/* Runs the script once with fresh globals, as driver.test_script(). */
int py_script_execute(struct py_state *state);
/* Runs compiled code as the script of a driver. */
int py_script_execute_code(PyObject *driver, PyObject *parts);
/* Runs the script as the test of this run; returns the exit status. */
int py_script_run(struct py_state *state);
/* Cancels a driver.race_timer that a script has set, if there is one: its thread would outlive the
 * script. What that raises is shown. */
void py_script_cancel_own_timer(PyObject *driver);
