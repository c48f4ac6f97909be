/* The inside of the embedding: what its files share. Everything that includes Python.h is in embed/.
 *
 * The GIL is released around every call into driver/ that can block, by one scope (ntd_block). Nothing in
 * driver/ ever takes the GIL; the hooks that it calls on script threads do so themselves (machine_hooks.c).
 */
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "base/error.h"
#include "base/text.h"
#include "loop/request.h"
#include "machine/command.h"
#include "machine/start_command.h"
#include "session/failure.h"

/* The program's name for messages. */
#define NTD_PROGRAM "nixos-test-driver"

struct ntd_module_state {
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
	struct ntd_logger_sink *logger_sinks;
	PyObject *script_text, *script_code;
	PyObject *
		watch; /* what waiting threads call now and then; see ntd_watch_function(), or NULL */
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
PyObject *ntd_module_init(void);
/* The module's state; with the GIL held, after start-up. */
struct ntd_module_state *ntd_module_state(void);
/* The state by a type of ours or a subclass of one. */
struct ntd_module_state *ntd_state_of(PyObject *self);

/* A method with keywords, for a PyMethodDef list. */
#define NTD_METHOD(name, function, doc)                                                            \
	{                                                                                          \
		name, (PyCFunction)(void (*)(void))(function), METH_VARARGS | METH_KEYWORDS, doc   \
	}

/* ---- scope.c: leaving Python for a while */

struct ntd_blocking {
	struct ntd_waiter waiter;
	struct ntd_session *session;
	sigset_t signals; /* the mask outside */
	PyThreadState *thread;
	int64_t began;
};

/* The scope of a waiter that a script's thread gave to the core, which may have copied it. */
static inline struct ntd_blocking *ntd_blocking_of(const struct ntd_waiter *waiter)
{
	return waiter->owner;
}

/* Releases the GIL and blocks signals for the scope; false, with an exception, when a signal's handler
 * raised one. Every call that returned true is followed by ntd_unblock(). */
bool ntd_block(struct ntd_blocking *blocking);
void ntd_unblock(struct ntd_blocking *blocking);
/* Inside the scope: Python for a while, for a hook or an attempt written in Python. ntd_back() returns to
 * the blocking state even when a signal's handler raised an exception; it is false then. */
void ntd_into_python(struct ntd_blocking *blocking);
bool ntd_back(struct ntd_blocking *blocking);

/* Evaluates a call into driver/ that can block, with `waiter` and `error` for it to use; its result
 * becomes `result`, and a negative one the exception. */
#define NTD_BLOCKING_CALL(result, call)                                                            \
	({                                                                                         \
		struct ntd_blocking blocking_;                                                     \
		struct ntd_error *error_ = NULL, **error = &error_;                                \
		struct ntd_waiter *waiter = &blocking_.waiter;                                     \
		(result) = -1;                                                                     \
		if (ntd_block(&blocking_)) {                                                       \
			(result) = (call);                                                         \
			ntd_unblock(&blocking_);                                                   \
			if ((result) < 0)                                                          \
				ntd_raise(ntd_module_state(), *error);                             \
		}                                                                                  \
		(result) >= 0;                                                                     \
	})

/* watch(function): what every wait that begins from now on calls at once and then after as many seconds as
 * it returned (None: not again). What it raises ends the wait. None instead of a function: nothing. */
PyObject *ntd_watch_function(PyObject *self, PyObject *function);
extern const char ntd_watch_doc[];

/* ---- errors.c */

/* Raises `error` as its exception and frees it; an exception that is set already stays. Returns NULL. */
PyObject *ntd_raise(struct ntd_module_state *state, struct ntd_error *error);
/* Adds the exceptions to the module. */
int ntd_add_exceptions(PyObject *module, struct ntd_module_state *state);
/* Turns the exception that is set into *err, leaving it set: for hooks called by the core. */
int ntd_error_from_python(struct ntd_error **err);

/* ---- convert.c */

/* Bytes as text: UTF-8, what is not UTF-8 replaced. */
PyObject *ntd_text(const struct ntd_buf *bytes);
PyObject *ntd_text_of(const char *text);
/* A str as a C string that belongs to it; for one with a NUL in it, which would end there, ValueError, which
 * says `what` it is. */
const char *ntd_utf8(PyObject *text, const char *what);
/* The str() of an object for people to read, a NUL in it as the two characters \0; a new string. */
char *ntd_shown_text(PyObject *object);
/* A str as UTF-8, bytes. A lone surrogate, as in names of files that are not UTF-8, is escaped: what is shown to the
 * user must not be refused for it. */
PyObject *ntd_escaped(PyObject *text);
/* pathlib.Path. */
PyObject *ntd_path(const char *path);
/* "O&" converters. Durations: None, int, float, timedelta, and texts of numbers as sleep(1) takes them; bool is a
 * TypeError. Seconds as double; NTD_NO_TIMEOUT for None. */
int ntd_convert_duration(PyObject *object, void *seconds);
/* str or os.PathLike; the pointer belongs to a new reference in struct ntd_path_arg. */
struct ntd_path_arg {
	PyObject *owner;
	const char *text;
};
int ntd_convert_path(PyObject *object, void *path_arg);
/* The text that f"{object}" is, of an object that stands for text: a str, a path, an address and so on. NULL without
 * an exception for others. */
PyObject *ntd_formatted(PyObject *object);
/* That text, for what becomes part of a command; the same type of argument as of paths. */
int ntd_convert_text(PyObject *object, void *path_arg);
/* What is logged, to a char *: any text, as ntd_shown_text() gives it. */
int ntd_convert_message(PyObject *object, void *message);
int ntd_convert_text_or_none(PyObject *object, void *path_arg);
/* A port, an int: the number or its text. */
int ntd_convert_port(PyObject *object, void *port);
/* Compiles a regular expression for str; re.error, or a TypeError that names the parameter. */
PyObject *ntd_regex(PyObject *object, const char *parameter);
static inline void ntd_cleanup_pyref(PyObject **object)
{
	Py_XDECREF(*object);
}
#define _cleanup_pyref_ _cleanup_(ntd_cleanup_pyref)
static inline void ntd_cleanup_path_arg(struct ntd_path_arg *arg)
{
	Py_XDECREF(arg->owner);
}
#define _cleanup_path_ _cleanup_(ntd_cleanup_path_arg)
/* A name from {str: str} attributes to the report's form; NULL with an exception. May be None. */
int ntd_convert_attributes(PyObject *object, char ***attributes);

/* ---- arguments.c */

/* Calls a function or a class of a module, which is imported if need be. `format` is that of Py_BuildValue(), in
 * parentheses, so that it makes a tuple. */
PyObject *ntd_call(const char *module, const char *name, const char *format, ...);

/* PyArg_ParseTupleAndKeywords(), with errors that name the function and the parameter. `format` ends in
 * ":FUNCTION". Warns of durations that are bare numbers. */
bool ntd_parse(PyObject *args, PyObject *kwargs, const char *format, char **names, ...);
/* For a parameter that has two names, the older of which is number `older` in `names` and the newer is the next: false,
 * with a TypeError, when the caller gives both. A name that is given as None counts as not given. */
bool ntd_one_of_two(PyObject *args, PyObject *kwargs, char *const *names, Py_ssize_t older,
		    const char *function);
/* For converters: refuses the object with an exception that ntd_parse() completes; returns 0. */
int ntd_refuse(PyObject *object, PyObject *type, const char *message);
/* The newest upstream's warning if `value` is a bare number; -1 with an exception. By default it is shown
 * once a function. */
int ntd_warn_of_number(PyObject *value, const char *function);

/* ---- object_type.c: the base of the types that scripts see */

/* The beginning of each object. */
struct ntd_object {
	PyObject_HEAD
	PyObject *dict, *weakrefs;
};

/* Makes a type and adds it to the module. `base` NULL: the type Object, from which in the end all derive. The
 * methods are lists, the last of them NULL. What has references of its own traverses and clears them beside those
 * of the base; what has none need not say that it is collected. */
int ntd_add_type(PyObject *module, PyType_Spec *spec, PyTypeObject *base,
		 PyMethodDef *const *methods, PyTypeObject **place);
int ntd_object_traverse(PyObject *object, visitproc visit, void *arg);
int ntd_object_clear(PyObject *object);
/* For a tp_dealloc that frees more than references: the one at its beginning, which returns false when the
 * object lives on; the other at its end, which clears the references. */
bool ntd_object_end(PyObject *object);
void ntd_object_free(PyObject *object);
/* For __copy__: the one makes an empty object of the same class; the other, once the copy has what is the driver's,
 * gives it the attributes of a script's own, which can call the script. That returns the copy, or drops it. */
PyObject *ntd_object_like(PyObject *object);
PyObject *ntd_object_finish_copy(PyObject *object, PyObject *copy);

/* ---- own_value.c */
/* A getter and a setter; their closure is a struct ntd_value. */
struct ntd_value {
	const char *name;
	PyObject *(*get)(PyObject *object, void *closure); /* until a script sets it */
	void *closure;
};

PyObject *ntd_get_value(PyObject *object, void *closure);
int ntd_set_value(PyObject *object, PyObject *to, void *closure);
/* What a script has set it to, borrowed; NULL: nothing. */
PyObject *ntd_own_value(PyObject *object, const char *name);
/* -1 with an exception. */
int ntd_set_own_value(PyObject *object, const char *name, PyObject *value);

/* ---- method_type.c */
PyObject *ntd_method_object(struct ntd_module_state *state, PyTypeObject *type,
			    PyMethodDef *definition);
/* Whether the object is a method of ours with the interned name. */
bool ntd_is_method(const struct ntd_module_state *state, PyObject *object, PyObject *name);
/* Notes what the type's method of that name calls, if it has one. */
void ntd_method_calls(const struct ntd_module_state *state, PyTypeObject *type, PyObject *name,
		      uint64_t calls);

/* ---- machine_calls.c: sets of methods are those of the rows of its table */
/* After the types of machines. */
int ntd_add_calls(struct ntd_module_state *state);
/* Whether a script has put something in the place of one of these methods of a machine. */
bool ntd_calls_are_replaced(const struct ntd_module_state *state, PyObject *object, uint64_t calls);

/* ---- types: each makes its type and adds it to the module */
int ntd_add_object_type(PyObject *module, struct ntd_module_state *state);
int ntd_add_method_type(PyObject *module, struct ntd_module_state *state);
/* The base comes before the others. */
int ntd_add_base_machine_type(PyObject *module, struct ntd_module_state *state);
int ntd_add_qemu_machine_type(PyObject *module, struct ntd_module_state *state);
int ntd_add_nspawn_machine_type(PyObject *module, struct ntd_module_state *state);
int ntd_add_vlan_type(PyObject *module, struct ntd_module_state *state);
int ntd_add_driver_type(PyObject *module, struct ntd_module_state *state);
int ntd_add_logger_type(PyObject *module, struct ntd_module_state *state);
int ntd_add_step_type(PyObject *module, struct ntd_module_state *state);
int ntd_add_qmp_type(PyObject *module, struct ntd_module_state *state);
int ntd_add_timer_type(PyObject *module, struct ntd_module_state *state);
int ntd_add_lazy_type(PyObject *module, struct ntd_module_state *state);

/* New objects; `machine` stays the session's. */
PyObject *ntd_machine_object(struct ntd_module_state *state, struct ntd_machine *machine);
PyObject *ntd_vlan_object(struct ntd_module_state *state, struct ntd_vlan *vlan);
PyObject *ntd_logger_object(struct ntd_module_state *state);
/* Where a logger (None: the run's) writes to, or NULL with a TypeError. */
struct ntd_report *ntd_logger_report(PyObject *logger);
PyObject *ntd_driver_object(struct ntd_module_state *state);
/* At the end of a run: has the machines released whose release() is a script's; the session does the others. */
void ntd_driver_release_others(PyObject *driver);
/* Cancels a script's own driver.race_timer, if there is one, whose thread would outlive the script. */
void ntd_driver_cancel_own_timer(PyObject *object);
/* A context manager for a step in a log; takes `attributes`. NULL for the report: NULL. */
PyObject *ntd_step_object(struct ntd_report *report, const char *machine, const char *text,
			  char **attributes, bool subtest);
/* Enters the step that a log's nested() returns, as `with` does; NULL with an exception. */
PyObject *ntd_enter_step(PyObject *logger, const char *text);
/* Leaves it, with the exception that is set, if one is, and which stays; drops the reference. */
void ntd_leave_step(PyObject *step);
/* Whether a subtest has failed of the exception, and has logged it. */
bool ntd_told_by_subtest(PyObject *exception);
/* Stands for what `make` returns, which is called when an attribute of it is first asked for. */
PyObject *ntd_lazy_object(struct ntd_module_state *state,
			  PyObject *(*make)(struct ntd_module_state *state));
/* The machine of a machine object, or NULL with a TypeError. */
struct ntd_machine *ntd_machine_of(PyObject *object);
/* Whether a machine can have the name: false with a ValueError. */
bool ntd_check_machine_name(const char *name);

/* ---- logger_sink.c; with the GIL held */
/* Has what has been logged so far written, without the GIL meanwhile, and hands it to loggers written in Python: after
 * whatever logs, before the script goes on, unless ntd_unblock() follows. */
void ntd_deliver_to_loggers(struct ntd_module_state *state);
/* Emits an event and does that. */
void ntd_emit(struct ntd_report *report, const struct ntd_event *event);

/* ---- retry.c */
/* retry(fn, timeout_seconds=None, timeout=None) */
PyObject *ntd_retry_function(PyObject *self, PyObject *args, PyObject *kwargs);
extern const char ntd_retry_doc[];

/* ---- start_command.c: methods of the module */
PyObject *ntd_start_command_line_function(PyObject *self, PyObject *args);
extern const char ntd_start_command_line_doc[];
PyObject *ntd_start_script_name_function(PyObject *self, PyObject *args);
extern const char ntd_start_script_name_doc[];
PyObject *ntd_kvm_probe_function(PyObject *self, PyObject *unused);
extern const char ntd_kvm_probe_doc[];
PyObject *ntd_key_name_function(PyObject *self, PyObject *args);
extern const char ntd_key_name_doc[];

/* ---- machine_interact.c: a method of the module */
PyObject *ntd_show_serial_function(PyObject *self, PyObject *shown);
extern const char ntd_show_serial_doc[];

/* ---- script.c */
/* The code of a script, a tuple of what is to be executed one after the other, or NULL with an exception. Its
 * assertions explain themselves; a script without any does not pay for it. */
PyObject *ntd_script_code(PyObject *text);
/* Reads and compiles the test script: -1 with an exception. */
int ntd_compile_script(struct ntd_module_state *state);
/* Runs it once with fresh globals, as driver.test_script(): -1 with an exception. */
int ntd_execute_script(struct ntd_module_state *state);
/* Runs compiled code as the script of a driver: -1 with an exception. */
int ntd_execute_code(PyObject *driver, PyObject *parts);
/* Runs it as the test of this run; returns the exit status. */
int ntd_run_script(struct ntd_module_state *state);
/* Prints "additionally exposed symbols:" and the names. */
int ntd_print_symbols(PyObject *driver, PyObject *symbols);
/* Makes the script's lines known to what shows tracebacks. */
int ntd_remember_script(struct ntd_module_state *state);
/* The exit status that a SystemExit means. A message in it is printed. */
int ntd_status_of_exit(PyObject *exception);
/* Reports the exception that is set, and clears it; returns the exit status that it means. */
int ntd_report_exception(struct ntd_module_state *state);

/* ---- ending.c */
/* Writes what is in the buffers of all open files. */
void ntd_write_files(void);
/* What the end of a Python program does, on the main thread, after a run with this exit status; does not return if
 * the process ends otherwise meanwhile. */
void ntd_finish_python(struct ntd_session *session, int status);
/* The same beside the main thread, until the deadline; see struct ntd_session. */
void ntd_finish_script(struct ntd_session *session, int64_t deadline);

/* ---- forked.c: processes that the script forks */
/* Has them told from the script's own; after Python's start. */
int ntd_watch_forks(struct ntd_module_state *state, struct ntd_error **err);
/* In such a process, with the GIL held: true, with an exception. */
bool ntd_refuse_if_forked(void);
/* In such a process: ends it, with an exit status or that of the exception that is set. */
void ntd_leave_if_forked(int status);
void ntd_end_if_forked(struct ntd_module_state *state);

/* ---- prompt.c */
/* A prompt with a script's names instead of the script; returns the exit status. */
int ntd_run_interactively(struct ntd_module_state *state);
/* Warns if the run should pause after a failure, but cannot. */
void ntd_announce_pause(struct ntd_module_state *state);
/* Whether there should be a prompt because of the exception that is set, which stays; then there is no time
 * limit any more. */
bool ntd_pause_wanted(struct ntd_module_state *state);
/* Whether --pause-on-failure is given, and there is a terminal to do it. */
bool ntd_can_pause(const struct ntd_module_state *state);
/* That prompt, with the names of a test that failed; the run may go on after it. -1 with SystemExit for exit(). */
int ntd_pause_at(struct ntd_module_state *state, PyObject *symbols, const char *banner);
/* That prompt, with the names of the script that failed; returns the exit status. */
int ntd_pause(struct ntd_module_state *state, int status);

/* ---- symbols.c: the program generate-driver-symbols; returns its exit status */
int ntd_generate_symbols(char **argv);

/* ---- signals.c */
/* Holds these signals back until they are handled; called before the first thread. */
void ntd_signals_hold(void);
/* Installs the handling of SIGINT, SIGTERM and SIGHUP; after Python's start. */
int ntd_signals_install(struct ntd_session *session, struct ntd_error **err);
void ntd_signals_remove(struct ntd_session *session);
/* In a process that the script has forked: signals are its own, and do there what they do to any program. */
void ntd_signals_forked(void);
/* At a prompt: prompts written in Python install handlers of their own, and Python's in C with them. Puts
 * ours in C back, which calls theirs and interrupts waits. */
void ntd_signals_keep(void);
/* The last signal if it was one that ends the run, SIGTERM or SIGHUP; else 0. */
int ntd_signals_ending(void);
/* A user sits at a prompt, and may interrupt as often as he likes. */
void ntd_signals_attended(bool attended);
bool ntd_signals_are_attended(void);

/* ---- style.c */
/* Chooses the syntax of the script, which has this text; NULL: it is a directory. -1 with an exception, which
 * may be a SyntaxError. */
int ntd_choose_style(struct ntd_module_state *state, PyObject *text);
/* NTD_E_USAGE when the command line does not go with the script's style. */
int ntd_check_style(const struct ntd_module_state *state, struct ntd_error **err);
bool ntd_script_is_directory(const struct ntd_module_state *state);

/* ---- pytest_run.c */
/* Runs the tests; their exit status is in state->pytest_status. -1 with an exception. */
int ntd_execute_pytest(struct ntd_module_state *state);
/* Functions for test_driver_pytest. */
extern PyMethodDef ntd_pytest_functions[];

/* ---- python.c */
/* Starts the interpreter; argv[0] is what sys.argv shows. */
int ntd_python_start(char *const *argv, struct ntd_error **err);
