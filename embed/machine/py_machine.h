/* The Python object of a machine, for the files that make up its type. */
#pragma once

#include "embed.h"

/* An attribute that belongs to one start: what it is, and of which start. */
struct py_machine_kept_value {
	PyObject *value; /* NULL: nobody has asked yet */
	unsigned start;
};

enum py_machine_kept_slot {
	PY_KEPT_PROCESS,
	PY_KEPT_PID,
	PY_KEPT_SERIAL_THREAD,
	PY_KEPT_SHELL,
	PY_KEPT_MONITOR,
	PY_KEPT_QMP_CLIENT,
	PY_KEPT_LAST_LINES,
	PY_KEPT_CONSOLE_LOG,
	PY_KEPT_COUNT
};

struct py_machine_kept_attribute {
	enum py_machine_kept_slot slot;
	/* Makes it for the present start; None: there is none yet. */
	PyObject *(*make)(PyObject *object, unsigned start);
	bool before;  /* it is there before the first start, too */
	bool passing; /* what is made is not kept, only what a script sets */
};

struct py_machine {
	struct py_object head;
	struct ntd_machine *machine; /* the session's; lives until the interpreter has ended */
	PyObject *callbacks;         /* list of functions to call before each command */
	PyObject *start_command;     /* NULL until a script looks at it or brings its own */
	PyObject *logger;            /* NULL: the run's */
	PyObject *original;          /* of which this is a copy, or NULL */
	struct py_machine_kept_value kept[PY_KEPT_COUNT];
	bool in_callbacks, callbacks_seen, released;
};

static inline struct py_machine *py_machine_self(PyObject *object)
{
	return (struct py_machine *)object;
}

/* ---- machine_hooks.c */
/* Runs the callbacks; -1 with an exception. Not when called from one of them. */
int py_machine_run_callbacks(struct py_machine *self);
/* Tells the core what it has to ask for. */
void py_machine_hook(struct py_machine *self);
/* From now on it cannot be used. */
void py_machine_note_release(struct py_machine *self);
PyObject *py_machine_get_callbacks(PyObject *object, void *closure);
int py_machine_set_callbacks(PyObject *object, PyObject *value, void *closure);
PyObject *py_machine_get_start_command(PyObject *object, void *closure);
int py_machine_set_start_command(PyObject *object, PyObject *value, void *closure);

/* ---- machine_kept.c */
/* A getter and a setter; their closure is a struct py_machine_kept_attribute. */
PyObject *py_machine_get_kept(PyObject *object, void *closure);
int py_machine_set_kept(PyObject *object, PyObject *value, void *closure);
/* What has been made or set for the present start, borrowed; NULL: nothing. */
PyObject *py_machine_kept(PyObject *object, const struct py_machine_kept_attribute *attribute);
int py_machine_traverse_kept(struct py_machine *self, visitproc visit, void *arg);
void py_machine_clear_kept(struct py_machine *self);

/* ---- machine_process.c */
PyObject *py_machine_make_process(PyObject *object, unsigned number);
PyObject *py_machine_make_pid(PyObject *object, unsigned number);

/* ---- machine_sockets.c */
PyObject *py_machine_make_shell(PyObject *object, unsigned start);
PyObject *py_machine_make_monitor(PyObject *object, unsigned start);
/* A script's end; `limit` is called with the seconds of its time-out. None when there has been no
 * connection. */
PyObject *py_machine_connection(struct ntd_script_socket *socket, PyObject *limit);

/* ---- qmp_type.c */
PyObject *py_machine_make_qmp_client(PyObject *object, unsigned start);

/* ---- machine_type.c: for machine_life.c */
extern const struct py_machine_kept_attribute py_machine_kept_pid;

/* ---- machine_calls.c */
/* Whether it is a machine whose method, and all that this calls, are ours. */
bool py_machine_is_plain(PyObject *object, const char *method);

/* ---- retry.c */
/* _retry(step, fn, timeout): retry() as a wait for the machine, whose error names the step. */
PyObject *py_machine_retry(PyObject *object, PyObject *args);

/* ---- machine_new.c: __new__ and __init__ */
PyObject *py_machine_new_object(PyTypeObject *type, PyObject *args, PyObject *kwargs);
int py_machine_init(PyObject *object, PyObject *args, PyObject *kwargs);
/* Whether __init__ has been called. */
bool py_machine_is_born(PyObject *object);

/* ---- machine_type.c */
/* QemuMachine or NspawnMachine: the one that is the machine's class or a base of it. */
PyTypeObject *py_machine_class_of(PyObject *object);

/* The methods, by what they are about; each list ends with an empty entry. */
extern PyMethodDef py_machine_life_methods[];
extern PyMethodDef py_qemu_life_methods[];
extern PyMethodDef py_nspawn_life_methods[];
extern PyMethodDef py_machine_command_methods[];
extern PyMethodDef py_machine_unit_methods[];
extern PyMethodDef py_machine_console_methods[];
extern PyMethodDef py_machine_console_line_methods[];
extern PyMethodDef py_machine_file_methods[];
extern PyMethodDef py_machine_screen_methods[];
extern PyMethodDef py_machine_ocr_methods[];
extern PyMethodDef py_machine_efi_methods[];
extern PyMethodDef py_machine_desktop_methods[];
extern PyMethodDef py_machine_interact_methods[];
extern PyMethodDef py_machine_ssh_methods[];
extern PyMethodDef py_machine_process_methods[];
extern PyMethodDef py_machine_socket_methods[];

/* A wait until some text in the guest matches a regular expression, in text_wait.c. */
struct py_text_wait {
	struct ntd_machine *machine;
	/* Gets the text; called with the GIL released. More than 0, or NTD_E_ASSERTION: there is
	 * none to be had yet. */
	int (*fetch)(const struct py_text_wait *wait, struct ntd_buf *text,
		     struct ntd_waiter *waiter, struct ntd_error **err);
	const char *argument;    /* for fetch */
	const char *last_chance; /* what the log says before the text at the last attempt */
	bool by_line;            /* each line for itself */
	PyObject *pattern;       /* set by py_text_wait_run(), as what follows is */
	struct ntd_buf seen;
	struct ntd_glance glance;
};

/* Waits, as the step `step`; None, or NULL with an exception: re.error before anything is done. */
PyObject *py_text_wait_run(struct py_text_wait *wait, PyObject *regexp, const char *step,
			   double timeout);

/* machine.wait_for_console_text(), in console_wait.c */
PyObject *py_machine_wait_for_console_text(PyObject *object, PyObject *args, PyObject *kwargs);
/* ---- machine_console_lines.c */
PyObject *py_machine_make_last_lines(PyObject *object, unsigned start);
int py_machine_set_last_lines(PyObject *object, PyObject *value, void *closure);
PyObject *py_machine_get_full_console_log(PyObject *object, void *closure);
int py_machine_set_full_console_log(PyObject *object, PyObject *value, void *closure);
PyObject *py_machine_make_serial_thread(PyObject *object, unsigned start);

/* machine.efi_vars, in machine_efi.c */
PyObject *py_machine_efi_store(PyObject *object);
/* machine.wait_for_qmp_event(), in qmp_type.c */
PyObject *py_machine_wait_for_qmp_event(PyObject *object, PyObject *args, PyObject *kwargs);
