/* The global names of a script, as driver.test_symbols() returns them. All of this runs on threads
 * that hold the GIL.
 */
#include "driver/py_driver.h"

/* The names that every script has, in the order in which they are listed, and where their values
 * come from. */
static const struct {
	const char *name;
	enum { OF_DRIVER, OF_MODULE, AN_IMPORT, THE_DRIVER } source;
	const char *attribute; /* of the driver; NULL: the same as name */
} general[] = {
	{"start_all", OF_DRIVER, NULL},
	{"test_script", OF_DRIVER, NULL},
	{"machines", OF_DRIVER, NULL},
	{"machines_qemu", OF_DRIVER, NULL},
	{"machines_nspawn", OF_DRIVER, NULL},
	{"vlans", OF_DRIVER, NULL},
	{"driver", THE_DRIVER, NULL},
	{"log", OF_DRIVER, "logger"},
	{"os", AN_IMPORT, NULL},
	{"create_machine", OF_DRIVER, NULL},
	{"subtest", OF_DRIVER, NULL},
	{"run_tests", OF_DRIVER, NULL},
	{"join_all", OF_DRIVER, NULL},
	{"retry", OF_MODULE, NULL},
	{"serial_stdout_off", OF_DRIVER, NULL},
	{"serial_stdout_on", OF_DRIVER, NULL},
	{"polling_condition", OF_DRIVER, NULL},
	{"BaseMachine", OF_MODULE, NULL},
	{"QemuMachine", OF_MODULE, NULL},
	{"NspawnMachine", OF_MODULE, NULL},
	{"t", OF_DRIVER, NULL},
	{"debug", OF_DRIVER, NULL},
	{"dump_machine_ssh", OF_DRIVER, NULL},
	{"Machine", OF_MODULE, NULL},
	{"create_image_machine", OF_MODULE, NULL},
};

/* The module is imported when a script first makes such a machine: most scripts make none. */
static PyObject *create_image_machine(PyObject *module, PyObject *args, PyObject *kwargs)
{
	_cleanup_pyref_ PyObject *images = PyImport_ImportModule("test_driver.image_machine");
	_cleanup_pyref_ PyObject *function =
		images ? PyObject_GetAttrString(images, "create_image_machine") : NULL;

	return function ? PyObject_Call(function, args, kwargs) : NULL;
}

PyMethodDef py_driver_global_functions[] = {
	PY_METHOD(
		"create_image_machine", create_image_machine,
		"create_image_machine(iso=None, disks=(), memory=1024, cpus=None, firmware='bios', "
		"nics=1, vlans=(), **named)\n--\n\n"
		"Makes a machine that boots an ISO or disk images by itself, and is reached by SSH:\n"
		"see create_image_machine() of the module test_driver.image_machine."),
	{NULL, NULL, 0, NULL},
};

static PyObject *general_object(PyObject *object, PyObject *module, size_t index)
{
	const char *name =
		general[index].attribute ? general[index].attribute : general[index].name;

	switch (general[index].source) {
	case OF_DRIVER:
		return PyObject_GetAttrString(object, name);
	case OF_MODULE:
		return PyObject_GetAttrString(module, name);
	case AN_IMPORT:
		return PyImport_ImportModule(name);
	case THE_DRIVER:
	default:
		return Py_NewRef(object);
	}
}

static int add_general(PyObject *object, PyObject *dict)
{
	_cleanup_pyref_ PyObject *module = PyImport_ImportModule("_test_driver");

	for (size_t i = 0; module && i < sizeof general / sizeof *general; i++) {
		_cleanup_pyref_ PyObject *value = general_object(object, module, i);

		if (!value || PyDict_SetItemString(dict, general[i].name, value) < 0)
			return -1;
	}
	return module ? 0 : -1;
}

static int add_machines(PyObject *object, PyObject *dict)
{
	_cleanup_pyref_ PyObject *machines = py_driver_machines(py_driver_self(object));
	Py_ssize_t count = machines ? PyList_Size(machines) : 0;

	for (Py_ssize_t i = 0; i < count; i++) {
		PyObject *machine = PyList_GetItem(machines, i);
		_cleanup_pyref_ PyObject *text = PyObject_GetAttrString(machine, "name");
		const char *utf8 = text ? PyUnicode_AsUTF8(text) : NULL;
		_cleanup_free_ char *name = utf8 ? ntd_python_name(utf8) : NULL;

		if (!name || PyDict_SetItemString(dict, name, machine) < 0)
			return -1;
	}
	if (count == 1 && !PyDict_GetItemString(dict, "machine"))
		return PyDict_SetItemString(dict, "machine", PyList_GetItem(machines, 0));
	return machines ? 0 : -1;
}

static int add_vlans(PyObject *object, PyObject *dict)
{
	struct py_driver *self = py_driver_self(object);

	for (Py_ssize_t i = 0; i < PyList_Size(self->vlans); i++) {
		PyObject *vlan = PyList_GetItem(self->vlans, i);
		_cleanup_pyref_ PyObject *number = PyObject_GetAttrString(vlan, "nr");
		_cleanup_pyref_ PyObject *name =
			number ? PyUnicode_FromFormat("vlan%S", number) : NULL;

		if (!name || PyDict_SetItem(dict, name, vlan) < 0)
			return -1;
	}
	return 0;
}

PyObject *py_driver_test_symbols(PyObject *object, PyObject *unused)
{
	_cleanup_pyref_ PyObject *dict = PyDict_New();

	if (!dict || add_general(object, dict) < 0 || add_machines(object, dict) < 0 ||
	    add_vlans(object, dict) < 0)
		return NULL;
	return ntd_steal(&dict);
}
