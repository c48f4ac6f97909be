/* A wait must end at a Ctrl-C at once. Signals are blocked on the waiting thread from before the
 * GIL is released until after it is taken back, except in ppoll() itself, which lets them in
 * atomically; so none can be handled between a look at Python's flags and the sleep. The C handler
 * only sets flags (signals.c); Python's handler runs in PyErr_CheckSignals(), on the main thread
 * only.
 */
#include "embed.h"

static bool interrupted(struct ntd_waiter *waiter)
{
	struct py_blocking *blocking = py_blocking_of(waiter);
	bool raised;

	PyEval_RestoreThread(blocking->thread);
	raised = PyErr_CheckSignals() < 0;
	blocking->thread = PyEval_SaveThread();
	return raised;
}

/* ---- looking at something now and then */

const char py_watch_doc[] =
	"watch(function, /)\n--\n\n"
	"Has waiting threads call a function, which returns the seconds until the next call\n"
	"or None; what it raises ends the wait. watch(None) ends this.";

PyObject *py_watch_function(PyObject *self, PyObject *function)
{
	struct py_state *state = PyModule_GetState(self);

	Py_XSETREF(state->watch, function == Py_None ? NULL : Py_NewRef(function));
	Py_RETURN_NONE;
}

/* When to look again; -1 with an exception. */
static int64_t look_in_python(void)
{
	struct py_state *state = py_state();
	_cleanup_pyref_ PyObject *watch = state->watch ? Py_NewRef(state->watch) : NULL;
	_cleanup_pyref_ PyObject *left = watch ? PyObject_CallNoArgs(watch) : NULL;
	double seconds;

	if (!watch)
		return NTD_FOREVER;
	if (!left || left == Py_None)
		return left ? NTD_FOREVER : -1;
	seconds = PyFloat_AsDouble(left);
	return PyErr_Occurred() ? -1 : ntd_after(ntd_span(seconds));
}

static bool look(struct ntd_waiter *waiter)
{
	struct py_blocking *blocking = py_blocking_of(waiter);

	py_into_python(blocking);
	waiter->look_at = look_in_python();
	return !py_back(blocking) || waiter->look_at < 0;
}

/* ---- the scope */

bool py_block(struct py_blocking *blocking)
{
	sigset_t all;

	if (py_forked_refuse())
		return false;
	py_signals_keep();
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &blocking->signals);
	blocking->session = py_state()->session;
	blocking->waiter = (struct ntd_waiter){.owner = blocking,
					       .interrupted = interrupted,
					       .signals = &blocking->signals,
					       .look = py_state()->watch ? look : NULL};
	if (PyErr_CheckSignals() < 0) {
		pthread_sigmask(SIG_SETMASK, &blocking->signals, NULL);
		return false;
	}
	blocking->began = ntd_now();
	blocking->thread = PyEval_SaveThread();
	return true;
}

void py_unblock(struct py_blocking *blocking)
{
	ntd_session_settle(blocking->session);
	/* What a call returns while the run is being ended is not for the script to see, but its
	 * atexit functions, which need the GIL, run. */
	ntd_session_yield_to_abort(blocking->session);
	PyEval_RestoreThread(blocking->thread);
	pthread_sigmask(SIG_SETMASK, &blocking->signals, NULL);
	py_state()->blocked += ntd_now() - blocking->began;
	py_log_deliver(py_state());
}

void py_into_python(struct py_blocking *blocking)
{
	py_unblock(blocking);
}

bool py_back(struct py_blocking *blocking)
{
	sigset_t all;
	bool raised;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	raised = !PyErr_Occurred() && PyErr_CheckSignals() < 0;
	blocking->began = ntd_now();
	blocking->thread = PyEval_SaveThread();
	return !raised;
}
