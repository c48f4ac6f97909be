/* What the end of a Python program does that can be seen: it joins threads and child processes,
 * calls atexit functions, runs `finally` of generators, and writes what is in the buffers of files.
 * The interpreter itself is not finalized: that aborts the process when a daemon thread is writing
 * to stderr just then. Without it, such threads wait for the GIL until the process is gone.
 *
 * The main thread does all this, and has FINISH_PATIENCE for it. When the run cannot wait for the
 * main thread, another thread does as much of it as can be done beside the main thread, in an end
 * that has a time limit (session/ending.c): a thread of the script that holds the GIL for ever
 * costs that time, and nothing else.
 *
 * The state below is global because the process ends once.
 */
#include "base/forked.h"
#include "base/thread.h"
#include "run/py_run.h"

/* How long Python's own end may take: a thread of the script that never ends must not keep the
 * process. */
#define FINISH_PATIENCE (10 * NTD_SECOND)
/* How long processes of the script may take to end, before and after they have been told to. */
#define PROCESS_PATIENCE (3 * NTD_SECOND)
#define TERMINATE_PATIENCE (1 * NTD_SECOND)

/* A thread has decided how the process ends: regularly, or without the main thread. */
static atomic_bool decided;
static atomic_bool functions; /* the atexit functions have been called */

/* ---- what the script leaves */

/* Calls a function of a module if the script has imported the module; what the function raises is
 * shown. */
static PyObject *call_if_imported(const char *module_name, const char *function)
{
	_cleanup_pyref_ PyObject *name = PyUnicode_FromString(module_name);
	_cleanup_pyref_ PyObject *module = name ? PyImport_GetModule(name) : NULL;
	PyObject *result = module ? PyObject_CallMethod(module, function, NULL) : NULL;

	if (PyErr_Occurred())
		PyErr_WriteUnraisable(module);
	return result;
}

static void call_exit_functions(void)
{
	if (!atomic_exchange(&functions, true))
		Py_XDECREF(call_if_imported("atexit", "_run_exitfuncs"));
}

/* Calls the method of each object that is a `kind`. An object may lie about its class; its type
 * does not. */
static void call_each(PyTypeObject *kind, const char *method)
{
	_cleanup_pyref_ PyObject *objects = py_call("gc", "get_objects", "()");
	Py_ssize_t count = objects ? PyList_Size(objects) : 0;

	for (Py_ssize_t i = 0; i < count; i++) {
		PyObject *object = PyList_GetItem(objects, i);

		if (kind && PyType_IsSubtype(Py_TYPE(object), kind))
			Py_XDECREF(PyObject_CallMethod(object, method, NULL));
		PyErr_Clear(); /* a closed file, a generator that runs */
	}
	PyErr_Clear();
}

/* Flushes all files twice: what the first flush wrote may be in the buffer of another file. */
static void write_files(void)
{
	_cleanup_pyref_ PyObject *module = PyImport_ImportModule("_io");
	_cleanup_pyref_ PyObject *kind = module ? PyObject_GetAttrString(module, "_IOBase") : NULL;

	PyErr_Clear();
	for (int i = 0; i < 2 && kind && PyType_Check(kind); i++)
		call_each((PyTypeObject *)kind, "flush");
}

static void let_go(void)
{
	write_files(); /* first, because what follows may hang */
	call_exit_functions();
	PyGC_Collect();
	call_each(&PyGen_Type, "close");
	call_each(&PyCoro_Type, "close");
	write_files();
}

/* ---- on the main thread */

static void *out_of_patience(void *arg)
{
	struct ntd_session *session = arg;

	ntd_wait_until(ntd_after(FINISH_PATIENCE), NULL, NULL);
	if (!atomic_exchange(&decided, true))
		ntd_session_leave(session, session->ending.status,
				  "a thread of the test script does not end; leaving without it");
	return NULL;
}

static void start_thread(const char *name, void *(*function)(void *), void *arg)
{
	pthread_t thread;

	if (ntd_thread_start(&thread, name, function, arg, NULL) == 0)
		pthread_detach(thread);
}

static bool is_true(PyObject *object, const char *method)
{
	_cleanup_pyref_ PyObject *value = PyObject_CallMethod(object, method, NULL);

	return value && PyObject_IsTrue(value) > 0;
}

/* Waits for the process; returns whether it has ended. */
static bool join(PyObject *process, int64_t deadline)
{
	_cleanup_pyref_ PyObject *joined = NULL;
	int64_t left = deadline - ntd_now();

	joined = PyObject_CallMethod(process, "join", "d", left > 0 ? ntd_seconds(left) : 0.0);
	return joined && !is_true(process, "is_alive");
}

static void end_process(struct ntd_session *session, PyObject *process, int64_t deadline)
{
	static const char *const methods[] = {"terminate", "kill"};

	for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
		if (join(process, deadline))
			return;
		if (!i)
			py_log(session->report, NTD_LEVEL_WARNING, NULL,
			       "a process of the test script does not end; it is terminated");
		Py_XDECREF(PyObject_CallMethod(process, methods[i], NULL));
		deadline = ntd_after(TERMINATE_PATIENCE);
	}
}

/* Ends the processes that multiprocessing has started, unless they are daemons: Python would wait
 * for them for ever. */
static void end_processes(struct ntd_session *session)
{
	_cleanup_pyref_ PyObject *children =
		call_if_imported("multiprocessing.process", "active_children");
	int64_t deadline = ntd_after(PROCESS_PATIENCE);
	Py_ssize_t count = children ? PyList_Size(children) : 0;

	for (Py_ssize_t i = 0; i < count; i++) {
		PyObject *process = PyList_GetItem(children, i);
		_cleanup_pyref_ PyObject *daemon = PyObject_GetAttrString(process, "daemon");

		if (daemon == Py_False)
			end_process(session, process, deadline);
		if (PyErr_Occurred())
			PyErr_WriteUnraisable(process);
	}
	PyErr_Clear();
}

void py_ending_finish_python(struct ntd_session *session, int status)
{
	if (!py_state()) /* Python has not come so far that it could run anything */
		return;
	PY_WITHOUT_GIL(ntd_session_settle(session));
	session->ending.status = status;
	start_thread("patience", out_of_patience, session);
	Py_XDECREF(call_if_imported("threading", "_shutdown"));
	end_processes(session);
	let_go();
	if (!atomic_exchange(&decided, true))
		return;
	Py_BEGIN_ALLOW_THREADS
	while (true)
		pause();
	Py_END_ALLOW_THREADS
}

/* ---- beside the main thread */

/* Lives as long as the process: its thread may wait for the GIL until then. */
struct finish {
	struct ntd_session *session;
	pthread_mutex_t mutex;
	pthread_cond_t done;
	bool is_done;
};

static void *finish_main(void *arg)
{
	struct finish *finish = arg;
	PyGILState_STATE gil;

	finish->session->ending.finisher = pthread_self();
	finish->session->ending.has_finisher = true;
	gil = PyGILState_Ensure();
	py_summary_tell_main_thread(py_state());
	let_go();
	PyGILState_Release(gil);
	pthread_mutex_lock(&finish->mutex);
	finish->is_done = true;
	pthread_cond_signal(&finish->done);
	pthread_mutex_unlock(&finish->mutex);
	return NULL;
}

void py_ending_finish_script(struct ntd_session *session, int64_t deadline)
{
	struct timespec at = {.tv_sec = deadline / NTD_SECOND, .tv_nsec = deadline % NTD_SECOND};
	struct finish *finish = ntd_calloc(1, sizeof *finish);
	int late = 0;

	finish->session = session;
	pthread_mutex_init(&finish->mutex, NULL);
	pthread_cond_init(&finish->done, NULL);
	start_thread("finish", finish_main, finish);
	pthread_mutex_lock(&finish->mutex);
	while (!finish->is_done && !late)
		late = pthread_cond_clockwait(&finish->done, &finish->mutex, CLOCK_MONOTONIC, &at);
	pthread_mutex_unlock(&finish->mutex);
}

/* ---- in a process that the script has forked */

void py_ending_leave_forked(int status)
{
	if (!ntd_is_forked())
		return;
	write_files();
	_exit(status);
}
