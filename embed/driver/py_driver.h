/* The Python object of a run, for the files that make up its type: the run's own, made by
 * py_driver_object(), and those that scripts make, which have a script, machines and networks of
 * their own within the same session.
 */
#pragma once

#include "embed.h"

enum py_driver_list {
	PY_DRIVER_ALL_MACHINES,
	PY_DRIVER_QEMU_MACHINES,
	PY_DRIVER_NSPAWN_MACHINES,
	PY_DRIVER_LISTS
};

/* A list that the script may change, and what was in it when the driver last looked. */
struct py_machine_list {
	PyObject *list, *seen;
};

struct py_driver {
	struct py_object head;
	struct py_machine_list lists[PY_DRIVER_LISTS];
	PyObject *vlans; /* list */
	PyObject *logger;
	PyObject *polling_conditions; /* list */
	struct ntd_deadline *deadline;

	/* Of a script's own driver; NULL: the session's. */
	PyObject *out_dir, *config, *tests, *code;
	bool keep_machine_state;
	bool is_own;        /* the deadline is its own, too */
	PyObject *original; /* of which this is a copy, or NULL */
};

static inline struct py_driver *py_driver_self(PyObject *object)
{
	return (struct py_driver *)object;
}

/* driver.dump_machine_ssh(), in ssh_backdoor.c */
PyObject *py_driver_dump_machine_ssh(PyObject *object, PyObject *unused);
/* driver.t, in driver_type.c; -1 with an exception. */
int py_driver_add_assertions(PyObject *object);

/* driver.test_symbols(), in globals.c */
PyObject *py_driver_test_symbols(PyObject *object, PyObject *unused);
/* Warns when the script calls its only machine `machine` though that is not its name, as drivers
 * with JSON configurations do. */
void py_driver_warn_of_alias(PyObject *symbols, PyObject *parts);

/* ---- driver_new.c: Driver(...) in scripts */
int py_driver_init(PyObject *object, PyObject *args, PyObject *kwargs);
PyObject *py_driver_enter(PyObject *object, PyObject *unused);
PyObject *py_driver_exit(PyObject *object, PyObject *args);
/* driver.config: a DriverConfiguration */
PyObject *py_driver_get_config(PyObject *object, void *closure);

/* driver.vhost_vsock: None without an SSH backdoor */
PyObject *py_driver_get_vhost_vsock(PyObject *object, void *closure);

/* ---- driver_lists.c: the machines of a driver */
/* All of them, as a new list that no script changes; NULL with an exception. */
PyObject *py_driver_machines(struct py_driver *self);
/* Makes the lists, empty: false with an exception. */
bool py_driver_make_lists(struct py_driver *self);
/* driver.machines, machines_qemu, machines_nspawn, for a PyGetSetDef; the closure is that name. */
PyObject *py_driver_get_list(PyObject *object, void *name);
int py_driver_set_list(PyObject *object, PyObject *value, void *name);

/* ---- driver_machines.c: what is done with all machines */
PyObject *py_driver_start_all(PyObject *object, PyObject *unused);
PyObject *py_driver_join_all(PyObject *object, PyObject *unused);
/* Writes the disks of those that are up; -1 with an exception. */
int py_driver_sync_all(struct py_driver *self);
PyObject *py_driver_create_machine(PyObject *object, PyObject *args, PyObject *kwargs);

/* ---- driver_timer.c */
PyObject *py_driver_get_race_timer(PyObject *object, void *closure);
/* start or cancel: that of driver.race_timer, if a script has set one; -1 with an exception. */
int py_driver_time(PyObject *object, const char *method);
PyObject *py_driver_terminate_test(PyObject *object, PyObject *unused);
