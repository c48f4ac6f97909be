/* The methods snapshot() and restore() of a driver: all its machines and the networks at one
 * moment. They run on threads that hold the GIL, which PY_BLOCKING_CALL releases for calls that can
 * block.
 */
#include "driver/py_driver.h"
#include "guest/moment.h"

typedef int moment_operation(const struct ntd_moment *moment, struct ntd_waiter *waiter,
			     struct ntd_error **err);

/* Calls the operation for the machines of the driver's list. */
static PyObject *call(PyObject *object, moment_operation *operation, struct ntd_moment *moment)
{
	struct ntd_session *session = py_state()->session;
	_cleanup_pyref_ PyObject *list = py_driver_machines(py_driver_self(object));
	Py_ssize_t size = list ? PyList_Size(list) : 0;
	_cleanup_free_ struct ntd_machine **machines =
		ntd_calloc((size_t)size + 1, sizeof(struct ntd_machine *));
	_cleanup_free_ struct ntd_vlan **vlans = ntd_session_vlans(session, &moment->vlan_count);
	int result;

	if (!list)
		return NULL;
	for (Py_ssize_t i = 0; i < size; i++) {
		machines[i] = py_machine_of(PyList_GetItem(list, i));
		if (!machines[i])
			return NULL;
	}
	moment->machines = machines;
	moment->count = (size_t)size;
	moment->vlans = vlans;
	if (!PY_BLOCKING_CALL(result, operation(moment, waiter, error)))
		return NULL;
	Py_RETURN_NONE;
}

PyObject *py_driver_snapshot(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"name", "timeout", NULL};
	struct ntd_moment moment = {.timeout = NTD_SNAPSHOT_TIMEOUT};

	if (!py_parse(args, kwargs, "O&|O&:snapshot", names, py_convert_snapshot_name, &moment.name,
		      py_convert_duration, &moment.timeout))
		return NULL;
	return call(object, ntd_moment_save, &moment);
}

PyObject *py_driver_restore(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"name", NULL};
	struct ntd_moment moment = {0};

	if (!py_parse(args, kwargs, "O&:restore", names, py_convert_snapshot_name, &moment.name))
		return NULL;
	return call(object, ntd_moment_restore, &moment);
}
