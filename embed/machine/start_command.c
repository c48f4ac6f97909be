/* How machines are started and keys are called, for test_driver.machine. */
#include "embed.h"

#include "guest/screen.h"

const char py_start_command_line_doc[] =
	"start_command_line(command, monitor, qmp, shell, allow_reboot, vsock=None)\n--\n\n"
	"The shell command that starts a machine: `command` with QEMU's options for the\n"
	"sockets.";

PyObject *py_start_command_line_function(PyObject *self, PyObject *args)
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
				      allow_reboot, ntd_has_display(environ));
	return PyUnicode_DecodeFSDefault(line);
}

const char py_key_name_doc[] =
	"key_name(character)\n--\n\nQEMU's name of the key, as send_key() translates it.";

PyObject *py_key_name_function(PyObject *self, PyObject *args)
{
	_cleanup_free_ char *name = NULL;
	const char *character;

	if (!PyArg_ParseTuple(args, "s:key_name", &character))
		return NULL;
	name = ntd_key_name(character);
	return py_text_of(name);
}

const char py_start_script_name_doc[] =
	"start_script_name(command, suffix='-vm')\n--\n\n"
	"The NAME of a command that ends in run-NAME and the suffix, or \"machine\".";

PyObject *py_start_script_name_function(PyObject *self, PyObject *args)
{
	_cleanup_free_ char *name = NULL;
	const char *command, *suffix = "-vm";

	if (!PyArg_ParseTuple(args, "s|s:start_script_name", &command, &suffix))
		return NULL;
	name = ntd_start_script_name(command, suffix);
	return PyUnicode_DecodeFSDefault(name);
}

/* kvm_probe.S */
extern const char py_kvm_probe[];
extern const uint32_t py_kvm_probe_size;

const char py_kvm_probe_doc[] =
	"kvm_probe()\n--\n\nA boot sector that sees whether KVM works; empty where there is none.";

PyObject *py_kvm_probe_function(PyObject *self, PyObject *unused)
{
	return PyBytes_FromStringAndSize(py_kvm_probe, py_kvm_probe_size);
}
