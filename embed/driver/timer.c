/* driver.race_timer: the limit of time of a driver, with the methods of threading.Timer that
 * scripts use. All of this runs on threads that hold the GIL.
 */
#include "driver/py_driver.h"

struct timer_object {
	struct py_object head;
	PyObject *driver; /* keeps the deadline, which is the driver's */
};

static struct ntd_deadline *deadline_of(PyObject *object)
{
	return py_driver_self(((struct timer_object *)object)->driver)->deadline;
}

PyObject *py_driver_get_race_timer(PyObject *object, void *closure)
{
	PyTypeObject *type = py_state()->timer_type;
	struct timer_object *self = (struct timer_object *)type->tp_alloc(type, 0);

	if (self)
		self->driver = Py_NewRef(object);
	return (PyObject *)self;
}

/* Calls the method of a driver.race_timer that a script has set. 1 if there is none; -1 with an
 * exception. */
static int call_own(PyObject *object, const char *method)
{
	_cleanup_pyref_ PyObject *own = Py_XNewRef(py_value_own(object, "race_timer"));
	_cleanup_pyref_ PyObject *result = own ? PyObject_CallMethod(own, method, NULL) : NULL;

	return !own ? 1 : result ? 0 : -1;
}

int py_driver_start_timer(PyObject *object)
{
	int called = call_own(object, "start");

	if (called > 0)
		ntd_deadline_start(py_driver_self(object)->deadline);
	return called < 0 ? -1 : 0;
}

int py_driver_cancel_timer(PyObject *object)
{
	int called = call_own(object, "cancel");

	if (called > 0)
		ntd_deadline_stop(py_driver_self(object)->deadline);
	return called < 0 ? -1 : 0;
}

PyObject *py_driver_terminate_test(PyObject *object, PyObject *unused)
{
	struct ntd_session *session = py_state()->session;

	PY_WITHOUT_GIL(ntd_session_abort(session, SIGTERM, NTD_TIMEOUT_REACHED);
		       ntd_session_yield_to_abort(session));
	Py_RETURN_NONE;
}

static int timer_traverse(PyObject *object, visitproc visit, void *arg)
{
	Py_VISIT(((struct timer_object *)object)->driver);
	return py_object_traverse(object, visit, arg);
}

static int timer_clear(PyObject *object)
{
	Py_CLEAR(((struct timer_object *)object)->driver);
	return py_object_clear(object);
}

static PyObject *timer_start(PyObject *object, PyObject *unused)
{
	ntd_deadline_start(deadline_of(object));
	Py_RETURN_NONE;
}

static PyObject *timer_cancel(PyObject *object, PyObject *unused)
{
	ntd_deadline_stop(deadline_of(object));
	Py_RETURN_NONE;
}

static PyObject *timer_is_alive(PyObject *object, PyObject *unused)
{
	return PyBool_FromLong(deadline_of(object)->running);
}

static PyObject *get_interval(PyObject *object, void *closure)
{
	return PyFloat_FromDouble(deadline_of(object)->seconds);
}

int py_driver_add_timer_type(PyObject *module, struct py_state *state)
{
	static PyMethodDef methods[] = {
		{"start", timer_start, METH_NOARGS,
		 "start($self)\n--\n\nStarts the time limit, or starts it again from zero."},
		{"cancel", timer_cancel, METH_NOARGS, "cancel($self)\n--\n\nLifts the time limit."},
		{"is_alive", timer_is_alive, METH_NOARGS,
		 "is_alive($self)\n--\n\nReturns whether the time limit is running."},
		{NULL, NULL, 0, NULL},
	};
	static PyGetSetDef attributes[] = {
		{"interval", get_interval, NULL, "float: the limit in seconds.", NULL},
		{NULL, NULL, NULL, NULL, NULL},
	};
	static PyType_Slot slots[] = {
		{Py_tp_doc, (void *)"The limit of time of a run."},
		{Py_tp_traverse, timer_traverse},
		{Py_tp_clear, timer_clear},
		{Py_tp_getset, attributes},
		{0, NULL},
	};
	static PyType_Spec spec = {
		.name = "_test_driver.RaceTimer",
		.basicsize = sizeof(struct timer_object),
		.flags =
			Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
		.slots = slots,
	};

	PyMethodDef *const lists[] = {methods, NULL};

	return py_add_type(module, &spec, NULL, lists, &state->timer_type);
}
