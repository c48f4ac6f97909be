/* The Python object of a run, for the files that make up its type: the run's own, made by
 * ntd_driver_object(), and those that scripts make, which have a script, machines and networks of their own
 * within the same session.
 */
#pragma once

#include "embed.h"

enum ntd_driver_list {
	NTD_ALL_MACHINES,
	NTD_QEMU_MACHINES,
	NTD_NSPAWN_MACHINES,
	NTD_MACHINE_LISTS
};

/* A list that the script may change, and what was in it when the driver last looked. */
struct ntd_machine_list {
	PyObject *list, *seen;
};

struct driver_object {
	struct ntd_object head;
	struct ntd_machine_list lists[NTD_MACHINE_LISTS];
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

static inline struct driver_object *ntd_driver_self(PyObject *object)
{
	return (struct driver_object *)object;
}

/* driver.dump_machine_ssh(), in ssh_backdoor.c */
PyObject *ntd_driver_dump_machine_ssh(PyObject *object, PyObject *unused);
/* driver.t, in driver_type.c; -1 with an exception. */
int ntd_driver_add_assertions(PyObject *object);

/* driver.test_symbols(), in globals.c */
PyObject *ntd_driver_test_symbols(PyObject *object, PyObject *unused);
/* Warns when the script calls its only machine `machine` though that is not its name, as drivers with JSON
 * configurations do. */
void ntd_warn_of_alias(PyObject *symbols, PyObject *parts);

/* ---- driver_new.c: Driver(...) in scripts */
int ntd_driver_init(PyObject *object, PyObject *args, PyObject *kwargs);
PyObject *ntd_driver_enter(PyObject *object, PyObject *unused);
PyObject *ntd_driver_exit(PyObject *object, PyObject *args);
/* driver.config: a DriverConfiguration */
PyObject *ntd_driver_get_config(PyObject *object, void *closure);

/* driver.vhost_vsock: None without an SSH backdoor */
PyObject *ntd_driver_get_vhost_vsock(PyObject *object, void *closure);

/* ---- driver_lists.c: the machines of a driver */
/* All of them, as a new list that no script changes; NULL with an exception. */
PyObject *ntd_driver_machines(struct driver_object *self);
/* Makes the lists, empty: false with an exception. */
bool ntd_driver_make_lists(struct driver_object *self);
/* driver.machines, machines_qemu, machines_nspawn, for a PyGetSetDef; the closure is that name. */
PyObject *ntd_driver_get_list(PyObject *object, void *name);
int ntd_driver_set_list(PyObject *object, PyObject *value, void *name);

/* ---- driver_machines.c: what is done with all machines */
PyObject *ntd_driver_start_all(PyObject *object, PyObject *unused);
PyObject *ntd_driver_join_all(PyObject *object, PyObject *unused);
/* Writes the disks of those that are up; -1 with an exception. */
int ntd_driver_sync_all(struct driver_object *self);
PyObject *ntd_driver_create_machine(PyObject *object, PyObject *args, PyObject *kwargs);

/* ---- driver_timer.c */
PyObject *ntd_driver_get_race_timer(PyObject *object, void *closure);
/* start or cancel: that of driver.race_timer, if a script has set one; -1 with an exception. */
int ntd_driver_time(PyObject *object, const char *method);
PyObject *ntd_driver_terminate_test(PyObject *object, PyObject *unused);
