/* How to reach the machines by ssh: machine.ssh_backdoor_command(), driver.dump_machine_ssh(). The
 * device is one that the driver has served (session/ssh_backdoor.h) or, with --dump-vsocks, one of
 * the kernel's that the start scripts ask QEMU for.
 */
#include "driver/py_driver.h"
#include "machine/py_machine.h"

/* The command for the `number`-th machine (from 1; 0: unknown); a new string, NULL if it has no
 * backdoor. */
static char *command(const struct ntd_session *session, const struct ntd_machine *machine,
		     size_t number)
{
	const char *socket = ntd_machine_vsock_host(machine);
	int offset = session->config->dump_vsocks;

	if (ntd_machine_kind(machine) == &ntd_container_kind) /* systemd-ssh-generator(8) */
		return ntd_asprintf("ssh -o User=root -o ProxyCommand=\"socat - UNIX-CLIENT:"
				    "/run/systemd/nspawn/unix-export/%s/ssh\" bash",
				    ntd_machine_name(machine));
	if (socket)
		return ntd_asprintf("ssh -o User=root vsock-mux/%s", socket);
	if (!offset || !number)
		return NULL;
	return ntd_asprintf("ssh -o User=root vsock/%lld", (long long)offset + (long long)number);
}

/* Which of the configured virtual machines it is, from 1; 0: none of them. */
static size_t number_of(const struct ntd_session *session, const struct ntd_machine *machine)
{
	for (size_t i = 0; i < session->config->vms.count; i++)
		if (!strcmp(session->config->vms.items[i].name, ntd_machine_name(machine)))
			return i + 1;
	return 0;
}

static PyObject *ssh_backdoor_command(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"index", NULL};
	struct py_state *state = py_state_of(object);
	const struct ntd_machine *machine = py_machine_self(object)->machine;
	_cleanup_free_ char *text = NULL;
	PyObject *index = Py_None;

	if (!py_parse(args, kwargs, "|O:ssh_backdoor_command", names, &index))
		return NULL;
	text = command(state->session, machine, number_of(state->session, machine));
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
	PY_METHOD(
		"ssh_backdoor_command", ssh_backdoor_command,
		"ssh_backdoor_command($self, index=None)\n--\n\n"
		"The command by which this host reaches the guest's sshd without the network: by\n"
		"systemd-ssh-proxy(1), or by a container's socket. index is the number of a vsock\n"
		"device of the kernel, for a machine that the driver does not know to have one."),
	{NULL, NULL, 0, NULL},
};

PyObject *py_driver_dump_machine_ssh(PyObject *object, PyObject *unused)
{
	struct ntd_session *session = py_state_of(object)->session;
	size_t configured = session->config->vms.count + session->config->containers.count, all;
	_cleanup_free_ struct ntd_machine **machines = ntd_session_machines(session, &all);
	int width = 0;

	for (size_t i = 0; i < configured; i++)
		if ((int)strlen(ntd_machine_name(machines[i])) > width)
			width = (int)strlen(ntd_machine_name(machines[i]));
	if (!session->ssh_backdoor && !session->config->dump_vsocks) {
		PySys_FormatStdout("The SSH backdoor is not enabled in the configuration.\n");
		Py_RETURN_NONE;
	}
	PySys_FormatStdout(
		"SSH backdoor enabled, the machines can be accessed like this:\n"
		"Note: ssh finds them by systemd-ssh-proxy(1), which has to be set up on "
		"this host.\n");
	for (size_t i = 0; i < configured; i++) {
		const struct ntd_machine *machine = machines[i];
		const char *name = ntd_machine_name(machine);
		_cleanup_free_ char *text = command(session, machine, number_of(session, machine));
		_cleanup_free_ char *line =
			ntd_asprintf("    %s:%*s%s\n", name, width - (int)strlen(name) + 2, "",
				     text ? text : "");

		PySys_FormatStdout("%s", line);
	}
	Py_RETURN_NONE;
}
