/* The type Driver: its methods and attributes. All of this runs on threads that hold the GIL.
 */
#include "driver/py_driver.h"

static PyObject *subtest(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"name", NULL};
	PyObject *name;

	if (!py_parse(args, kwargs, "U:subtest", names, &name))
		return NULL;
	return PyObject_CallMethod(py_driver_self(object)->logger, "subtest", "O", name);
}

/* The class is written in Python; its module is imported when a script uses it. */
static PyObject *polling_condition(PyObject *object, PyObject *args, PyObject *kwargs)
{
	_cleanup_pyref_ PyObject *module = PyImport_ImportModule("test_driver.polling_condition");
	_cleanup_pyref_ PyObject *function =
		module ? PyObject_GetAttrString(module, "polling_condition") : NULL;
	_cleanup_pyref_ PyObject *bound = function ? PyObject_CallOneArg(function, object) : NULL;

	return bound ? PyObject_Call(bound, args, kwargs) : NULL;
}

static PyObject *serial_stdout(PyObject *object, bool shown)
{
	return PyObject_CallMethod(py_driver_self(object)->logger, "print_serial_logs", "O",
				   shown ? Py_True : Py_False);
}

static PyObject *serial_stdout_on(PyObject *object, PyObject *unused)
{
	return serial_stdout(object, true);
}

static PyObject *serial_stdout_off(PyObject *object, PyObject *unused)
{
	return serial_stdout(object, false);
}

/* ---- attributes */

static PyObject *get_out_dir(PyObject *object, void *closure)
{
	PyObject *own = py_driver_self(object)->out_dir;

	return own ? Py_NewRef(own) : py_path(py_state()->session->config->output_dir);
}

static int set_out_dir(PyObject *object, PyObject *value, void *closure)
{
	_cleanup_path_ struct py_path_arg path = {0};
	PyObject *converted;

	if (!value || !py_convert_path(value, &path)) {
		PyErr_SetString(PyExc_TypeError, "out_dir must be a str or os.PathLike");
		return -1;
	}
	converted = py_path(path.text);
	if (converted)
		Py_XSETREF(py_driver_self(object)->out_dir, converted);
	return converted ? 0 : -1;
}

static PyObject *get_tmp_dir(PyObject *object, void *closure)
{
	return py_path(py_state()->session->tmp_dir);
}

static PyObject *get_tests(PyObject *object, void *closure)
{
	PyObject *own = py_driver_self(object)->tests;
	PyObject *text = own ? own : py_state()->script_text;

	return text ? Py_NewRef(text) : PyUnicode_FromString("");
}

/* The next test_script() runs the new text. */
static int set_tests(PyObject *object, PyObject *value, void *closure)
{
	struct py_driver *self = py_driver_self(object);

	if (!value || !PyUnicode_Check(value)) {
		PyErr_SetString(PyExc_TypeError, "tests must be a str");
		return -1;
	}
	Py_XSETREF(self->tests, Py_NewRef(value));
	Py_CLEAR(self->code);
	return 0;
}

static PyObject *get_keep_machine_state(PyObject *object, void *closure)
{
	return PyBool_FromLong(py_driver_self(object)->keep_machine_state);
}

static PyObject *get_global_timeout(PyObject *object, void *closure)
{
	return PyFloat_FromDouble(py_driver_self(object)->deadline->seconds);
}

/* The next start of the limit takes the new length. */
static int set_global_timeout(PyObject *object, PyObject *value, void *closure)
{
	double seconds = NTD_NO_TIMEOUT;

	if (!value || value == Py_None || !py_convert_duration(value, &seconds) || seconds < 0) {
		if (!PyErr_Occurred())
			PyErr_SetString(PyExc_TypeError, "global_timeout must be a duration");
		return -1;
	}
	py_driver_self(object)->deadline->seconds = seconds;
	return 0;
}

static PyObject *get_logger(PyObject *object, void *closure)
{
	return Py_XNewRef(py_driver_self(object)->logger);
}

static int set_logger(PyObject *object, PyObject *value, void *closure)
{
	if (!py_logger_report(value ? value : Py_None))
		return -1;
	Py_XSETREF(py_driver_self(object)->logger,
		   value && value != Py_None ? Py_NewRef(value) : py_logger_object(py_state()));
	return 0;
}

/* The list whose offset in the object is the closure. */
static PyObject **list_at(PyObject *object, void *closure)
{
	return (PyObject **)((char *)object + *(const size_t *)closure);
}

static PyObject *get_list(PyObject *object, void *closure)
{
	return Py_XNewRef(*list_at(object, closure));
}

static int set_list(PyObject *object, PyObject *value, void *closure)
{
	if (!value || !PyList_Check(value)) {
		PyErr_SetString(PyExc_TypeError, "it must be a list");
		return -1;
	}
	Py_XSETREF(*list_at(object, closure), Py_NewRef(value));
	return 0;
}

static const struct py_value own_tmp_dir = {"tmp_dir", get_tmp_dir, NULL};
static const struct py_value own_config = {"config", py_driver_get_config, NULL};
static const struct py_value own_vsock = {"vhost_vsock", py_driver_get_vhost_vsock, NULL};
static const struct py_value own_keep = {"keep_machine_state", get_keep_machine_state, NULL};
static const struct py_value own_timer = {"race_timer", py_driver_get_race_timer, NULL};
static const size_t vlans_at = offsetof(struct py_driver, vlans),
		    conditions_at = offsetof(struct py_driver, polling_conditions);

/* ---- the type */

static const char driver_doc[] =
	"Driver(config, out_dir, logger=None, keep_machine_state=False, debug=None, interactive=False)\n--\n\n"
	"A run: its machines, networks and script. A script's own, `with Driver(...) as\n"
	"inner:`, has machines that are released at the end of the block. The arguments\n"
	"of older drivers are taken, too: start_scripts, vlans, tests, out_dir, logger,\n"
	"...";

int py_driver_add_type(PyObject *module, struct py_state *state)
{
	static PyMethodDef methods[] = {
		{"start_all", py_driver_start_all, METH_NOARGS,
		 "start_all($self)\n--\n\n"
		 "Starts all machines at the same time; returns before they have booted."},
		{"join_all", py_driver_join_all, METH_NOARGS,
		 "join_all($self)\n--\n\n"
		 "Waits until all machines have ended, without a time limit; then lifts the limit\n"
		 "of the run."},
		PY_METHOD(
			"create_machine", py_driver_create_machine,
			"create_machine($self, start_command, *, name=None, keep_machine_state=False, keep_vm_state=False)\n--\n\n"
			"Returns a machine that is not part of the configuration. start_command is run by\n"
			"a shell; without a name the machine is called NAME if the command ends in\n"
			"run-NAME-vm, else `machine`. With keep_machine_state (keep_vm_state is its older\n"
			"name) the state directory is not emptied. ValueError for a name that no machine\n"
			"can have."),
		PY_METHOD(
			"snapshot", py_driver_snapshot,
			"snapshot($self, name, timeout=60.0)\n--\n\n"
			"Saves all machines and the networks between them at one moment, for restore()\n"
			"until the end of the run. Machines that boot are waited for; one that does not run\n"
			"is off in the snapshot, too. Frames that are on their way are not in it. See\n"
			"snapshot() of machines for the errors; MachineError also if one is a container."),
		PY_METHOD(
			"restore", py_driver_restore,
			"restore($self, name)\n--\n\n"
			"Brings all machines back to that moment, so that connections between them go on.\n"
			"Frames that are on their way are dropped. ValueError if a machine has no such\n"
			"snapshot, before anything is done."),
		PY_METHOD("subtest", subtest,
			  "subtest($self, name)\n--\n\n"
			  "Returns a context manager: a part of the test with a title."),
		PY_METHOD(
			"polling_condition", polling_condition,
			"polling_condition($self, fun=None, *, seconds_interval=None, interval=None, description=None)\n--\n\n"
			"A decorator for a function that must hold while other things are done. It\n"
			"returns a context manager, which checks the function every seconds_interval\n"
			"seconds (interval is the newer name) and can be waited for."),
		{"serial_stdout_on", serial_stdout_on, METH_NOARGS,
		 "serial_stdout_on($self)\n--\n\nShows the lines of consoles in the log."},
		{"serial_stdout_off", serial_stdout_off, METH_NOARGS,
		 "serial_stdout_off($self)\n--\n\nHides the lines of consoles from the log."},
		{"dump_machine_ssh", py_driver_dump_machine_ssh, METH_NOARGS,
		 "dump_machine_ssh($self)\n--\n\n"
		 "Prints the commands by which this host reaches the machines' sshd."},
		{"terminate_test", py_driver_terminate_test, METH_NOARGS,
		 "terminate_test($self)\n--\n\n"
		 "Ends the run as its time limit does; does not return."},
		{"__copy__", py_driver_copy, METH_NOARGS,
		 "__copy__($self)\n--\n\n"
		 "Returns another object for the same run, with the same lists."},
		{"__enter__", py_driver_enter, METH_NOARGS,
		 "__enter__($self)\n--\n\n"
		 "Returns the driver."},
		{"__exit__", py_driver_exit, METH_VARARGS,
		 "__exit__($self, *exception)\n--\n\n"
		 "Releases the machines and stops the networks."},
		{"test_symbols", py_driver_test_symbols, METH_NOARGS,
		 "test_symbols($self)\n--\n\nReturns the global names of a script, as a new dict."},
		{NULL, NULL, 0, NULL},
	};
	static PyGetSetDef attributes[] = {
		{"vlans", get_list, set_list, "list: the virtual networks.", (void *)&vlans_at},
		{"polling_conditions", get_list, set_list, "list: the polling conditions in force.",
		 (void *)&conditions_at},
		{"logger", get_logger, set_logger, "The log.", NULL},
		{"out_dir", get_out_dir, set_out_dir, "Path: where files for the user go.", NULL},
		{"tmp_dir", py_value_get, py_value_set, "Path: where state directories are made.",
		 (void *)&own_tmp_dir},
		{"tests", get_tests, set_tests, "str: the text of the script.", NULL},
		{"machines", py_driver_get_list, py_driver_set_list,
		 "list: the machines, sorted by name.", (void *)"machines"},
		{"machines_qemu", py_driver_get_list, py_driver_set_list,
		 "list: the virtual machines among them.", (void *)"machines_qemu"},
		{"machines_nspawn", py_driver_get_list, py_driver_set_list,
		 "list: the containers among them.", (void *)"machines_nspawn"},
		{"config", py_value_get, py_value_set, "DriverConfiguration: what it runs.",
		 (void *)&own_config},
		{"vhost_vsock", py_value_get, py_value_set,
		 "VHostDeviceVsock | None: the sockets of the SSH backdoor.", (void *)&own_vsock},
		{"keep_machine_state", py_value_get, py_value_set,
		 "bool: state directories are not emptied.", (void *)&own_keep},
		{"global_timeout", get_global_timeout, set_global_timeout,
		 "float: the limit of time, seconds.", NULL},
		{"race_timer", py_value_get, py_value_set,
		 "RaceTimer: the limit of time, which can be lifted. One that is set is started "
		 "by run_tests().",
		 (void *)&own_timer},
		{NULL, NULL, NULL, NULL, NULL},
	};
	static PyType_Slot slots[] = {
		{Py_tp_doc, (void *)driver_doc},      {Py_tp_new, py_driver_new},
		{Py_tp_init, py_driver_init},         {Py_tp_dealloc, py_driver_dealloc},
		{Py_tp_traverse, py_driver_traverse}, {Py_tp_clear, py_driver_clear},
		{Py_tp_getset, attributes},           {0, NULL},
	};
	static PyType_Spec spec = {
		.name = "test_driver.driver.Driver",
		.basicsize = sizeof(struct py_driver),
		.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
		.slots = slots,
	};

	PyMethodDef *const lists[] = {methods, py_driver_script_methods, NULL};

	return py_add_type(module, &spec, NULL, lists, &state->driver_type);
}
