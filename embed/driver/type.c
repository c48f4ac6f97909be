/* `driver`: the run as scripts see it. */
#include "driver/py_driver.h"

/* ---- what is written in Python */

static PyObject *make_assertions(struct py_state *state)
{
	return py_call("test_driver.assertions", "Assertions", "()");
}

static PyObject *make_debug(struct py_state *state)
{
	return py_call("test_driver.debug", "for_run", "(Oz)", state->driver,
		       state->session->config->debug_hook_attach);
}

/* Attributes that cost nothing until they are used. */
int py_driver_add_assertions(PyObject *object)
{
	_cleanup_pyref_ PyObject *assertions = py_lazy_object(py_state_of(object), make_assertions);

	return assertions ? PyObject_SetAttrString(object, "t", assertions) : -1;
}

static int add_lazy(PyObject *object)
{
	_cleanup_pyref_ PyObject *debug = py_lazy_object(py_state_of(object), make_debug);

	if (!debug || py_driver_add_assertions(object) < 0)
		return -1;
	return PyObject_SetAttrString(object, "debug", debug);
}

/* ---- the object */

static int fill_lists(struct py_driver *self, struct py_state *state)
{
	struct ntd_session *session = state->session;
	size_t count;
	_cleanup_free_ struct ntd_machine **machines = ntd_session_machines(session, &count);

	for (size_t i = 0; i < count; i++) {
		_cleanup_pyref_ PyObject *machine = py_machine_object(state, machines[i]);

		if (!machine ||
		    PyList_Append(self->lists[PY_DRIVER_ALL_MACHINES].list, machine) < 0)
			return -1;
	}
	for (size_t i = 0; i < session->vlans.count; i++) {
		_cleanup_pyref_ PyObject *vlan = py_vlan_object(state, session->vlans.items[i]);

		if (!vlan || PyList_Append(self->vlans, vlan) < 0)
			return -1;
	}
	return 0;
}

/* An empty one, as it is before a script's __init__. */
static PyObject *driver_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
	struct py_state *state = py_state();
	struct py_driver *self = (struct py_driver *)PyType_GenericAlloc(type, 0);

	if (!self)
		return NULL;
	self->vlans = PyList_New(0);
	self->polling_conditions = PyList_New(0);
	self->logger = py_logger_object(state);
	self->deadline = &state->session->deadline;
	if (!py_driver_make_lists(self) || !self->vlans || !self->polling_conditions ||
	    !self->logger)
		Py_CLEAR(self);
	return (PyObject *)self;
}

PyObject *py_driver_object(struct py_state *state)
{
	_cleanup_pyref_ PyObject *object = driver_new(state->driver_type, NULL, NULL);
	const struct ntd_config *config = state->session->config;

	if (!object || fill_lists(py_driver_self(object), state) < 0 || add_lazy(object) < 0)
		return NULL;
	py_driver_self(object)->keep_machine_state = config && config->keep_state;
	return ntd_steal(&object);
}

static PyObject **reference(struct py_driver *self, size_t index)
{
	struct py_machine_list *lists = self->lists;
	PyObject **const references[] = {&lists[PY_DRIVER_ALL_MACHINES].list,
					 &lists[PY_DRIVER_ALL_MACHINES].seen,
					 &lists[PY_DRIVER_QEMU_MACHINES].list,
					 &lists[PY_DRIVER_QEMU_MACHINES].seen,
					 &lists[PY_DRIVER_NSPAWN_MACHINES].list,
					 &lists[PY_DRIVER_NSPAWN_MACHINES].seen,
					 &self->vlans,
					 &self->logger,
					 &self->polling_conditions,
					 &self->out_dir,
					 &self->config,
					 &self->tests,
					 &self->code};

	return index < sizeof references / sizeof *references ? references[index] : NULL;
}

static int driver_traverse(PyObject *object, visitproc visit, void *arg)
{
	PyObject **place;

	for (size_t i = 0; (place = reference(py_driver_self(object), i)); i++)
		Py_VISIT(*place);
	Py_VISIT(py_driver_self(object)->original);
	return py_object_traverse(object, visit, arg);
}

/* Not the original: whether there is one tells whose the deadline is. */
static int driver_clear(PyObject *object)
{
	PyObject **place;

	for (size_t i = 0; (place = reference(py_driver_self(object), i)); i++)
		Py_CLEAR(*place);
	return py_object_clear(object);
}

static void driver_dealloc(PyObject *object)
{
	struct py_driver *self = py_driver_self(object);

	if (!py_object_end(object))
		return;
	if (self->is_own && !self->original) {
		ntd_deadline_stop(self->deadline);
		free(self->deadline);
	}
	Py_CLEAR(self->original);
	py_object_free(object);
}

static PyObject *driver_copy(PyObject *object, PyObject *unused)
{
	struct py_driver *self = py_driver_self(object);
	struct py_driver *copy = (struct py_driver *)py_object_like(object);
	PyObject **place;

	if (!copy)
		return NULL;
	for (size_t i = 0; (place = reference(copy, i)); i++)
		*place = Py_XNewRef(*reference(self, i));
	copy->original = Py_NewRef(object);
	copy->deadline = self->deadline;
	copy->keep_machine_state = self->keep_machine_state;
	copy->is_own = self->is_own;
	return py_object_finish_copy(object, (PyObject *)copy);
}

/* ---- the script */

/* At a prompt the end that a script makes of itself is not that of the session. */
static bool script_exited(struct py_state *state)
{
	_cleanup_pyref_ PyObject *type = NULL, *exception = NULL, *traceback = NULL;

	if (!py_signals_are_attended() || py_signals_ending() ||
	    !PyErr_ExceptionMatches(PyExc_SystemExit))
		return false;
	PyErr_Fetch(&type, &exception, &traceback);
	PyErr_NormalizeException(&type, &exception, &traceback);
	ntd_log(state->session->report, NTD_LEVEL_ALWAYS, NULL,
		"the test script ended with exit status %d", py_script_exit_status(exception));
	py_log_deliver(state);
	return true;
}

static int execute(PyObject *object)
{
	struct py_state *state = py_state_of(object);
	struct py_driver *self = py_driver_self(object);

	if (self->tests && !self->code && !(self->code = py_script_code(self->tests)))
		return -1;
	return self->code ? py_script_execute_code(object, self->code) : py_script_execute(state);
}

static PyObject *test_script(PyObject *object, PyObject *unused)
{
	struct py_state *state = py_state_of(object);

	if (execute(object) < 0 && !script_exited(state))
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *reload(PyObject *object, PyObject *unused)
{
	struct py_state *state = py_state_of(object);

	if (py_script_compile(state) < 0 || py_script_remember(state) < 0)
		return NULL;
	Py_RETURN_NONE;
}

static bool announce_limit(const struct py_driver *self)
{
	_cleanup_free_ char *seconds = ntd_float_text(self->deadline->seconds);
	_cleanup_free_ char *text =
		ntd_asprintf("Test will time out and terminate in %s seconds", seconds);
	_cleanup_pyref_ PyObject *told = PyObject_CallMethod(self->logger, "info", "s", text);

	return told;
}

static PyObject *run_tests(PyObject *object, PyObject *unused)
{
	struct py_driver *self = py_driver_self(object);
	_cleanup_pyref_ PyObject *result = NULL;

	if (!announce_limit(self) || py_driver_time(object, "start") < 0)
		return NULL;
	result = PyObject_CallMethod(object, "test_script", NULL);
	if (py_signals_are_attended()) /* the limit is the test's, not the session's */
		ntd_deadline_stop(self->deadline);
	if (!result)
		return NULL;
	/* A test that failed may have left a shell that is busy for good. */
	if (!py_state_of(object)->pytest_status && py_driver_sync_all(self) < 0)
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *check_polling_conditions(PyObject *object, PyObject *unused)
{
	if (!PyList_Size(py_driver_self(object)->polling_conditions))
		Py_RETURN_NONE;
	return py_call("test_driver.polling_condition", "check_all", "(O)", object);
}

static PyObject *subtest(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"name", NULL};
	PyObject *name;

	if (!py_parse(args, kwargs, "U:subtest", names, &name))
		return NULL;
	return PyObject_CallMethod(py_driver_self(object)->logger, "subtest", "O", name);
}

/* The class is written in Python, and imported when a script uses it. */
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

/* ---- the type */

static PyObject *get_out_dir(PyObject *object, void *closure)
{
	PyObject *own = py_driver_self(object)->out_dir;

	return own ? Py_NewRef(own) : py_path(py_state_of(object)->session->config->output_dir);
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
	return py_path(py_state_of(object)->session->tmp_dir);
}

static PyObject *get_tests(PyObject *object, void *closure)
{
	PyObject *own = py_driver_self(object)->tests;
	PyObject *text = own ? own : py_state_of(object)->script_text;

	return text ? Py_NewRef(text) : PyUnicode_FromString("");
}

/* The next test_script() runs it. */
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

/* The next start of the limit counts it. */
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
	Py_XSETREF(py_driver_self(object)->logger, value && value != Py_None
							   ? Py_NewRef(value)
							   : py_logger_object(py_state_of(object)));
	return 0;
}

/* A list of the driver's, at an offset in its object. */
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

static const char driver_doc[] =
	"Driver(config, out_dir, logger=None, keep_machine_state=False, debug=None, interactive=False)\n--\n\n"
	"A run: its machines, networks and script. A script's own, `with Driver(...) as\n"
	"inner:`, has machines that are released with the block. The arguments of older\n"
	"drivers are taken, too: start_scripts, vlans, tests, out_dir, logger, ...";

int py_add_driver_type(PyObject *module, struct py_state *state)
{
	static PyMethodDef methods[] = {
		{"start_all", py_driver_start_all, METH_NOARGS,
		 "start_all($self)\n--\n\nStarts all machines, at the same time."},
		{"join_all", py_driver_join_all, METH_NOARGS,
		 "join_all($self)\n--\n\nWaits until all machines have ended; without time limit."},
		PY_METHOD(
			"create_machine", py_driver_create_machine,
			"create_machine($self, start_command, *, name=None, keep_machine_state=False, keep_vm_state=False)\n--\n\n"
			"A machine that is not part of the configuration. The command is run by a shell;\n"
			"its name is the NAME of run-NAME-vm at the end, unless given. keep_vm_state is the\n"
			"older name of keep_machine_state."),
		{"test_script", test_script, METH_NOARGS,
		 "test_script($self)\n--\n\nRuns the script."},
		{"reload", reload, METH_NOARGS,
		 "reload($self)\n--\n\n"
		 "Reads the script's file again, for test_script(). With a syntax error in it, the\n"
		 "text stays as it was. The machines stay as they are."},
		{"run_tests", run_tests, METH_NOARGS,
		 "run_tests($self)\n--\n\nRuns the script under the global time limit."},
		PY_METHOD("subtest", subtest,
			  "subtest($self, name)\n--\n\n"
			  "A context manager: a part of the test with a title."),
		PY_METHOD(
			"polling_condition", polling_condition,
			"polling_condition($self, fun=None, *, seconds_interval=None, interval=None, description=None)\n--\n\n"
			"A decorator: a function that must hold while other things are done, as a context\n"
			"manager, and that can be waited for."),
		{"serial_stdout_on", serial_stdout_on, METH_NOARGS,
		 "serial_stdout_on($self)\n--\n\nShows console lines in the log."},
		{"serial_stdout_off", serial_stdout_off, METH_NOARGS,
		 "serial_stdout_off($self)\n--\n\nHides console lines from the log."},
		{"dump_machine_ssh", py_driver_dump_machine_ssh, METH_NOARGS,
		 "dump_machine_ssh($self)\n--\n\n"
		 "Prints the commands by which this host reaches the machines' sshd."},
		{"check_polling_conditions", check_polling_conditions, METH_NOARGS,
		 "check_polling_conditions($self)\n--\n\n"
		 "PollingConditionError unless those in force hold."},
		{"terminate_test", py_driver_terminate_test, METH_NOARGS,
		 "terminate_test($self)\n--\n\nEnds the run as its limit of time does."},
		{"__copy__", driver_copy, METH_NOARGS,
		 "__copy__($self)\n--\n\nAnother object for the same run, with the same lists."},
		{"__enter__", py_driver_enter, METH_NOARGS, "__enter__($self)\n--\n\nThe driver."},
		{"__exit__", py_driver_exit, METH_VARARGS,
		 "__exit__($self, *exception)\n--\n\n"
		 "Releases the machines and stops the networks."},
		{"test_symbols", py_driver_test_symbols, METH_NOARGS,
		 "test_symbols($self)\n--\n\nThe global names of a script, as a new dict."},
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
		{Py_tp_doc, (void *)driver_doc},   {Py_tp_new, driver_new},
		{Py_tp_init, py_driver_init},      {Py_tp_dealloc, driver_dealloc},
		{Py_tp_traverse, driver_traverse}, {Py_tp_clear, driver_clear},
		{Py_tp_getset, attributes},        {0, NULL},
	};
	static PyType_Spec spec = {
		.name = "test_driver.driver.Driver",
		.basicsize = sizeof(struct py_driver),
		.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
		.slots = slots,
	};

	PyMethodDef *const lists[] = {methods, NULL};

	return py_add_type(module, &spec, NULL, lists, &state->driver_type);
}
