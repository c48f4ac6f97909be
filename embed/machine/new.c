/* QemuMachine(...), NspawnMachine(...): machines that scripts make by a class, most often by a
 * subclass of theirs.
 *
 * Between a subclass's __new__ and its call of super().__init__() the object has a machine that
 * cannot be started, one for all such objects, so that methods which are called too early have a
 * machine to fail on. All of this runs on threads that hold the GIL.
 */
#include "machine/py_machine.h"
#include "machine/qemu.h"
#include "session/sandbox.h"

/* ---- before __init__ */

static int refuse(struct ntd_error **err)
{
	return ntd_error_set(err, NTD_E_MACHINE,
			     "the machine's __init__() has not been called yet");
}

static int refuse_command(void *owner, struct ntd_waiter *waiter, struct ntd_error **err)
{
	return refuse(err);
}

static int refuse_start(void *owner, bool allow_reboot, struct ntd_start_order *order,
			struct ntd_waiter *waiter, struct ntd_error **err)
{
	return refuse(err);
}

static struct ntd_machine *unborn_machine(struct py_state *state)
{
	if (!state->unborn) {
		state->unborn = ntd_session_add_machine(
			state->session,
			&(struct ntd_new_machine){.name = "?", .script = "false", .bare = true},
			NULL);
		ntd_machine_set_hooks(state->unborn,
				      &(struct ntd_machine_hooks){.before_command = refuse_command,
								  .start_command = refuse_start});
	}
	return state->unborn;
}

PyObject *py_machine_new_object(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
	struct py_machine *self =
		py_forked_refuse() ? NULL : (struct py_machine *)PyType_GenericAlloc(type, 0);

	if (!self)
		return NULL;
	self->machine = unborn_machine(py_state());
	self->callbacks = PyList_New(0);
	if (!self->callbacks)
		Py_CLEAR(self);
	return (PyObject *)self;
}

/* ---- for machines of the session */

PyObject *py_machine_object_as(PyTypeObject *type, struct ntd_machine *machine)
{
	struct py_machine *self = (struct py_machine *)PyType_GenericAlloc(type, 0);

	if (!self)
		return NULL;
	self->machine = machine;
	self->callbacks = PyList_New(0);
	py_machine_hook(self);
	return (PyObject *)self;
}

PyObject *py_machine_object(struct py_state *state, struct ntd_machine *machine)
{
	return py_machine_object_as(ntd_machine_kind(machine) == &ntd_qemu_kind
					    ? state->qemu_machine_type
					    : state->nspawn_machine_type,
				    machine);
}

/* ---- __init__ */

struct arguments {
	struct py_path_arg out_dir, tmp_dir;
	PyObject *start_command, *logger, *name, *callbacks;
	int keep_machine_state, keep_vm_state;
	PyObject *vsock_guest, *vsock_host;
};

/* What differs between the two classes. */
static const struct class
{
	const struct ntd_machine_kind *kind;
	const char *format, *suffix;
	/* arguments: the older name of keep_machine_state, and those of QEMU only */
	char *more_names[4];
} qemu_class = {&ntd_qemu_kind,
		"O&O&O|OOpOpOO:QemuMachine",
		"-vm",
		{"keep_vm_state", "vsock_guest", "vsock_host", NULL}},
  nspawn_class = {&ntd_container_kind, "O&O&O|OOpO:NspawnMachine", "-nspawn", {NULL}};

static const struct class *class_of(PyObject *object)
{
	return py_machine_class_of(object) == py_state()->qemu_machine_type ? &qemu_class
									    : &nspawn_class;
}

static bool parse(const struct class *class, PyObject *args, PyObject *kwargs,
		  struct arguments *given)
{
	char *names[] = {"out_dir",
			 "tmp_dir",
			 "start_command",
			 "logger",
			 "name",
			 "keep_machine_state",
			 "callbacks",
			 class->more_names[0],
			 class->more_names[1],
			 class->more_names[2],
			 NULL};

	given->logger = given->name = given->callbacks = Py_None;
	given->vsock_guest = given->vsock_host = Py_None;
	return py_parse(args, kwargs, class->format, names, py_convert_path, &given->out_dir,
			py_convert_path, &given->tmp_dir, &given->start_command, &given->logger,
			&given->name, &given->keep_machine_state, &given->callbacks,
			&given->keep_vm_state, &given->vsock_guest, &given->vsock_host);
}

/* The text of the start command; "" for an object with a cmd(). A TypeError for other types. */
static char *script_of(const struct class *class, PyObject *start_command)
{
	_cleanup_pyref_ PyObject *path = NULL, *bytes = NULL;

	if (class == &qemu_class && !PyUnicode_Check(start_command) &&
	    PyObject_HasAttrString(start_command, "cmd"))
		return ntd_strdup("");
	path = PyOS_FSPath(start_command);
	if (path && PyUnicode_FSConverter(path, &bytes))
		return ntd_strdup(PyBytes_AS_STRING(bytes));
	PyErr_Format(PyExc_TypeError, "start_command must be a str%s, not %s",
		     class == &qemu_class ? " or a QemuStartCommand" : "",
		     Py_TYPE(start_command)->tp_name);
	return NULL;
}

/* The name that a start command written in Python gives to its machine. */
static PyObject *name_from(PyObject *start_command)
{
	PyObject *name = PyObject_GetAttrString(start_command, "machine_name");

	PyErr_Clear();
	return name ? name : PyUnicode_FromString("machine");
}

static char *name_of(const struct class *class, const struct arguments *given, const char *script)
{
	_cleanup_pyref_ PyObject *name = NULL;
	const char *text;

	if (given->name == Py_None && *script)
		return ntd_machine_configs_name(script, class->suffix);
	name = given->name == Py_None ? name_from(given->start_command) : Py_NewRef(given->name);
	text = name && PyUnicode_Check(name) ? py_utf8(name, "name") : NULL;
	if (name && !text && !PyErr_Occurred())
		PyErr_Format(PyExc_TypeError, "name must be a str, not %s", Py_TYPE(name)->tp_name);
	return text ? ntd_strdup(text) : NULL;
}

/* Sets the sockets of a process of the script's own that serves a vsock device. */
static int set_vsock(struct py_machine *self, const struct arguments *given)
{
	_cleanup_path_ struct py_path_arg guest = {0}, host = {0};

	if (given->vsock_guest == Py_None)
		return 0;
	if (!py_convert_path(given->vsock_guest, &guest) ||
	    (given->vsock_host != Py_None && !py_convert_path(given->vsock_host, &host)))
		return -1;
	ntd_machine_set_vsock(self->machine, guest.text, host.text);
	return 0;
}

/* Called without the GIL. */
static struct ntd_machine *add_machine(struct ntd_session *session, const struct class *class,
				       const struct ntd_new_machine *new, struct ntd_error **err)
{
	if (class == &nspawn_class && ntd_sandbox_prepare(session->environment, err) < 0)
		return NULL;
	return ntd_session_add_machine(session, new, err);
}

static int make(struct py_machine *self, const struct class *class, const struct arguments *given)
{
	struct py_state *state = py_state();
	_cleanup_free_ char *tmp_dir = ntd_directories_absolute(given->tmp_dir.text);
	_cleanup_free_ char *out_dir = ntd_directories_absolute(given->out_dir.text);
	_cleanup_free_ char *script = script_of(class, given->start_command);
	_cleanup_free_ char *name = script ? name_of(class, given, script) : NULL;
	struct ntd_new_machine new = {.kind = class->kind,
				      .name = name,
				      .script = script,
				      .tmp_dir = tmp_dir,
				      .out_dir = out_dir,
				      .keep_state =
					      given->keep_machine_state || given->keep_vm_state};
	struct ntd_error *error = NULL;
	struct ntd_machine *machine = NULL;

	if (!name || !py_machine_check_name(name))
		return -1;
	new.report = py_logger_report(given->logger);
	if (!new.report)
		return -1;
	PY_WITHOUT_GIL(machine = add_machine(state->session, class, &new, &error));
	if (!machine) {
		py_raise(state, error);
		return -1;
	}
	self->machine = machine;
	Py_CLEAR(self->original); /* the object may be a copy of one without a machine */
	py_machine_hook(self);
	if (set_vsock(self, given) < 0)
		return -1;
	return *script ? 0
		       : py_machine_set_start_command((PyObject *)self, given->start_command, NULL);
}

int py_machine_init(PyObject *object, PyObject *args, PyObject *kwargs)
{
	struct py_machine *self = py_machine_self(object);
	const struct class *class = class_of(object);
	struct arguments given = {0};
	int result = -1;

	if (py_machine_is_born(object)) {
		PyErr_SetString(PyExc_RuntimeError, "the machine's __init__() was called before");
		return -1;
	}
	if (parse(class, args, kwargs, &given) && make(self, class, &given) == 0) {
		result = 0;
		if (given.logger != Py_None)
			Py_XSETREF(self->logger, Py_NewRef(given.logger));
		if (given.callbacks != Py_None)
			result = py_machine_set_callbacks(object, given.callbacks, NULL);
	}
	Py_XDECREF(given.out_dir.owner);
	Py_XDECREF(given.tmp_dir.owner);
	return result;
}
