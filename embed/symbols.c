/* The program generate-driver-symbols: writes the global names of every script, joined by commas,
 * to the file driver-symbols in the current directory. Nix builds read that file to lint scripts.
 * All of this runs on the main thread.
 */
#include "py_program.h"

#include <errno.h>

static int write_names(const char *names)
{
	FILE *file = fopen("driver-symbols", "w");

	if (!file || fputs(names, file) < 0 || fclose(file) < 0) {
		fprintf(stderr, "generate-driver-symbols: cannot write driver-symbols: %s\n",
			strerror(errno));
		return 1;
	}
	return 0;
}

int py_symbols_generate(char **argv)
{
	struct ntd_session empty = {0}; /* no machines, no networks */
	struct ntd_error *error = NULL;
	_cleanup_pyref_ PyObject *module = NULL, *symbols = NULL, *comma = NULL, *names = NULL;
	struct py_state *state;
	int status = 1;

	if (py_python_start(argv, PY_MODULE_NAME, py_module_init, &error) < 0) {
		fprintf(stderr, "generate-driver-symbols: %s\n", error->message);
		ntd_error_free(error);
		return 1;
	}
	module = PyImport_ImportModule(PY_MODULE_NAME);
	state = module ? py_state() : NULL;
	if (state) {
		state->session = &empty;
		state->driver = py_driver_object(state);
	}
	if (state && state->driver)
		symbols = PyObject_CallMethod(state->driver, "test_symbols", NULL);
	comma = PyUnicode_FromString(",");
	names = symbols && comma ? PyUnicode_Join(comma, symbols) : NULL;
	if (names)
		status = write_names(PyUnicode_AsUTF8(names));
	else
		PyErr_Print();
	return status;
}
