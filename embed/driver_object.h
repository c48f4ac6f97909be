/* The Python object of a run, for the files that make up its type. */
#pragma once

#include "embed.h"

struct driver_object {
	PyObject_HEAD
	PyObject *machines, *vlans; /* lists */
	PyObject *logger;
	PyObject *dict;
};

static inline struct driver_object *ntd_driver_self(PyObject *object)
{
	return (struct driver_object *)object;
}

/* driver.dump_machine_ssh(), in ssh_backdoor.c */
PyObject *ntd_driver_dump_machine_ssh(PyObject *object, PyObject *unused);
/* driver.test_symbols(), in globals.c */
PyObject *ntd_driver_test_symbols(PyObject *object, PyObject *unused);
