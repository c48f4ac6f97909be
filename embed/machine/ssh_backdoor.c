/* How this host reaches a machine by ssh without the network. The vsock device is one that the
 * driver serves (session/ssh_backdoor.h) or, with --dump-vsocks, one of the kernel's that the start
 * scripts ask QEMU for. All of this runs on threads that hold the GIL.
 */
#include "machine/py_machine.h"

#include "machine/container.h"
#include "machine/qemu.h"

/* The number of the machine among the configured virtual ones, from 1; 0 for other machines. */
static size_t number_of(const struct ntd_session *session, const struct ntd_machine *machine)
{
	for (size_t i = 0; i < session->config->vms.count; i++)
		if (!strcmp(session->config->vms.items[i].name, ntd_machine_name(machine)))
			return i + 1;
	return 0;
}

char *py_machine_ssh_command(const struct ntd_session *session, const struct ntd_machine *machine)
{
	const char *socket = ntd_machine_vsock_host(machine);
	int offset = session->config->dump_vsocks;
	size_t number = number_of(session, machine);
	char *of_container = ntd_machine_ssh_command(machine);

	if (of_container)
		return of_container;
	if (socket)
		return ntd_asprintf("ssh -o User=root vsock-mux/%s", socket);
	if (!offset || !number)
		return NULL;
	return ntd_asprintf("ssh -o User=root vsock/%lld", (long long)offset + (long long)number);
}

static PyObject *ssh_backdoor_command(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"index", NULL};
	struct py_state *state = py_state();
	const struct ntd_machine *machine = py_machine_self(object)->machine;
	_cleanup_free_ char *text = NULL;
	PyObject *index = Py_None;

	if (!py_parse(args, kwargs, "|O:ssh_backdoor_command", names, &index))
		return NULL;
	text = py_machine_ssh_command(state->session, machine);
	if (!text && index != Py_None)
		return PyUnicode_FromFormat("ssh -o User=root vsock/%S", index);
	if (!text)
		return py_raise(state,
				ntd_error_new(NTD_E_MACHINE,
					      "machine '%s' has no SSH backdoor: it is not "
					      "enabled in the configuration (enable_ssh_backdoor), "
					      "or not for this machine",
					      ntd_machine_name(machine)));
	return PyUnicode_DecodeFSDefault(text);
}

PyMethodDef py_machine_ssh_methods[] = {
	PY_METHOD("ssh_backdoor_command", ssh_backdoor_command,
		  "ssh_backdoor_command($self, index=None)\n--\n\n"
		  "Returns the command by which this host reaches the guest's sshd without the\n"
		  "network: by systemd-ssh-proxy(1), or by a container's socket. index is the\n"
		  "number of a vsock device of the kernel, for a machine that the driver does not\n"
		  "know to have one. MachineError for a machine without an SSH backdoor."),
	{NULL, NULL, 0, NULL},
};
