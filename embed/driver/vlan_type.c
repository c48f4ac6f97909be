/* VLan: `vlanN`, and what VLan(...) in scripts returns; a virtual network, which the driver itself
 * serves. All of this runs on threads that hold the GIL.
 */
#include "driver/py_driver.h"

struct vlan_object {
	struct py_object head;
	int number;
	char *directory;       /* a copy: scripts may hold the object when the network is gone */
	struct ntd_vlan *vlan; /* the session's; NULL: stopped */
	PyObject *logger;      /* NULL: the run's */
};

static struct vlan_object *self_of(PyObject *object)
{
	return (struct vlan_object *)object;
}

/* Sets QEMU_VDE_SOCKET_N for scripts that read it, as upstream's driver does. os.environ writes
 * through to the environment of the process, which only Python may change. */
static int export(const struct vlan_object *self)
{
	_cleanup_free_ char *name = ntd_asprintf("QEMU_VDE_SOCKET_%d", self->number);
	_cleanup_pyref_ PyObject *os = PyImport_ImportModule("os");
	_cleanup_pyref_ PyObject *variables = os ? PyObject_GetAttrString(os, "environ") : NULL;
	_cleanup_pyref_ PyObject *directory = PyUnicode_DecodeFSDefault(self->directory);

	return variables && directory ? PyMapping_SetItemString(variables, name, directory) : -1;
}

static int fill(struct vlan_object *self, struct ntd_vlan *vlan)
{
	self->vlan = vlan;
	self->number = ntd_vlan_number(vlan);
	free(self->directory);
	self->directory = ntd_strdup(ntd_vlan_directory(vlan));
	return export(self);
}

PyObject *py_vlan_object(struct py_state *state, struct ntd_vlan *vlan)
{
	_cleanup_pyref_ PyObject *object = PyType_GenericAlloc(state->vlan_type, 0);

	if (!object || fill(self_of(object), vlan) < 0)
		return NULL;
	return ntd_steal(&object);
}

/* A network is stopped by stop() or by the end of the run, not when its object is freed: machines
 * may be plugged in. */
static int vlan_init(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"nr", "tmp_dir", "logger", NULL};
	struct py_state *state = py_state();
	_cleanup_path_ struct py_path_arg base = {0};
	_cleanup_free_ char *absolute = NULL;
	PyObject *logger = Py_None;
	struct ntd_error *error = NULL;
	struct ntd_report *report;
	struct ntd_vlan *vlan;
	int number;

	if (!py_parse(args, kwargs, "iO&|O:VLan", names, &number, py_convert_path, &base, &logger))
		return -1;
	if (number < 0 || number > NTD_VLAN_MAX || self_of(object)->vlan) {
		PyErr_Format(PyExc_ValueError, "nr must be a number from 0 to %d, not %d",
			     NTD_VLAN_MAX, number);
		return -1;
	}
	report = py_logger_report(logger);
	if (!report)
		return -1;
	absolute = ntd_directories_absolute(base.text);
	PY_WITHOUT_GIL(
		vlan = ntd_session_add_vlan(state->session, number, absolute, report, &error));
	py_log_deliver(state);
	if (!vlan) {
		py_raise(state, error);
		return -1;
	}
	if (logger != Py_None)
		Py_XSETREF(self_of(object)->logger, Py_NewRef(logger));
	return fill(self_of(object), vlan);
}

static int vlan_traverse(PyObject *object, visitproc visit, void *arg)
{
	Py_VISIT(self_of(object)->logger);
	return py_object_traverse(object, visit, arg);
}

static int vlan_clear(PyObject *object)
{
	Py_CLEAR(self_of(object)->logger);
	return py_object_clear(object);
}

static void vlan_dealloc(PyObject *object)
{
	if (!py_object_end(object))
		return;
	free(self_of(object)->directory);
	py_object_free(object);
}

static PyObject *vlan_copy(PyObject *object, PyObject *unused)
{
	const struct vlan_object *self = self_of(object);
	PyObject *copy = py_object_like(object);

	if (!copy)
		return NULL;
	self_of(copy)->number = self->number;
	self_of(copy)->directory = self->directory ? ntd_strdup(self->directory) : NULL;
	self_of(copy)->vlan = self->vlan;
	self_of(copy)->logger = Py_XNewRef(self->logger);
	return py_object_finish_copy(object, copy);
}

static PyObject *vlan_repr(PyObject *object)
{
	return PyUnicode_FromFormat("<Vlan Nr. %d>", self_of(object)->number);
}

static PyObject *stop(PyObject *object, PyObject *unused)
{
	struct py_state *state = py_state();
	struct ntd_vlan *vlan = self_of(object)->vlan;

	self_of(object)->vlan = NULL; /* cleared first: other threads may stop it, too */
	PY_WITHOUT_GIL(ntd_session_remove_vlan(state->session, vlan));
	py_log_deliver(state);
	Py_RETURN_NONE;
}

static PyObject *get_number(PyObject *object, void *closure)
{
	return PyLong_FromLong(self_of(object)->number);
}

static PyObject *get_socket_dir(PyObject *object, void *closure)
{
	return py_path(self_of(object)->directory ? self_of(object)->directory : "");
}

static PyObject *get_pid(PyObject *object, void *closure)
{
	return PyLong_FromLong(getpid());
}

static PyObject *get_tap_name(PyObject *object, void *closure)
{
	return PyUnicode_FromFormat("vde-tap%d", self_of(object)->number);
}

static PyObject *get_logger(PyObject *object, void *closure)
{
	PyObject *logger = self_of(object)->logger;

	return logger ? Py_NewRef(logger) : py_logger_object(py_state());
}

static PyObject *get_none(PyObject *object, void *closure)
{
	Py_RETURN_NONE;
}

/* What these attributes tell is decided when the network is made; to set them changes nothing
 * else. */
static const struct py_value number = {"nr", get_number, NULL};
static const struct py_value socket_dir = {"socket_dir", get_socket_dir, NULL};
static const struct py_value pid = {"pid", get_pid, NULL};
static const struct py_value process = {"process", get_none, NULL};
static const struct py_value plug_process = {"plug_process", get_none, NULL};
static const struct py_value tap_name = {"tap_name", get_tap_name, NULL};
static const struct py_value own_logger = {"logger", get_logger, NULL};

int py_vlan_add_type(PyObject *module, struct py_state *state)
{
	static PyMethodDef methods[] = {
		{"stop", stop, METH_NOARGS,
		 "stop($self)\n--\n\n"
		 "Disconnects all machines and ends the network; does nothing if it has ended."},
		{"__copy__", vlan_copy, METH_NOARGS,
		 "__copy__($self)\n--\n\nReturns another object for the same network."},
		{NULL, NULL, 0, NULL},
	};
	static PyGetSetDef attributes[] = {
		{"nr", py_value_get, py_value_set, "The number of the network.", (void *)&number},
		{"socket_dir", py_value_get, py_value_set,
		 "Path: the directory of the sockets that VDE clients connect to.",
		 (void *)&socket_dir},
		{"pid", py_value_get, py_value_set,
		 "The process that serves the network: the driver.", (void *)&pid},
		{"process", py_value_get, py_value_set, "None: there is no process of its own.",
		 (void *)&process},
		{"plug_process", py_value_get, py_value_set,
		 "None: there is no process of its own.", (void *)&plug_process},
		{"tap_name", py_value_get, py_value_set,
		 "The name of its tap interface, if there is one.", (void *)&tap_name},
		{"logger", py_value_get, py_value_set, "The log it writes to.",
		 (void *)&own_logger},
		{NULL, NULL, NULL, NULL, NULL},
	};
	static PyType_Slot slots[] = {
		{Py_tp_doc,
		 (void *)"VLan(nr, tmp_dir, logger=None)\n--\n\n"
			 "A virtual network between machines. nr is from 0 to 4095; the sockets of the\n"
			 "network are in tmp_dir/vdeNR.ctl, which start scripts find by the variable\n"
			 "QEMU_VDE_SOCKET_NR. Its messages go to logger; None: the log of the run."},
		{Py_tp_new, PyType_GenericNew},
		{Py_tp_init, vlan_init},
		{Py_tp_dealloc, vlan_dealloc},
		{Py_tp_traverse, vlan_traverse},
		{Py_tp_clear, vlan_clear},
		{Py_tp_repr, vlan_repr},
		{Py_tp_getset, attributes},
		{0, NULL},
	};
	static PyType_Spec spec = {
		.name = "test_driver.vlan.VLan",
		.basicsize = sizeof(struct vlan_object),
		.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
		.slots = slots,
	};

	PyMethodDef *const lists[] = {methods, NULL};

	return py_add_type(module, &spec, NULL, lists, &state->vlan_type);
}
