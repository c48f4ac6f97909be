/* What a driver does with all its machines, and how it makes one: start_all, join_all,
 * create_machine, dump_machine_ssh. The script may put other objects into the driver's lists:
 * methods of subclasses, and of other objects that have these methods, are called by name. All of
 * this runs on threads that hold the GIL.
 */
#include "driver/py_driver.h"

static bool call_method(PyObject *machine, const char *method)
{
	_cleanup_pyref_ PyObject *result = PyObject_CallMethod(machine, method, NULL);

	return result;
}

/* ---- start_all */

static int start_plain(PyObject *list)
{
	Py_ssize_t size = PyList_Size(list);
	_cleanup_free_ struct ntd_machine **machines =
		ntd_calloc((size_t)size + 1, sizeof(struct ntd_machine *));
	size_t count = 0;
	int result;

	for (Py_ssize_t i = 0; i < size; i++)
		if (py_machine_is_plain(PyList_GetItem(list, i), "start"))
			machines[count++] = py_machine_of(PyList_GetItem(list, i));
	PY_BLOCKING_CALL(result, ntd_machine_start_all(machines, count, waiter, error));
	return result;
}

static int start_machines(PyObject *list)
{
	if (!list || start_plain(list) < 0)
		return -1;
	for (Py_ssize_t i = 0; i < PyList_Size(list); i++)
		if (!py_machine_is_plain(PyList_GetItem(list, i), "start") &&
		    !call_method(PyList_GetItem(list, i), "start"))
			return -1;
	return 0;
}

/* The machines in the order in which they start: by name, or in the order of the seed. */
static PyObject *in_order(PyObject *list)
{
	unsigned long seed = py_state()->session->members.seed;
	_cleanup_pyref_ PyObject *random = NULL, *done = NULL;

	if (!list || !seed)
		return Py_XNewRef(list);
	random = py_call("random", "Random", "(k)", seed);
	done = random ? PyObject_CallMethod(random, "shuffle", "O", list) : NULL;
	return done ? Py_NewRef(list) : NULL;
}

PyObject *py_driver_start_all(PyObject *object, PyObject *unused)
{
	struct py_driver *self = py_driver_self(object);
	_cleanup_pyref_ PyObject *all = py_driver_machines(self), *list = in_order(all);
	PyObject *step = list ? py_step_enter(self->logger, NTD_STEP_START, "start all VMs") : NULL;

	if (!step)
		return NULL;
	start_machines(list);
	py_step_leave(step);
	return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

/* ---- join_all */

static int join(PyObject *object)
{
	struct ntd_machine *machine;
	int result;

	if (!py_machine_is_plain(object, "wait_for_shutdown"))
		return call_method(object, "wait_for_shutdown") ? 0 : -1;
	machine = py_machine_of(object);
	PY_BLOCKING_CALL(result,
			 ntd_machine_wait_for_shutdown(machine, NTD_FOREVER, waiter, error));
	return result;
}

PyObject *py_driver_join_all(PyObject *object, PyObject *unused)
{
	struct py_driver *self = py_driver_self(object);
	_cleanup_pyref_ PyObject *list = py_driver_machines(self);
	PyObject *step = py_step_enter(self->logger, NTD_STEP_STOP, "wait for all VMs to finish");
	int result = list && step ? 0 : -1;

	if (!step)
		return NULL;
	for (Py_ssize_t i = 0; result == 0 && i < PyList_Size(list); i++)
		result = join(PyList_GetItem(list, i));
	if (result == 0)
		py_driver_cancel_timer(object);
	py_step_leave(step);
	return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

/* ---- after the script */

static int sync_one(PyObject *object)
{
	_cleanup_pyref_ PyObject *up = NULL;
	struct ntd_machine *machine;
	int result;

	if (py_machine_is_plain(object, "execute") && py_machine_is_plain(object, "is_up")) {
		machine = py_machine_of(object);
		PY_BLOCKING_CALL(result, ntd_machine_sync(machine, waiter, error));
		return result;
	}
	up = PyObject_CallMethod(object, "is_up", NULL);
	if (up && PyObject_IsTrue(up) == 1)
		Py_XDECREF(PyObject_CallMethod(object, "execute", "s", "sync"));
	return PyErr_Occurred() ? -1 : 0;
}

int py_driver_sync_all(struct py_driver *self)
{
	_cleanup_pyref_ PyObject *list = py_driver_machines(self);
	int result = list ? 0 : -1;

	for (Py_ssize_t i = 0; result == 0 && i < PyList_Size(list); i++)
		result = sync_one(PyList_GetItem(list, i));
	return result;
}

/* ---- create_machine */

/* Older scripts pass one dict: startCommand, name, keep_vm_state. Returns the keywords of the newer
 * call. */
static PyObject *keywords_from(PyObject *dict, PyObject *given)
{
	static const char *const keys[][2] = {{"startCommand", "start_command"},
					      {"name", "name"},
					      {"keep_vm_state", "keep_vm_state"}};
	_cleanup_pyref_ PyObject *rest = PyDict_Copy(dict), *kwargs = PyDict_New();

	if (given && PyDict_Size(given)) {
		PyErr_SetString(PyExc_TypeError,
				"create_machine(): a dict must be the only argument");
		return NULL;
	}
	for (size_t i = 0; rest && kwargs && i < sizeof keys / sizeof *keys; i++) {
		PyObject *value = PyDict_GetItemString(rest, keys[i][0]);

		if (value && (PyDict_SetItemString(kwargs, keys[i][1], value) < 0 ||
			      PyDict_DelItemString(rest, keys[i][0]) < 0))
			return NULL;
	}
	if (!rest || !kwargs)
		return NULL;
	if (!PyDict_GetItemString(kwargs, "start_command"))
		PyErr_SetString(PyExc_TypeError,
				"create_machine(): the dict must have the key startCommand");
	else if (PyDict_Size(rest))
		PyErr_Format(PyExc_TypeError, "create_machine(): unknown keys in the dict: %R",
			     rest);
	return PyErr_Occurred() ? NULL : ntd_steal(&kwargs);
}

struct creation {
	PyObject *start_command;
	const char *name;
	int keep_machine_state, keep_vm_state;
};

static bool parse(PyObject *args, PyObject *kwargs, struct creation *creation)
{
	static char *names[] = {"start_command", "name", "keep_machine_state", "keep_vm_state",
				NULL};

	return py_parse(args, kwargs, "O|$zpp:create_machine", names, &creation->start_command,
			&creation->name, &creation->keep_machine_state, &creation->keep_vm_state);
}

static struct ntd_machine *add_machine(struct py_driver *self, const struct creation *creation)
{
	struct py_state *state = py_state();
	_cleanup_pyref_ PyObject *command = PyOS_FSPath(creation->start_command), *bytes = NULL;
	_cleanup_path_ struct py_path_arg out_dir = {0};
	_cleanup_free_ char *name = NULL;
	struct ntd_new_machine new = {.keep_state = creation->keep_machine_state ||
						    creation->keep_vm_state,
				      .report = py_logger_report(self->logger)};
	struct ntd_error *error = NULL;
	struct ntd_machine *machine;

	if (command && !PyUnicode_FSConverter(command, &bytes))
		return NULL;
	if (!command) {
		PyErr_Format(PyExc_TypeError, "start_command must be a str, not %s",
			     Py_TYPE(creation->start_command)->tp_name);
		return NULL;
	}
	if (self->out_dir && !py_convert_path(self->out_dir, &out_dir))
		return NULL;
	new.out_dir = out_dir.text;
	new.script = PyBytes_AS_STRING(bytes);
	new.name = name = creation->name ? ntd_strdup(creation->name)
					 : ntd_machine_configs_name(new.script, "-vm");
	if (!py_machine_check_name(name))
		return NULL;
	PY_WITHOUT_GIL(machine = ntd_session_add_machine(state->session, &new, &error));
	if (!machine)
		py_raise(state, error);
	else if (state->session->ssh_backdoor)
		py_log(new.report, NTD_LEVEL_WARNING, name,
		       "the SSH backdoor does not reach machines made by create_machine()");
	py_log_deliver(state);
	return machine;
}

static PyObject *create(struct py_driver *self, const struct creation *creation)
{
	struct py_state *state = py_state();
	struct ntd_machine *machine = add_machine(self, creation);
	PyObject *object = machine ? py_machine_object(state, machine) : NULL;

	if (object && self->logger != state->logger)
		py_machine_self(object)->logger = Py_NewRef(self->logger);
	return object;
}

PyObject *py_driver_create_machine(PyObject *object, PyObject *args, PyObject *kwargs)
{
	struct py_driver *self = py_driver_self(object);
	struct creation creation = {0};
	_cleanup_pyref_ PyObject *none = PyTuple_New(0), *keywords = NULL;
	PyObject *dict = PyTuple_Size(args) == 1 ? PyTuple_GetItem(args, 0) : NULL;

	if (!none)
		return NULL;
	if (dict && PyDict_Check(dict)) {
		keywords = keywords_from(dict, kwargs);
		if (!keywords || !parse(none, keywords, &creation))
			return NULL;
		py_log(py_logger_report(self->logger), NTD_LEVEL_WARNING, NULL,
		       "create_machine() with a dict is deprecated: pass the start command and "
		       "keywords");
	} else if (!parse(args, kwargs, &creation)) {
		return NULL;
	}
	return create(self, &creation);
}

/* ---- dump_machine_ssh */

PyObject *py_driver_dump_machine_ssh(PyObject *object, PyObject *unused)
{
	struct ntd_session *session = py_state()->session;
	size_t configured = session->config->vms.count + session->config->containers.count, all;
	_cleanup_free_ struct ntd_machine **machines = ntd_session_machines(session, &all);
	int width = 0;

	for (size_t i = 0; i < configured; i++)
		if ((int)strlen(ntd_machine_name(machines[i])) > width)
			width = (int)strlen(ntd_machine_name(machines[i]));
	if (!session->ssh_backdoor && !session->config->dump_vsocks) {
		PySys_FormatStdout("The SSH backdoor is not enabled in the configuration.\n");
		Py_RETURN_NONE;
	}
	PySys_FormatStdout(
		"SSH backdoor enabled, the machines can be accessed like this:\n"
		"Note: ssh finds them by systemd-ssh-proxy(1), which has to be set up on "
		"this host.\n");
	for (size_t i = 0; i < configured; i++) {
		const struct ntd_machine *machine = machines[i];
		const char *name = ntd_machine_name(machine);
		_cleanup_free_ char *text = py_machine_ssh_command(session, machine);
		_cleanup_free_ char *line =
			ntd_asprintf("    %s:%*s%s\n", name, width - (int)strlen(name) + 2, "",
				     text ? text : "");

		PySys_FormatStdout("%s", line);
	}
	Py_RETURN_NONE;
}
