/* Functions of the module about how machines are started and how keys are called, for
 * test_driver.machine. All of this runs on threads that hold the GIL.
 */
#include "qemu/start_command.h"
#include "machine/py_machine.h"

#include "guest/screen.h"

static PyObject *start_command_line(PyObject *self, PyObject *args)
{
	_cleanup_path_ struct py_path_arg monitor = {0}, qmp = {0}, shell = {0}, vsock = {0};
	PyObject *vsock_path = Py_None;
	_cleanup_free_ char *line = NULL;
	const char *command;
	int allow_reboot;

	if (!PyArg_ParseTuple(args, "sO&O&O&p|O:start_command_line", &command, py_convert_path,
			      &monitor, py_convert_path, &qmp, py_convert_path, &shell,
			      &allow_reboot, &vsock_path) ||
	    (vsock_path != Py_None && !py_convert_path(vsock_path, &vsock)))
		return NULL;
	line = ntd_start_command_line(command,
				      &(struct ntd_start_paths){.monitor = monitor.text,
								.qmp = qmp.text,
								.shell = shell.text,
								.vsock = vsock.text},
				      allow_reboot, ntd_start_has_display(environ));
	return PyUnicode_DecodeFSDefault(line);
}

static PyObject *key_name(PyObject *self, PyObject *args)
{
	_cleanup_free_ char *name = NULL;
	const char *character;

	if (!PyArg_ParseTuple(args, "s:key_name", &character))
		return NULL;
	name = ntd_key_name(character);
	return py_text_of(name);
}

static PyObject *start_script_name(PyObject *self, PyObject *args)
{
	_cleanup_free_ char *name = NULL;
	const char *command, *suffix = "-vm";

	if (!PyArg_ParseTuple(args, "s|s:start_script_name", &command, &suffix))
		return NULL;
	name = ntd_machine_configs_name(command, suffix);
	return PyUnicode_DecodeFSDefault(name);
}

/* kvm_probe.S */
extern const char py_machine_kvm_probe[];
extern const uint32_t py_machine_kvm_probe_size;

static PyObject *kvm_probe(PyObject *self, PyObject *unused)
{
	return PyBytes_FromStringAndSize(py_machine_kvm_probe, py_machine_kvm_probe_size);
}

PyMethodDef py_machine_start_functions[] = {
	{"start_command_line", start_command_line, METH_VARARGS,
	 "start_command_line(command, monitor, qmp, shell, allow_reboot, vsock=None)\n--\n\n"
	 "Returns the shell command that starts a machine: `command` with QEMU's options\n"
	 "for the sockets."},
	{"key_name", key_name, METH_VARARGS,
	 "key_name(character)\n--\n\n"
	 "Returns QEMU's name of the key for a character, as send_key() translates it."},
	{"start_script_name", start_script_name, METH_VARARGS,
	 "start_script_name(command, suffix='-vm')\n--\n\n"
	 "Returns the NAME of a command that ends in run-NAME and the suffix, or\n"
	 "\"machine\"."},
	{"kvm_probe", kvm_probe, METH_NOARGS,
	 "kvm_probe()\n--\n\n"
	 "Returns a boot sector that sees whether KVM works, as bytes; empty on processors\n"
	 "that have none."},
	{NULL, NULL, 0, NULL},
};
