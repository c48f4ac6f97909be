/* The methods that log under the name of a machine. All of this runs on threads that hold the GIL.
 */
#include "machine/py_machine.h"

static PyObject *log_message(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"msg", NULL};
	struct ntd_machine *machine = py_machine_self(object)->machine;
	_cleanup_free_ char *text = NULL;
	PyObject *message;

	if (!py_parse(args, kwargs, "O:log", names, &message) || !(text = py_shown_text(message)))
		return NULL;
	py_log(ntd_machine_context(machine)->report, NTD_LEVEL_ALWAYS, ntd_machine_name(machine),
	       "%s", text);
	Py_RETURN_NONE;
}

static PyObject *log_serial(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"msg", NULL};
	struct ntd_machine *machine = py_machine_self(object)->machine;
	_cleanup_free_ char *text = NULL;
	PyObject *message;

	if (!py_parse(args, kwargs, "O:log_serial", names, &message) ||
	    !(text = py_shown_text(message)))
		return NULL;
	py_log_emit(ntd_machine_context(machine)->report,
		    &(struct ntd_event){.kind = NTD_EVENT_SERIAL,
					.level = NTD_LEVEL_ALWAYS,
					.machine = ntd_machine_name(machine),
					.text = text,
					.text_len = strlen(text)});
	Py_RETURN_NONE;
}

static PyObject *nested(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"msg", "attrs", NULL};
	PyObject *attributes = NULL;
	_cleanup_free_ char *message = NULL;
	char **list;

	if (!py_parse(args, kwargs, "O&|O:nested", names, py_convert_message, &message,
		      &attributes) ||
	    py_convert_attributes(attributes, &list) < 0)
		return NULL;
	return py_step_object(ntd_machine_context(py_machine_self(object)->machine)->report,
			      ntd_machine_name(py_machine_self(object)->machine), message, list,
			      false);
}

PyMethodDef py_machine_message_methods[] = {
	PY_METHOD("log", log_message,
		  "log($self, msg)\n--\n\n"
		  "Logs a line under the machine's name. A message of any type is logged as its\n"
		  "str()."),
	PY_METHOD("log_serial", log_serial,
		  "log_serial($self, msg)\n--\n\n"
		  "Logs a line as if it came from the machine's console."),
	PY_METHOD("nested", nested,
		  "nested($self, msg, attrs={})\n--\n\n"
		  "Returns a context manager, which is a decorator, too: a step in the log, under\n"
		  "the machine's name. attrs are the attributes of the step, a dict."),
	{NULL, NULL, 0, NULL},
};
