/* The method clone() of machines. It runs on threads that hold the GIL, which PY_BLOCKING_CALL
 * releases for what can block.
 */
#include "machine/py_machine.h"

#include "guest/moment.h"
#include "session/clones.h"

#define CLASS_HOOK "_begin_as_clone"

static int convert_count(PyObject *object, void *address)
{
	size_t *count = address;
	long value;

	if (!PyLong_Check(object) || PyBool_Check(object)) {
		PyErr_Format(PyExc_TypeError, "n must be an int, not %s", Py_TYPE(object)->tp_name);
		return 0;
	}
	value = PyLong_AsLong(object);
	PyErr_Clear(); /* too large for a long: refused like other numbers */
	if (value < 1 || value > NTD_CLONES_MAX) {
		PyErr_Format(PyExc_ValueError, "n must be a number of clones from 1 to %d, not %S",
			     NTD_CLONES_MAX, object);
		return 0;
	}
	*count = (size_t)value;
	return 1;
}

static int convert_networks(PyObject *object, void *address)
{
	bool *shared = address;

	*shared =
		PyUnicode_Check(object) && PyUnicode_CompareWithASCIIString(object, "shared") == 0;
	if (*shared ||
	    (PyUnicode_Check(object) && PyUnicode_CompareWithASCIIString(object, "own") == 0))
		return 1;
	PyErr_Format(PyExc_ValueError, "networks must be 'own' or 'shared', not %R", object);
	return 0;
}

/* Appends the name, unless it is one of the others. */
static int add_name(PyObject *object, char ***names)
{
	const char *name = PyUnicode_Check(object) ? py_utf8(object, "names") : NULL;

	if (!PyUnicode_Check(object))
		PyErr_Format(PyExc_TypeError, "names must be a list of str, not of %s",
			     Py_TYPE(object)->tp_name);
	if (!name || !py_machine_check_name(name))
		return -1;
	for (char **other = *names; other && *other; other++)
		if (!strcmp(*other, name)) {
			PyErr_Format(PyExc_ValueError, "names has '%s' twice", name);
			return -1;
		}
	ntd_strv_add(names, name);
	return 0;
}

/* The names, to be freed by the caller; NULL with an exception unless there are `count`. */
static char **names_from(PyObject *object, size_t count)
{
	_cleanup_strv_ char **names = NULL;
	_cleanup_pyref_ PyObject *list = PySequence_List(object);

	for (Py_ssize_t i = 0; list && i < PyList_Size(list); i++)
		if (add_name(PyList_GetItem(list, i), &names) < 0)
			return NULL;
	if (!list || ntd_strv_count(names) == count)
		return list ? ntd_steal(&names) : NULL;
	PyErr_Format(PyExc_ValueError, "names must have %zu names, not %zu", count,
		     ntd_strv_count(names));
	return NULL;
}

/* What the start script of such a machine is, only its Python class knows. */
static bool has_script(const struct ntd_machine *machine)
{
	if (*ntd_machine_script(machine))
		return true;
	PyErr_Format(
		py_state()->machine_error,
		"machine '%s': it cannot be cloned: its start command is an object, and clones "
		"need a start script",
		ntd_machine_name(machine));
	return false;
}

/* Adds the machine to those of the run's driver. */
static int enlist(struct py_state *state, PyObject *clone)
{
	_cleanup_pyref_ PyObject *list =
		state->driver ? PyObject_GetAttrString(state->driver, "machines") : NULL;

	if (!state->driver)
		return 0;
	return list && PyList_Check(list) ? PyList_Append(list, clone) : -1;
}

/* A subclass that can take a clone in, without its __init__(), has a method for that; then it is
 * the clone's class, too. */
static PyObject *object_of(PyObject *template, struct ntd_machine *machine)
{
	PyTypeObject *type = Py_TYPE(template);
	_cleanup_pyref_ PyObject *clone = NULL, *done = NULL;

	if (!PyObject_HasAttrString((PyObject *)type, CLASS_HOOK)) {
		clone = py_machine_object(py_state(), machine);
		return clone && enlist(py_state(), clone) == 0 ? ntd_steal(&clone) : NULL;
	}
	clone = py_machine_object_as(type, machine);
	done = clone ? PyObject_CallMethod(clone, CLASS_HOOK, "O", template) : NULL;
	return done ? ntd_steal(&clone) : NULL;
}

static PyObject *objects_of(PyObject *template, struct ntd_machine *const *clones, size_t count)
{
	_cleanup_pyref_ PyObject *list = PyList_New(0);

	for (size_t i = 0; list && i < count; i++) {
		_cleanup_pyref_ PyObject *clone = object_of(template, clones[i]);

		if (!clone || PyList_Append(list, clone) < 0)
			return NULL;
	}
	return ntd_steal(&list);
}

static PyObject *make_clones(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *keywords[] = {"n", "names", "networks", "timeout", NULL};
	struct ntd_session *session = py_state()->session;
	struct ntd_clone_order order = {.machine = py_machine_self(object)->machine,
					.timeout = NTD_SNAPSHOT_TIMEOUT};
	_cleanup_free_ struct ntd_machine **clones = NULL;
	_cleanup_strv_ char **names = NULL;
	PyObject *given = Py_None;
	int result;

	if (!py_parse(args, kwargs, "O&|$OO&O&:clone", keywords, convert_count, &order.count,
		      &given, convert_networks, &order.shares_networks, py_convert_duration,
		      &order.timeout) ||
	    !has_script(order.machine))
		return NULL;
	if (given != Py_None) {
		order.names = names = names_from(given, order.count);
		if (!names)
			return NULL;
	}
	if (!PY_BLOCKING_CALL(
		    result, (clones = ntd_session_clone(session, &order, waiter, error)) ? 0 : -1))
		return NULL;
	return objects_of(object, clones, order.count);
}

PyMethodDef py_machine_clone_methods[] = {
	PY_METHOD(
		"clone", make_clones,
		"clone($self, n, *, names=None, networks='own', timeout=60.0)\n--\n\n"
		"Makes n machines that begin with this one's present state - memory, devices and\n"
		"disks - and returns them in a list, ready for commands. They share the memory that\n"
		"none of them has changed. Boots this machine if necessary; it goes on as it was.\n"
		"Commands of other threads that are under way in it are waited for, timeout seconds\n"
		"at most. Each clone has its own state directory, disks, random numbers and\n"
		"networks; with networks='shared' they are on this machine's networks, with the same\n"
		"addresses. They are called NAME-1, NAME-2 and so on, unless names are given.\n"
		"MachineError, with what to do about it, when QEMU cannot save the machine; and when\n"
		"a clone does not start, and then there are none. Containers cannot be cloned."),
	{NULL, NULL, 0, NULL},
};
