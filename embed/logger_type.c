/* `log`: the composite logger as scripts see it. The sinks behind it are the report's. */
#include "embed.h"

PyObject *ntd_logger_object(struct ntd_module_state *state)
{
	return (PyObject *)PyObject_New(PyObject, state->logger_type);
}

struct ntd_report *ntd_logger_report(PyObject *logger)
{
	(void)logger;
	return ntd_module_state()->session->report;
}

static void logger_dealloc(PyObject *object)
{
	PyTypeObject *type = Py_TYPE(object);

	PyObject_Free(object);
	Py_DECREF(type);
}

/* A message of any type is logged as its str(), as upstream's f-strings do. */
static PyObject *emit(PyObject *self, enum ntd_event_kind kind, enum ntd_level level,
		      PyObject *message, char **attributes, const char *machine)
{
	struct ntd_report *report = ntd_state_of(self)->session->report;
	_cleanup_strv_ char **owned = attributes;
	_cleanup_pyref_ PyObject *text = PyObject_Str(message);
	Py_ssize_t len;
	const char *utf8 = text ? PyUnicode_AsUTF8AndSize(text, &len) : NULL;
	struct ntd_event event = {.kind = kind,
				  .level = level,
				  .machine = machine,
				  .text = utf8,
				  .attributes = owned};

	if (!utf8)
		return NULL;
	event.text_len = (size_t)len;
	for (char **pair = owned; pair && *pair; pair += 2)
		if (!strcmp(*pair, "machine"))
			event.machine = pair[1];
	Py_BEGIN_ALLOW_THREADS
	ntd_report_emit(report, &event);
	Py_END_ALLOW_THREADS
	Py_RETURN_NONE;
}

static PyObject *log_at(PyObject *self, enum ntd_level level, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"message", "attributes", NULL};
	PyObject *message, *attributes = NULL;
	char **list;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|O", names, &message, &attributes) ||
	    ntd_convert_attributes(attributes, &list) < 0)
		return NULL;
	return emit(self, NTD_EVENT_MESSAGE, level, message, list, NULL);
}

static PyObject *logger_log(PyObject *self, PyObject *args, PyObject *kwargs)
{
	return log_at(self, NTD_LEVEL_ALWAYS, args, kwargs);
}

static PyObject *logger_debug(PyObject *self, PyObject *args, PyObject *kwargs)
{
	return log_at(self, NTD_LEVEL_DEBUG, args, kwargs);
}

static PyObject *logger_info(PyObject *self, PyObject *args, PyObject *kwargs)
{
	return log_at(self, NTD_LEVEL_INFO, args, kwargs);
}

static PyObject *logger_warning(PyObject *self, PyObject *args, PyObject *kwargs)
{
	return log_at(self, NTD_LEVEL_WARNING, args, kwargs);
}

static PyObject *logger_error(PyObject *self, PyObject *args, PyObject *kwargs)
{
	_cleanup_pyref_ PyObject *logged = log_at(self, NTD_LEVEL_ERROR, args, kwargs);
	_cleanup_pyref_ PyObject *status = logged ? PyLong_FromLong(1) : NULL;

	if (status)
		PyErr_SetObject(PyExc_SystemExit, status);
	return NULL;
}

static PyObject *logger_log_test_error(PyObject *self, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"message", "attributes", NULL};
	PyObject *message, *attributes = NULL;
	char **list;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|O", names, &message, &attributes) ||
	    ntd_convert_attributes(attributes, &list) < 0)
		return NULL;
	return emit(self, NTD_EVENT_TEST_ERROR, NTD_LEVEL_ALWAYS, message, list, NULL);
}

static PyObject *logger_log_serial(PyObject *self, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"message", "machine", NULL};
	PyObject *message;
	const char *machine;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "Os:log_serial", names, &message, &machine))
		return NULL;
	return emit(self, NTD_EVENT_SERIAL, NTD_LEVEL_ALWAYS, message, NULL, machine);
}

static PyObject *logger_print_serial_logs(PyObject *self, PyObject *enable)
{
	int shown = PyObject_IsTrue(enable);

	if (shown < 0)
		return NULL;
	ntd_terminal_show_serial(ntd_state_of(self)->session->terminal, shown);
	Py_RETURN_NONE;
}

static PyObject *logger_set_log_level(PyObject *self, PyObject *object)
{
	_cleanup_pyref_ PyObject *name = PyObject_GetAttrString(object, "name");
	_cleanup_pyref_ PyObject *lower = NULL;
	const char *text;
	int level;

	PyErr_Clear(); /* a plain string has no name */
	lower = PyObject_CallMethod(name ? name : object, "lower", NULL);
	text = lower ? PyUnicode_AsUTF8(lower) : NULL;
	if (!text)
		return NULL;
	level = ntd_level_parse(text);
	if (level < 0)
		return PyErr_Format(PyExc_ValueError,
				    "log level must be debug, info, warning or error, "
				    "not %R",
				    object);
	ntd_terminal_set_level(ntd_state_of(self)->session->terminal, (enum ntd_level)level);
	Py_RETURN_NONE;
}

static PyObject *logger_nested(PyObject *self, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"message", "attributes", NULL};
	const char *message, *machine = NULL;
	PyObject *attributes = NULL;
	char **list;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "s|O:nested", names, &message,
					 &attributes) ||
	    ntd_convert_attributes(attributes, &list) < 0)
		return NULL;
	for (char **pair = list; pair && *pair; pair += 2)
		if (!strcmp(*pair, "machine"))
			machine = pair[1];
	return ntd_step_object(ntd_state_of(self), machine, message, list, false);
}

static PyObject *logger_subtest(PyObject *self, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"name", "attributes", NULL};
	const char *name;
	PyObject *attributes = NULL;
	char **list;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "s|O:subtest", names, &name, &attributes) ||
	    ntd_convert_attributes(attributes, &list) < 0)
		return NULL;
	return ntd_step_object(ntd_state_of(self), NULL, name, list, true);
}

int ntd_add_logger_type(PyObject *module, struct ntd_module_state *state)
{
	static PyMethodDef methods[] = {
		NTD_METHOD("log", logger_log,
			   "log($self, message, attributes={})\n--\n\nLogs a line, whatever the "
			   "level."),
		NTD_METHOD("debug", logger_debug,
			   "debug($self, message, attributes={})\n--\n\n"
			   "Logs a line if the log level is debug."),
		NTD_METHOD("info", logger_info,
			   "info($self, message, attributes={})\n--\n\n"
			   "Logs a line if the log level is info or below."),
		NTD_METHOD("warning", logger_warning,
			   "warning($self, message, attributes={})\n--\n\n"
			   "Logs a line if the log level is warning or below."),
		NTD_METHOD("error", logger_error,
			   "error($self, message, attributes={})\n--\n\n"
			   "Logs a line, then ends the run with exit status 1."),
		NTD_METHOD("log_test_error", logger_log_test_error,
			   "log_test_error($self, message, attributes={})\n--\n\n"
			   "Logs a line of a failed test's report, marked with !!!."),
		NTD_METHOD("log_serial", logger_log_serial,
			   "log_serial($self, message, machine)\n--\n\n"
			   "Logs a line as if it came from a machine's console."),
		NTD_METHOD("nested", logger_nested,
			   "nested($self, message, attributes={})\n--\n\n"
			   "A context manager: a step that contains others."),
		NTD_METHOD("subtest", logger_subtest,
			   "subtest($self, name, attributes={})\n--\n\n"
			   "A context manager: a part of the test with a title."),
		{"print_serial_logs", logger_print_serial_logs, METH_O,
		 "print_serial_logs($self, enable, /)\n--\n\nShows console lines in the log, or "
		 "not."},
		{"set_log_level", logger_set_log_level, METH_O,
		 "set_log_level($self, level, /)\n--\n\nHides messages below the level."},
		{NULL, NULL, 0, NULL},
	};
	static PyType_Slot slots[] = {
		{Py_tp_doc, (void *)"The log of the run."},
		{Py_tp_dealloc, logger_dealloc},
		{Py_tp_methods, methods},
		{0, NULL},
	};
	static PyType_Spec spec = {
		.name = "test_driver.logger.CompositeLogger",
		.basicsize = sizeof(PyObject),
		.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
		.slots = slots,
	};

	state->logger_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
	return state->logger_type ? PyModule_AddType(module, state->logger_type) : -1;
}
