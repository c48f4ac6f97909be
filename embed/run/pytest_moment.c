/* What isolated tests and runs of a test again (test_driver_pytest.isolation, .rerun) need of the
 * core: snapshots of some machines and all networks, and how the machines have been used. All of
 * this runs on the main thread with the GIL held, which PY_BLOCKING_CALL releases.
 */
#include "guest/moment.h"
#include "log/py_log.h"
#include "run/py_run.h"

/* ---- snapshots */

typedef int moment_operation(const struct ntd_moment *moment, struct ntd_waiter *waiter,
			     struct ntd_error **err);

/* Parses (name, machines), and calls the operation for these machines and all networks. */
static PyObject *call(PyObject *args, const char *format, moment_operation *operation)
{
	struct ntd_moment moment = {.timeout = NTD_SNAPSHOT_TIMEOUT};
	_cleanup_free_ struct ntd_machine **machines = NULL;
	_cleanup_free_ struct ntd_vlan **vlans =
		ntd_session_vlans(py_state()->session, &moment.vlan_count);
	PyObject *list;
	int result;

	if (!PyArg_ParseTuple(args, format, &moment.name, &PyList_Type, &list))
		return NULL;
	moment.count = (size_t)PyList_Size(list);
	moment.machines = machines = ntd_calloc(moment.count + 1, sizeof(struct ntd_machine *));
	moment.vlans = vlans;
	for (size_t i = 0; i < moment.count; i++) {
		machines[i] = py_machine_of(PyList_GetItem(list, (Py_ssize_t)i));
		if (!machines[i])
			return NULL;
	}
	if (!PY_BLOCKING_CALL(result, operation(&moment, waiter, error)))
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *save_machines(PyObject *self, PyObject *args)
{
	return call(args, "sO!:save_machines", ntd_moment_save);
}

static PyObject *restore_machines(PyObject *self, PyObject *args)
{
	return call(args, "sO!:restore_machines", ntd_moment_restore);
}

/* ---- how machines have been used */

/* How often a script has used an object whose place in the machine this is; 0: there is none. */
static unsigned long long uses_of(PyObject *object)
{
	return object && PyObject_TypeCheck(object, py_state()->object_type)
		       ? ((struct py_object *)object)->uses
		       : 0;
}

static PyObject *machine_uses(PyObject *self, PyObject *object)
{
	struct ntd_machine *machine = py_machine_of(object);
	const struct py_machine_kept_value *client;
	struct ntd_machine_status status;

	if (!machine)
		return NULL;
	client = &py_machine_self(object)->kept[PY_MACHINE_KEPT_QMP_CLIENT];
	PY_WITHOUT_GIL(status = ntd_machine_status(machine));
	return Py_BuildValue("(KIi)", uses_of(object) + uses_of(client->value), status.starts,
			     (int)status.ended);
}

static PyObject *boot_seconds(PyObject *self, PyObject *object)
{
	struct ntd_machine *machine = py_machine_of(object);

	if (!machine)
		return NULL;
	return PyFloat_FromDouble(ntd_seconds(ntd_machine_boot_time(machine)));
}

static PyObject *vary(PyObject *self, PyObject *args)
{
	struct ntd_session *session = py_state()->session;
	unsigned long seed = (unsigned long)session->config->seed;

	if (!PyArg_ParseTuple(args, "|k:vary", &seed))
		return NULL;
	PY_WITHOUT_GIL(ntd_session_vary(session, seed));
	Py_RETURN_NONE;
}

static PyObject *tell_of_seed(PyObject *self, PyObject *args)
{
	const char *what, *seed;

	if (!PyArg_ParseTuple(args, "ss:tell_of_seed", &what, &seed))
		return NULL;
	py_log_seed(py_state()->session->report, what, seed);
	Py_RETURN_NONE;
}

static PyObject *tell_of_run(PyObject *self, PyObject *args)
{
	struct py_state *state = py_state();
	const char *name, *value;

	if (!PyArg_ParseTuple(args, "ss:tell_of_run", &name, &value))
		return NULL;
	ntd_strv_add(&state->run_attributes, name);
	ntd_strv_add(&state->run_attributes, value);
	Py_RETURN_NONE;
}

PyMethodDef py_pytest_moment_functions[] = {
	{"save_machines", save_machines, METH_VARARGS,
	 "save_machines(name, machines)\n--\n\n"
	 "Saves a list of machines and all networks at one moment, as driver.snapshot()\n"
	 "does for all machines."},
	{"restore_machines", restore_machines, METH_VARARGS,
	 "restore_machines(name, machines)\n--\n\nBrings them back to that moment."},
	{"machine_uses", machine_uses, METH_O,
	 "machine_uses(machine)\n--\n\n"
	 "Returns a value that is another one after a script has used the machine or the\n"
	 "machine has started or ended."},
	{"boot_seconds", boot_seconds, METH_O,
	 "boot_seconds(machine)\n--\n\n"
	 "Returns how long the machine's last boot took; 0.0 if none came to its end."},
	{"vary", vary, METH_VARARGS,
	 "vary(seed=...)\n--\n\n"
	 "Has start_all() start the machines in an order of this seed, and networks pass frames\n"
	 "at moments of this seed, as --seed does; by default the seed of --seed again."},
	{"tell_of_seed", tell_of_seed, METH_VARARGS,
	 "tell_of_seed(what, seed)\n--\n\n"
	 "Tells the report for what a seed, a str, was drawn."},
	{"tell_of_run", tell_of_run, METH_VARARGS,
	 "tell_of_run(name, value)\n--\n\n"
	 "Adds an attribute to the end of the run's step, a property in JUnit."},
	{NULL, NULL, 0, NULL},
};
