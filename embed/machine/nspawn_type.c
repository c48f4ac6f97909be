/* The type NspawnMachine: what only containers have. All of this runs on threads that hold the GIL.
 */
#include "machine/py_machine.h"

#include "machine/container.h"

static PyObject *get_start_command(PyObject *object, void *closure)
{
	return PyUnicode_DecodeFSDefault(ntd_machine_script(py_machine_self(object)->machine));
}

static int set_start_command(PyObject *object, PyObject *value, void *closure)
{
	_cleanup_path_ struct py_path_arg path = {0};

	if (!value || !py_convert_path(value, &path)) {
		PyErr_SetString(PyExc_TypeError, "start_command must be a str");
		return -1;
	}
	ntd_machine_set_path(py_machine_self(object)->machine, "script", path.text);
	return 0;
}

/* Waits until the process is known. */
static PyObject *get_systemd_process(PyObject *object, void *closure)
{
	struct ntd_machine *machine = py_machine_self(object)->machine;
	int result;

	if (!ntd_machine_state_booted(ntd_machine_status(machine).state))
		return PyErr_Format(PyExc_AttributeError, "machine '%s' has not been started",
				    ntd_machine_name(machine));
	if (!PY_BLOCKING_CALL(result, ntd_machine_connect(machine, waiter, error)))
		return NULL;
	return PyLong_FromLong(ntd_machine_leader(machine));
}

static PyObject *name_from_start_command(PyObject *unused, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"start_command", NULL};
	PyObject *command;

	if (!py_parse(args, kwargs, "O:machine_name_from_start_command", names, &command))
		return NULL;
	return py_call("test_driver.machine", "_name_of_container", "(O)", command);
}

static const char machine_doc[] =
	"NspawnMachine(out_dir, tmp_dir, start_command, logger=None, name=None, keep_machine_state=False, callbacks=None)\n--\n\n"
	"A container, started by systemd-nspawn and released at the end of the run; needs\n"
	"root. start_command is a script that runs it in the directory RUN_NSPAWN_ROOT_DIR,\n"
	"as NixOS' run-NAME-nspawn does; without a name the machine has that NAME. The\n"
	"other arguments are those of QemuMachine. Commands of several threads do not wait\n"
	"for each other.";

int py_machine_add_nspawn_type(PyObject *module, struct py_state *state)
{
	static PyGetSetDef attributes[] = {
		{"start_command", get_start_command, set_start_command, "str: what starts it.",
		 NULL},
		{"get_systemd_process", get_systemd_process, NULL,
		 "int: the process of its init, as this host counts; waits until it is known.",
		 NULL},
		{NULL, NULL, NULL, NULL, NULL},
	};
	static PyMethodDef functions[] = {
		{"machine_name_from_start_command",
		 (PyCFunction)(void (*)(void))name_from_start_command,
		 METH_VARARGS | METH_KEYWORDS | METH_STATIC,
		 "machine_name_from_start_command(start_command)\n--\n\n"
		 "Returns the NAME of run-NAME-nspawn in the command. AssertionError for a command\n"
		 "without one."},
		{NULL, NULL, 0, NULL},
	};
	static PyType_Slot slots[] = {
		{Py_tp_doc, (void *)machine_doc}, {Py_tp_new, py_machine_new_object},
		{Py_tp_init, py_machine_init},    {Py_tp_getset, attributes},
		{Py_tp_methods, functions},       {0, NULL},
	};
	static PyType_Spec spec = {
		.name = "test_driver.machine.NspawnMachine",
		.basicsize = sizeof(struct py_machine),
		.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, /* collected as the base */
		.slots = slots,
	};
	PyMethodDef *const lists[] = {py_machine_nspawn_life_methods, NULL};

	return py_add_type(module, &spec, state->base_machine_type, lists,
			   &state->nspawn_machine_type);
}
