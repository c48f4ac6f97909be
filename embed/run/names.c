/* The global names of a script: the list that is printed before it runs, and the warning about the
 * name `machine`. All of this runs on threads that hold the GIL.
 */
#include "run/py_run.h"

static PyObject *names_of(PyObject *objects, const char *prefix, const char *attribute)
{
	_cleanup_pyref_ PyObject *names = PyList_New(0), *separator = PyUnicode_FromString(", ");

	for (Py_ssize_t i = 0; names && i < PyList_Size(objects); i++) {
		_cleanup_pyref_ PyObject *name =
			PyObject_GetAttrString(PyList_GetItem(objects, i), attribute);
		_cleanup_pyref_ PyObject *full =
			name ? PyUnicode_FromFormat("%s%S", prefix, name) : NULL;

		if (!full || PyList_Append(names, full) < 0)
			return NULL;
	}
	return names && separator ? PyUnicode_Join(separator, names) : NULL;
}

/* The names that are neither machines nor VLANs, in the order in which they were added to the
 * dict. */
static PyObject *general_names(PyObject *symbols)
{
	_cleanup_pyref_ PyObject *names = PyList_New(0), *separator = PyUnicode_FromString(", ");
	struct py_state *state = py_state();
	PyObject *name, *value;
	Py_ssize_t position = 0;

	while (names && PyDict_Next(symbols, &position, &name, &value))
		if (!PyObject_TypeCheck(value, state->base_machine_type) &&
		    !PyObject_TypeCheck(value, state->vlan_type) && PyList_Append(names, name) < 0)
			return NULL;
	return names && separator ? PyUnicode_Join(separator, names) : NULL;
}

int py_names_print(PyObject *driver, PyObject *symbols)
{
	bool quiet = py_state()->session->config->quiet;
	_cleanup_pyref_ PyObject *machines = PyObject_GetAttrString(driver, "machines");
	_cleanup_pyref_ PyObject *vlans = PyObject_GetAttrString(driver, "vlans");
	_cleanup_pyref_ PyObject *machine_names = machines ? names_of(machines, "", "name") : NULL;
	_cleanup_pyref_ PyObject *vlan_names = vlans ? names_of(vlans, "vlan", "nr") : NULL;
	_cleanup_pyref_ PyObject *others = general_names(symbols);

	if (!machine_names || !vlan_names || !others)
		return -1;
	if (quiet)
		return 0;
	PySys_FormatStdout("additionally exposed symbols:\n    %U,\n    %U,\n    %U\n",
			   machine_names, vlan_names, others);
	return PyErr_Occurred() ? -1 : 0;
}

/* ---- the name `machine` of an only machine */

static bool has_name(PyObject *names, const char *name)
{
	for (Py_ssize_t i = 0; i < PyTuple_Size(names); i++)
		if (PyUnicode_CompareWithASCIIString(PyTuple_GetItem(names, i), name) == 0)
			return true;
	return false;
}

/* Whether the code, or a function in it, reads or sets a global of that name. */
static bool uses_global(PyObject *code, const char *name)
{
	_cleanup_pyref_ PyObject *names = PyObject_GetAttrString(code, "co_names");
	_cleanup_pyref_ PyObject *constants = PyObject_GetAttrString(code, "co_consts");

	if (names && has_name(names, name))
		return true;
	for (Py_ssize_t i = 0; constants && i < PyTuple_Size(constants); i++)
		if (PyCode_Check(PyTuple_GetItem(constants, i)) &&
		    uses_global(PyTuple_GetItem(constants, i), name))
			return true;
	return false;
}

static bool use_global(PyObject *parts, const char *name)
{
	for (Py_ssize_t i = 0; i < PyTuple_Size(parts); i++)
		if (uses_global(PyTuple_GetItem(parts, i), name))
			return true;
	return false;
}

void py_names_warn_of_alias(PyObject *symbols, PyObject *parts)
{
	struct py_state *state = py_state();
	PyObject *machine = PyDict_GetItemString(symbols, "machine");
	_cleanup_pyref_ PyObject *name = NULL;

	if (!state->session->config->from_file || !machine ||
	    !PyObject_TypeCheck(machine, state->base_machine_type))
		return;
	name = PyObject_GetAttrString(machine, "name");
	if (name && PyUnicode_CompareWithASCIIString(name, "machine") != 0 &&
	    use_global(parts, "machine"))
		py_log(state->session->report, NTD_LEVEL_WARNING, NULL,
		       "the name `machine` for the only machine is deprecated: call it `%s`",
		       PyUnicode_AsUTF8(name));
	PyErr_Clear();
}
