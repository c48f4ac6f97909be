/* `vlanN`: a virtual network. */
#include "embed.h"

struct vlan_object {
	PyObject_HEAD
	int number;
	char *directory; /* copied: scripts may hold the object after the network is gone */
};

PyObject *ntd_vlan_object(struct ntd_module_state *state, struct ntd_vlan *vlan)
{
	struct vlan_object *self = PyObject_New(struct vlan_object, state->vlan_type);

	if (!self)
		return NULL;
	self->number = ntd_vlan_number(vlan);
	self->directory = ntd_strdup(ntd_vlan_directory(vlan));
	return (PyObject *)self;
}

static void vlan_dealloc(PyObject *object)
{
	PyTypeObject *type = Py_TYPE(object);

	free(((struct vlan_object *)object)->directory);
	PyObject_Free(object);
	Py_DECREF(type);
}

static PyObject *vlan_repr(PyObject *object)
{
	return PyUnicode_FromFormat("<Vlan Nr. %d>", ((struct vlan_object *)object)->number);
}

static PyObject *get_nr(PyObject *object, void *closure)
{
	(void)closure;
	return PyLong_FromLong(((struct vlan_object *)object)->number);
}

static PyObject *get_socket_dir(PyObject *object, void *closure)
{
	(void)closure;
	return ntd_path(((struct vlan_object *)object)->directory);
}

static PyObject *get_pid(PyObject *object, void *closure)
{
	(void)object;
	(void)closure;
	return PyLong_FromLong(getpid());
}

int ntd_add_vlan_type(PyObject *module, struct ntd_module_state *state)
{
	static PyGetSetDef attributes[] = {
		{"nr", get_nr, NULL, "The number of the network.", NULL},
		{"socket_dir", get_socket_dir, NULL,
		 "Path: the directory of the sockets that VDE clients connect to.", NULL},
		{"pid", get_pid, NULL, "The process that serves the network: the driver.", NULL},
		{NULL, NULL, NULL, NULL, NULL},
	};
	static PyType_Slot slots[] = {
		{Py_tp_doc, (void *)"A virtual network between machines."},
		{Py_tp_dealloc, vlan_dealloc},
		{Py_tp_repr, vlan_repr},
		{Py_tp_getset, attributes},
		{0, NULL},
	};
	static PyType_Spec spec = {
		.name = "test_driver.vlan.VLan",
		.basicsize = sizeof(struct vlan_object),
		.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
		.slots = slots,
	};

	state->vlan_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
	return state->vlan_type ? PyModule_AddType(module, state->vlan_type) : -1;
}
