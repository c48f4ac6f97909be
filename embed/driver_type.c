/* `driver`: the run as scripts see it. */
#include "driver_object.h"

#include <structmember.h>

/* ---- what is written in Python */

static PyObject *make_assertions(struct ntd_module_state *state)
{
	_cleanup_pyref_ PyObject *module = PyImport_ImportModule("test_driver.assertions");

	(void)state;
	return module ? PyObject_CallMethod(module, "Assertions", NULL) : NULL;
}

static PyObject *make_debug(struct ntd_module_state *state)
{
	_cleanup_pyref_ PyObject *module = PyImport_ImportModule("test_driver.debug");

	return module ? PyObject_CallMethod(module, "for_run", "Oz", state->driver,
					    state->session->config->debug_hook_attach)
		      : NULL;
}

/* Attributes that cost nothing until they are used. */
static int add_lazy(struct driver_object *self, struct ntd_module_state *state)
{
	_cleanup_pyref_ PyObject *assertions = ntd_lazy_object(state, make_assertions);
	_cleanup_pyref_ PyObject *debug = ntd_lazy_object(state, make_debug);

	if (!assertions || !debug || PyObject_SetAttrString((PyObject *)self, "t", assertions) < 0)
		return -1;
	return PyObject_SetAttrString((PyObject *)self, "debug", debug);
}

/* ---- the object */

/* os.environ was copied from the environment when Python started: before the VLANs were there. */
static int export_vlan(struct ntd_vlan *vlan)
{
	_cleanup_free_ char *name = ntd_asprintf("QEMU_VDE_SOCKET_%d", ntd_vlan_number(vlan));
	_cleanup_pyref_ PyObject *os = PyImport_ImportModule("os");
	_cleanup_pyref_ PyObject *variables = os ? PyObject_GetAttrString(os, "environ") : NULL;
	_cleanup_pyref_ PyObject *directory = PyUnicode_DecodeFSDefault(ntd_vlan_directory(vlan));

	return variables && directory ? PyMapping_SetItemString(variables, name, directory) : -1;
}

static int fill_lists(struct driver_object *self, struct ntd_module_state *state)
{
	struct ntd_session *session = state->session;

	for (size_t i = 0; i < session->machine_count; i++) {
		_cleanup_pyref_ PyObject *machine = ntd_machine_object(state, session->machines[i]);

		if (!machine || PyList_Append(self->machines, machine) < 0)
			return -1;
	}
	for (size_t i = 0; i < session->vlan_count; i++) {
		_cleanup_pyref_ PyObject *vlan = ntd_vlan_object(state, session->vlans[i]);

		if (!vlan || PyList_Append(self->vlans, vlan) < 0 ||
		    export_vlan(session->vlans[i]) < 0)
			return -1;
	}
	return 0;
}

PyObject *ntd_driver_object(struct ntd_module_state *state)
{
	struct driver_object *self =
		(struct driver_object *)PyType_GenericAlloc(state->driver_type, 0);

	if (!self)
		return NULL;
	self->machines = PyList_New(0);
	self->vlans = PyList_New(0);
	self->logger = ntd_logger_object(state);
	if (!self->machines || !self->vlans || !self->logger || fill_lists(self, state) < 0 ||
	    add_lazy(self, state) < 0)
		Py_CLEAR(self);
	return (PyObject *)self;
}

static int driver_traverse(PyObject *object, visitproc visit, void *arg)
{
	Py_VISIT(Py_TYPE(object));
	Py_VISIT(ntd_driver_self(object)->machines);
	Py_VISIT(ntd_driver_self(object)->vlans);
	Py_VISIT(ntd_driver_self(object)->logger);
	Py_VISIT(ntd_driver_self(object)->dict);
	return 0;
}

static int driver_clear(PyObject *object)
{
	Py_CLEAR(ntd_driver_self(object)->machines);
	Py_CLEAR(ntd_driver_self(object)->vlans);
	Py_CLEAR(ntd_driver_self(object)->logger);
	Py_CLEAR(ntd_driver_self(object)->dict);
	return 0;
}

static void driver_dealloc(PyObject *object)
{
	PyTypeObject *type = Py_TYPE(object);

	PyObject_GC_UnTrack(object);
	driver_clear(object);
	type->tp_free(object);
	Py_DECREF(type);
}

/* ---- machines together */

static struct ntd_machine **machines_of(struct driver_object *self, size_t *count)
{
	Py_ssize_t size = PyList_Size(self->machines);
	struct ntd_machine **list = ntd_calloc((size_t)size, sizeof(struct ntd_machine *));

	*count = (size_t)size;
	for (Py_ssize_t i = 0; i < size; i++) {
		list[i] = ntd_machine_of(PyList_GetItem(self->machines, i));
		if (!list[i]) {
			free(list);
			return NULL;
		}
	}
	return list;
}

static PyObject *start_all(PyObject *object, PyObject *unused)
{
	struct ntd_module_state *state = ntd_state_of(object);
	struct ntd_blocking blocking;
	struct ntd_error *error = NULL;
	struct ntd_nest nest;
	size_t count;
	_cleanup_free_ struct ntd_machine **machines = machines_of(ntd_driver_self(object), &count);
	int result;

	(void)unused;
	if (!machines || !ntd_block(&blocking))
		return NULL;
	nest = ntd_nest_begin(state->session->report, NULL, "start all VMs");
	result = ntd_machine_start_all(machines, count, &blocking.waiter, &error);
	ntd_nest_end(&nest, result < 0);
	ntd_unblock(&blocking);
	if (result < 0)
		return ntd_raise(state, error);
	Py_RETURN_NONE;
}

static PyObject *join_all(PyObject *object, PyObject *unused)
{
	struct ntd_module_state *state = ntd_state_of(object);
	struct ntd_blocking blocking;
	struct ntd_error *error = NULL;
	struct ntd_nest nest;
	size_t count;
	_cleanup_free_ struct ntd_machine **machines = machines_of(ntd_driver_self(object), &count);
	int result = 0;

	(void)unused;
	if (!machines || !ntd_block(&blocking))
		return NULL;
	nest = ntd_nest_begin(state->session->report, NULL, "wait for all VMs to finish");
	for (size_t i = 0; result == 0 && i < count; i++)
		result = ntd_machine_wait_for_shutdown(machines[i], NTD_FOREVER, &blocking.waiter,
						       &error);
	ntd_nest_end(&nest, result < 0);
	ntd_session_stop_timer(state->session);
	ntd_unblock(&blocking);
	if (result < 0)
		return ntd_raise(state, error);
	Py_RETURN_NONE;
}

/* ---- create_machine */

/* Older scripts pass one dict: startCommand, name, keep_vm_state. */
static PyObject *create_from_dict(PyObject *self, PyObject *dict);

static PyObject *create_machine(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"start_command", "name", "keep_machine_state", "keep_vm_state",
				NULL};
	struct ntd_module_state *state = ntd_state_of(object);
	struct ntd_error *error = NULL;
	struct ntd_machine *machine;
	_cleanup_free_ char *own_name = NULL;
	_cleanup_pyref_ PyObject *text = NULL;
	const char *command, *name = NULL;
	int keep = false, keep_old = false;
	PyObject *given;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$zpp:create_machine", names, &given,
					 &name, &keep, &keep_old))
		return NULL;
	if (PyDict_Check(given))
		return create_from_dict(object, given);
	text = PyOS_FSPath(given);
	command = text && PyUnicode_Check(text) ? PyUnicode_AsUTF8(text) : NULL;
	if (!command) {
		if (!PyErr_Occurred())
			PyErr_SetString(PyExc_TypeError, "start_command must be a str");
		return NULL;
	}
	own_name = name ? ntd_strdup(name) : ntd_start_script_name(command, "-vm");
	if (!ntd_check_machine_name(own_name))
		return NULL;
	Py_BEGIN_ALLOW_THREADS
	machine = ntd_session_add_machine(state->session,
					  &(struct ntd_new_machine){.name = own_name,
								    .script = command,
								    .keep_state = keep || keep_old},
					  &error);
	Py_END_ALLOW_THREADS
	if (!machine)
		return ntd_raise(state, error);
	if (state->session->ssh_backdoor)
		ntd_log(state->session->report, NTD_LEVEL_WARNING, own_name,
			"the SSH backdoor does not reach machines made by create_machine()");
	return ntd_machine_object(state, machine);
}

static PyObject *create_from_dict(PyObject *self, PyObject *dict)
{
	static const char *const keys[][2] = {{"name", "name"}, {"keep_vm_state", "keep_vm_state"}};
	PyObject *command = PyDict_GetItemString(dict, "startCommand");
	_cleanup_pyref_ PyObject *args = NULL, *kwargs = PyDict_New();

	if (!command)
		return PyErr_Format(PyExc_KeyError, "startCommand");
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		PyObject *value = PyDict_GetItemString(dict, keys[i][0]);

		if (value && PyDict_SetItemString(kwargs, keys[i][1], value) < 0)
			return NULL;
	}
	ntd_log(ntd_state_of(self)->session->report, NTD_LEVEL_WARNING, NULL,
		"create_machine() with a dict is deprecated: pass the start command and keywords");
	args = PyTuple_Pack(1, command);
	return args && kwargs ? create_machine(self, args, kwargs) : NULL;
}

/* ---- the script */

/* At a prompt the end that a script makes of itself is not that of the session. */
static bool script_exited(struct ntd_module_state *state)
{
	_cleanup_pyref_ PyObject *type = NULL, *exception = NULL, *traceback = NULL;

	if (!ntd_signals_are_attended() || ntd_signals_ending() ||
	    !PyErr_ExceptionMatches(PyExc_SystemExit))
		return false;
	PyErr_Fetch(&type, &exception, &traceback);
	PyErr_NormalizeException(&type, &exception, &traceback);
	ntd_log(state->session->report, NTD_LEVEL_ALWAYS, NULL,
		"the test script ended with exit status %d", ntd_status_of_exit(exception));
	return true;
}

static PyObject *test_script(PyObject *object, PyObject *unused)
{
	struct ntd_module_state *state = ntd_state_of(object);

	(void)unused;
	if (ntd_execute_script(state) < 0 && !script_exited(state))
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *reload(PyObject *object, PyObject *unused)
{
	struct ntd_module_state *state = ntd_state_of(object);

	(void)unused;
	if (ntd_compile_script(state) < 0 || ntd_remember_script(state) < 0)
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *run_tests(PyObject *object, PyObject *unused)
{
	struct ntd_module_state *state = ntd_state_of(object);
	_cleanup_free_ struct ntd_machine **machines = NULL;
	size_t count;
	int result;

	(void)unused;
	ntd_session_start_timer(state->session);
	result = ntd_execute_script(state);
	if (ntd_signals_are_attended()) /* the limit is the test's, not the session's */
		ntd_session_stop_timer(state->session);
	if (result < 0 && !script_exited(state))
		return NULL;
	machines = machines_of(ntd_driver_self(object), &count);
	for (size_t i = 0; machines && i < count; i++)
		if (!NTD_BLOCKING_CALL(result, ntd_machine_sync(machines[i], waiter, error)))
			return NULL;
	if (!machines)
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *subtest(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"name", NULL};
	const char *name;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "s:subtest", names, &name))
		return NULL;
	return ntd_step_object(ntd_logger_report(ntd_driver_self(object)->logger), NULL, name, NULL,
			       true);
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
	return PyObject_CallMethod(ntd_driver_self(object)->logger, "print_serial_logs", "O",
				   shown ? Py_True : Py_False);
}

static PyObject *serial_stdout_on(PyObject *object, PyObject *unused)
{
	(void)unused;
	return serial_stdout(object, true);
}

static PyObject *serial_stdout_off(PyObject *object, PyObject *unused)
{
	(void)unused;
	return serial_stdout(object, false);
}

/* ---- the type */

static PyObject *get_out_dir(PyObject *object, void *closure)
{
	(void)closure;
	return ntd_path(ntd_state_of(object)->session->config->output_dir);
}

static PyObject *get_tests(PyObject *object, void *closure)
{
	PyObject *text = ntd_state_of(object)->script_text;

	(void)closure;
	return text ? Py_NewRef(text) : PyUnicode_FromString("");
}

static PyObject *get_machines_qemu(PyObject *object, void *closure)
{
	(void)closure;
	return PyList_GetSlice(ntd_driver_self(object)->machines, 0, PY_SSIZE_T_MAX);
}

static PyObject *get_machines_nspawn(PyObject *object, void *closure)
{
	(void)object;
	(void)closure;
	return PyList_New(0);
}

int ntd_add_driver_type(PyObject *module, struct ntd_module_state *state)
{
	static PyMethodDef methods[] = {
		{"start_all", start_all, METH_NOARGS,
		 "start_all($self)\n--\n\nStarts all machines, at the same time."},
		{"join_all", join_all, METH_NOARGS,
		 "join_all($self)\n--\n\nWaits until all machines have ended; without time limit."},
		NTD_METHOD(
			"create_machine", create_machine,
			"create_machine($self, start_command, *, name=None, "
			"keep_machine_state=False, keep_vm_state=False)\n"
			"--\n\nA machine that is not part of the configuration. The command is run "
			"by a\n"
			"shell; its name is the NAME of run-NAME-vm at the end, unless given.\n"
			"keep_vm_state is the older name of keep_machine_state."),
		{"test_script", test_script, METH_NOARGS,
		 "test_script($self)\n--\n\nRuns the script."},
		{"reload", reload, METH_NOARGS,
		 "reload($self)\n--\n\nReads the script's file again, for test_script(). With a "
		 "syntax error in it, the text\n"
		 "stays as it was. The machines stay as they are."},
		{"run_tests", run_tests, METH_NOARGS,
		 "run_tests($self)\n--\n\nRuns the script under the global time limit."},
		NTD_METHOD(
			"subtest", subtest,
			"subtest($self, name)\n--\n\nA context manager: a part of the test with a "
			"title."),
		NTD_METHOD(
			"polling_condition", polling_condition,
			"polling_condition($self, fun=None, *, seconds_interval=2.0, "
			"interval=None, description=None)\n"
			"--\n\nA decorator: a function that must hold while other things are done, "
			"as a\n"
			"context manager, and that can be waited for."),
		{"serial_stdout_on", serial_stdout_on, METH_NOARGS,
		 "serial_stdout_on($self)\n--\n\nShows console lines in the log."},
		{"serial_stdout_off", serial_stdout_off, METH_NOARGS,
		 "serial_stdout_off($self)\n--\n\nHides console lines from the log."},
		{"dump_machine_ssh", ntd_driver_dump_machine_ssh, METH_NOARGS,
		 "dump_machine_ssh($self)\n--\n\nPrints the commands by which this host reaches "
		 "the "
		 "machines' sshd."},
		{"test_symbols", ntd_driver_test_symbols, METH_NOARGS,
		 "test_symbols($self)\n--\n\nThe global names of a script, as a new dict."},
		{NULL, NULL, 0, NULL},
	};
	static PyMemberDef members[] = {
		{"machines", T_OBJECT, offsetof(struct driver_object, machines), READONLY,
		 "list: the machines, sorted by name."},
		{"vlans", T_OBJECT, offsetof(struct driver_object, vlans), READONLY,
		 "list: the virtual networks."},
		{"logger", T_OBJECT, offsetof(struct driver_object, logger), READONLY, "The log."},
		{"__dictoffset__", T_PYSSIZET, offsetof(struct driver_object, dict), READONLY,
		 NULL},
		{NULL, 0, 0, 0, NULL},
	};
	static PyGetSetDef attributes[] = {
		{"__dict__", PyObject_GenericGetDict, NULL, NULL, NULL},
		{"out_dir", get_out_dir, NULL, "Path: where files for the user go.", NULL},
		{"tests", get_tests, NULL, "str: the text of the script.", NULL},
		{"machines_qemu", get_machines_qemu, NULL, "list: the virtual machines.", NULL},
		{"machines_nspawn", get_machines_nspawn, NULL, "list: the containers.", NULL},
		{NULL, NULL, NULL, NULL, NULL},
	};
	static PyType_Slot slots[] = {
		{Py_tp_doc, (void *)"The run: its machines, networks and script."},
		{Py_tp_dealloc, driver_dealloc},
		{Py_tp_traverse, driver_traverse},
		{Py_tp_clear, driver_clear},
		{Py_tp_methods, methods},
		{Py_tp_members, members},
		{Py_tp_getset, attributes},
		{0, NULL},
	};
	static PyType_Spec spec = {
		.name = "test_driver.driver.Driver",
		.basicsize = sizeof(struct driver_object),
		.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE |
			 Py_TPFLAGS_DISALLOW_INSTANTIATION,
		.slots = slots,
	};

	state->driver_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
	return state->driver_type ? PyModule_AddType(module, state->driver_type) : -1;
}
