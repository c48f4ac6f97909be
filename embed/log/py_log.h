/* The log in Python: `log` and other loggers, the steps that they return, and the only ways by
 * which the rest of embed/ logs. These release the GIL while they wait for the log to be written:
 * nobody may read the log, and the other threads of the script go on all the same.
 */
#pragma once

#include "bridge/py_bridge.h"

struct ntd_wait;

/* ---- log.c: each of these is called with the GIL held, and releases it while it waits */

/* Has everything that has been logged written, and handed to loggers written in Python. Called
 * after whatever logs in the core; py_unblock() calls it. An exception that is set stays. */
void py_log_deliver(struct py_state *state);
/* Emits an event. */
void py_log_emit(struct ntd_report *report, const struct ntd_event *event);
/* Emits a DETAIL without attributes, see ntd_log_detail(). */
void py_log_detail(struct ntd_report *report, enum ntd_detail detail, const char *machine,
		   const char *text);
/* Tells what a seed was drawn for. */
void py_log_seed(struct ntd_report *report, const char *what, const char *seed);
/* Logs a message; `machine` may be NULL. */
void py_log(struct ntd_report *report, enum ntd_level level, const char *machine, const char *fmt,
	    ...) ntd_printf(4, 5);
/* Logs lines of a failed test's report; `told`: of an error that a subtest has already told. */
void py_log_test_error(struct ntd_report *report, const char *text, bool told);
/* Begin and end a step. Takes `attributes`, which may be NULL; `subtest`: `text` is its title. */
void py_log_begin(struct ntd_nest *nest, struct ntd_report *report, enum ntd_step step,
		  const char *machine, const char *text, char **attributes, bool subtest);
/* Begin and end the step of a wait for a machine, whose limit people see; no step while the machine
 * is muted. */
void py_log_begin_wait(struct ntd_nest *nest, const struct ntd_wait *wait, const char *text);
void py_log_end_wait(struct ntd_nest *nest, const struct ntd_wait *wait, bool failed);
void py_log_end(struct ntd_nest *nest, bool failed);
/* Ends a step as failed when its object is freed. Delivers nothing, because no code of the script
 * may run then: the next delivery does. */
void py_log_abandon(struct ntd_nest *nest);

/* ---- terminal.c */

extern PyMethodDef py_log_functions[];
/* Has Python's standard output and error make way for each other and the log, if the log has a line
 * at the end of the terminal. -1 with an exception. */
int py_log_watch_output(struct py_state *state);

/* ---- logger_type.c: CompositeLogger */

struct py_logger {
	struct py_object head;
	struct ntd_report *report; /* the session's, or one that the session keeps */
	PyObject *list;            /* loggers written in Python */
};

int py_logger_add_type(PyObject *module, struct py_state *state);
/* The run's, of which there is one object; a new reference. */
PyObject *py_logger_object(struct py_state *state);
/* The report that a logger (None: the run's) writes to, or NULL with a TypeError. */
struct ntd_report *py_logger_report(PyObject *logger);

/* ---- logger_sink.c: loggers written in Python */

/* Tells the loggers in the list of all events of the report from now on. Does nothing if they are
 * told already. */
int py_logger_listen(struct py_state *state, struct ntd_report *report, PyObject *loggers);
/* Hands what is queued to them. */
void py_logger_deliver(struct py_state *state);

/* ---- step_type.c: the context managers of steps */

int py_step_add_type(PyObject *module, struct py_state *state);
/* A context manager for a step in a log; takes `attributes`. NULL for a report that is NULL. */
PyObject *py_step_object(struct ntd_report *report, const char *machine, const char *text,
			 char **attributes, bool subtest);
/* Enters the step that nested() of a logger returns, as `with` does. In the events it is a step of
 * that kind, unless nested() is a script's. */
PyObject *py_step_enter(PyObject *logger, enum ntd_step kind, const char *text);
/* Leaves the step, with the exception that is set if there is one, which stays; drops the
 * reference. */
void py_step_leave(PyObject *step);
/* Whether a subtest has failed because of the exception, and has logged it. */
bool py_step_told_by_subtest(PyObject *exception);
