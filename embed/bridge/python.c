/* How the interpreter is started, by the main thread. It behaves as if the script were run by
 * python3, because upstream's driver is a Python program: PYTHONPATH reaches scripts, standard
 * output is text. It differs in that the current directory and the user's site directory are not
 * searched, and no bytecode is written.
 */
#include "bridge/py_bridge.h"

#include <limits.h>

#ifndef NTD_PYTHON
#error "NTD_PYTHON must be the path of the python3 that the program is linked with"
#endif

/* Adds the directory of the driver's Python files: beside a program in its build directory, or in
 * the installation that the program belongs to. Found from the program, so that both can be
 * moved. */
static int add_search_path(struct ntd_error **err)
{
	char program[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);
	static const char *const places[] = {"py", "../lib/" NTD_PYTHON_DIR "/site-packages"};

	if (len < 0)
		return ntd_error_set(err, NTD_E_MACHINE, "cannot find the program's own directory");
	program[len] = '\0';
	*strrchr(program, '/') = '\0';
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		_cleanup_free_ char *path = ntd_asprintf("%s/%s", program, places[i]);
		_cleanup_free_ char *package = ntd_asprintf("%s/test_driver", path);
		_cleanup_pyref_ PyObject *text = NULL;

		if (access(package, R_OK) < 0)
			continue;
		text = PyUnicode_DecodeFSDefault(path);
		if (text && PyList_Insert(PySys_GetObject("path"), 0, text) == 0)
			return 0;
	}
	return ntd_error_set(
		err, NTD_E_MACHINE,
		"the Python package test_driver is missing: neither %s/py nor %s/../lib has it",
		program, program);
}

/* Has each line appear when it is written, on a pipe too: lines of the log stand between them. */
static int set_line_buffering(void)
{
	PyObject *out = PySys_GetObject("stdout");
	_cleanup_pyref_ PyObject *method = NULL, *none = PyTuple_New(0), *result = NULL;
	_cleanup_pyref_ PyObject *kwargs = Py_BuildValue("{sO}", "line_buffering", Py_True);

	if (!out || out == Py_None)
		return 0;
	method = PyObject_GetAttrString(out, "reconfigure");
	if (method && none && kwargs)
		result = PyObject_Call(method, none, kwargs);
	return result ? 0 : -1;
}

int py_python_start(char *const *argv, const char *module, PyObject *(*init)(void),
		    struct ntd_error **err)
{
	PyConfig config;
	PyStatus status;

	PyImport_AppendInittab(module, init);
	PyConfig_InitPythonConfig(&config);
	config.safe_path = 1;
	config.user_site_directory = 0;
	config.parse_argv = 0;
	config.write_bytecode = 0;
	config.install_signal_handlers = 1;
	status = PyConfig_SetBytesString(&config, &config.program_name, NTD_PYTHON);
	if (!PyStatus_Exception(status))
		status = PyConfig_SetBytesArgv(&config, 1, (char *const[]){argv[0]});
	if (!PyStatus_Exception(status))
		status = Py_InitializeFromConfig(&config);
	PyConfig_Clear(&config);
	if (PyStatus_Exception(status))
		return ntd_error_set(err, NTD_E_MACHINE, "cannot start Python (%s): %s", NTD_PYTHON,
				     status.err_msg ? status.err_msg : "unknown reason");
	if (set_line_buffering() < 0) {
		PyErr_Clear();
		return ntd_error_set(err, NTD_E_MACHINE, "cannot set up Python's standard output");
	}
	return add_search_path(err);
}
