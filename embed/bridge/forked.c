/* Processes that the script forks: by os.fork() or multiprocessing. The driver does not exist in
 * such a process (base/forked.h): its calls raise, and when the process comes to the end of the
 * script, it ends itself and nothing else (run/ending.c). At that end it calls no atexit function,
 * and no finalizer of an object that its parent has made. All of this runs on the thread that
 * forked.
 */
#include "base/forked.h"
#include "bridge/py_bridge.h"

bool py_forked_refuse(void)
{
	struct ntd_error *error = NULL;

	if (!ntd_is_forked())
		return false;
	ntd_refuse_forked(&error);
	py_raise(py_state(), error);
	return true;
}

/* Called by Python in the new process. Takes the objects that exist already out of garbage
 * collection: their ends are the parent's. */
static PyObject *begin(PyObject *self, PyObject *unused)
{
	_cleanup_pyref_ PyObject *frozen = NULL;

	py_signals_forked();
	frozen = py_call("gc", "freeze", "()");
	return ntd_steal(&frozen);
}

int py_forked_watch(struct py_state *state, struct ntd_error **err)
{
	static PyMethodDef method = {"begin", begin, METH_NOARGS, NULL};
	_cleanup_pyref_ PyObject *function = PyCFunction_New(&method, NULL);
	_cleanup_pyref_ PyObject *os = PyImport_ImportModule("os"), *result = NULL;
	_cleanup_pyref_ PyObject *register_at_fork =
		os ? PyObject_GetAttrString(os, "register_at_fork") : NULL;
	_cleanup_pyref_ PyObject *none = PyTuple_New(0);
	_cleanup_pyref_ PyObject *named = Py_BuildValue("{sO}", "after_in_child", function);

	if (register_at_fork && none && named)
		result = PyObject_Call(register_at_fork, none, named);
	if (result)
		return 0;
	PyErr_Clear();
	return ntd_error_set(err, NTD_E_MACHINE, "cannot watch for processes that are forked");
}
