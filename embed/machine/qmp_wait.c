/* machine.wait_for_qmp_event(): waits for an event of QMP that a function of the script accepts. It
 * runs on a script's thread, with the GIL, which is released while no event is there.
 */
#include "guest/retry.h"
#include "machine/py_machine.h"
#include "machine/qemu.h"

/* The seconds left of a wait; negative: no limit. */
static double seconds_left(const struct ntd_wait *wait, int64_t began)
{
	double left = ntd_wait_limit(wait) - ntd_seconds(ntd_now() - began);

	if (wait->timeout < 0)
		return NTD_NO_TIMEOUT;
	return left > 0 ? left : 0;
}

/* Raises TimeoutError; `last` is the last event that the filter refused, or NULL. */
static PyObject *no_event(const struct ntd_wait *wait, int64_t waited, PyObject *last)
{
	_cleanup_free_ char *stretched = ntd_stretched(wait->machine);
	_cleanup_pyref_ PyObject *seen = NULL;
	const char *text;
	struct ntd_error *error;

	PyErr_Clear();
	seen = last ? PyObject_Repr(last) : NULL;
	text = seen ? PyUnicode_AsUTF8(seen) : "no event";
	error = ntd_error_new(NTD_E_TIMEOUT,
			      "machine '%s': waiting for a QMP event: timed out after %.2f seconds "
			      "(timeout=%g)%s; last seen: %s",
			      ntd_machine_name(wait->machine), ntd_seconds(waited), wait->timeout,
			      stretched, text ? text : "?");
	PyErr_Clear();
	return py_raise(py_state(), error);
}

static int accepts(PyObject *filter, PyObject *event)
{
	_cleanup_pyref_ PyObject *wanted = PyObject_CallOneArg(filter, event);

	return wanted ? PyObject_IsTrue(wanted) : -1;
}

PyObject *py_machine_wait_for_qmp_event(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"event_filter", "timeout", NULL};
	struct ntd_qmp *qmp = ntd_machine_qmp(py_machine_self(object)->machine);
	_cleanup_pyref_ PyObject *event = NULL;
	struct ntd_wait wait = {.machine = py_machine_self(object)->machine, .timeout = 600};
	int64_t began = ntd_now();
	PyObject *filter;

	if (!py_parse(args, kwargs, "O|O&:wait_for_qmp_event", names, &filter, py_convert_duration,
		      &wait.timeout))
		return NULL;
	if (!PyCallable_Check(filter))
		return PyErr_Format(PyExc_TypeError, "event_filter must be callable, not %s",
				    Py_TYPE(filter)->tp_name);
	if (!ntd_qmp_is_open(qmp))
		return PyErr_Format(PyExc_RuntimeError,
				    "QMP API is not ready yet, is the VM ready?");
	for (;;) {
		PyObject *next = py_machine_next_qmp_event(qmp, seconds_left(&wait, began));
		int truth;

		if (!next && PyErr_ExceptionMatches(PyExc_TimeoutError))
			return no_event(&wait, ntd_now() - began, event);
		if (!next)
			return NULL;
		Py_XSETREF(event, next);
		truth = accepts(filter, event);
		if (truth)
			return truth > 0 ? ntd_steal(&event) : NULL;
	}
}
