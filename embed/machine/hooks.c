/* What the core asks of Python about a machine: its callbacks before each command, the environment
 * and the start command before each start. The core calls these hooks on script threads, without
 * the GIL, which PY_IN_PYTHON takes for them. The attributes are used by threads that hold the GIL.
 */
#include "machine/py_machine.h"

#include "machine/qemu.h"

/* The core hands a hook the place of the object to be asked. It may have looked at its hooks before
 * the thread got the GIL, so the object may be gone by now, and the place with another one or none.
 * Hence places stay until the process ends, one for each machine. Returns a new reference, or NULL
 * without an exception. */
static struct py_machine *object_at(void *place)
{
	return (struct py_machine *)Py_XNewRef((PyObject *)*(struct py_machine **)place);
}

/* ---- callbacks */

int py_machine_run_callbacks(struct py_machine *self)
{
	bool is_list = self->callbacks && PyList_Check(self->callbacks);
	Py_ssize_t count = is_list ? PyList_Size(self->callbacks) : 0;

	if (self->in_callbacks)
		return 0;
	self->in_callbacks = true;
	for (Py_ssize_t i = 0; i < count && i < PyList_Size(self->callbacks); i++) {
		_cleanup_pyref_ PyObject *callback = Py_NewRef(PyList_GetItem(self->callbacks, i));
		_cleanup_pyref_ PyObject *result = PyObject_CallNoArgs(callback);

		if (!result) {
			self->in_callbacks = false;
			return -1;
		}
	}
	self->in_callbacks = false;
	return 0;
}

static int ask_callbacks(void *place)
{
	struct py_machine *self = object_at(place);
	int result = self ? py_machine_run_callbacks(self) : 0;

	Py_XDECREF(self);
	return result;
}

static int before_command(void *owner, struct ntd_waiter *waiter, struct ntd_error **err)
{
	return PY_IN_PYTHON(waiter, err, ask_callbacks(owner));
}

/* ---- starts */

/* os.environ writes through to environ. No thread writes there while this one holds the GIL. */
static char **environment(void *owner)
{
	PyGILState_STATE gil = PyGILState_Ensure();
	char **copy = ntd_strv_copy(environ);

	PyGILState_Release(gil);
	return copy;
}

/* Asks the start command for its line by a function of test_driver.machine: the object may be one
 * that was made for older drivers. */
static char *line_of(PyObject *command, const struct ntd_machine *machine, bool allow_reboot)
{
	const char *guest = ntd_machine_vsock_guest(machine);
	_cleanup_pyref_ PyObject *monitor = py_path(ntd_machine_path(machine, "monitor"));
	_cleanup_pyref_ PyObject *qmp = py_path(ntd_machine_path(machine, "qmp"));
	_cleanup_pyref_ PyObject *shell = py_path(ntd_machine_path(machine, "shell"));
	_cleanup_pyref_ PyObject *vsock = guest ? py_path(guest) : Py_NewRef(Py_None);
	_cleanup_pyref_ PyObject *line = NULL, *bytes = NULL;

	if (monitor && qmp && shell && vsock)
		line = py_call("test_driver.machine", "_line_of", "(OOOOOO)", command, monitor, qmp,
			       shell, allow_reboot ? Py_True : Py_False, vsock);
	if (!line)
		return NULL;
	if (!PyUnicode_Check(line)) {
		PyErr_Format(PyExc_TypeError,
			     "cmd() of the start command must return a str, not %s",
			     Py_TYPE(line)->tp_name);
		return NULL;
	}
	return PyUnicode_FSConverter(line, &bytes) ? ntd_strdup(PyBytes_AS_STRING(bytes)) : NULL;
}

/* A {str: str} dict in the form of environ, made from a copy of its items: a path among them may
 * change the dict. */
static char **environment_from(PyObject *dict)
{
	_cleanup_pyref_ PyObject *items = PyDict_Check(dict) ? PyDict_Items(dict) : NULL;
	_cleanup_strv_ char **env = NULL;

	if (!PyDict_Check(dict))
		PyErr_Format(PyExc_TypeError,
			     "build_environment() of the start command must return a dict, not %s",
			     Py_TYPE(dict)->tp_name);
	if (!items)
		return NULL;
	env = ntd_calloc((size_t)PyList_Size(items) + 1, sizeof *env);
	for (Py_ssize_t i = 0; i < PyList_Size(items); i++) {
		PyObject *item = PyList_GetItem(items, i);
		_cleanup_pyref_ PyObject *key = NULL, *value = NULL;

		if (!PyUnicode_FSConverter(PyTuple_GetItem(item, 0), &key) ||
		    !PyUnicode_FSConverter(PyTuple_GetItem(item, 1), &value))
			return NULL;
		env[i] = ntd_asprintf("%s=%s", PyBytes_AS_STRING(key), PyBytes_AS_STRING(value));
	}
	return ntd_steal(&env);
}

/* Asks the start command for the environment. NULL without an exception where it leaves that to the
 * driver. */
static char **environment_of(PyObject *command, const struct ntd_machine *machine)
{
	_cleanup_pyref_ PyObject *state = py_path(ntd_machine_state_dir(machine));
	_cleanup_pyref_ PyObject *shared = py_path(ntd_machine_shared_dir(machine));
	_cleanup_pyref_ PyObject *efi_vars = py_path(ntd_machine_path(machine, "efi_vars"));
	_cleanup_pyref_ PyObject *result = NULL;

	if (state && shared && efi_vars)
		result = py_call("test_driver.machine", "_environment_of", "(OOOO)", command, state,
				 shared, efi_vars);
	return result && result != Py_None ? environment_from(result) : NULL;
}

/* Leaves the order as it is where there is nothing to be asked. */
static int ask_start_command(void *place, bool allow_reboot, struct ntd_start_order *order)
{
	struct py_machine *self = object_at(place);
	_cleanup_pyref_ PyObject *command = self ? Py_XNewRef(self->start_command) : NULL;

	if (command)
		order->line = line_of(command, self->machine, allow_reboot);
	if (order->line)
		order->env = environment_of(command, self->machine);
	Py_XDECREF(self);
	return PyErr_Occurred() ? -1 : 0;
}

static int start_command(void *owner, bool allow_reboot, struct ntd_start_order *order,
			 struct ntd_waiter *waiter, struct ntd_error **err)
{
	return PY_IN_PYTHON(waiter, err, ask_start_command(owner, allow_reboot, order));
}

/* ---- after release() */

static int refuse(const struct ntd_machine *machine, struct ntd_error **err)
{
	return ntd_error_set(err, NTD_E_DEAD, "machine '%s' has been released",
			     ntd_machine_name(machine));
}

static int refuse_command(void *owner, struct ntd_waiter *waiter, struct ntd_error **err)
{
	return refuse(owner, err);
}

static int refuse_start(void *owner, bool allow_reboot, struct ntd_start_order *order,
			struct ntd_waiter *waiter, struct ntd_error **err)
{
	return refuse(owner, err);
}

void py_machine_note_release(struct py_machine *self)
{
	self->released = true;
	ntd_machine_set_hooks(self->machine,
			      &(struct ntd_machine_hooks){.before_command = refuse_command,
							  .start_command = refuse_start,
							  .owner = self->machine});
}

/* Without callbacks or an object for the start command there is nothing to ask, and the core need
 * not take the GIL. Objects before __init__ share one machine, which none of them hooks. */
void py_machine_hook(struct py_machine *self)
{
	if (self->released || !py_machine_is_born((PyObject *)self))
		return;
	if (!self->asked)
		self->asked = ntd_calloc(1, sizeof *self->asked);
	*self->asked = self;
	ntd_machine_set_hooks(
		self->machine,
		&(struct ntd_machine_hooks){
			.before_command = self->callbacks_seen ? before_command : NULL,
			.environment = environment,
			.start_command = self->start_command ? start_command : NULL,
			.owner = self->asked});
}

void py_machine_unhook(struct py_machine *self)
{
	if (self->asked && *self->asked == self)
		*self->asked = NULL;
	if (self->original)
		py_machine_hook(py_machine_self(self->original));
	else if (self->machine && py_machine_is_born((PyObject *)self))
		ntd_machine_set_hooks(self->machine, &(struct ntd_machine_hooks){0});
}

/* ---- attributes */

PyObject *py_machine_get_callbacks(PyObject *object, void *closure)
{
	/* A script that has the list may change it, so from now on the core asks for it before each
	 * command. */
	struct py_machine *self = py_machine_self(object);

	if (!self->callbacks_seen) {
		self->callbacks_seen = true;
		py_machine_hook(self);
	}
	return Py_NewRef(self->callbacks);
}

int py_machine_set_callbacks(PyObject *object, PyObject *value, void *closure)
{
	struct py_machine *self = py_machine_self(object);

	if (!value || !PyList_Check(value)) {
		PyErr_SetString(PyExc_TypeError, "callbacks must be a list of functions");
		return -1;
	}
	Py_SETREF(self->callbacks, Py_NewRef(value));
	self->callbacks_seen = true;
	py_machine_hook(self);
	return 0;
}

/* The QemuStartCommand is made when a script first looks at it. */
PyObject *py_machine_get_start_command(PyObject *object, void *closure)
{
	struct py_machine *self = py_machine_self(object);

	if (!self->start_command) {
		_cleanup_pyref_ PyObject *text =
			PyUnicode_DecodeFSDefault(ntd_machine_script(self->machine));
		_cleanup_pyref_ PyObject *made =
			text ? py_call("test_driver.machine", "QemuStartCommand", "(O)", text)
			     : NULL;

		if (made && !self->start_command)
			self->start_command = ntd_steal(&made);
		if (!self->start_command)
			return NULL;
		py_machine_hook(self);
	}
	return Py_NewRef(self->start_command);
}

/* Whether a subclass overrides run(). It would not be called: the driver starts all processes, so
 * that none is left behind. */
static bool has_own_run(PyObject *command)
{
	_cleanup_pyref_ PyObject *module = PyImport_ImportModule("test_driver.machine");
	_cleanup_pyref_ PyObject *base =
		module ? PyObject_GetAttrString(module, "QemuStartCommand") : NULL;
	_cleanup_pyref_ PyObject *run = base ? PyObject_GetAttrString(base, "run") : NULL;
	_cleanup_pyref_ PyObject *own = PyObject_GetAttrString((PyObject *)Py_TYPE(command), "run");

	PyErr_Clear();
	return run && own && run != own;
}

int py_machine_set_start_command(PyObject *object, PyObject *value, void *closure)
{
	struct py_machine *self = py_machine_self(object);
	_cleanup_pyref_ PyObject *method = value ? PyObject_GetAttrString(value, "cmd") : NULL;

	if (!method || !PyCallable_Check(method)) {
		PyErr_Format(PyExc_TypeError, "start_command must be a QemuStartCommand, not %s",
			     value ? Py_TYPE(value)->tp_name : "deleted");
		return -1;
	}
	if (has_own_run(value)) {
		PyErr_SetString(PyExc_TypeError,
				"start_command: its run() would not be called; override cmd() or "
				"build_environment() instead");
		return -1;
	}
	Py_XSETREF(self->start_command, Py_NewRef(value));
	py_machine_hook(self);
	return 0;
}
