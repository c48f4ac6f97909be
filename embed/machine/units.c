/* The methods about systemd units, files, ports and sockets in the guest. They run on threads that
 * hold the GIL, which PY_BLOCKING_CALL releases for calls that can block.
 */
#include "guest/units.h"
#include "machine/py_machine.h"

static PyObject *systemctl(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"q", "user", NULL};
	struct ntd_machine *machine = py_machine_self(object)->machine;
	_cleanup_buf_ struct ntd_buf output = {0};
	_cleanup_path_ struct py_path_arg query = {0}, user = {0};
	int status;

	if (!py_parse(args, kwargs, "O&|O&:systemctl", names, py_convert_text, &query,
		      py_convert_text_or_none, &user) ||
	    !PY_BLOCKING_CALL(status, ntd_machine_systemctl(machine, query.text, user.text, &output,
							    waiter, error)))
		return NULL;
	return Py_BuildValue("(iN)", status, py_text(&output));
}

static PyObject *job(PyObject *object, PyObject *args, PyObject *kwargs, const char *format,
		     const char *verb)
{
	static char *names[] = {"jobname", "user", NULL};
	struct ntd_machine *machine = py_machine_self(object)->machine;
	_cleanup_buf_ struct ntd_buf output = {0};
	_cleanup_free_ char *query = NULL;
	_cleanup_path_ struct py_path_arg unit = {0}, user = {0};
	int status;

	if (!py_parse(args, kwargs, format, names, py_convert_text, &unit, py_convert_text_or_none,
		      &user))
		return NULL;
	query = ntd_asprintf("%s %s", verb, unit.text);
	if (!PY_BLOCKING_CALL(status, ntd_machine_systemctl(machine, query, user.text, &output,
							    waiter, error)))
		return NULL;
	return Py_BuildValue("(iN)", status, py_text(&output));
}

static PyObject *start_job(PyObject *object, PyObject *args, PyObject *kwargs)
{
	return job(object, args, kwargs, "O&|O&:start_job", "start");
}

static PyObject *stop_job(PyObject *object, PyObject *args, PyObject *kwargs)
{
	return job(object, args, kwargs, "O&|O&:stop_job", "stop");
}

static PyObject *wait_for_unit(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"unit", "user", "timeout", NULL};
	struct ntd_machine *machine = py_machine_self(object)->machine;
	_cleanup_path_ struct py_path_arg unit = {0}, user = {0};
	double timeout = NTD_DEFAULT_TIMEOUT;
	int result;

	if (!py_parse(args, kwargs, "O&|O&O&:wait_for_unit", names, py_convert_text, &unit,
		      py_convert_text_or_none, &user, py_convert_duration, &timeout) ||
	    !PY_BLOCKING_CALL(result, ntd_machine_wait_for_unit(machine, unit.text, user.text,
								timeout, waiter, error)))
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *properties_dict(const struct ntd_properties *properties)
{
	PyObject *dict = PyDict_New();

	for (size_t i = 0; dict && i < properties->count; i++) {
		_cleanup_pyref_ PyObject *name = py_text_of(properties->items[i].name);
		_cleanup_pyref_ PyObject *value = py_text_of(properties->items[i].value);

		if (!name || !value || PyDict_SetItem(dict, name, value) < 0)
			Py_CLEAR(dict);
	}
	return dict;
}

static PyObject *get_unit_info(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"unit", "user", NULL};
	struct ntd_machine *machine = py_machine_self(object)->machine;
	_cleanup_properties_ struct ntd_properties properties = {0};
	_cleanup_path_ struct py_path_arg unit = {0}, user = {0};
	int result;

	if (!py_parse(args, kwargs, "O&|O&:get_unit_info", names, py_convert_text, &unit,
		      py_convert_text_or_none, &user) ||
	    !PY_BLOCKING_CALL(result, ntd_machine_unit_info(machine, unit.text, user.text,
							    &properties, waiter, error)))
		return NULL;
	return properties_dict(&properties);
}

static PyObject *get_unit_property(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"unit", "property", "user", NULL};
	struct ntd_machine *machine = py_machine_self(object)->machine;
	_cleanup_path_ struct py_path_arg unit = {0}, property = {0}, user = {0};
	_cleanup_free_ char *value = NULL;
	int result;

	if (!py_parse(args, kwargs, "O&O&|O&:get_unit_property", names, py_convert_text, &unit,
		      py_convert_text, &property, py_convert_text_or_none, &user))
		return NULL;
	if (!PY_BLOCKING_CALL(result,
			      (value = ntd_machine_unit_property(machine, unit.text, property.text,
								 user.text, waiter, error))
				      ? 0
				      : -1))
		return NULL;
	return py_text_of(value);
}

static PyObject *require_unit_state(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"unit", "require_state", NULL};
	struct ntd_machine *machine = py_machine_self(object)->machine;
	_cleanup_path_ struct py_path_arg unit = {0}, state = {.text = "active"};
	int result;

	if (!py_parse(args, kwargs, "O&|O&:require_unit_state", names, py_convert_text, &unit,
		      py_convert_text, &state) ||
	    !PY_BLOCKING_CALL(result, ntd_machine_require_unit_state(machine, unit.text, state.text,
								     waiter, error)))
		return NULL;
	Py_RETURN_NONE;
}

/* Calls wait_for_unit() by name: a subclass may have overridden it. */
static PyObject *wait_for_job(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"jobname", NULL};
	PyObject *job;

	if (!py_parse(args, kwargs, "O:wait_for_job", names, &job))
		return NULL;
	return PyObject_CallMethod(object, "wait_for_unit", "O", job);
}

/* ---- files, ports, sockets */

static PyObject *wait_for_file(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"filename", "timeout", NULL};
	struct ntd_machine *machine = py_machine_self(object)->machine;
	_cleanup_path_ struct py_path_arg path = {0};
	double timeout = NTD_DEFAULT_TIMEOUT;
	int result;

	if (!py_parse(args, kwargs, "O&|O&:wait_for_file", names, py_convert_text, &path,
		      py_convert_duration, &timeout) ||
	    !PY_BLOCKING_CALL(
		    result, ntd_machine_wait_for_file(machine, path.text, timeout, waiter, error)))
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *wait_for_port(PyObject *object, PyObject *args, PyObject *kwargs,
			       const char *format, bool open)
{
	static char *names[] = {"port", "addr", "timeout", NULL};
	struct ntd_machine *machine = py_machine_self(object)->machine;
	_cleanup_path_ struct py_path_arg address = {.text = "localhost"};
	double timeout = NTD_DEFAULT_TIMEOUT;
	int port, result;

	if (!py_parse(args, kwargs, format, names, py_convert_port, &port, py_convert_text,
		      &address, py_convert_duration, &timeout))
		return NULL;
	if (!PY_BLOCKING_CALL(result, ntd_machine_wait_for_port(machine, port, address.text, open,
								timeout, waiter, error)))
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *wait_for_open_port(PyObject *object, PyObject *args, PyObject *kwargs)
{
	return wait_for_port(object, args, kwargs, "O&|O&O&:wait_for_open_port", true);
}

static PyObject *wait_for_closed_port(PyObject *object, PyObject *args, PyObject *kwargs)
{
	return wait_for_port(object, args, kwargs, "O&|O&O&:wait_for_closed_port", false);
}

static PyObject *wait_for_open_unix_socket(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"addr", "is_datagram", "timeout", NULL};
	struct ntd_machine *machine = py_machine_self(object)->machine;
	_cleanup_path_ struct py_path_arg path = {0};
	double timeout = NTD_DEFAULT_TIMEOUT;
	int datagram = false, result;

	if (!py_parse(args, kwargs, "O&|pO&:wait_for_open_unix_socket", names, py_convert_text,
		      &path, &datagram, py_convert_duration, &timeout) ||
	    !PY_BLOCKING_CALL(result, ntd_machine_wait_for_unix_socket(machine, path.text, datagram,
								       timeout, waiter, error)))
		return NULL;
	Py_RETURN_NONE;
}

PyMethodDef py_machine_unit_methods[] = {
	PY_METHOD("systemctl", systemctl,
		  "systemctl($self, q, user=None)\n--\n\n"
		  "Runs `systemctl Q`, for a user if given; returns (exit status, output)."),
	PY_METHOD("start_job", start_job,
		  "start_job($self, jobname, user=None)\n--\n\n"
		  "Runs `systemctl start`; returns (exit status, output)."),
	PY_METHOD("stop_job", stop_job,
		  "stop_job($self, jobname, user=None)\n--\n\n"
		  "Runs `systemctl stop`; returns (exit status, output)."),
	PY_METHOD("wait_for_job", wait_for_job,
		  "wait_for_job($self, jobname)\n--\n\nThe older name of wait_for_unit()."),
	PY_METHOD(
		"wait_for_unit", wait_for_unit,
		"wait_for_unit($self, unit, user=None, timeout=900)\n--\n\n"
		"Waits until a systemd unit, of a user if given, is active; for a service its\n"
		"Type= says what that means. RequestedAssertionFailed when timeout seconds are\n"
		"over, and at once when the unit has failed, or is inactive and no job is queued:\n"
		"then a note of the error names a file with the unit's status and journal. An\n"
		"active unit with a queued job, or whose process has only just begun, counts after\n"
		"a moment. An answer without the state says nothing, and a systemctl that fails is\n"
		"asked again for 5 seconds."),
	PY_METHOD("get_unit_info", get_unit_info,
		  "get_unit_info($self, unit, user=None)\n--\n\n"
		  "Returns a dict of all properties of a unit."),
	PY_METHOD("get_unit_property", get_unit_property,
		  "get_unit_property($self, unit, property, user=None)\n--\n\n"
		  "Returns one property of a unit."),
	PY_METHOD("require_unit_state", require_unit_state,
		  "require_unit_state($self, unit, require_state='active')\n--\n\n"
		  "Looks at the state of the unit. RequestedAssertionFailed unless it is\n"
		  "require_state now."),
	PY_METHOD(
		"wait_for_file", wait_for_file,
		"wait_for_file($self, filename, timeout=900)\n--\n\n"
		"Waits until a file exists in the guest. The name is not quoted: the shell\n"
		"expands it. A file that is there at the first look counts at once, and so do\n"
		"directories, sockets, pipes and devices. A regular file that appears meanwhile\n"
		"counts when it can be read: when it was renamed to its name, or was closed after\n"
		"writing, or is not empty and has not changed for a moment; at the latest about a\n"
		"second after it appeared. timeout is in seconds.\n"
		"RequestedAssertionFailed when the time is over."),
	PY_METHOD("wait_for_open_port", wait_for_open_port,
		  "wait_for_open_port($self, port, addr='localhost', timeout=900)\n--\n\n"
		  "Waits until something listens on a TCP port, as seen from the guest: until a\n"
		  "connection is accepted, whatever is said on it then. timeout is in seconds.\n"
		  "RequestedAssertionFailed when the time is over."),
	PY_METHOD(
		"wait_for_closed_port", wait_for_closed_port,
		"wait_for_closed_port($self, port, addr='localhost', timeout=900)\n--\n\n"
		"Waits until nothing listens on a TCP port, as seen from the guest. timeout is in\n"
		"seconds. RequestedAssertionFailed when the time is over."),
	PY_METHOD("wait_for_open_unix_socket", wait_for_open_unix_socket,
		  "wait_for_open_unix_socket($self, addr, is_datagram=False, timeout=900)\n--\n\n"
		  "Waits until something listens on a Unix socket in the guest: until it can be\n"
		  "connected to, not only until its file is there. timeout is in seconds.\n"
		  "RequestedAssertionFailed when the time is over."),
	{NULL, NULL, 0, NULL},
};
