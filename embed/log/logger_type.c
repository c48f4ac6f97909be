/* CompositeLogger: `log`, which is the run's, and the logs that scripts make. Each writes to a
 * report of its own, whose sinks are those of the core (for the run's log the terminal and files)
 * and the loggers in logger_list. All of this runs on threads that hold the GIL.
 */
#include "log/py_log.h"

static struct py_logger *self_of(PyObject *object)
{
	return (struct py_logger *)object;
}

PyObject *py_logger_object(struct py_state *state)
{
	if (!state->logger) {
		struct py_logger *self =
			(struct py_logger *)PyType_GenericAlloc(state->logger_type, 0);

		if (!self)
			return NULL;
		self->report = state->session->report;
		self->list = PyList_New(0);
		state->logger = (PyObject *)self;
	}
	return Py_NewRef(state->logger);
}

/* ---- CompositeLogger(...) */

static int logger_init(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"logger_list", NULL};
	struct py_state *state = py_state();
	struct py_logger *self = self_of(object);
	struct ntd_error *error = NULL;
	PyObject *list;

	if (!py_parse(args, kwargs, "O!:CompositeLogger", names, &PyList_Type, &list))
		return -1;
	if (!self->report)
		self->report = ntd_session_new_report(state->session, &error);
	if (!self->report) {
		py_raise(state, error);
		return -1;
	}
	Py_XSETREF(self->list, Py_NewRef(list));
	return py_logger_listen(state, self->report, list);
}

/* NULL with a RuntimeError before super().__init__() of a subclass. */
static struct ntd_report *report_of(PyObject *object)
{
	struct ntd_report *report = self_of(object)->report;

	if (!report)
		PyErr_SetString(PyExc_RuntimeError,
				"CompositeLogger.__init__() has not been called yet");
	return report;
}

struct ntd_report *py_logger_report(PyObject *logger)
{
	struct py_state *state = py_state();
	_cleanup_pyref_ PyObject *wrapped = NULL;

	if (logger == Py_None)
		return state->session->report;
	if (PyObject_TypeCheck(logger, state->logger_type))
		return report_of(logger);
	if (!PyObject_HasAttrString(logger, "log") || !PyObject_HasAttrString(logger, "nested")) {
		PyErr_Format(PyExc_TypeError, "logger must be an AbstractLogger, not %s",
			     Py_TYPE(logger)->tp_name);
		return NULL;
	}
	wrapped = PyObject_CallFunction((PyObject *)state->logger_type, "([O])", logger);
	return wrapped ? self_of(wrapped)->report : NULL;
}

/* A script that has the list may add to it, so from now on the loggers in it are told of events. */
static PyObject *get_logger_list(PyObject *object, void *closure)
{
	struct ntd_report *report = report_of(object);
	PyObject *list = self_of(object)->list;

	if (!report || py_logger_listen(py_state(), report, list) < 0)
		return NULL;
	return Py_NewRef(list);
}

/* The list stays the same object, with other loggers in it. */
static int set_logger_list(PyObject *object, PyObject *value, void *closure)
{
	_cleanup_pyref_ PyObject *list = get_logger_list(object, closure);

	if (list && value)
		return PyList_SetSlice(list, 0, PY_SSIZE_T_MAX, value);
	if (list)
		PyErr_SetString(PyExc_AttributeError, "logger_list cannot be deleted");
	return -1;
}

static PyObject *logger_add_logger(PyObject *object, PyObject *logger)
{
	_cleanup_pyref_ PyObject *list = NULL;

	if (!PyObject_HasAttrString(logger, "log") || !PyObject_HasAttrString(logger, "nested"))
		return PyErr_Format(PyExc_TypeError, "logger must be an AbstractLogger, not %s",
				    Py_TYPE(logger)->tp_name);
	list = get_logger_list(object, NULL);
	if (!list || PyList_Append(list, logger) < 0)
		return NULL;
	Py_RETURN_NONE;
}

static int logger_traverse(PyObject *object, visitproc visit, void *arg)
{
	Py_VISIT(self_of(object)->list);
	return py_object_traverse(object, visit, arg);
}

static int logger_clear(PyObject *object)
{
	Py_CLEAR(self_of(object)->list);
	return py_object_clear(object);
}

static PyObject *logger_copy(PyObject *object, PyObject *unused)
{
	const struct py_logger *self = self_of(object);
	PyObject *copy = py_object_like(object);

	if (!copy)
		return NULL;
	self_of(copy)->report = self->report;
	self_of(copy)->list = Py_XNewRef(self->list);
	return py_object_finish_copy(object, copy);
}

/* ---- messages */

/* The machine that attributes name, or NULL. */
static const char *machine_in(char *const *attributes)
{
	const char *machine = NULL;

	for (; attributes && *attributes; attributes += 2)
		if (!strcmp(*attributes, "machine"))
			machine = attributes[1];
	return machine;
}

/* A message of any type is logged as its str(), as upstream's f-strings do. */
static PyObject *emit(PyObject *self, enum ntd_event_kind kind, enum ntd_level level,
		      PyObject *message, char **attributes, const char *machine)
{
	struct ntd_report *report = report_of(self);
	_cleanup_strv_ char **owned = attributes;
	_cleanup_free_ char *text = report ? py_shown_text(message) : NULL;
	struct ntd_event event = {.kind = kind,
				  .level = level,
				  .machine = machine ? machine : machine_in(owned),
				  .text = text,
				  .text_len = text ? strlen(text) : 0,
				  .attributes = owned};

	if (!text)
		return NULL;
	py_log_emit(report, &event);
	Py_RETURN_NONE;
}

static PyObject *log_as(PyObject *self, enum ntd_event_kind kind, enum ntd_level level,
			const char *format, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"message", "attributes", NULL};
	PyObject *message, *attributes = NULL;
	char **list;

	if (!py_parse(args, kwargs, format, names, &message, &attributes) ||
	    py_convert_attributes(attributes, &list) < 0)
		return NULL;
	return emit(self, kind, level, message, list, NULL);
}

static PyObject *log_at(PyObject *self, enum ntd_level level, const char *format, PyObject *args,
			PyObject *kwargs)
{
	return log_as(self, NTD_EVENT_MESSAGE, level, format, args, kwargs);
}

static PyObject *logger_log(PyObject *self, PyObject *args, PyObject *kwargs)
{
	return log_at(self, NTD_LEVEL_ALWAYS, "O|O:log", args, kwargs);
}

static PyObject *logger_debug(PyObject *self, PyObject *args, PyObject *kwargs)
{
	return log_at(self, NTD_LEVEL_DEBUG, "O|O:debug", args, kwargs);
}

static PyObject *logger_info(PyObject *self, PyObject *args, PyObject *kwargs)
{
	return log_at(self, NTD_LEVEL_INFO, "O|O:info", args, kwargs);
}

static PyObject *logger_warning(PyObject *self, PyObject *args, PyObject *kwargs)
{
	return log_at(self, NTD_LEVEL_WARNING, "O|O:warning", args, kwargs);
}

static PyObject *logger_error(PyObject *self, PyObject *args, PyObject *kwargs)
{
	_cleanup_pyref_ PyObject *logged = log_at(self, NTD_LEVEL_ERROR, "O|O:error", args, kwargs);
	_cleanup_pyref_ PyObject *status = logged ? PyLong_FromLong(1) : NULL;

	if (status)
		PyErr_SetObject(PyExc_SystemExit, status);
	return NULL;
}

static PyObject *logger_log_test_error(PyObject *self, PyObject *args, PyObject *kwargs)
{
	return log_as(self, NTD_EVENT_TEST_ERROR, NTD_LEVEL_ALWAYS, "O|O:log_test_error", args,
		      kwargs);
}

static PyObject *logger_log_serial(PyObject *self, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"message", "machine", NULL};
	PyObject *message;
	const char *machine;

	if (!py_parse(args, kwargs, "Os:log_serial", names, &message, &machine))
		return NULL;
	return emit(self, NTD_EVENT_SERIAL, NTD_LEVEL_ALWAYS, message, NULL, machine);
}

/* Calls a method of each logger in the list. */
static bool call_all(PyObject *object, const char *method, PyObject *argument)
{
	_cleanup_pyref_ PyObject *list = PyList_GetSlice(self_of(object)->list, 0, PY_SSIZE_T_MAX);

	for (Py_ssize_t i = 0; list && i < PyList_Size(list); i++) {
		_cleanup_pyref_ PyObject *result =
			PyObject_CallMethod(PyList_GetItem(list, i), method, "O", argument);

		if (!result)
			return false;
	}
	return list;
}

static bool is_of_run(PyObject *object)
{
	return self_of(object)->report == py_state()->session->report;
}

static PyObject *logger_print_serial_logs(PyObject *object, PyObject *enable)
{
	int shown = PyObject_IsTrue(enable);

	if (shown < 0 || !report_of(object))
		return NULL;
	if (is_of_run(object))
		ntd_terminal_show_serial(py_state()->session->terminal, shown);
	return call_all(object, "print_serial_logs", enable) ? Py_NewRef(Py_None) : NULL;
}

static int level_of(PyObject *object)
{
	_cleanup_pyref_ PyObject *name = PyObject_GetAttrString(object, "name");
	_cleanup_pyref_ PyObject *lower = NULL;
	const char *text;
	int level;

	PyErr_Clear(); /* a plain string has no name */
	lower = PyObject_CallMethod(name ? name : object, "lower", NULL);
	text = lower && PyUnicode_Check(lower) ? py_utf8(lower, "level") : NULL;
	PyErr_Clear();
	level = text ? ntd_level_parse(text) : -1;
	if (level < 0)
		PyErr_Format(
			text ? PyExc_ValueError : PyExc_TypeError,
			"level must be a LogLevel, or its name: debug, info, warning or error, "
			"not %R",
			object);
	return level;
}

static PyObject *logger_set_log_level(PyObject *object, PyObject *value)
{
	int level = level_of(value);

	if (level < 0 || !report_of(object))
		return NULL;
	if (is_of_run(object))
		ntd_terminal_set_level(py_state()->session->terminal, (enum ntd_level)level);
	return call_all(object, "set_log_level", value) ? Py_NewRef(Py_None) : NULL;
}

/* A context manager; the parameter for its text has another name in each method. */
static PyObject *step(PyObject *self, bool subtest, const char *format, PyObject *args,
		      PyObject *kwargs)
{
	char *names[] = {subtest ? "name" : "message", "attributes", NULL};
	_cleanup_free_ char *text = NULL;
	PyObject *attributes = NULL;
	char **list;

	if (!py_parse(args, kwargs, format, names, py_convert_message, &text, &attributes) ||
	    py_convert_attributes(attributes, &list) < 0)
		return NULL;
	return py_step_object(report_of(self), subtest ? NULL : machine_in(list), text, list,
			      subtest);
}

static PyObject *logger_nested(PyObject *self, PyObject *args, PyObject *kwargs)
{
	return step(self, false, "O&|O:nested", args, kwargs);
}

static PyObject *logger_subtest(PyObject *self, PyObject *args, PyObject *kwargs)
{
	return step(self, true, "O&|O:subtest", args, kwargs);
}

int py_logger_add_type(PyObject *module, struct py_state *state)
{
	static PyMethodDef methods[] = {
		PY_METHOD(
			"log", logger_log,
			"log($self, message, attributes={})\n--\n\n"
			"Logs a line, whatever the log level. attributes is a dict; its \"machine\" names\n"
			"the machine that the line is of."),
		PY_METHOD(
			"debug", logger_debug,
			"debug($self, message, attributes={})\n--\n\n"
			"Logs a line if the log level is debug. The arguments are those of log()."),
		PY_METHOD(
			"info", logger_info,
			"info($self, message, attributes={})\n--\n\n"
			"Logs a line if the log level is info or below. The arguments are those of log()."),
		PY_METHOD(
			"warning", logger_warning,
			"warning($self, message, attributes={})\n--\n\n"
			"Logs a line if the log level is warning or below. The arguments are those of\n"
			"log()."),
		PY_METHOD(
			"error", logger_error,
			"error($self, message, attributes={})\n--\n\n"
			"Logs a line as log() does, then raises SystemExit: the run ends with exit status\n"
			"1."),
		PY_METHOD("log_test_error", logger_log_test_error,
			  "log_test_error($self, message, attributes={})\n--\n\n"
			  "Logs each line of a failed test's report, marked with !!!."),
		PY_METHOD(
			"log_serial", logger_log_serial,
			"log_serial($self, message, machine)\n--\n\n"
			"Logs a line as if it came from the console of the machine with this name."),
		PY_METHOD(
			"nested", logger_nested,
			"nested($self, message, attributes={})\n--\n\n"
			"Returns a context manager, which is a decorator, too: a step in the log that\n"
			"contains others. The arguments are those of log()."),
		PY_METHOD(
			"subtest", logger_subtest,
			"subtest($self, name, attributes={})\n--\n\n"
			"Returns a context manager, which is a decorator, too: a part of the test with a\n"
			"title. An exception that leaves it is logged with that title, and passes."),
		{"print_serial_logs", logger_print_serial_logs, METH_O,
		 "print_serial_logs($self, enable, /)\n--\n\n"
		 "Shows the lines of consoles in the log if enable is true, hides them if not."},
		{"set_log_level", logger_set_log_level, METH_O,
		 "set_log_level($self, level, /)\n--\n\n"
		 "Hides messages below the level: a LogLevel, or its name (debug, info, warning,\n"
		 "error). ValueError for other names."},
		{"add_logger", logger_add_logger, METH_O,
		 "add_logger($self, logger, /)\n--\n\n"
		 "Has another logger, an AbstractLogger, told of all events of this log from now\n"
		 "on. TypeError for an object without log() and nested()."},
		{"__copy__", logger_copy, METH_NOARGS,
		 "__copy__($self)\n--\n\nReturns another object for the same log."},
		{NULL, NULL, 0, NULL},
	};
	static PyGetSetDef attributes[] = {
		{"logger_list", get_logger_list, set_logger_list,
		 "list: the loggers that scripts have added; the run's own are not in it.", NULL},
		{NULL, NULL, NULL, NULL, NULL},
	};
	static PyType_Slot slots[] = {
		{Py_tp_doc,
		 (void *)"CompositeLogger(logger_list)\n--\n\n"
			 "A log that is written by the loggers in a list. The list may change later."},
		{Py_tp_new, PyType_GenericNew},
		{Py_tp_init, logger_init},
		{Py_tp_traverse, logger_traverse},
		{Py_tp_clear, logger_clear},
		{Py_tp_getset, attributes},
		{0, NULL},
	};
	static PyType_Spec spec = {
		.name = "test_driver.logger.CompositeLogger",
		.basicsize = sizeof(struct py_logger),
		.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
		.slots = slots,
	};

	PyMethodDef *const lists[] = {methods, NULL};

	state->deliver_log = py_log_deliver;
	return py_add_type(module, &spec, NULL, lists, &state->logger_type);
}
