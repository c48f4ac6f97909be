/* SSH into a QEMU machine: how scripts ask for it, and what people need to do the same by hand. The
 * channel is in driver/ssh/, and its place in the machine in driver/machine/qemu_ssh.c. All of this
 * runs on threads that hold the GIL.
 */
#include "machine/py_machine.h"

#include "machine/qemu.h"
#include "ssh/key.h"

#include <arpa/inet.h>
#include <errno.h>
#include <unistd.h>

#define LOOPBACK "127.0.0.1"
enum { SSH_PORT = 22 };

static int convert_path_or_none(PyObject *object, void *path)
{
	return object == Py_None ? 1 : py_convert_path(object, path);
}

static int convert_port_or_none(PyObject *object, void *port)
{
	return object == Py_None ? 1 : py_convert_port(object, port);
}

/* ---- machine.use_ssh() */

/* A host name would have to be resolved, which can take any time. */
static bool check_address(const char *address)
{
	unsigned char bytes[sizeof(struct in6_addr)];

	if (!address || inet_pton(AF_INET, address, bytes) == 1 ||
	    inet_pton(AF_INET6, address, bytes) == 1)
		return true;
	PyErr_Format(PyExc_ValueError, "use_ssh(): host must be an IPv4 or IPv6 address, not '%s'",
		     address);
	return false;
}

static bool check_key(const struct py_path_arg *key)
{
	if (!key->text || access(key->text, R_OK) == 0)
		return true;
	PyErr_SetFromErrnoWithFilename(PyExc_OSError, key->text);
	return false;
}

static PyObject *use_ssh(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"user", "key", "password", "sudo", "host", "port", NULL};
	struct ntd_machine *machine = py_machine_self(object)->machine;
	_cleanup_path_ struct py_path_arg key = {0};
	struct ntd_machine_ssh ssh = {.login = {.user = "root"}};
	int port = 0, sudo = 0, result;
	struct ntd_error *error = NULL;

	if (!py_parse(args, kwargs, "|zO&zpzO&:use_ssh", names, &ssh.login.user,
		      convert_path_or_none, &key, &ssh.login.password, &sudo, &ssh.address,
		      convert_port_or_none, &port) ||
	    !check_address(ssh.address) || !check_key(&key))
		return NULL;
	if (port && !ssh.address)
		ssh.address = LOOPBACK;
	ssh.port = port ? (unsigned)port : SSH_PORT;
	ssh.login.key = key.text;
	ssh.login.sudo = sudo;
	PY_WITHOUT_GIL(result = ntd_machine_use_ssh(machine, &ssh, &error));
	return result < 0 ? py_raise(py_state(), error) : Py_NewRef(Py_None);
}

/* ---- for people */

/* Adds a new reference, which it takes; false with an exception. */
static bool add(PyObject *list, PyObject *word)
{
	bool added = word && PyList_Append(list, word) == 0;

	Py_XDECREF(word);
	return added;
}

/* The words before the address; `key` NULL: ssh chooses one itself. */
static bool add_options(PyObject *list, const char *key)
{
	static const char *const options[] = {"ssh", "-oStrictHostKeyChecking=no",
					      "-oUserKnownHostsFile=/dev/null", "-oLogLevel=ERROR",
					      "-oBatchMode=yes"};

	for (size_t i = 0; i < sizeof options / sizeof *options; i++)
		if (!add(list, PyUnicode_FromString(options[i])))
			return false;
	if (!key)
		return true;
	return add(list, PyUnicode_FromFormat("-i%s", key)) &&
	       add(list, PyUnicode_FromString("-oIdentitiesOnly=yes"));
}

static PyObject *ssh_command(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"key", "user", NULL};
	struct ntd_machine *machine = py_machine_self(object)->machine;
	struct ntd_machine_ssh_target target = ntd_machine_ssh_target(machine);
	_cleanup_path_ struct py_path_arg key = {0};
	_cleanup_pyref_ PyObject *nothing = PyTuple_New(0), *list = PyList_New(0), *words = NULL;
	_cleanup_pyref_ PyObject *port = NULL;
	const char *user = NULL;

	if (!nothing || !list ||
	    !py_parse(nothing, kwargs, "|$O&z:ssh_command", names, convert_path_or_none, &key,
		      &user))
		return NULL;
	/* Test machines find a port for the attribute. */
	port = target.port ? PyLong_FromUnsignedLong(target.port)
			   : PyObject_GetAttrString(object, "ssh_port");
	if (port == Py_None)
		return py_raise(py_state(),
				ntd_error_new(NTD_E_MACHINE,
					      "machine '%s': no port is known that leads to its "
					      "sshd: call use_ssh(), and start it",
					      ntd_machine_name(machine)));
	words = port ? PySequence_List(args) : NULL;
	if (!words || !add_options(list, key.text ? key.text : target.key) ||
	    !add(list, PyUnicode_FromString("-p")) || !add(list, PyObject_Str(port)) ||
	    !add(list, PyUnicode_FromFormat("%s@%s", user ? user : target.user, target.address)))
		return NULL;
	return PySequence_InPlaceConcat(list, words);
}

PyObject *py_machine_get_ssh_port(PyObject *object, void *closure)
{
	unsigned port = ntd_machine_ssh_port(py_machine_self(object)->machine);

	if (!port)
		Py_RETURN_NONE;
	return PyLong_FromUnsignedLong(port);
}

PyObject *py_machine_get_ssh_host_key(PyObject *object, void *closure)
{
	struct ntd_ssh *ssh = ntd_machine_ssh(py_machine_self(object)->machine);
	_cleanup_free_ char *line = ssh ? ntd_ssh_host_key(ssh) : NULL;

	if (!line)
		Py_RETURN_NONE;
	return py_text_of(line);
}

PyMethodDef py_machine_use_ssh_methods[] = {
	PY_METHOD(
		"use_ssh", use_ssh,
		"use_ssh($self, user='root', key=None, password=None, sudo=False, host=None, port=None)\n--\n\n"
		"Has commands and copies go by SSH where the guest has no root shell, from the\n"
		"next connection on; the machine may run already. key is the path of a private\n"
		"key, and the password is tried when there is none or sshd refuses it. With sudo,\n"
		"commands are run as root by `sudo -n`. sshd is reached by the port of 127.0.0.1\n"
		"that QEMU forwards to the guest's port 22, which is forwarded if necessary, or at\n"
		"host, an address, and port (22). OSError for a key that cannot be read,\n"
		"ValueError for a host that is no address."),
	PY_METHOD(
		"ssh_command", ssh_command,
		"ssh_command($self, *words, key=None, user=None)\n--\n\n"
		"Returns the list of words of an ssh command for people and subprocess, which runs\n"
		"the command `words`, or a shell, in the guest. key is the path of a private key;\n"
		"it and the user are those of use_ssh() by default, else ssh's own choice and\n"
		"root. It neither checks nor notes host keys. MachineError before a port is\n"
		"known."),
	{NULL, NULL, 0, NULL},
};

/* ---- keys */

static PyObject *make_ssh_key(PyObject *module, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"path", "comment", NULL};
	_cleanup_path_ struct py_path_arg path = {0};
	_cleanup_free_ char *line = NULL;
	struct ntd_error *error = NULL;
	const struct ntd_keeper *keeper = py_state()->session->keeper;
	_cleanup_free_ char *public = NULL;
	const char *comment;

	if (!py_parse(args, kwargs, "O&s:make_ssh_key", names, py_convert_path, &path, &comment))
		return NULL;
	public = ntd_asprintf("%s.pub", path.text);
	PY_WITHOUT_GIL(ntd_keeper_sweep(keeper, path.text); ntd_keeper_sweep(keeper, public);
		       line = ntd_ssh_key_make(path.text, comment, &error));
	return line ? py_text_of(line) : py_raise(py_state(), error);
}

PyMethodDef py_machine_ssh_functions[] = {
	PY_METHOD(
		"make_ssh_key", make_ssh_key,
		"make_ssh_key(path, comment)\n--\n\n"
		"Makes a new Ed25519 key pair, the private key in the new file path and the public\n"
		"one in path.pub; both are removed when the driver ends. Returns the line of the\n"
		"public key."),
	{NULL, NULL, 0, NULL},
};
