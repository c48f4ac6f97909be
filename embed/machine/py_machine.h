/* Machines in Python: the types BaseMachine, QemuMachine and NspawnMachine, their methods, and QMP
 * sessions. The methods are in files by what they are about, and each file has a list of them.
 */
#pragma once

#include "guest/await.h"
#include "guest/command.h"
#include "log/py_log.h"

/* ---- the object */

/* Attributes that belong to one start of a machine; see kept.c. */
enum py_machine_kept_slot {
	PY_MACHINE_KEPT_PROCESS,
	PY_MACHINE_KEPT_PID,
	PY_MACHINE_KEPT_SERIAL_THREAD,
	PY_MACHINE_KEPT_SHELL,
	PY_MACHINE_KEPT_MONITOR,
	PY_MACHINE_KEPT_QMP_CLIENT,
	PY_MACHINE_KEPT_LAST_LINES,
	PY_MACHINE_KEPT_CONSOLE_LOG,
	PY_MACHINE_KEPT_COUNT
};

struct py_machine_kept_value {
	PyObject *value; /* NULL: no script has asked yet */
	unsigned start;  /* the start that the value belongs to */
};

struct py_machine {
	struct py_object head;
	struct ntd_machine *machine; /* the session's; lives until the interpreter has ended */
	PyObject *callbacks;         /* list of functions to call before each command */
	PyObject *start_command;     /* NULL until a script looks at it or brings its own */
	PyObject *logger;            /* NULL: the run's */
	PyObject *original;          /* the object that this one is a copy of, or NULL */
	/* The place of the object that the core asks, which all copies share; NULL: it has asked
	 * none of them yet. */
	struct py_machine **asked;
	struct py_machine_kept_value kept[PY_MACHINE_KEPT_COUNT];
	bool in_callbacks, callbacks_seen, released;
};

static inline struct py_machine *py_machine_self(PyObject *object)
{
	return (struct py_machine *)object;
}

/* ---- object.c */

/* The machine of a machine object, or NULL with a TypeError. */
struct ntd_machine *py_machine_of(PyObject *object);
/* QemuMachine or NspawnMachine: the one that is the object's class or a base of it. */
PyTypeObject *py_machine_class_of(PyObject *object);
/* Whether __init__ has been called; see new.c. */
bool py_machine_is_born(PyObject *object);
/* Whether a machine can have the name: false with a ValueError. */
bool py_machine_check_name(const char *name);

/* ---- types; the base comes before the others */

int py_machine_add_base_type(PyObject *module, struct py_state *state);
int py_machine_add_qemu_type(PyObject *module, struct py_state *state);
int py_machine_add_nspawn_type(PyObject *module, struct py_state *state);
int py_machine_add_qmp_type(PyObject *module, struct py_state *state);

/* ---- new.c: __new__ and __init__ */

PyObject *py_machine_new_object(PyTypeObject *type, PyObject *args, PyObject *kwargs);
int py_machine_init(PyObject *object, PyObject *args, PyObject *kwargs);
/* A new object for a machine, which stays the session's. */
PyObject *py_machine_object(struct py_state *state, struct ntd_machine *machine);
/* The same with a subclass, whose __init__ is not called. */
PyObject *py_machine_object_as(PyTypeObject *type, struct ntd_machine *machine);

/* ---- hooks.c: what the core asks of Python */

/* Calls the functions in `callbacks`; does nothing when called by one of them. */
int py_machine_run_callbacks(struct py_machine *self);
/* Tells the core what to ask for, and that it is this object to be asked. */
void py_machine_hook(struct py_machine *self);
/* Has the core ask the original from now on; of an object that is no copy, has it ask none. */
void py_machine_unhook(struct py_machine *self);
/* Has the core refuse starts and commands from now on. */
void py_machine_note_release(struct py_machine *self);
/* Getters and setters. */
PyObject *py_machine_get_callbacks(PyObject *object, void *closure);
int py_machine_set_callbacks(PyObject *object, PyObject *value, void *closure);
PyObject *py_machine_get_start_command(PyObject *object, void *closure);
int py_machine_set_start_command(PyObject *object, PyObject *value, void *closure);

/* ---- calls.c: which methods call which; sets of methods are those of the rows of its table */

/* Called after the types of machines have been added. */
int py_machine_add_calls(struct py_state *state);
/* Whether the object is a machine whose method, and all methods that this calls, are the
 * driver's. */
bool py_machine_is_plain(PyObject *object, const char *method);

/* ---- kept.c: attributes that belong to one start */

struct py_machine_kept_attribute {
	enum py_machine_kept_slot slot;
	/* Makes the value for the present start; None: there is none yet. */
	PyObject *(*make)(PyObject *object, unsigned start);
	bool before;  /* there is a value before the first start, too */
	bool passing; /* what is made is not kept, only what a script sets */
};

/* A getter and a setter; their closure is a struct py_machine_kept_attribute. */
PyObject *py_machine_get_kept(PyObject *object, void *closure);
int py_machine_set_kept(PyObject *object, PyObject *value, void *closure);
/* The value made or set for the present start, borrowed; NULL without an exception for none. */
PyObject *py_machine_kept(PyObject *object, const struct py_machine_kept_attribute *attribute);
int py_machine_traverse_kept(struct py_machine *self, visitproc visit, void *arg);
void py_machine_clear_kept(struct py_machine *self);

/* The functions that make such values, in process.c, sockets.c, console_lines.c and qmp_type.c. */
PyObject *py_machine_make_process(PyObject *object, unsigned start);
PyObject *py_machine_make_shell(PyObject *object, unsigned start);
PyObject *py_machine_make_monitor(PyObject *object, unsigned start);
PyObject *py_machine_make_last_lines(PyObject *object, unsigned start);
PyObject *py_machine_make_serial_thread(PyObject *object, unsigned start);
PyObject *py_machine_make_qmp_client(PyObject *object, unsigned start);
extern const struct py_machine_kept_attribute py_machine_kept_pid; /* process.c */

/* ---- snapshot.c */
/* A converter for py_parse(): the name of a snapshot, a const char * that lives as long as the
 * object. */
int py_convert_snapshot_name(PyObject *object, void *address);

/* ---- the methods, by what they are about; each list ends with an empty entry */

extern PyMethodDef py_machine_life_methods[];
extern PyMethodDef py_machine_qemu_life_methods[];
extern PyMethodDef py_machine_nspawn_life_methods[];
extern PyMethodDef py_machine_snapshot_methods[];
extern PyMethodDef py_machine_clone_methods[];
extern PyMethodDef py_machine_command_methods[];
extern PyMethodDef py_machine_retry_methods[];
extern PyMethodDef py_machine_unit_methods[];
extern PyMethodDef py_machine_ask_methods[];
extern PyMethodDef py_machine_file_methods[];
extern PyMethodDef py_machine_message_methods[];
extern PyMethodDef py_machine_console_methods[];
extern PyMethodDef py_machine_console_line_methods[];
extern PyMethodDef py_machine_expect_methods[];
extern PyMethodDef py_machine_login_methods[];
extern PyMethodDef py_machine_screen_methods[];
extern PyMethodDef py_machine_ocr_methods[];
extern PyMethodDef py_machine_efi_methods[];
extern PyMethodDef py_machine_desktop_methods[];
extern PyMethodDef py_machine_interact_methods[];
extern PyMethodDef py_machine_ssh_methods[];
extern PyMethodDef py_machine_use_ssh_methods[];
extern PyMethodDef py_machine_process_methods[];
extern PyMethodDef py_machine_socket_methods[];

/* Functions for the module, in retry.c, start_command.c, interact.c and ssh.c. */
extern PyMethodDef py_machine_retry_functions[];
extern PyMethodDef py_machine_start_functions[];
extern PyMethodDef py_machine_interact_functions[];
extern PyMethodDef py_machine_ssh_functions[];

/* ---- text_wait.c: waiting until some text in the guest matches a regular expression */

struct py_machine_text_wait {
	struct ntd_machine *machine;
	/* Gets the text; called without the GIL. More than 0, or NTD_E_ASSERTION: there is none to
	 * be had yet. */
	int (*fetch)(const struct py_machine_text_wait *wait, struct ntd_buf *text,
		     struct ntd_waiter *waiter, struct ntd_error **err);
	const char *argument;    /* for fetch */
	const char *last_chance; /* what the log says before the text at the last attempt */
	bool by_line;            /* each line for itself */
	/* What says that the text may have changed; all zero: nothing does. */
	struct ntd_awaited awaited;

	/* Set by py_machine_wait_for_match(). */
	struct ntd_wait how;
	PyObject *pattern;
	struct ntd_buf seen;
	struct ntd_glance glance;
};

/* Waits at most `timeout` seconds, as the step `step`. None, or NULL with an exception: re.error
 * before anything is done. */
PyObject *py_machine_wait_for_match(struct py_machine_text_wait *wait, PyObject *regexp,
				    const char *step, double timeout);

/* ---- parts of the types that have files of their own */

/* Getters, in ssh.c. */
PyObject *py_machine_get_ssh_port(PyObject *object, void *closure);
PyObject *py_machine_get_ssh_host_key(PyObject *object, void *closure);

/* machine.wait_for_console_text(), in console_wait.c */
PyObject *py_machine_wait_for_console_text(PyObject *object, PyObject *args, PyObject *kwargs);
/* machine.wait_for_qmp_event(), in qmp_wait.c */
PyObject *py_machine_wait_for_qmp_event(PyObject *object, PyObject *args, PyObject *kwargs);
/* machine.last_lines and full_console_log, in console_lines.c */
int py_machine_set_last_lines(PyObject *object, PyObject *value, void *closure);
PyObject *py_machine_get_full_console_log(PyObject *object, void *closure);
int py_machine_set_full_console_log(PyObject *object, PyObject *value, void *closure);
/* machine.efi_vars, in efi.c */
PyObject *py_machine_efi_store(PyObject *object);
struct ntd_qmp;
struct ntd_script_socket;

/* The next event within so many seconds (negative: no limit), as a dict, in qmp_type.c; NULL with
 * TimeoutError. */
PyObject *py_machine_next_qmp_event(struct ntd_qmp *qmp, double timeout);
/* A script's end of a socket, in sockets.c; `limit` is called with the seconds of its time-out.
 * None when there has been no connection. */
PyObject *py_machine_connection(struct ntd_script_socket *socket, PyObject *limit);
/* The command by which this host reaches the machine's sshd, in ssh_backdoor.c; a new string, NULL
 * if the machine has no SSH backdoor. */
char *py_machine_ssh_command(const struct ntd_session *session, const struct ntd_machine *machine);
