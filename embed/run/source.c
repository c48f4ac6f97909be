/* The script's text, for whatever shows its lines. On threads that hold the GIL. */
#include "run/py_run.h"

int py_source_remember(struct py_state *state)
{
	_cleanup_pyref_ PyObject *linecache = NULL, *cache = NULL, *lines = NULL, *entry = NULL;

	if (!state->script_text) /* the script is a directory */
		return 0;
	linecache = PyImport_ImportModule("linecache");
	cache = linecache ? PyObject_GetAttrString(linecache, "cache") : NULL;
	lines = cache ? PyObject_CallMethod(state->script_text, "splitlines", "i", true) : NULL;
	entry = lines ? Py_BuildValue("(nOOs)", PyUnicode_GetLength(state->script_text), Py_None,
				      lines, PY_SCRIPT_NAME)
		      : NULL;
	return entry ? PyMapping_SetItemString(cache, PY_SCRIPT_NAME, entry) : -1;
}
