/* A wait must end at a Ctrl-C at once. Signals are blocked on the waiting thread from before the GIL is
 * released until after it is taken back, except in ppoll() itself, which lets them in atomically; so
 * none can be handled between a look at Python's flags and the sleep. The C handler only sets flags
 * (signals.c); Python's handler runs in PyErr_CheckSignals(), on the main thread only.
 */
#include "embed.h"

static bool interrupted(struct ntd_waiter *waiter)
{
	struct ntd_blocking *blocking = ntd_container_of(waiter, struct ntd_blocking, waiter);
	bool raised;

	PyEval_RestoreThread(blocking->thread);
	raised = PyErr_CheckSignals() < 0;
	blocking->thread = PyEval_SaveThread();
	return raised;
}

bool ntd_block(struct ntd_blocking *blocking)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &blocking->signals);
	blocking->waiter.interrupted = interrupted;
	blocking->waiter.signals = &blocking->signals;
	if (PyErr_CheckSignals() < 0) {
		pthread_sigmask(SIG_SETMASK, &blocking->signals, NULL);
		return false;
	}
	blocking->thread = PyEval_SaveThread();
	return true;
}

void ntd_unblock(struct ntd_blocking *blocking)
{
	PyEval_RestoreThread(blocking->thread);
	/* What a call returns while the run is being ended is not for the script to see. */
	ntd_session_yield_to_abort(ntd_module_state()->session);
	pthread_sigmask(SIG_SETMASK, &blocking->signals, NULL);
}

void ntd_into_python(struct ntd_blocking *blocking)
{
	ntd_unblock(blocking);
}

bool ntd_back(struct ntd_blocking *blocking)
{
	sigset_t all;
	bool raised;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	raised = !PyErr_Occurred() && PyErr_CheckSignals() < 0;
	blocking->thread = PyEval_SaveThread();
	return !raised;
}
