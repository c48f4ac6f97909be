/* Driver(...) in a script: a driver within the session of the one that runs the script, with a
 * script, machines, networks and a limit of time of its own. Its machines end with its `with`
 * block, or with the run. All of this runs on threads that hold the GIL.
 */
#include "base/forked.h"
#include "driver/py_driver.h"

/* ---- Driver(...) */

/* The arguments, whichever generation of drivers they are for, as a DriverPlan of
 * test_driver.driver. */
static PyObject *plan_from(PyObject *args, PyObject *kwargs)
{
	_cleanup_pyref_ PyObject *module = PyImport_ImportModule("test_driver.driver");
	_cleanup_pyref_ PyObject *function =
		module ? PyObject_GetAttrString(module, "plan_from") : NULL;

	return function ? PyObject_Call(function, args, kwargs) : NULL;
}

static bool is_container(PyObject *machine)
{
	return PyObject_IsTrue(PyTuple_GetItem(machine, 2)) == 1;
}

/* Has VLANs made with tap interfaces if there are containers to be. VLANs of other drivers, which
 * exist already, stay as they are. */
static void foresee_containers(PyObject *machines)
{
	for (Py_ssize_t i = 0; i < PyList_Size(machines); i++)
		if (is_container(PyList_GetItem(machines, i)))
			py_state()->session->members.taps = true;
}

static int start_vlans(struct py_driver *self, PyObject *numbers)
{
	struct py_state *state = py_state();
	_cleanup_pyref_ PyObject *base = py_path(state->session->tmp_dir);
	int result = base ? 0 : -1;
	struct ntd_nest nest;

	py_log_begin(&nest, py_logger_report(self->logger), NTD_STEP_START, NULL, "start all VLans",
		     NULL, false);
	for (Py_ssize_t i = 0; result == 0 && i < PyList_Size(numbers); i++) {
		_cleanup_pyref_ PyObject *vlan = PyObject_CallFunctionObjArgs(
			(PyObject *)state->vlan_type, PyList_GetItem(numbers, i), base,
			self->logger, NULL);

		if (!vlan || PyList_Append(self->vlans, vlan) < 0)
			result = -1;
	}
	py_log_end(&nest, result < 0);
	return result;
}

static PyObject *make_machine(struct py_driver *self, PyObject *name, PyObject *script,
			      PyTypeObject *class)
{
	_cleanup_pyref_ PyObject *none = PyTuple_New(0);
	_cleanup_pyref_ PyObject *tmp_dir = py_path(py_state()->session->tmp_dir);
	_cleanup_pyref_ PyObject *kwargs =
		Py_BuildValue("{sOsOsOsOsOsO}", "name", name, "start_command", script, "out_dir",
			      self->out_dir, "tmp_dir", tmp_dir, "logger", self->logger,
			      "keep_machine_state", self->keep_machine_state ? Py_True : Py_False);

	return none && kwargs ? PyObject_Call((PyObject *)class, none, kwargs) : NULL;
}

static int make_machines(PyObject *object, PyObject *scripts)
{
	struct py_driver *self = py_driver_self(object);
	struct py_state *state = py_state();
	PyObject *one;

	for (Py_ssize_t i = 0; (one = i < PyList_Size(scripts) ? PyList_GetItem(scripts, i) : NULL);
	     i++) {
		_cleanup_pyref_ PyObject *machine = make_machine(
			self, PyTuple_GetItem(one, 0), PyTuple_GetItem(one, 1),
			is_container(one) ? state->nspawn_machine_type : state->qemu_machine_type);

		if (!machine ||
		    PyList_Append(self->lists[PY_DRIVER_ALL_MACHINES].list, machine) < 0)
			return -1;
	}
	return 0;
}

/* Moves an attribute of the plan into its place. */
static bool take(PyObject *plan, const char *name, PyObject **place)
{
	PyObject *value = PyObject_GetAttrString(plan, name);

	if (value)
		Py_XSETREF(*place, value);
	return value;
}

static int set_deadline(struct py_driver *self, PyObject *seconds)
{
	double limit = PyFloat_AsDouble(seconds);

	if (PyErr_Occurred())
		return -1;
	self->is_own = true;
	Py_CLEAR(self->original); /* the object may be a copy, made before its __init__() */
	self->deadline = ntd_calloc(1, sizeof *self->deadline);
	*self->deadline = (struct ntd_deadline){.session = py_state()->session, .seconds = limit};
	return 0;
}

static int follow(PyObject *object, PyObject *plan)
{
	struct py_driver *self = py_driver_self(object);
	_cleanup_pyref_ PyObject *scripts = NULL, *numbers = NULL, *seconds = NULL, *keep = NULL;
	_cleanup_pyref_ PyObject *debug = NULL;

	if (!take(plan, "config", &self->config) || !take(plan, "out_dir", &self->out_dir) ||
	    !take(plan, "tests", &self->tests) || !take(plan, "logger", &self->logger) ||
	    !take(plan, "debug", &debug) || !take(plan, "start_scripts", &scripts) ||
	    !take(plan, "vlans", &numbers) || !take(plan, "seconds", &seconds) ||
	    !take(plan, "keep_machine_state", &keep))
		return -1;
	if (self->logger == Py_None)
		Py_SETREF(self->logger, py_logger_object(py_state()));
	if (!self->logger || !py_logger_report(self->logger) || set_deadline(self, seconds) < 0)
		return -1;
	self->keep_machine_state = PyObject_IsTrue(keep) == 1;
	self->code = py_script_code(self->tests);
	if (!self->code || py_driver_add_assertions(object) < 0 ||
	    PyObject_SetAttrString(object, "debug", debug) < 0)
		return -1;
	foresee_containers(scripts);
	return start_vlans(self, numbers) < 0 ? -1 : make_machines(object, scripts);
}

int py_driver_init(PyObject *object, PyObject *args, PyObject *kwargs)
{
	struct py_driver *self = py_driver_self(object);
	_cleanup_pyref_ PyObject *plan = NULL;

	if (py_forked_refuse())
		return -1;
	if (self->is_own) {
		PyErr_SetString(PyExc_RuntimeError, "Driver.__init__() was called before");
		return -1;
	}
	plan = plan_from(args, kwargs);
	return plan ? follow(object, plan) : -1;
}

/* ---- with Driver(...) as driver */

PyObject *py_driver_enter(PyObject *object, PyObject *unused)
{
	return Py_NewRef(object);
}

/* Calls a method of each object in the list; without `all`, only if the method is a script's. What
 * the method raises is logged, and the next object gets its turn. */
static void call_each(struct py_driver *self, PyObject *list, const char *method, bool all)
{
	for (Py_ssize_t i = 0; list && i < PyList_Size(list); i++) {
		PyObject *one = PyList_GetItem(list, i);
		bool called = all || !py_machine_is_plain(one, method);
		_cleanup_pyref_ PyObject *done =
			called ? PyObject_CallMethod(one, method, NULL) : Py_NewRef(Py_None);
		_cleanup_pyref_ PyObject *text = NULL;
		_cleanup_free_ char *shown = NULL;
		PyObject *type, *error, *traceback;

		if (done)
			continue;
		PyErr_Fetch(&type, &error, &traceback);
		text = PyUnicode_FromFormat("Error during cleanup of %R: %S", one, error);
		shown = text ? py_shown_text(text) : NULL;
		if (shown)
			py_log(py_logger_report(self->logger), NTD_LEVEL_ERROR, NULL, "%s", shown);
		PyErr_Clear();
		Py_XDECREF(type);
		Py_XDECREF(error);
		Py_XDECREF(traceback);
	}
}

void py_driver_release_others(PyObject *driver)
{
	struct py_driver *self = py_driver_self(driver);
	_cleanup_pyref_ PyObject *machines = py_driver_machines(self);

	call_each(self, machines, "release", false);
}

PyObject *py_driver_exit(PyObject *object, PyObject *args)
{
	struct py_driver *self = py_driver_self(object);
	_cleanup_pyref_ PyObject *machines = NULL, *vlans = NULL;
	PyObject *step, *type, *error, *traceback;

	if (ntd_is_forked())
		Py_RETURN_NONE;
	step = py_step_enter(self->logger, NTD_STEP_CLEANUP, "cleanup");
	PyErr_Fetch(&type, &error,
		    &traceback); /* when the log fails, the machines end nevertheless */
	machines = py_driver_machines(self);
	vlans = PyList_GetSlice(self->vlans, 0, PY_SSIZE_T_MAX);
	ntd_deadline_stop(self->deadline);
	py_script_cancel_own_timer(object);
	call_each(self, machines, "release", true);
	call_each(self, vlans, "stop", true);
	if (!step) {
		PyErr_Restore(type, error, traceback);
		return NULL;
	}
	py_step_leave(step);
	return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

/* ---- driver.config */

static PyObject *names_and_scripts(const struct ntd_machine_configs *machines)
{
	_cleanup_pyref_ PyObject *list = PyList_New(0);

	for (size_t i = 0; list && i < machines->count; i++) {
		_cleanup_pyref_ PyObject *name = py_text_of(machines->items[i].name);
		_cleanup_pyref_ PyObject *script =
			PyUnicode_DecodeFSDefault(machines->items[i].start_script);
		_cleanup_pyref_ PyObject *pair =
			name && script ? PyTuple_Pack(2, name, script) : NULL;

		if (!pair || PyList_Append(list, pair) < 0)
			return NULL;
	}
	return ntd_steal(&list);
}

static PyObject *config_of_run(const struct ntd_config *config)
{
	_cleanup_pyref_ PyObject *vms = names_and_scripts(&config->vms);
	_cleanup_pyref_ PyObject *containers = names_and_scripts(&config->containers);
	_cleanup_pyref_ PyObject *script = PyUnicode_DecodeFSDefault(config->test_script);
	_cleanup_pyref_ PyObject *vlans = PyList_New(0);

	for (size_t i = 0; vlans && i < config->vlans.count; i++) {
		_cleanup_pyref_ PyObject *number = PyLong_FromLong(config->vlans.items[i]);

		if (!number || PyList_Append(vlans, number) < 0)
			return NULL;
	}
	if (!vms || !containers || !vlans || !script)
		return NULL;
	return py_call("test_driver.driver", "configuration", "(OOOdOO)", vms, containers, vlans,
		       config->global_timeout, config->enable_ssh_backdoor ? Py_True : Py_False,
		       script);
}

PyObject *py_driver_get_config(PyObject *object, void *closure)
{
	struct py_driver *self = py_driver_self(object);

	if (self->config)
		return Py_NewRef(self->config);
	return py_object_first(&self->config, config_of_run(py_state()->session->config));
}

/* ---- driver.vhost_vsock */

PyObject *py_driver_get_vhost_vsock(PyObject *object, void *closure)
{
	if (!py_state()->session->ssh_backdoor || py_driver_self(object)->is_own)
		Py_RETURN_NONE;
	return py_call("test_driver.driver", "VHostDeviceVsock", "(O)", object);
}
