/* The type BaseMachine: the object of every machine, and the attributes that all kinds of machines
 * have. All of this runs on threads that hold the GIL.
 */
#include "machine/py_machine.h"

/* ---- the object */

static int machine_traverse(PyObject *object, visitproc visit, void *arg)
{
	Py_VISIT(py_machine_self(object)->callbacks);
	Py_VISIT(py_machine_self(object)->start_command);
	Py_VISIT(py_machine_self(object)->logger);
	Py_VISIT(py_machine_self(object)->original);
	if (py_machine_traverse_kept(py_machine_self(object), visit, arg) < 0)
		return -1;
	return py_object_traverse(object, visit, arg);
}

/* Keeps the original: it tells that the machine belongs to another object. */
static int machine_clear(PyObject *object)
{
	Py_CLEAR(py_machine_self(object)->callbacks);
	Py_CLEAR(py_machine_self(object)->start_command);
	Py_CLEAR(py_machine_self(object)->logger);
	py_machine_clear_kept(py_machine_self(object));
	return py_object_clear(object);
}

static void machine_dealloc(PyObject *object)
{
	if (!py_object_end(object))
		return;
	py_machine_unhook(py_machine_self(object));
	Py_CLEAR(py_machine_self(object)->original);
	py_object_free(object);
}

static PyObject *machine_copy(PyObject *object, PyObject *unused)
{
	const struct py_machine *self = py_machine_self(object);
	struct py_machine *copy = (struct py_machine *)py_object_like(object);

	if (!copy)
		return NULL;
	copy->machine = self->machine;
	copy->callbacks = Py_XNewRef(self->callbacks);
	copy->start_command = Py_XNewRef(self->start_command);
	copy->logger = Py_XNewRef(self->logger);
	copy->original = Py_NewRef(object);
	copy->asked = self->asked;
	copy->callbacks_seen = self->callbacks_seen;
	copy->released = self->released;
	for (size_t i = 0; i < PY_MACHINE_KEPT_COUNT; i++)
		copy->kept[i] = (struct py_machine_kept_value){
			.value = Py_XNewRef(self->kept[i].value), .start = self->kept[i].start};
	return py_object_finish_copy(object, (PyObject *)copy);
}

static PyObject *machine_repr(PyObject *object)
{
	_cleanup_pyref_ PyObject *name = PyType_GetName(Py_TYPE(object));

	return name ? PyUnicode_FromFormat("<%U '%s'>", name,
					   ntd_machine_name(py_machine_self(object)->machine))
		    : NULL;
}

/* ---- attributes */

static struct ntd_machine_status status_of(PyObject *object)
{
	return ntd_machine_status(py_machine_self(object)->machine);
}

static PyObject *get_name(PyObject *object, void *closure)
{
	return py_text_of(ntd_machine_name(py_machine_self(object)->machine));
}

/* Subclasses set the name to the one that it has already. */
static int set_name(PyObject *object, PyObject *value, void *closure)
{
	_cleanup_pyref_ PyObject *name = get_name(object, closure);
	int same = name && value ? PyObject_RichCompareBool(name, value, Py_EQ) : 0;

	if (!same && name)
		PyErr_SetString(PyExc_AttributeError, "the name of a machine cannot be changed");
	return same > 0 ? 0 : -1;
}

static PyObject *get_booted(PyObject *object, void *closure)
{
	return PyBool_FromLong(status_of(object).booted);
}

static int set_booted(PyObject *object, PyObject *value, void *closure)
{
	int truth = value ? PyObject_IsTrue(value) : 0;

	if (truth >= 0)
		ntd_machine_set_booted(py_machine_self(object)->machine, truth);
	return truth < 0 ? -1 : 0;
}

static PyObject *get_directory(PyObject *object, void *closure)
{
	struct ntd_machine *machine = py_machine_self(object)->machine;
	const char *which = closure;

	if (!strcmp(which, "state"))
		return py_path(ntd_machine_state_dir(machine));
	if (!strcmp(which, "shared"))
		return py_path(ntd_machine_shared_dir(machine));
	return py_path(!strcmp(which, "out") ? ntd_machine_context(machine)->out_dir
					     : ntd_machine_context(machine)->tmp_dir);
}

static int set_directory(PyObject *object, PyObject *value, void *closure)
{
	struct ntd_machine *machine = py_machine_self(object)->machine;
	_cleanup_path_ struct py_path_arg path = {0};
	_cleanup_free_ char *absolute = NULL;
	const char *which = closure;

	if (!value) {
		PyErr_Format(PyExc_AttributeError, "%s_dir cannot be deleted", which);
		return -1;
	}
	if (!py_convert_path(value, &path)) {
		PyErr_Format(PyExc_TypeError, "%s_dir must be a str or os.PathLike, not %s", which,
			     Py_TYPE(value)->tp_name);
		return -1;
	}
	absolute = ntd_directories_absolute(path.text);
	if (!strcmp(which, "state"))
		ntd_machine_set_state_dir(machine, absolute);
	else if (!strcmp(which, "shared"))
		ntd_machine_set_shared_dir(machine, absolute);
	else
		ntd_machine_set_out_dir(machine, absolute);
	return 0;
}

static PyObject *get_keeps_state(PyObject *object, void *closure)
{
	return PyBool_FromLong(ntd_machine_keeps_state(py_machine_self(object)->machine));
}

static PyObject *get_boot_timeout(PyObject *object, void *closure)
{
	const struct ntd_machine_context *context =
		ntd_machine_context(py_machine_self(object)->machine);
	double total = context->boot_timeout;

	return PyFloat_FromDouble(total > 0 ? total : context->boot_silence);
}

static int set_boot_timeout(PyObject *object, PyObject *value, void *closure)
{
	double seconds = value ? PyFloat_AsDouble(value) : 0;

	if (PyErr_Occurred())
		return -1;
	if (!(seconds > 0)) {
		PyErr_SetString(PyExc_ValueError, "boot_timeout must be more than 0 seconds");
		return -1;
	}
	ntd_machine_set_boot_timeout(py_machine_self(object)->machine, seconds);
	return 0;
}

static int set_logger(PyObject *object, PyObject *value, void *closure)
{
	struct ntd_machine *machine = py_machine_self(object)->machine;
	struct ntd_report *report = py_logger_report(value ? value : Py_None);

	if (!report)
		return -1;
	PY_WITHOUT_GIL(ntd_machine_set_report(machine, report));
	Py_XSETREF(py_machine_self(object)->logger,
		   value && value != Py_None ? Py_NewRef(value) : NULL);
	return 0;
}

static PyObject *get_logger(PyObject *object, void *closure)
{
	PyObject *logger = py_machine_self(object)->logger;

	return logger ? Py_NewRef(logger) : py_logger_object(py_state());
}

static const struct py_machine_kept_attribute process = {.slot = PY_MACHINE_KEPT_PROCESS,
							 .make = py_machine_make_process};

/* A container has no process any more when its end has been noted. */
static PyObject *get_process(PyObject *object, void *closure)
{
	if (py_machine_class_of(object) == py_state()->nspawn_machine_type &&
	    status_of(object).state == NTD_MACHINE_DOWN)
		Py_RETURN_NONE;
	return py_machine_get_kept(object, closure);
}

/* Setting a container's process to None says that the container is down. */
static int set_process(PyObject *object, PyObject *value, void *closure)
{
	if (value == Py_None && py_machine_class_of(object) == py_state()->nspawn_machine_type)
		ntd_machine_set_booted(py_machine_self(object)->machine, false);
	return py_machine_set_kept(object, value, closure);
}

/* What these attributes tell is decided when the machine is made; to set them changes nothing
 * else. */
static const struct py_value tmp_dir = {"tmp_dir", get_directory, (void *)"tmp"};
static const struct py_value keeps_state = {"keep_machine_state", get_keeps_state, NULL};

static PyGetSetDef attributes[] = {
	{"name", get_name, set_name, "str: the name of the machine.", NULL},
	{"booted", get_booted, set_booted,
	 "bool: the machine runs. Set it to False when the machine is not to be waited for\n"
	 "or asked any more: the next start begins anew.",
	 NULL},
	{"process", get_process, set_process,
	 "Process | None: the process of the last start, QEMU or systemd-nspawn.",
	 (void *)&process},
	{"pid", py_machine_get_kept, py_machine_set_kept,
	 "int | None: the process id while the machine runs.", (void *)&py_machine_kept_pid},
	{"out_dir", get_directory, set_directory, "Path: where files for the user go.",
	 (void *)"out"},
	{"tmp_dir", py_value_get, py_value_set,
	 "Path: the directory in which its state directory was made.", (void *)&tmp_dir},
	{"state_dir", get_directory, set_directory,
	 "Path: the machine's own directory. Can be set before a start.", (void *)"state"},
	{"shared_dir", get_directory, set_directory, "Path: /tmp/shared of all machines.",
	 (void *)"shared"},
	{"boot_timeout", get_boot_timeout, set_boot_timeout,
	 "float: the most seconds that the machine may take to start, and again to boot.\n"
	 "Without --boot-timeout, and until it is set: the most seconds that the machine may\n"
	 "print nothing meanwhile, four times as many with TCG.",
	 NULL},
	{"callbacks", py_machine_get_callbacks, py_machine_set_callbacks,
	 "list: functions that are called before each command.", NULL},
	{"keep_machine_state", py_value_get, py_value_set,
	 "bool: the state directory was not emptied.", (void *)&keeps_state},
	{"keep_vm_state", py_value_get, py_value_set, "bool: the older name of keep_machine_state.",
	 (void *)&keeps_state},
	{"logger", get_logger, set_logger,
	 "AbstractLogger: the log of the run, until another is set.", NULL},
	{NULL, NULL, NULL, NULL, NULL},
};

/* ---- the type */

static PyMethodDef own_methods[] = {
	{"__copy__", machine_copy, METH_NOARGS,
	 "__copy__($self)\n--\n\nReturns another object for the same machine."},
	{NULL, NULL, 0, NULL},
};

int py_machine_add_base_type(PyObject *module, struct py_state *state)
{
	static PyType_Slot slots[] = {
		{Py_tp_doc,
		 (void *)"A machine of any kind. QemuMachine and NspawnMachine derive from it."},
		{Py_tp_dealloc, machine_dealloc},
		{Py_tp_traverse, machine_traverse},
		{Py_tp_clear, machine_clear},
		{Py_tp_repr, machine_repr},
		{Py_tp_getset, attributes},
		{0, NULL},
	};
	static PyType_Spec spec = {
		.name = "test_driver.machine.BaseMachine",
		.basicsize = sizeof(struct py_machine),
		.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE |
			 Py_TPFLAGS_DISALLOW_INSTANTIATION,
		.slots = slots,
	};
	PyMethodDef *const lists[] = {own_methods,
				      py_machine_life_methods,
				      py_machine_snapshot_methods,
				      py_machine_clone_methods,
				      py_machine_command_methods,
				      py_machine_retry_methods,
				      py_machine_unit_methods,
				      py_machine_ask_methods,
				      py_machine_file_methods,
				      py_machine_message_methods,
				      py_machine_desktop_methods,
				      py_machine_ssh_methods,
				      py_machine_process_methods,
				      NULL};

	return py_add_type(module, &spec, NULL, lists, &state->base_machine_type);
}
