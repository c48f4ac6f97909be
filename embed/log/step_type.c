/* Step: the context manager that log.nested(), machine.nested() and subtest() return. Like those of
 * contextlib it is a decorator, too: each call of the decorated function is a step. All of this
 * runs on threads that hold the GIL, except for writing the log.
 */
#include "log/py_log.h"

struct step_object {
	struct py_object head;
	struct ntd_report *report;
	enum ntd_step kind; /* SCRIPT unless the step is made by the driver */
	char *machine, *text, **attributes;
	bool subtest, entered;
	struct ntd_nest nest;
};

PyObject *py_step_object(struct ntd_report *report, const char *machine, const char *text,
			 char **attributes, bool subtest)
{
	PyTypeObject *type = py_state()->step_type;
	struct step_object *self = report ? (struct step_object *)type->tp_alloc(type, 0) : NULL;

	if (!self) {
		ntd_strv_free(attributes);
		return NULL;
	}
	self->report = report;
	self->kind = NTD_STEP_SCRIPT;
	self->machine = machine ? ntd_strdup(machine) : NULL;
	self->text = ntd_strdup(text);
	self->attributes = attributes;
	self->subtest = subtest;
	return (PyObject *)self;
}

static void step_dealloc(PyObject *object)
{
	struct step_object *self = (struct step_object *)object;

	if (!py_object_end(object))
		return;
	if (self->entered)
		py_log_abandon(&self->nest);
	free(self->machine);
	free(self->text);
	ntd_strv_free(self->attributes);
	py_object_free(object);
}

static PyObject *step_again(PyObject *object, PyObject *unused)
{
	const struct step_object *self = (struct step_object *)object;

	return py_step_object(self->report, self->machine, self->text,
			      ntd_strv_copy(self->attributes), self->subtest);
}

static PyObject *step_be(PyObject *object, PyObject *name)
{
	const char *text = PyUnicode_Check(name) ? py_utf8(name, "kind") : NULL;
	int kind = text ? ntd_step_parse(text) : -1;

	if (kind < 0)
		return PyErr_Occurred()
			       ? NULL
			       : PyErr_Format(PyExc_ValueError, "no kind of step: %R", name);
	((struct step_object *)object)->kind = (enum ntd_step)kind;
	return Py_NewRef(object);
}

static PyObject *step_call(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"func", NULL};
	PyObject *function;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:step", names, &function))
		return NULL;
	return py_call("test_driver.logger", "_in_step", "(OO)", object, function);
}

static PyObject *step_enter(PyObject *object, PyObject *unused)
{
	struct step_object *self = (struct step_object *)object;

	if (self->entered) {
		PyErr_SetString(PyExc_RuntimeError, "this step has been entered already");
		return NULL;
	}
	self->entered = true;
	py_log_begin(&self->nest, self->report, self->kind, self->machine, self->text,
		     ntd_strv_copy(self->attributes), self->subtest);
	Py_RETURN_NONE;
}

PyObject *py_step_enter(PyObject *logger, enum ntd_step kind, const char *text)
{
	_cleanup_pyref_ PyObject *step = PyObject_CallMethod(logger, "nested", "s", text);
	_cleanup_pyref_ PyObject *entered = NULL;

	if (step && Py_IS_TYPE(step, py_state()->step_type))
		((struct step_object *)step)->kind = kind;
	entered = step ? PyObject_CallMethod(step, "__enter__", NULL) : NULL;
	return entered ? ntd_steal(&step) : NULL;
}

void py_step_leave(PyObject *step)
{
	PyObject *type, *exception, *traceback, *result;

	PyErr_Fetch(&type, &exception, &traceback);
	PyErr_NormalizeException(&type, &exception, &traceback);
	result = PyObject_CallMethod(step, "__exit__", "OOO", type ? type : Py_None,
				     exception ? exception : Py_None,
				     traceback ? traceback : Py_None);
	if (result && type) {
		PyErr_Restore(type, exception, traceback);
	} else {
		Py_XDECREF(type);
		Py_XDECREF(exception);
		Py_XDECREF(traceback);
	}
	Py_XDECREF(result);
	Py_DECREF(step);
}

/* The attribute that marks an exception as one that has failed a subtest. */
static const char told_attribute[] = "told_by_subtest_";

bool py_step_told_by_subtest(PyObject *exception)
{
	return PyObject_HasAttrString(exception, told_attribute);
}

/* Logs 'Test "TITLE" failed with error: "ERROR"' for a subtest. An exit or an interruption is no
 * error. */
static int report_failure(struct step_object *self, PyObject *exception)
{
	_cleanup_free_ char *text = NULL, *line = NULL;

	if (!self->subtest || !PyObject_IsInstance(exception, PyExc_Exception))
		return 0;
	text = py_shown_text(exception);
	if (!text)
		return -1;
	line = ntd_asprintf("Test \"%s\" failed with error: \"%s\"", self->text, text);
	py_log_test_error(self->report, line, false);
	if (PyObject_SetAttrString(exception, told_attribute, Py_True) < 0)
		PyErr_Clear(); /* the exception takes no attributes */
	return 0;
}

static PyObject *step_exit(PyObject *object, PyObject *args)
{
	struct step_object *self = (struct step_object *)object;
	PyObject *type, *exception, *traceback;
	bool failed;

	if (!PyArg_ParseTuple(args, "OOO:__exit__", &type, &exception, &traceback))
		return NULL;
	if (!self->entered) {
		PyErr_SetString(PyExc_RuntimeError, "this step has not been entered");
		return NULL;
	}
	failed = exception != Py_None;
	if (failed && report_failure(self, exception) < 0)
		return NULL;
	self->entered = false;
	py_log_end(&self->nest, failed);
	Py_RETURN_FALSE;
}

int py_step_add_type(PyObject *module, struct py_state *state)
{
	static PyMethodDef methods[] = {
		{"__enter__", step_enter, METH_NOARGS,
		 "Logs the beginning of the step. RuntimeError when it has been entered already."},
		{"__exit__", step_exit, METH_VARARGS,
		 "Logs the end of the step; an exception passes."},
		{"_be", step_be, METH_O,
		 "_be($self, kind, /)\n--\n\n"
		 "Returns this step, whose events are of that kind from now on."},
		{"_again", step_again, METH_NOARGS, "Returns another step like this one."},
		{NULL, NULL, 0, NULL},
	};
	static PyType_Slot slots[] = {
		{Py_tp_doc, (void *)"A step in the log, as a context manager or a decorator."},
		{Py_tp_dealloc, step_dealloc},
		{Py_tp_call, step_call},
		{0, NULL},
	};
	static PyType_Spec spec = {
		.name = "_test_driver.Step",
		.basicsize = sizeof(struct step_object),
		.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
		.slots = slots,
	};

	PyMethodDef *const lists[] = {methods, NULL};

	return py_add_type(module, &spec, NULL, lists, &state->step_type);
}
