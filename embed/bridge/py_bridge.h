/* The bridge between the C core and Python: what every other room of embed/ builds on. Everything
 * that includes Python.h is in embed/, and what embed/ declares begins with `py_`.
 *
 * The GIL is released around every call into driver/ that can block, by one scope
 * (PY_BLOCKING_CALL), or where no signal need end the call, by PY_WITHOUT_GIL. Nothing in driver/
 * ever takes the GIL; the hooks that driver/ calls on script threads take it by the opposite scope
 * (PY_IN_PYTHON). Unless a function says otherwise, its caller holds the GIL, and NULL, -1 or false
 * as a result comes with a Python exception.
 */
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "base/error.h"
#include "base/text.h"
#include "loop/request.h"
#include "session/session.h"

/* The program's name for messages. */
#define NTD_PROGRAM "nixos-test-driver"

/* The name of the script's file for Python. */
#define PY_SCRIPT_NAME "<string>"

/* ---- state.c: the state of the module _test_driver, one for the process */

struct py_state {
	/* bridge/ */
	struct ntd_session *session;
	PyObject *machine_error, *requested_assertion_failed;
	PyObject *machine_died, *machine_timeout, *protocol_error;
	PyTypeObject *object_type, *method_type, *lazy_type;
	PyObject *watch;  /* what waiting threads call now and then (scope.c), or NULL */
	PyObject *warned; /* which warnings have been shown (arguments.c) */
	int64_t blocked;  /* ns that scripts have spent in calls that block */
	/* The numbers of the test's sources by their files' names (place.c), 0 for other files;
	 * NULL before the first. */
	PyObject *sources;
	unsigned source_count;

	/* What the bridge calls of rooms above it; set when their types are added. */
	void (*deliver_log)(struct py_state *state); /* py_log_deliver() */
	/* Whether a script has replaced one of these methods (a set of rows) of the object. */
	bool (*calls_are_replaced)(const struct py_state *state, PyObject *object, uint64_t calls);

	/* log/ */
	PyTypeObject *logger_type, *step_type;
	PyObject *logger; /* the log of the run */
	struct py_logger_sink *logger_sinks;

	/* machine/ */
	PyTypeObject *base_machine_type, *qemu_machine_type, *nspawn_machine_type, *qmp_type;
	PyObject *call_names;       /* tuple: the methods in the table of calls.c */
	uint64_t *calls;            /* for each of them, the set of methods that it calls */
	struct ntd_machine *unborn; /* stands for machines before their __init__ (new.c) */

	/* run/ */
	PyObject *script_text, *script_code;
	PyObject *script_symbols; /* with --pause-on-failure: the globals of the script's run */
	enum ntd_mode mode;       /* the script's style, once chosen (style.c) */
	char *mode_reason;
	struct ntd_sink *recall, *times; /* of pytest style runs (pytest_run.c) */
	struct ntd_nest test;            /* the test that runs */
	char **run_attributes;           /* what the end of the run's step tells of it */
	int pytest_status;

	/* driver/ */
	PyTypeObject *driver_type, *timer_type, *vlan_type;
	PyObject *driver; /* the Driver of this run */
};

/* The state, from when the module is made until the process ends. Works on any thread. */
struct py_state *py_state(void);
/* Makes the state of this module that of the process, unless a module was made before. Returns the
 * module whose state it is, borrowed. */
PyObject *py_state_set(PyObject *module);
/* For the module's definition. */
int py_state_traverse(struct py_state *state, visitproc visit, void *arg);
void py_state_clear(struct py_state *state);

/* ---- text.c: texts, and calls of functions written in Python */

static inline void py_cleanup_pyref(PyObject **object)
{
	Py_XDECREF(*object);
}
#define _cleanup_pyref_ _cleanup_(py_cleanup_pyref)

/* Bytes as a str: UTF-8, with U+FFFD for what is not UTF-8. */
PyObject *py_text(const struct ntd_buf *bytes);
PyObject *py_text_of(const char *text);
/* A str as a C string, which belongs to the str. For a NUL in it, which would end the C string:
 * ValueError; `what` names the value in its message. */
const char *py_utf8(PyObject *text, const char *what);
/* str(object) for people to read, with a NUL as the two characters \0; a new string. */
char *py_shown_text(PyObject *object);
/* A str as UTF-8, in bytes. A lone surrogate, as in names of files that are not UTF-8, is escaped:
 * what is shown to the user must not be refused for it. */
PyObject *py_escaped(PyObject *text);
/* f"{object}" of an object that stands for text: a str, a path, an address and so on. NULL without
 * an exception for other objects. */
PyObject *py_formatted(PyObject *object);
/* A pathlib.Path. */
PyObject *py_path(const char *path);
/* Compiles a regular expression for str. re.error, or a TypeError that names the parameter. */
PyObject *py_regex(PyObject *object, const char *parameter);
/* Calls a function or a class of a module, which is imported if need be. `format` is that of
 * Py_BuildValue(), in parentheses, so that it makes a tuple. */
PyObject *py_call(const char *module, const char *name, const char *format, ...);

/* ---- errors.c: errors of the core as exceptions */

/* Raises `error` as its exception and frees it; an exception that is set already stays. Returns
 * NULL. */
PyObject *py_raise(struct py_state *state, struct ntd_error *error);
/* Makes the exceptions and adds them to the module. */
int py_add_exceptions(PyObject *module, struct py_state *state);
/* Sets *err because of the exception that is set, which stays. Returns -1. */
int py_error_from_python(struct ntd_error **err);
/* For "O&" converters: refuses the object with an exception whose message py_parse() completes by
 * the name of the parameter. Returns 0. */
int py_refuse(PyObject *object, PyObject *type, const char *message);
/* The object for which py_refuse() made the exception, or NULL without an exception. */
PyObject *py_refused(PyObject *exception);

/* ---- scope.c: leaving Python for a while, and coming back */

struct py_blocking {
	struct ntd_waiter waiter;
	struct ntd_session *session;
	sigset_t signals; /* the mask outside */
	PyThreadState *thread;
	int64_t began;
};

/* Releases the GIL and blocks signals, until py_unblock(), which follows every call that returned
 * true. False, with an exception, when a signal's handler raised one, or in a process that the
 * script has forked. */
bool py_block(struct py_blocking *blocking);
void py_unblock(struct py_blocking *blocking);

/* Evaluates a call into driver/ that can block, without the GIL, with `waiter` and `error` for the
 * call to use. The call's result becomes `result`, and *error the exception when it is negative.
 * The value is whether it is not. */
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

/* Executes statements without the GIL: calls into driver/ that end by themselves, and that signals
 * need not interrupt. */
#define PY_WITHOUT_GIL(...)                                                                        \
	do {                                                                                       \
		PyThreadState *thread_ = py_release_gil();                                         \
		__VA_ARGS__;                                                                       \
		py_take_gil(thread_);                                                              \
	} while (0)
/* Between these two, the session and its parts stay, though Python may have ended: a daemon thread
 * cannot be waited for. */
PyThreadState *py_release_gil(void);
void py_take_gil(PyThreadState *thread);

/* Inside a PY_BLOCKING_CALL: evaluates an expression with the GIL, for a hook or an attempt that is
 * written in Python. `waiter` is the one that the core handed to the hook. The value is that of the
 * expression, an int; it is negative, and *err is set, when that set an exception, or when a
 * signal's handler raised one. */
#define PY_IN_PYTHON(waiter, err, expression)                                                      \
	({                                                                                         \
		struct py_blocking *outside_ = py_enter_python(waiter);                            \
		py_leave_python(outside_, (expression), err);                                      \
	})
struct py_blocking *py_enter_python(const struct ntd_waiter *waiter);
int py_leave_python(struct py_blocking *blocking, int result, struct ntd_error **err);

/* Functions for the module: watch(). */
extern PyMethodDef py_scope_functions[];

/* ---- place.c: where the script is, for the events of a timeline */

/* Has the calling thread's later events tell where in the sources it is. Called before whatever
 * emits events. An exception that is set stays. */
void py_place_note(struct py_state *state);
/* The number of the source with a file's name (PY_SCRIPT_NAME: the script); 0: it is none, or
 * nobody wants to know. */
uint16_t py_place_source(struct py_state *state, PyObject *file);
/* Whether a file with this path is one of the tests'. Packages that are installed below the
 * directory, or hidden in it, are not. */
bool py_place_is_of_tests(const struct ntd_config *config, const char *path);

/* ---- signals.c: SIGINT, SIGTERM and SIGHUP */

/* Holds these signals back until py_signals_install(). Called before the first thread is
 * started. */
void py_signals_hold(void);
/* Installs the handlers. Called once Python has started. */
int py_signals_install(struct ntd_session *session, struct ntd_error **err);
void py_signals_remove(struct ntd_session *session);
/* In a process that the script has forked: has the signals do what they do to any program, unless
 * the script has handlers of its own. */
void py_signals_forked(void);
/* Puts the driver's C handlers back after a prompt written in Python has installed its own, which
 * the driver's call; without them signals would not interrupt waits. */
void py_signals_keep(void);
/* SIGTERM or SIGHUP if that was the last signal; else 0. Works on any thread. */
int py_signals_ending(void);
/* Python's number of the main thread, also when no module has asked for it yet. */
unsigned long py_signals_main_thread(void);
/* Says whether a user sits at a prompt, where any number of SIGINTs may come. */
void py_signals_attended(bool attended);
bool py_signals_are_attended(void);

/* ---- forked.c: processes that the script forks */

/* Has Python tell the driver of them. Called once Python has started. */
int py_forked_watch(struct py_state *state, struct ntd_error **err);
/* In such a process: true, with an exception. Else false. */
bool py_forked_refuse(void);

/* ---- convert.c: converters for "O&" */

/* A path or text as a C string; it belongs to a new reference, `owner`. */
struct py_path_arg {
	PyObject *owner;
	const char *text;
};
static inline void py_cleanup_path_arg(struct py_path_arg *arg)
{
	Py_XDECREF(arg->owner);
}
#define _cleanup_path_ _cleanup_(py_cleanup_path_arg)

/* To a double, seconds: None (NTD_NO_TIMEOUT), int, float, timedelta, and texts of numbers as
 * sleep(1) takes them. A bool is a TypeError. */
int py_convert_duration(PyObject *object, void *seconds);
/* To a struct py_path_arg: a str or os.PathLike. */
int py_convert_path(PyObject *object, void *path_arg);
/* To a struct py_path_arg: py_formatted(object), for what becomes part of a command. */
int py_convert_text(PyObject *object, void *path_arg);
int py_convert_text_or_none(PyObject *object, void *path_arg);
/* To a char *, a new string: any text to be logged, as py_shown_text() gives it. */
int py_convert_message(PyObject *object, void *message);
/* To an int: a TCP port, as a number or its text. */
int py_convert_port(PyObject *object, void *port);
/* Not for "O&": a {name: value} dict, None or NULL in the form of ntd_event's attributes, to be
 * freed with ntd_strv_free(); NULL for none. */
int py_convert_attributes(PyObject *object, char ***attributes);

/* ---- arguments.c */

/* An entry with keywords for a PyMethodDef list. */
#define PY_METHOD(name, function, doc)                                                             \
	{                                                                                          \
		name, (PyCFunction)(void (*)(void))(function), METH_VARARGS | METH_KEYWORDS, doc   \
	}

/* PyArg_ParseTupleAndKeywords(), with errors that name the function and the parameter. `format`
 * ends in ":FUNCTION". Warns of durations that are bare numbers. */
bool py_parse(PyObject *args, PyObject *kwargs, const char *format, char **names, ...);
/* For a parameter that has two names, the older of which is number `older` in `names` and the newer
 * is the next: false, with a TypeError, when the caller gives both. A name that is given as None
 * counts as not given. */
bool py_one_of_two(PyObject *args, PyObject *kwargs, char *const *names, Py_ssize_t older,
		   const char *function);

/* ---- object_type.c: Object, the base of the types that scripts see */

/* The beginning of each object. */
struct py_object {
	PyObject_HEAD
	PyObject *dict, *weakrefs;
	uint64_t uses; /* how often an attribute has been looked up */
};

/* Makes a type without methods and adds it to the module. `base` NULL: the type Object. */
int py_object_add_subtype(PyObject *module, PyType_Spec *spec, PyTypeObject *base,
			  PyTypeObject **place);
int py_object_add_type(PyObject *module, struct py_state *state);
/* A type whose objects have references of their own traverses and clears these, and calls these
 * two. Other types need not say that they take part in garbage collection. */
int py_object_traverse(PyObject *object, visitproc visit, void *arg);
int py_object_clear(PyObject *object);
/* For a tp_dealloc that frees more than references. The first stands at its beginning; when it
 * returns false the object lives on. The second stands at its end, and clears the references. */
bool py_object_end(PyObject *object);
void py_object_free(PyObject *object);
/* For __copy__. The first makes an empty object of the same class. The second is called once the
 * copy has the driver's values; it copies the attributes of the script's own, which may run code of
 * the script, and returns the copy, or drops it and returns NULL. */
PyObject *py_object_like(PyObject *object);
PyObject *py_object_finish_copy(PyObject *object, PyObject *copy);

/* ---- method_type.c: Method, the type of the methods of these types */

int py_method_add_type(PyObject *module, struct py_state *state);
PyObject *py_method_object(struct py_state *state, PyTypeObject *type, PyMethodDef *definition);
/* Whether the object is the driver's method with the interned name. */
bool py_method_is(const struct py_state *state, PyObject *object, PyObject *name);
/* Notes which methods the type's method of that name calls; does nothing if there is none. */
void py_method_set_calls(const struct py_state *state, PyTypeObject *type, PyObject *name,
			 uint64_t calls);

/* Puts an object that was made for `place`, whose reference this takes, into the place. If another
 * thread has put one there meanwhile, that one stays. Returns a new reference to the one that is
 * there; NULL, with the exception, if none was made. */
PyObject *py_object_first(PyObject **place, PyObject *made);

/* ---- type.c */

/* Makes a type and adds it to the module. `base` NULL: the type Object, from which in the end all
 * derive. `methods` are lists, after the last of which is NULL. */
int py_add_type(PyObject *module, PyType_Spec *spec, PyTypeObject *base,
		PyMethodDef *const *methods, PyTypeObject **place);

/* ---- own_value.c: attributes that a script can set to a value of its own */

/* What py_value_get() and py_value_set() take as their closure. */
struct py_value {
	const char *name;
	PyObject *(*get)(PyObject *object, void *closure); /* until a script sets the attribute */
	void *closure;
};

/* A getter and a setter for a PyGetSetDef. */
PyObject *py_value_get(PyObject *object, void *closure);
int py_value_set(PyObject *object, PyObject *to, void *closure);
/* The value that a script has set, borrowed; NULL without an exception if there is none. */
PyObject *py_value_own(PyObject *object, const char *name);

/* ---- lazy_type.c: objects that are made when a script first uses them */

int py_lazy_add_type(PyObject *module, struct py_state *state);
/* An object that stands for what `make` returns, which is called when an attribute of the object is
 * first asked for. */
PyObject *py_lazy_object(struct py_state *state, PyObject *(*make)(struct py_state *state));

/* ---- python.c */

/* Starts the interpreter, with `init` as the built-in module `module`; argv[0] is what sys.argv
 * shows. Called without a GIL, and returns with it held. */
int py_python_start(char *const *argv, const char *module, PyObject *(*init)(void),
		    struct ntd_error **err);
