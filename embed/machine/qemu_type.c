/* The type QemuMachine: what only virtual machines have. All of this runs on threads that hold the
 * GIL.
 */
#include "machine/py_machine.h"

#include "machine/qemu.h"

static PyObject *get_connected(PyObject *object, void *closure)
{
	return PyBool_FromLong(ntd_machine_status(py_machine_self(object)->machine).state ==
			       NTD_MACHINE_CONNECTED);
}

static int set_connected(PyObject *object, PyObject *value, void *closure)
{
	struct ntd_machine *machine = py_machine_self(object)->machine;
	int truth = value ? PyObject_IsTrue(value) : 0;

	if (!truth)
		ntd_machine_disconnect(machine, false);
	else if (truth > 0)
		ntd_machine_assume_shell(machine);
	return truth < 0 ? -1 : 0;
}

static PyObject *get_socket_path(PyObject *object, void *closure)
{
	return py_path(ntd_machine_path(py_machine_self(object)->machine, closure));
}

/* Converts the path for the attribute `name`; false with an exception. */
static bool convert_path(PyObject *value, const char *name, struct py_path_arg *path)
{
	if (!value)
		PyErr_Format(PyExc_AttributeError, "%s cannot be deleted", name);
	else if (!py_convert_path(value, path))
		PyErr_Format(PyExc_TypeError, "%s must be a str or os.PathLike, not %s", name,
			     Py_TYPE(value)->tp_name);
	else
		return true;
	return false;
}

static int set_path(PyObject *object, PyObject *value, void *closure)
{
	_cleanup_path_ struct py_path_arg path = {0};
	_cleanup_free_ char *absolute = NULL;

	if (!convert_path(value, closure, &path))
		return -1;
	absolute = ntd_directories_absolute(path.text);
	ntd_machine_set_path(py_machine_self(object)->machine, closure, absolute);
	return 0;
}

static int set_vsock(PyObject *object, PyObject *value, void *closure)
{
	struct ntd_machine *machine = py_machine_self(object)->machine;
	_cleanup_path_ struct py_path_arg path = {0};

	if (value != Py_None && !convert_path(value, "it", &path))
		return -1;
	if (closure)
		ntd_machine_set_vsock(machine, ntd_machine_vsock_guest(machine), path.text);
	else
		ntd_machine_set_vsock(machine, path.text, ntd_machine_vsock_host(machine));
	return 0;
}

static PyObject *get_vsock(PyObject *object, void *closure)
{
	struct ntd_machine *machine = py_machine_self(object)->machine;
	const char *path =
		closure ? ntd_machine_vsock_host(machine) : ntd_machine_vsock_guest(machine);

	if (!path)
		Py_RETURN_NONE;
	return py_path(path);
}

static PyObject *get_efi_vars_path(PyObject *object, void *closure)
{
	return py_path(ntd_machine_path(py_machine_self(object)->machine, "efi_vars"));
}

static PyObject *get_efi_vars(PyObject *object, void *closure)
{
	return py_machine_efi_store(object);
}

static PyObject *get_root_shell(PyObject *object, void *closure)
{
	return PyBool_FromLong(ntd_machine_has_root_shell(py_machine_self(object)->machine));
}

static int set_root_shell(PyObject *object, PyObject *value, void *closure)
{
	int truth = value ? PyObject_IsTrue(value) : -1;

	if (!value)
		PyErr_SetString(PyExc_AttributeError, "root_shell cannot be deleted");
	if (truth >= 0)
		ntd_machine_set_root_shell(py_machine_self(object)->machine, truth);
	return truth < 0 ? -1 : 0;
}

static PyObject *get_channel(PyObject *object, void *closure)
{
	const struct ntd_channel *channel =
		ntd_machine_channel(py_machine_self(object)->machine, NTD_CHANNEL_ANY);

	if (!channel)
		Py_RETURN_NONE;
	return py_text_of(channel->name);
}

static PyObject *get_user(PyObject *object, void *closure)
{
	const char *user = ntd_machine_user(py_machine_self(object)->machine);

	if (!user)
		Py_RETURN_NONE;
	return py_text_of(user);
}

static int set_user(PyObject *object, PyObject *value, void *closure)
{
	const char *user = NULL;

	if (value && value != Py_None) {
		if (!PyUnicode_Check(value)) {
			PyErr_Format(PyExc_TypeError, "user must be a str or None, not %s",
				     Py_TYPE(value)->tp_name);
			return -1;
		}
		user = py_utf8(value, "user");
		if (!user)
			return -1;
	}
	ntd_machine_set_user(py_machine_self(object)->machine, user);
	return 0;
}

static const struct py_machine_kept_attribute serial_thread = {
	.slot = PY_MACHINE_KEPT_SERIAL_THREAD, .make = py_machine_make_serial_thread};

static const struct py_machine_kept_attribute shell = {.slot = PY_MACHINE_KEPT_SHELL,
						       .make = py_machine_make_shell};
static const struct py_machine_kept_attribute monitor = {.slot = PY_MACHINE_KEPT_MONITOR,
							 .make = py_machine_make_monitor};
static const struct py_machine_kept_attribute qmp_client = {.slot = PY_MACHINE_KEPT_QMP_CLIENT,
							    .make = py_machine_make_qmp_client};

static const struct py_machine_kept_attribute last_lines = {
	.slot = PY_MACHINE_KEPT_LAST_LINES, .make = py_machine_make_last_lines, .before = true};
static const struct py_machine_kept_attribute console_log = {.slot = PY_MACHINE_KEPT_CONSOLE_LOG};
static const struct py_value efi_vars = {"efi_vars", get_efi_vars, NULL};

static PyGetSetDef attributes[] = {
	{"connected", get_connected, set_connected,
	 "bool: the guest's root shell is there. Set it to False when the guest boots again.",
	 NULL},
	{"qmp_client", py_machine_get_kept, py_machine_set_kept,
	 "QMPSession | None: QEMU's QMP monitor, of the last start. None before QMP can be used.",
	 (void *)&qmp_client},
	{"monitor_path", get_socket_path, set_path,
	 "Path: socket of the monitor. This and the next two can be set before a start.",
	 (void *)"monitor"},
	{"qmp_path", get_socket_path, set_path, "Path: socket of QMP.", (void *)"qmp"},
	{"shell_path", get_socket_path, set_path, "Path: socket of the root shell.",
	 (void *)"shell"},
	{"vsock_host", get_vsock, set_vsock,
	 "Path | None: socket of the SSH backdoor for this host.", (void *)"host"},
	{"vsock_guest", get_vsock, set_vsock, "Path | None: socket of the SSH backdoor for QEMU.",
	 NULL},
	{"efi_vars", py_value_get, py_value_set, "EfiVars: the store of EFI variables.",
	 (void *)&efi_vars},
	{"efi_vars_path", get_efi_vars_path, set_path,
	 "Path: the file of that store, NIX_EFI_VARS of start scripts.", (void *)"efi_vars"},
	{"root_shell", get_root_shell, set_root_shell,
	 "bool: the guest has a root shell for the driver. Set it to False for a guest without\n"
	 "one.",
	 NULL},
	{"ssh_port", py_machine_get_ssh_port, NULL,
	 "int | None: the port of this host at which use_ssh() reaches sshd; None: not known yet.",
	 NULL},
	{"ssh_host_key", py_machine_get_ssh_host_key, NULL,
	 "str | None: the public key of sshd, as in known_hosts, pinned until the guest is reset;\n"
	 "None: none so far.",
	 NULL},
	{"_channel", get_channel, NULL, "str | None: what commands go by at present.", NULL},
	{"_user", get_user, set_user,
	 "str | None: for whom commands are run in the guest; None: for root.", NULL},
	{"start_command", py_machine_get_start_command, py_machine_set_start_command,
	 "QemuStartCommand: how the machine is started from the next start on.", NULL},
	{"shell", py_machine_get_kept, py_machine_set_kept,
	 "Connection | None: that of the root shell, of the last start.", (void *)&shell},
	{"monitor", py_machine_get_kept, py_machine_set_kept,
	 "Connection | None: that of QEMU's monitor, of the last start.", (void *)&monitor},
	{"last_lines", py_machine_get_kept, py_machine_set_last_lines,
	 "Queue: the console's lines that nothing has used yet.", (void *)&last_lines},
	{"full_console_log", py_machine_get_full_console_log, py_machine_set_full_console_log,
	 "list: the console's lines since the start; a new list each time.", (void *)&console_log},
	{"serial_thread", py_machine_get_kept, py_machine_set_kept,
	 "SerialThread | None: stands for the thread that reads the console since the last start.",
	 (void *)&serial_thread},
	{NULL, NULL, NULL, NULL, NULL},
};

/* ---- the type */

static const char machine_doc[] =
	"QemuMachine(out_dir, tmp_dir, start_command, logger=None, name=None, keep_machine_state=False, callbacks=None, keep_vm_state=False, vsock_guest=None, vsock_host=None)\n--\n\n"
	"A QEMU virtual machine, released at the end of the run. start_command is a str or\n"
	"a QemuStartCommand. The state directory is made below tmp_dir, files for the user\n"
	"go to out_dir. Without a name the machine is called NAME if the command ends in\n"
	"run-NAME-vm, else `machine`. Its messages and its console go to logger; None: the\n"
	"log of the run. With keep_machine_state (keep_vm_state is its older name) the state\n"
	"directory is not emptied. callbacks is a list of functions to call before each\n"
	"command. vsock_guest and vsock_host are the sockets of a process that serves a\n"
	"vsock device, for QEMU and for this host.";

int py_machine_add_qemu_type(PyObject *module, struct py_state *state)
{
	static PyType_Slot slots[] = {
		{Py_tp_doc, (void *)machine_doc},
		{Py_tp_new, py_machine_new_object},
		{Py_tp_init, py_machine_init},
		{Py_tp_getset, attributes},
		{0, NULL},
	};
	static PyType_Spec spec = {
		.name = "test_driver.machine.QemuMachine",
		.basicsize = sizeof(struct py_machine),
		.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, /* collected as the base */
		.slots = slots,
	};
	PyMethodDef *const lists[] = {py_machine_qemu_life_methods,    py_machine_console_methods,
				      py_machine_console_line_methods, py_machine_expect_methods,
				      py_machine_login_methods,        py_machine_screen_methods,
				      py_machine_ocr_methods,          py_machine_efi_methods,
				      py_machine_interact_methods,     py_machine_socket_methods,
				      py_machine_use_ssh_methods,      NULL};

	if (py_add_type(module, &spec, state->base_machine_type, lists, &state->qemu_machine_type) <
	    0)
		return -1;
	return PyModule_AddObjectRef(module, "Machine", (PyObject *)state->qemu_machine_type);
}
