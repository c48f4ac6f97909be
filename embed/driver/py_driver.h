/* The run as scripts see it: `driver` and Driver(...), the limit of time, and virtual networks. The
 * run's own Driver is made by py_driver_object(); those that scripts make have a script, machines
 * and networks of their own within the same session.
 */
#pragma once

#include "run/py_run.h"

enum py_driver_list {
	PY_DRIVER_ALL_MACHINES,
	PY_DRIVER_QEMU_MACHINES,
	PY_DRIVER_NSPAWN_MACHINES,
	PY_DRIVER_LISTS
};

/* A list that the script may change, and what was in it when the driver last looked. */
struct py_driver_machines {
	PyObject *list, *seen;
};

struct py_driver {
	struct py_object head;
	struct py_driver_machines lists[PY_DRIVER_LISTS];
	PyObject *vlans; /* list */
	PyObject *logger;
	PyObject *polling_conditions; /* list */
	struct ntd_deadline *deadline;

	/* Of a script's own driver; NULL: the session's. */
	PyObject *out_dir, *config, *tests, *code;
	bool keep_machine_state;
	bool is_own;        /* made by the script; the deadline is its own, too */
	PyObject *original; /* the object that this one is a copy of, or NULL */
};

static inline struct py_driver *py_driver_self(PyObject *object)
{
	return (struct py_driver *)object;
}

/* ---- types */

int py_driver_add_type(PyObject *module, struct py_state *state);
int py_driver_add_timer_type(PyObject *module, struct py_state *state);
int py_vlan_add_type(PyObject *module, struct py_state *state);

/* ---- object.c: the object of a Driver */

/* The run's own. */
PyObject *py_driver_object(struct py_state *state);
/* Sets driver.t, whose class is imported when a script first uses it. */
int py_driver_add_assertions(PyObject *object);
/* Slots of the type. An object is empty until __init__, as that of a script's class. */
PyObject *py_driver_new(PyTypeObject *type, PyObject *args, PyObject *kwargs);
int py_driver_traverse(PyObject *object, visitproc visit, void *arg);
int py_driver_clear(PyObject *object);
void py_driver_dealloc(PyObject *object);
PyObject *py_driver_copy(PyObject *object, PyObject *unused);

/* ---- new.c: Driver(...) in scripts */

int py_driver_init(PyObject *object, PyObject *args, PyObject *kwargs);
PyObject *py_driver_enter(PyObject *object, PyObject *unused);
PyObject *py_driver_exit(PyObject *object, PyObject *args);
/* At the end of a run: releases the machines whose release() is a script's; the session releases
 * the others. What a release() raises is logged. */
void py_driver_release_others(PyObject *driver);
/* driver.config: a DriverConfiguration. */
PyObject *py_driver_get_config(PyObject *object, void *closure);
/* driver.vhost_vsock: None without an SSH backdoor. */
PyObject *py_driver_get_vhost_vsock(PyObject *object, void *closure);

/* ---- lists.c: the machines of a driver */

/* All of them, as a new list that no script changes. */
PyObject *py_driver_machines(struct py_driver *self);
/* Makes the lists, empty. */
bool py_driver_make_lists(struct py_driver *self);
/* driver.machines, machines_qemu, machines_nspawn, for a PyGetSetDef; the closure is that name. */
PyObject *py_driver_get_list(PyObject *object, void *name);
int py_driver_set_list(PyObject *object, PyObject *value, void *name);

/* ---- machines.c: what is done with all machines */

PyObject *py_driver_start_all(PyObject *object, PyObject *unused);
PyObject *py_driver_join_all(PyObject *object, PyObject *unused);
PyObject *py_driver_create_machine(PyObject *object, PyObject *args, PyObject *kwargs);
PyObject *py_driver_dump_machine_ssh(PyObject *object, PyObject *unused);
/* Has the machines that are up write their disks. */
int py_driver_sync_all(struct py_driver *self);

/* ---- snapshot.c */

PyObject *py_driver_snapshot(PyObject *object, PyObject *args, PyObject *kwargs);
PyObject *py_driver_restore(PyObject *object, PyObject *args, PyObject *kwargs);

/* ---- globals.c */

/* driver.test_symbols() */
PyObject *py_driver_test_symbols(PyObject *object, PyObject *unused);
/* Functions for the module. */
extern PyMethodDef py_driver_global_functions[];

/* ---- script.c: the methods that are about the script */

extern PyMethodDef py_driver_script_methods[];

/* ---- timer.c: the limit of time */

PyObject *py_driver_get_race_timer(PyObject *object, void *closure);
/* Starts the limit, or the driver.race_timer that a script has set. */
int py_driver_start_timer(PyObject *object);
/* Lifts the limit, or cancels that timer. */
int py_driver_cancel_timer(PyObject *object);
PyObject *py_driver_terminate_test(PyObject *object, PyObject *unused);

/* ---- vlan_type.c: VLan */

/* A new object for a network, which stays the session's. */
PyObject *py_vlan_object(struct py_state *state, struct ntd_vlan *vlan);
