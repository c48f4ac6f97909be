/* The methods snapshot() and restore() of machines. They run on threads that hold the GIL, which
 * PY_BLOCKING_CALL releases for calls that can block.
 */
#include "guest/moment.h"
#include "machine/py_machine.h"

int py_convert_snapshot_name(PyObject *object, void *address)
{
	const char **name = address;

	if (!PyUnicode_Check(object)) {
		PyErr_Format(PyExc_TypeError, "the name of a snapshot must be a str, not %s",
			     Py_TYPE(object)->tp_name);
		return 0;
	}
	*name = py_utf8(object, "name");
	if (*name && !**name)
		PyErr_SetString(PyExc_ValueError, "the name of a snapshot is empty");
	return *name && **name;
}

static PyObject *snapshot(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"name", "timeout", NULL};
	struct ntd_machine *machine = py_machine_self(object)->machine;
	struct ntd_moment moment = {
		.machines = &machine, .count = 1, .starts = true, .timeout = NTD_SNAPSHOT_TIMEOUT};
	int result;

	if (!py_parse(args, kwargs, "O&|O&:snapshot", names, py_convert_snapshot_name, &moment.name,
		      py_convert_duration, &moment.timeout) ||
	    !PY_BLOCKING_CALL(result, ntd_moment_save(&moment, waiter, error)))
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *restore(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"name", NULL};
	struct ntd_machine *machine = py_machine_self(object)->machine;
	struct ntd_moment moment = {.machines = &machine, .count = 1};
	int result;

	if (!py_parse(args, kwargs, "O&:restore", names, py_convert_snapshot_name, &moment.name) ||
	    !PY_BLOCKING_CALL(result, ntd_moment_restore(&moment, waiter, error)))
		return NULL;
	Py_RETURN_NONE;
}

PyMethodDef py_machine_snapshot_methods[] = {
	PY_METHOD(
		"snapshot", snapshot,
		"snapshot($self, name, timeout=60.0)\n--\n\n"
		"Saves the machine - memory, devices and disks - under a name, for restore() until\n"
		"the end of the run; an earlier snapshot of that name is replaced. Boots the machine\n"
		"if necessary. Commands of other threads that are under way are waited for, timeout\n"
		"seconds at most. MachineError, with what to do about it, when QEMU cannot save the\n"
		"machine, as when the guest has mounted a share or the disk is full; the machine then\n"
		"goes on. Containers have no snapshots."),
	PY_METHOD(
		"restore", restore,
		"restore($self, name)\n--\n\n"
		"Brings the machine back to its snapshot of that name, also after its end. What was\n"
		"pending in the guest fails. Its clock is then that of the host, its random numbers\n"
		"are new ones, and the console's log and what of it has been matched are as they were.\n"
		"ValueError when there is no such snapshot."),
	{NULL, NULL, 0, NULL},
};
