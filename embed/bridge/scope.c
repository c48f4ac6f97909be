/* Leaving Python for a call into the core that can block, and coming back.
 *
 * A wait must end at a Ctrl-C at once. Signals are blocked on the waiting thread from before the
 * GIL is released until after it is taken back, except in ppoll() itself, which lets them in
 * atomically; so none can be handled between a look at Python's flags and the sleep. The C handler
 * only sets flags (signals.c); Python's handler runs in PyErr_CheckSignals(), on the main thread
 * only.
 */
#include "bridge/py_bridge.h"

/* ---- between the two worlds */

static void block_signals(sigset_t *before)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, before);
}

PyThreadState *py_release_gil(void)
{
	py_state()->session->calls++;
	return PyEval_SaveThread();
}

void py_take_gil(PyThreadState *thread)
{
	py_state()->session->calls--; /* it may be freed from now on, if Python has ended */
	PyEval_RestoreThread(thread);
}

static void release_gil(struct py_blocking *blocking)
{
	blocking->began = ntd_now();
	blocking->thread = py_release_gil();
}

static void take_gil(struct py_blocking *blocking)
{
	ntd_session_settle(blocking->session);
	/* While the run is being ended, the script does not get to see what the call returns; but
	 * its atexit functions run, for which this thread gives up the GIL. */
	ntd_session_yield_to_abort(blocking->session);
	py_take_gil(blocking->thread);
	pthread_sigmask(SIG_SETMASK, &blocking->signals, NULL);
	py_state()->blocked += ntd_now() - blocking->began;
	py_state()->deliver_log(py_state());
}

/* Releases the GIL again inside the scope; false when a signal's handler raised an exception. */
static bool go_back(struct py_blocking *blocking)
{
	bool raised;

	block_signals(NULL);
	raised = !PyErr_Occurred() && PyErr_CheckSignals() < 0;
	release_gil(blocking);
	return !raised;
}

/* The scope of a waiter that a script's thread gave to the core, which may have copied it. */
static struct py_blocking *scope_of(const struct ntd_waiter *waiter)
{
	return waiter->owner;
}

static bool interrupted(struct ntd_waiter *waiter)
{
	struct py_blocking *blocking = scope_of(waiter);
	bool raised;

	PyEval_RestoreThread(blocking->thread);
	raised = PyErr_CheckSignals() < 0;
	blocking->thread = PyEval_SaveThread();
	return raised;
}

/* ---- looking at something now and then */

static PyObject *watch(PyObject *self, PyObject *function)
{
	Py_XSETREF(py_state()->watch, function == Py_None ? NULL : Py_NewRef(function));
	Py_RETURN_NONE;
}

PyMethodDef py_scope_functions[] = {
	{"watch", watch, METH_O,
	 "watch(function, /)\n--\n\n"
	 "Has waiting threads call a function: at once, and then after as many seconds as it\n"
	 "returned; None: not again. What it raises ends the wait. watch(None) ends this."},
	{NULL, NULL, 0, NULL},
};

/* Calls the script's function. The time to call it again, NTD_FOREVER for never; -1 with an
 * exception. */
static int64_t look_in_python(void)
{
	struct py_state *state = py_state();
	_cleanup_pyref_ PyObject *function = Py_XNewRef(state->watch);
	_cleanup_pyref_ PyObject *left = function ? PyObject_CallNoArgs(function) : NULL;
	double seconds;

	if (!function)
		return NTD_FOREVER;
	if (!left || left == Py_None)
		return left ? NTD_FOREVER : -1;
	seconds = PyFloat_AsDouble(left);
	return PyErr_Occurred() ? -1 : ntd_after(ntd_span(seconds));
}

static bool look(struct ntd_waiter *waiter)
{
	struct py_blocking *blocking = scope_of(waiter);

	take_gil(blocking);
	waiter->look_at = look_in_python();
	return !go_back(blocking) || waiter->look_at < 0;
}

/* ---- the scopes */

bool py_block(struct py_blocking *blocking)
{
	if (py_forked_refuse())
		return false;
	py_signals_keep();
	block_signals(&blocking->signals);
	blocking->session = py_state()->session;
	blocking->waiter = (struct ntd_waiter){.owner = blocking,
					       .interrupted = interrupted,
					       .signals = &blocking->signals,
					       .look = py_state()->watch ? look : NULL};
	if (PyErr_CheckSignals() < 0) {
		pthread_sigmask(SIG_SETMASK, &blocking->signals, NULL);
		return false;
	}
	py_place_note(py_state());
	release_gil(blocking);
	return true;
}

void py_unblock(struct py_blocking *blocking)
{
	take_gil(blocking);
}

struct py_blocking *py_enter_python(const struct ntd_waiter *waiter)
{
	struct py_blocking *blocking = scope_of(waiter);

	take_gil(blocking);
	return blocking;
}

int py_leave_python(struct py_blocking *blocking, int result, struct ntd_error **err)
{
	if (result < 0)
		py_error_from_python(err);
	if (!go_back(blocking) && result >= 0)
		return py_error_from_python(err);
	return result;
}
