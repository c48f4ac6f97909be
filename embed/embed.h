/* The inside of the embedding: what its files share. Everything that includes Python.h is in
 * embed/.
 *
 * The GIL is released around every call into driver/ that can block, by one scope (py_block).
 * Nothing in driver/ ever takes the GIL; the hooks that it calls on script threads do so themselves
 * (machine_hooks.c).
 */
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "base/error.h"
#include "base/text.h"
#include "guest/command.h"
#include "loop/request.h"
#include "qemu/start_command.h"
#include "session/failure.h"

/* The program's name for messages. */
#define NTD_PROGRAM "nixos-test-driver"

struct py_state {
	struct ntd_session *session;
	PyObject *machine_error, *requested_assertion_failed;
	PyObject *machine_died, *machine_timeout, *protocol_error;
	PyTypeObject *qemu_machine_type, *nspawn_machine_type, *vlan_type, *driver_type,
		*logger_type, *step_type;
	PyTypeObject *qmp_type;
	PyTypeObject *base_machine_type, *lazy_type, *timer_type;
	PyTypeObject *object_type, *method_type;
	PyObject *call_names; /* tuple: the methods in the table of machine_calls.c */
	uint64_t *calls;      /* what each of them calls */
	PyObject *driver;     /* the Driver of this run */
	PyObject *logger;     /* its log */
	struct py_logger_sink *logger_sinks;
	PyObject *script_text, *script_code;
	/* what waiting threads call now and then; see py_watch_function(), or NULL */
	PyObject *watch;
	PyObject *script_symbols;   /* with --pause-on-failure: the globals of its execution */
	PyObject *warned;           /* what warnings have been shown; see arguments.c */
	struct ntd_machine *unborn; /* see machine_new.c */
	enum ntd_mode mode;         /* of the script, chosen; see style.c */
	char *mode_reason;
	int64_t blocked; /* ns that scripts have spent in calls that block; see scope.c */
	struct ntd_sink *recall, *times; /* the rest is of pytest_run.c */
	struct ntd_nest test;
	int pytest_status;
};

/* The module _test_driver, which the package test_driver re-exports. */
PyObject *py_module_init(void);
/* The module's state; with the GIL held, after start-up. */
struct py_state *py_state(void);
/* The state by a type of ours or a subclass of one. */
struct py_state *py_state_of(PyObject *self);

/* A method with keywords, for a PyMethodDef list. */
#define PY_METHOD(name, function, doc)                                                             \
	{                                                                                          \
		name, (PyCFunction)(void (*)(void))(function), METH_VARARGS | METH_KEYWORDS, doc   \
	}

/* ---- scope.c: leaving Python for a while */

struct py_blocking {
	struct ntd_waiter waiter;
	struct ntd_session *session;
	sigset_t signals; /* the mask outside */
	PyThreadState *thread;
	int64_t began;
};

/* The scope of a waiter that a script's thread gave to the core, which may have copied it. */
static inline struct py_blocking *py_blocking_of(const struct ntd_waiter *waiter)
{
	return waiter->owner;
}

/* Releases the GIL and blocks signals for the scope; false, with an exception, when a signal's
 * handler raised one. Every call that returned true is followed by py_unblock(). */
bool py_block(struct py_blocking *blocking);
void py_unblock(struct py_blocking *blocking);
/* Inside the scope: Python for a while, for a hook or an attempt written in Python. py_back()
 * returns to the blocking state even when a signal's handler raised an exception; it is false then.
 */
void py_into_python(struct py_blocking *blocking);
bool py_back(struct py_blocking *blocking);

/* Evaluates a call into driver/ that can block, with `waiter` and `error` for it to use; its result
 * becomes `result`, and a negative one the exception. */
#define PY_BLOCKING_CALL(result, call)                                                             \
	({                                                                                         \
		struct py_blocking blocking_;                                                      \
		struct ntd_error *error_ = NULL, **error = &error_;                                \
		struct ntd_waiter *waiter = &blocking_.waiter;                                     \
		(result) = -1;                                                                     \
		if (py_block(&blocking_)) {                                                        \
			(result) = (call);                                                         \
			py_unblock(&blocking_);                                                    \
			if ((result) < 0)                                                          \
				py_raise(py_state(), *error);                                      \
		}                                                                                  \
		(result) >= 0;                                                                     \
	})

/* watch(function): what every wait that begins from now on calls at once and then after as many
 * seconds as it returned (None: not again). What it raises ends the wait. None instead of a
 * function: nothing. */
PyObject *py_watch_function(PyObject *self, PyObject *function);
extern const char py_watch_doc[];

/* ---- errors.c */

/* Raises `error` as its exception and frees it; an exception that is set already stays. Returns
 * NULL. */
PyObject *py_raise(struct py_state *state, struct ntd_error *error);
/* Adds the exceptions to the module. */
int py_add_exceptions(PyObject *module, struct py_state *state);
/* Turns the exception that is set into *err, leaving it set: for hooks called by the core. */
int py_error_from_python(struct ntd_error **err);

/* ---- convert.c */

/* Bytes as text: UTF-8, what is not UTF-8 replaced. */
PyObject *py_text(const struct ntd_buf *bytes);
PyObject *py_text_of(const char *text);
/* A str as a C string that belongs to it; for one with a NUL in it, which would end there,
 * ValueError, which says `what` it is. */
const char *py_utf8(PyObject *text, const char *what);
/* The str() of an object for people to read, a NUL in it as the two characters \0; a new string. */
char *py_shown_text(PyObject *object);
/* A str as UTF-8, bytes. A lone surrogate, as in names of files that are not UTF-8, is escaped:
 * what is shown to the user must not be refused for it. */
PyObject *py_escaped(PyObject *text);
/* pathlib.Path. */
PyObject *py_path(const char *path);
/* "O&" converters. Durations: None, int, float, timedelta, and texts of numbers as sleep(1) takes
 * them; bool is a TypeError. Seconds as double; NTD_NO_TIMEOUT for None. */
int py_convert_duration(PyObject *object, void *seconds);
/* str or os.PathLike; the pointer belongs to a new reference in struct py_path_arg. */
struct py_path_arg {
	PyObject *owner;
	const char *text;
};
int py_convert_path(PyObject *object, void *path_arg);
/* The text that f"{object}" is, of an object that stands for text: a str, a path, an address and so
 * on. NULL without an exception for others. */
PyObject *py_formatted(PyObject *object);
/* That text, for what becomes part of a command; the same type of argument as of paths. */
int py_convert_text(PyObject *object, void *path_arg);
/* What is logged, to a char *: any text, as py_shown_text() gives it. */
int py_convert_message(PyObject *object, void *message);
int py_convert_text_or_none(PyObject *object, void *path_arg);
/* A port, an int: the number or its text. */
int py_convert_port(PyObject *object, void *port);
/* Compiles a regular expression for str; re.error, or a TypeError that names the parameter. */
PyObject *py_regex(PyObject *object, const char *parameter);
static inline void py_cleanup_pyref(PyObject **object)
{
	Py_XDECREF(*object);
}
#define _cleanup_pyref_ _cleanup_(py_cleanup_pyref)
static inline void py_cleanup_path_arg(struct py_path_arg *arg)
{
	Py_XDECREF(arg->owner);
}
#define _cleanup_path_ _cleanup_(py_cleanup_path_arg)
/* A name from {str: str} attributes to the report's form; NULL with an exception. May be None. */
int py_convert_attributes(PyObject *object, char ***attributes);

/* ---- arguments.c */

/* Calls a function or a class of a module, which is imported if need be. `format` is that of
 * Py_BuildValue(), in parentheses, so that it makes a tuple. */
PyObject *py_call(const char *module, const char *name, const char *format, ...);

/* PyArg_ParseTupleAndKeywords(), with errors that name the function and the parameter. `format`
 * ends in
 * ":FUNCTION". Warns of durations that are bare numbers. */
bool py_parse(PyObject *args, PyObject *kwargs, const char *format, char **names, ...);
/* For a parameter that has two names, the older of which is number `older` in `names` and the newer
 * is the next: false, with a TypeError, when the caller gives both. A name that is given as None
 * counts as not given. */
bool py_one_of_two(PyObject *args, PyObject *kwargs, char *const *names, Py_ssize_t older,
		   const char *function);
/* For converters: refuses the object with an exception that py_parse() completes; returns 0. */
int py_refuse(PyObject *object, PyObject *type, const char *message);
/* The newest upstream's warning if `value` is a bare number; -1 with an exception. By default it is
 * shown once a function. */
int py_warn_of_number(PyObject *value, const char *function);

/* ---- object_type.c: the base of the types that scripts see */

/* The beginning of each object. */
struct py_object {
	PyObject_HEAD
	PyObject *dict, *weakrefs;
};

/* Makes a type and adds it to the module. `base` NULL: the type Object, from which in the end all
 * derive. The methods are lists, the last of them NULL. What has references of its own traverses
 * and clears them beside those of the base; what has none need not say that it is collected. */
int py_add_type(PyObject *module, PyType_Spec *spec, PyTypeObject *base,
		PyMethodDef *const *methods, PyTypeObject **place);
int py_object_traverse(PyObject *object, visitproc visit, void *arg);
int py_object_clear(PyObject *object);
/* For a tp_dealloc that frees more than references: the one at its beginning, which returns false
 * when the object lives on; the other at its end, which clears the references. */
bool py_object_end(PyObject *object);
void py_object_free(PyObject *object);
/* For __copy__: the one makes an empty object of the same class; the other, once the copy has what
 * is the driver's, gives it the attributes of a script's own, which can call the script. That
 * returns the copy, or drops it. */
PyObject *py_object_like(PyObject *object);
PyObject *py_object_finish_copy(PyObject *object, PyObject *copy);

/* ---- own_value.c */
/* A getter and a setter; their closure is a struct py_value. */
struct py_value {
	const char *name;
	PyObject *(*get)(PyObject *object, void *closure); /* until a script sets it */
	void *closure;
};

PyObject *py_value_get(PyObject *object, void *closure);
int py_value_set(PyObject *object, PyObject *to, void *closure);
/* What a script has set it to, borrowed; NULL: nothing. */
PyObject *py_value_own(PyObject *object, const char *name);
/* -1 with an exception. */
int py_value_set_own(PyObject *object, const char *name, PyObject *value);

/* ---- method_type.c */
PyObject *py_method_object(struct py_state *state, PyTypeObject *type, PyMethodDef *definition);
/* Whether the object is a method of ours with the interned name. */
bool py_method_is(const struct py_state *state, PyObject *object, PyObject *name);
/* Notes what the type's method of that name calls, if it has one. */
void py_method_calls(const struct py_state *state, PyTypeObject *type, PyObject *name,
		     uint64_t calls);

/* ---- machine_calls.c: sets of methods are those of the rows of its table */
/* After the types of machines. */
int py_machine_add_calls(struct py_state *state);
/* Whether a script has put something in the place of one of these methods of a machine. */
bool py_machine_calls_are_replaced(const struct py_state *state, PyObject *object, uint64_t calls);

/* ---- types: each makes its type and adds it to the module */
int py_add_object_type(PyObject *module, struct py_state *state);
int py_add_method_type(PyObject *module, struct py_state *state);
/* The base comes before the others. */
int py_add_base_machine_type(PyObject *module, struct py_state *state);
int py_add_qemu_machine_type(PyObject *module, struct py_state *state);
int py_add_nspawn_machine_type(PyObject *module, struct py_state *state);
int py_add_vlan_type(PyObject *module, struct py_state *state);
int py_add_driver_type(PyObject *module, struct py_state *state);
int py_add_logger_type(PyObject *module, struct py_state *state);
int py_add_step_type(PyObject *module, struct py_state *state);
int py_add_qmp_type(PyObject *module, struct py_state *state);
int py_add_timer_type(PyObject *module, struct py_state *state);
int py_add_lazy_type(PyObject *module, struct py_state *state);

/* New objects; `machine` stays the session's. */
PyObject *py_machine_object(struct py_state *state, struct ntd_machine *machine);
PyObject *py_vlan_object(struct py_state *state, struct ntd_vlan *vlan);
PyObject *py_logger_object(struct py_state *state);
/* Where a logger (None: the run's) writes to, or NULL with a TypeError. */
struct ntd_report *py_logger_report(PyObject *logger);
PyObject *py_driver_object(struct py_state *state);
/* At the end of a run: has the machines released whose release() is a script's; the session does
 * the others. */
void py_driver_release_others(PyObject *driver);
/* Cancels a script's own driver.race_timer, if there is one, whose thread would outlive the
 * script. */
void py_driver_cancel_own_timer(PyObject *object);
/* A context manager for a step in a log; takes `attributes`. NULL for the report: NULL. */
PyObject *py_step_object(struct ntd_report *report, const char *machine, const char *text,
			 char **attributes, bool subtest);
/* Enters the step that a log's nested() returns, as `with` does; NULL with an exception. In the
 * events it is a step of that kind, unless nested() is a script's. */
PyObject *py_step_enter(PyObject *logger, enum ntd_step kind, const char *text);
/* Leaves it, with the exception that is set, if one is, and which stays; drops the reference. */
void py_step_leave(PyObject *step);
/* Whether a subtest has failed of the exception, and has logged it. */
bool py_step_told_by_subtest(PyObject *exception);
/* Stands for what `make` returns, which is called when an attribute of it is first asked for. */
PyObject *py_lazy_object(struct py_state *state, PyObject *(*make)(struct py_state *state));
/* The machine of a machine object, or NULL with a TypeError. */
struct ntd_machine *py_machine_of(PyObject *object);
/* Whether a machine can have the name: false with a ValueError. */
bool py_machine_check_name(const char *name);

/* ---- logger_sink.c; with the GIL held */
/* Has what has been logged so far written, without the GIL meanwhile, and hands it to loggers
 * written in Python: after whatever logs, before the script goes on, unless py_unblock() follows.
 */
void py_log_deliver(struct py_state *state);
/* Emits an event and does that. */
void py_log_emit(struct ntd_report *report, const struct ntd_event *event);

/* ---- retry.c */
/* retry(fn, timeout_seconds=None, timeout=None) */
PyObject *py_retry_function(PyObject *self, PyObject *args, PyObject *kwargs);
extern const char py_retry_doc[];

/* ---- start_command.c: methods of the module */
PyObject *py_start_command_line_function(PyObject *self, PyObject *args);
extern const char py_start_command_line_doc[];
PyObject *py_start_script_name_function(PyObject *self, PyObject *args);
extern const char py_start_script_name_doc[];
PyObject *py_kvm_probe_function(PyObject *self, PyObject *unused);
extern const char py_kvm_probe_doc[];
PyObject *py_key_name_function(PyObject *self, PyObject *args);
extern const char py_key_name_doc[];

/* ---- machine_interact.c: a method of the module */
PyObject *py_show_serial_function(PyObject *self, PyObject *shown);
extern const char py_show_serial_doc[];

/* ---- script.c */
/* The code of a script, a tuple of what is to be executed one after the other, or NULL with an
 * exception. Its assertions explain themselves; a script without any does not pay for it. */
PyObject *py_script_code(PyObject *text);
/* Reads and compiles the test script: -1 with an exception. */
int py_script_compile(struct py_state *state);
/* Runs it once with fresh globals, as driver.test_script(): -1 with an exception. */
int py_script_execute(struct py_state *state);
/* Runs compiled code as the script of a driver: -1 with an exception. */
int py_script_execute_code(PyObject *driver, PyObject *parts);
/* Runs it as the test of this run; returns the exit status. */
int py_script_run(struct py_state *state);
/* Prints "additionally exposed symbols:" and the names. */
int py_script_print_symbols(PyObject *driver, PyObject *symbols);
/* Makes the script's lines known to what shows tracebacks. */
int py_script_remember(struct py_state *state);
/* The exit status that a SystemExit means. A message in it is printed. */
int py_script_exit_status(PyObject *exception);
/* Reports the exception that is set, and clears it; returns the exit status that it means. */
int py_script_report_exception(struct py_state *state);

/* ---- ending.c */
/* Writes what is in the buffers of all open files. */
void py_ending_write_files(void);
/* What the end of a Python program does, on the main thread, after a run with this exit status;
 * does not return if the process ends otherwise meanwhile. */
void py_ending_finish_python(struct ntd_session *session, int status);
/* The same beside the main thread, until the deadline; see struct ntd_session. */
void py_ending_finish_script(struct ntd_session *session, int64_t deadline);

/* ---- forked.c: processes that the script forks */
/* Has them told from the script's own; after Python's start. */
int py_forked_watch(struct py_state *state, struct ntd_error **err);
/* In such a process, with the GIL held: true, with an exception. */
bool py_forked_refuse(void);
/* In such a process: ends it, with an exit status or that of the exception that is set. */
void py_forked_leave(int status);
void py_forked_end(struct py_state *state);

/* ---- prompt.c */
/* A prompt with a script's names instead of the script; returns the exit status. */
int py_prompt_run(struct py_state *state);
/* Warns if the run should pause after a failure, but cannot. */
void py_prompt_announce_pause(struct py_state *state);
/* Whether there should be a prompt because of the exception that is set, which stays; then there is
 * no time limit any more. */
bool py_prompt_pause_wanted(struct py_state *state);
/* Whether --pause-on-failure is given, and there is a terminal to do it. */
bool py_prompt_can_pause(const struct py_state *state);
/* That prompt, with the names of a test that failed; the run may go on after it. -1 with SystemExit
 * for exit(). */
int py_prompt_pause_at(struct py_state *state, PyObject *symbols, const char *banner);
/* That prompt, with the names of the script that failed; returns the exit status. */
int py_prompt_pause(struct py_state *state, int status);

/* ---- symbols.c: the program generate-driver-symbols; returns its exit status */
int py_symbols_generate(char **argv);

/* ---- signals.c */
/* Holds these signals back until they are handled; called before the first thread. */
void py_signals_hold(void);
/* Installs the handling of SIGINT, SIGTERM and SIGHUP; after Python's start. */
int py_signals_install(struct ntd_session *session, struct ntd_error **err);
void py_signals_remove(struct ntd_session *session);
/* In a process that the script has forked: signals are its own, and do there what they do to any
 * program. */
void py_signals_forked(void);
/* At a prompt: prompts written in Python install handlers of their own, and Python's in C with
 * them. Puts ours in C back, which calls theirs and interrupts waits. */
void py_signals_keep(void);
/* The last signal if it was one that ends the run, SIGTERM or SIGHUP; else 0. */
int py_signals_ending(void);
/* A user sits at a prompt, and may interrupt as often as he likes. */
void py_signals_attended(bool attended);
bool py_signals_are_attended(void);

/* ---- style.c */
/* Chooses the syntax of the script, which has this text; NULL: it is a directory. -1 with an
 * exception, which may be a SyntaxError. */
int py_style_choose(struct py_state *state, PyObject *text);
/* NTD_E_USAGE when the command line does not go with the script's style. */
int py_style_check(const struct py_state *state, struct ntd_error **err);
bool py_style_is_directory(const struct py_state *state);

/* ---- pytest_run.c */
/* Runs the tests; their exit status is in state->pytest_status. -1 with an exception. */
int py_pytest_execute(struct py_state *state);
/* Functions for test_driver_pytest. */
extern PyMethodDef py_pytest_functions[];

/* ---- python.c */
/* Starts the interpreter; argv[0] is what sys.argv shows. */
int py_python_start(char *const *argv, struct ntd_error **err);
