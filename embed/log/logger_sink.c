/* Loggers written in Python: a sink of a report that keeps events until they can be handed to these
 * loggers.
 *
 * A sink is called by whichever thread writes the report, and must not wait for the GIL: the thread
 * that holds it may be waiting for the report. So events are queued here, and delivered by threads
 * that hold the GIL: by a thread of the script when it comes back from the core, so that its
 * loggers know what the call has logged; and by a thread of the sink's own, so that loggers hear of
 * console lines while the script waits. One thread delivers at a time; the order is the report's.
 * What loggers raise is shown and changes nothing.
 */
#include "base/forked.h"
#include "base/list.h"
#include "base/thread.h"
#include "log/py_log.h"

#include <assert.h>
#include <pthread.h>

struct event {
	struct ntd_event event; /* its pointers belong to it */
	struct ntd_list_link link;
};

/* A step that a logger has entered. */
struct step {
	uint64_t id;        /* of the events of its beginning and its end */
	PyObject *managers; /* list: the context managers that have been entered */
	struct ntd_list_link link;
};

/* Lives as long as the process: its thread may be waiting for the GIL at the end. */
struct py_logger_sink {
	struct ntd_sink sink;
	const struct ntd_report *report; /* whose sink this is */
	PyObject *loggers;               /* list; the script may change it at any time */
	struct ntd_list steps; /* the last one first; only the delivering thread looks at them */
	pthread_mutex_t delivering;
	pthread_t deliverer; /* the thread that holds `delivering` */
	_Atomic bool has_deliverer;

	pthread_mutex_t mutex; /* guards the queue */
	pthread_cond_t queued;
	struct ntd_list events;
	size_t queued_bytes, dropped; /* dropped console lines, since the last notice */
	struct py_logger_sink *next;
};

/* Bytes that may wait for Python. Console lines beyond are counted, not kept. */
enum { QUEUE_LIMIT = 64 << 20 };

/* ---- the queue */

static size_t cost(const struct ntd_event *event)
{
	return sizeof(struct event) + event->text_len;
}

static struct event *event_new(const struct ntd_event *event)
{
	struct event *copy = ntd_calloc(1, sizeof *copy);

	copy->event = *event;
	copy->event.text = ntd_strndup(event->text, event->text_len);
	copy->event.machine = event->machine ? ntd_strdup(event->machine) : NULL;
	copy->event.attributes = ntd_strv_copy(event->attributes);
	return copy;
}

static void append(struct py_logger_sink *self, struct event *event)
{
	self->queued_bytes += cost(&event->event);
	ntd_list_append(&self->events, &event->link);
}

static void append_notice(struct py_logger_sink *self)
{
	_cleanup_free_ char *text = ntd_asprintf(
		"%zu console lines are not told: loggers were not quick enough", self->dropped);

	append(self, event_new(&(struct ntd_event){.kind = NTD_EVENT_MESSAGE,
						   .level = NTD_LEVEL_WARNING,
						   .text = text,
						   .text_len = strlen(text)}));
	self->dropped = 0;
}

static void sink_event(struct ntd_sink *sink, const struct ntd_event *event)
{
	struct py_logger_sink *self = ntd_container_of(sink, struct py_logger_sink, sink);
	bool serial = event->kind == NTD_EVENT_SERIAL;

	pthread_mutex_lock(&self->mutex);
	if (serial && self->queued_bytes + cost(event) > QUEUE_LIMIT) {
		self->dropped++;
	} else {
		if (self->dropped)
			append_notice(self);
		append(self, event_new(event));
	}
	pthread_cond_signal(&self->queued);
	pthread_mutex_unlock(&self->mutex);
}

static void sink_close(struct ntd_sink *sink)
{
}

static struct event *take(struct py_logger_sink *self)
{
	struct event *event;

	pthread_mutex_lock(&self->mutex);
	event = ntd_list_take(&self->events, struct event, link);
	if (event)
		self->queued_bytes -= cost(&event->event);
	pthread_mutex_unlock(&self->mutex);
	return event;
}

static void event_free(struct event *event)
{
	free((char *)event->event.text);
	free((char *)event->event.machine);
	ntd_strv_free(event->event.attributes);
	free(event);
}

/* ---- calling loggers */

/* The attributes as a dict, with the machine's name under "machine". */
static PyObject *attributes_of(const struct ntd_event *event)
{
	PyObject *dict = PyDict_New();
	_cleanup_pyref_ PyObject *machine = event->machine ? py_text_of(event->machine) : NULL;

	if (dict && machine)
		PyDict_SetItemString(dict, "machine", machine);
	for (char **pair = event->attributes; dict && pair && *pair; pair += 2) {
		_cleanup_pyref_ PyObject *value = py_text_of(pair[1]);

		if (value)
			PyDict_SetItemString(dict, pair[0], value);
	}
	return dict;
}

/* Calls logger.METHOD(TEXT), with the attributes if there are any. */
static PyObject *call(PyObject *logger, const char *method, const struct ntd_event *event)
{
	_cleanup_pyref_ PyObject *text =
		PyUnicode_DecodeUTF8(event->text, (Py_ssize_t)strlen(event->text), "replace");
	_cleanup_pyref_ PyObject *attributes = attributes_of(event);

	if (!text || !attributes)
		return NULL;
	return PyDict_Size(attributes) ? PyObject_CallMethod(logger, method, "OO", text, attributes)
				       : PyObject_CallMethod(logger, method, "O", text);
}

static PyObject *call_serial(PyObject *logger, const struct ntd_event *event)
{
	_cleanup_pyref_ PyObject *text = py_text_of(event->text);
	_cleanup_pyref_ PyObject *machine = py_text_of(event->machine ? event->machine : "");

	return text && machine ? PyObject_CallMethod(logger, "log_serial", "OO", text, machine)
			       : NULL;
}

static PyObject *tell(PyObject *logger, const struct ntd_event *event)
{
	static const char *const methods[] = {
		[NTD_LEVEL_DEBUG] = "debug",     [NTD_LEVEL_INFO] = "info",
		[NTD_LEVEL_WARNING] = "warning", [NTD_LEVEL_ERROR] = "error",
		[NTD_LEVEL_ALWAYS] = "log",
	};
	static_assert(sizeof methods / sizeof *methods == NTD_LEVEL_COUNT, "every level has one");

	if (event->kind == NTD_EVENT_SERIAL)
		return call_serial(logger, event);
	if (event->kind == NTD_EVENT_TEST_ERROR)
		return call(logger, "log_test_error", event);
	return call(logger, methods[event->level], event);
}

/* ---- steps: context managers of the loggers */

static void enter(struct py_logger_sink *self, PyObject *loggers, const struct ntd_event *event)
{
	struct step *step = ntd_calloc(1, sizeof *step);
	const char *method = event->kind == NTD_EVENT_SUBTEST_BEGIN ? "subtest" : "nested";

	step->id = event->id;
	step->managers = PyList_New(0);
	ntd_list_prepend(&self->steps, &step->link);
	for (Py_ssize_t i = 0; step->managers && i < PyList_Size(loggers); i++) {
		PyObject *logger = PyList_GetItem(loggers, i);
		_cleanup_pyref_ PyObject *manager = call(logger, method, event);
		_cleanup_pyref_ PyObject *entered =
			manager ? PyObject_CallMethod(manager, "__enter__", NULL) : NULL;

		if (!entered || PyList_Append(step->managers, manager) < 0)
			PyErr_WriteUnraisable(logger);
	}
}

/* Leaves it as the `with` statement does. Of an exception, loggers get to know only that there was
 * one. */
static void leave_manager(PyObject *manager, bool failed)
{
	_cleanup_pyref_ PyObject *text = PyUnicode_FromString("the step has failed");
	_cleanup_pyref_ PyObject *error =
		failed && text ? PyObject_CallOneArg(PyExc_Exception, text) : NULL;
	_cleanup_pyref_ PyObject *result =
		error ? PyObject_CallMethod(manager, "__exit__", "OOO", PyExc_Exception, error,
					    Py_None)
		      : PyObject_CallMethod(manager, "__exit__", "OOO", Py_None, Py_None, Py_None);

	if (!result && !(failed && PyErr_ExceptionMatches(PyExc_Exception)))
		PyErr_WriteUnraisable(manager);
	PyErr_Clear();
}

/* The step that ends by this event. NULL: it began before there was a logger. */
static struct step *find_step(struct py_logger_sink *self, const struct ntd_event *event)
{
	ntd_list_each (struct step, step, &self->steps, link)
		if (step->id == event->id)
			return step;
	return NULL;
}

static void leave(struct py_logger_sink *self, const struct ntd_event *event)
{
	struct step *step = find_step(self, event);

	if (!step)
		return;
	ntd_list_unlink(&step->link);
	for (Py_ssize_t i = PyList_Size(step->managers); i-- > 0;)
		leave_manager(PyList_GetItem(step->managers, i), event->failed);
	Py_DECREF(step->managers);
	free(step);
}

/* ---- delivery */

static void deliver_one(struct py_logger_sink *self, const struct ntd_event *event)
{
	_cleanup_pyref_ PyObject *loggers = PyList_GetSlice(self->loggers, 0, PY_SSIZE_T_MAX);

	if (!loggers)
		return PyErr_Clear();
	if (event->kind == NTD_EVENT_NEST_END || event->kind == NTD_EVENT_SUBTEST_END)
		return leave(self, event);
	if (event->kind == NTD_EVENT_NEST_BEGIN || event->kind == NTD_EVENT_SUBTEST_BEGIN)
		return enter(self, loggers, event);
	for (Py_ssize_t i = 0; i < PyList_Size(loggers); i++) {
		PyObject *logger = PyList_GetItem(loggers, i);
		_cleanup_pyref_ PyObject *result = tell(logger, event);

		if (!result)
			PyErr_WriteUnraisable(logger);
	}
}

/* Whether the calling thread is handing an event to a logger: that logger has called the driver. */
static bool is_called_by_logger(const struct py_state *state)
{
	for (const struct py_logger_sink *sink = state->logger_sinks; sink; sink = sink->next)
		if (sink->has_deliverer && pthread_equal(sink->deliverer, pthread_self()))
			return true;
	return false;
}

/* Locks `delivering`. A logger's call does not wait for it: another thread may have locked it for a
 * logger that waits for this one. What it does not deliver then, the sink's own thread does. */
static bool begin_delivery(struct py_logger_sink *self)
{
	if (is_called_by_logger(py_state()))
		return pthread_mutex_trylock(&self->delivering) == 0;
	PY_WITHOUT_GIL(pthread_mutex_lock(&self->delivering));
	return true;
}

static void deliver(struct py_logger_sink *self)
{
	struct event *event;

	if (!begin_delivery(self))
		return;
	self->deliverer = pthread_self();
	self->has_deliverer = true;
	while ((event = take(self))) {
		deliver_one(self, &event->event);
		event_free(event);
	}
	self->has_deliverer = false;
	pthread_mutex_unlock(&self->delivering);
}

void py_logger_deliver(struct py_state *state)
{
	PyObject *type, *error, *traceback;

	if (!state->logger_sinks || ntd_is_forked())
		return;
	PyErr_Fetch(&type, &error, &traceback);
	for (struct py_logger_sink *sink = state->logger_sinks; sink; sink = sink->next)
		deliver(sink);
	PyErr_Restore(type, error, traceback);
}

static void *deliver_always(void *arg)
{
	struct py_logger_sink *self = arg;

	for (;;) {
		PyGILState_STATE gil;

		pthread_mutex_lock(&self->mutex);
		while (ntd_list_empty(&self->events))
			pthread_cond_wait(&self->queued, &self->mutex);
		pthread_mutex_unlock(&self->mutex);
		gil = PyGILState_Ensure();
		deliver(self);
		PyGILState_Release(gil);
	}
	return NULL;
}

static int start_thread(struct py_logger_sink *self)
{
	pthread_t thread;

	if (ntd_thread_start(&thread, "loggers", deliver_always, self, NULL) < 0) {
		PyErr_SetString(PyExc_RuntimeError, "cannot start a thread for loggers");
		return -1;
	}
	pthread_detach(thread);
	return 0;
}

static bool is_told(const struct py_state *state, const struct ntd_report *report,
		    const PyObject *loggers)
{
	for (const struct py_logger_sink *sink = state->logger_sinks; sink; sink = sink->next)
		if (sink->report == report && sink->loggers == loggers)
			return true;
	return false;
}

int py_logger_listen(struct py_state *state, struct ntd_report *report, PyObject *loggers)
{
	struct py_logger_sink *self;

	if (is_told(state, report, loggers))
		return 0;
	self = ntd_calloc(1, sizeof *self);
	*self = (struct py_logger_sink){.sink = {.event = sink_event, .close = sink_close},
					.report = report,
					.loggers = Py_NewRef(loggers),
					.next = state->logger_sinks};
	pthread_mutex_init(&self->delivering, NULL);
	pthread_mutex_init(&self->mutex, NULL);
	pthread_cond_init(&self->queued, NULL);
	if (start_thread(self) < 0) {
		Py_DECREF(self->loggers);
		free(self);
		return -1;
	}
	state->logger_sinks = self;
	ntd_report_add(report, &self->sink);
	return 0;
}
