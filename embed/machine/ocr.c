/* The methods that read the text on the screen. The engines that read it belong to the module; they
 * are made when a script first wants them, and closed by atexit. The methods run on threads that
 * hold the GIL, which PY_BLOCKING_CALL releases for calls that can block.
 */
#include "guest/retry.h"
#include "guest/screen_text.h"
#include "machine/py_machine.h"

#define CAPSULE "_test_driver._ocr"

/* ---- the engines */

static PyObject *close_engines(PyObject *capsule, PyObject *unused)
{
	struct ntd_ocr *ocr = PyCapsule_GetPointer(capsule, CAPSULE);

	PY_WITHOUT_GIL(ntd_ocr_close(ocr));
	Py_RETURN_NONE;
}

static int close_at_exit(PyObject *capsule)
{
	static PyMethodDef method = {"close_engines", close_engines, METH_NOARGS, NULL};
	_cleanup_pyref_ PyObject *function = PyCFunction_New(&method, capsule);
	_cleanup_pyref_ PyObject *registered =
		function ? py_call("atexit", "register", "(O)", function) : NULL;

	return registered ? 0 : -1;
}

static PyObject *make_engines(PyObject *module)
{
	struct py_state *state = py_state();
	_cleanup_error_ struct ntd_error *error = NULL;
	struct ntd_ocr *ocr = ntd_ocr_new(state->session->loop, ntd_ocr_default_workers(), &error);
	_cleanup_pyref_ PyObject *capsule = NULL;

	if (!ocr) { /* scripts look for the text of the exception; the reason is for people */
		py_log(state->session->report, NTD_LEVEL_WARNING, NULL, "no OCR: %s",
		       error->message);
		PyErr_SetString(state->machine_error,
				"OCR requested but `tesseract` is not available");
		return NULL;
	}
	capsule = PyCapsule_New(ocr, CAPSULE, NULL);
	if (!capsule || close_at_exit(capsule) < 0 ||
	    PyModule_AddObjectRef(module, "_ocr", capsule) < 0)
		return NULL;
	return Py_NewRef(capsule);
}

/* The engines; NULL with an exception. */
static struct ntd_ocr *engines(void)
{
	_cleanup_pyref_ PyObject *module = PyImport_ImportModule("_test_driver");
	_cleanup_pyref_ PyObject *capsule = NULL;

	if (!module)
		return NULL;
	capsule = PyDict_GetItemString(PyModule_GetDict(module), "_ocr");
	capsule = capsule ? Py_NewRef(capsule) : make_engines(module);
	return capsule ? PyCapsule_GetPointer(capsule, CAPSULE) : NULL;
}

/* ---- texts */

/* A search of the screen, whose readings are looked at in Python. */
struct search {
	struct ntd_machine *machine;
	struct ntd_screen_look look;
	struct ntd_screen_memory memory;
	PyObject *texts;   /* list: the readings of the present look */
	PyObject *pattern; /* NULL: no pattern is searched for */
	const char *shown; /* the pattern, for the log */
	double timeout;
	int64_t began;
	char *seen; /* NULL: nothing has been read in the last attempt */
};

/* Calls `work` without the GIL; false with an exception. The reference to the engines is given back
 * without the GIL, too: at the end of the program, remaining threads do not get the GIL any
 * more. */
static bool with_engines(struct search *search,
			 int (*work)(struct search *search, struct ntd_waiter *waiter,
				     struct ntd_error **err))
{
	struct ntd_ocr *ocr = search->look.ocr;
	struct ntd_error *error = NULL;
	struct py_blocking blocking;
	int result = -1;
	bool blocked;

	ntd_ocr_ref(ocr);
	blocked = py_block(&blocking);
	if (blocked)
		result = work(search, &blocking.waiter, &error);
	ntd_ocr_unref(ocr);
	if (!blocked)
		return false;
	py_unblock(&blocking);
	if (result < 0)
		py_raise(py_state(), error);
	return result >= 0;
}

static int found_in(const struct search *search, const struct ntd_screen_text *text,
		    PyObject *string)
{
	_cleanup_pyref_ PyObject *match =
		PyObject_CallMethod(search->pattern, "search", "O", string);

	if (match && match != Py_None)
		py_log(ntd_machine_context(search->machine)->report, NTD_LEVEL_ALWAYS,
		       ntd_machine_name(search->machine),
		       "text found in the %s picture of the screen, after %.2f seconds (%.2f to "
		       "read it)",
		       ntd_picture_variant_name(text->variant),
		       ntd_seconds(ntd_now() - search->began), text->seconds);
	return match ? match != Py_None : -1;
}

static int look_at(const struct search *search, const struct ntd_screen_text *text)
{
	_cleanup_pyref_ PyObject *string = py_text_of(text->text);

	if (!string || PyList_Append(search->texts, string) < 0)
		return -1;
	return search->pattern ? found_in(search, text, string) : 0;
}

static int reader(void *arg, const struct ntd_screen_text *text, struct ntd_waiter *waiter,
		  struct ntd_error **err)
{
	return PY_IN_PYTHON(waiter, err, look_at(arg, text));
}

static int read_texts(struct search *search, struct ntd_waiter *waiter, struct ntd_error **err)
{
	return ntd_machine_read_screen(search->machine, &search->look, waiter, err);
}

/* A list of the texts read from the first so many variants of the picture. */
static PyObject *texts_of_screen(PyObject *object, size_t variants, const char *file)
{
	struct search search = {
		.machine = py_machine_self(object)->machine,
		.look = {.ocr = engines(),
			 .file = file,
			 .variants = variants,
			 .one_picture = true,
			 .reader = reader,
			 .arg = &search},
	};
	_cleanup_pyref_ PyObject *texts = search.look.ocr ? PyList_New(0) : NULL;

	search.texts = texts;
	return texts && with_engines(&search, read_texts) ? Py_NewRef(texts) : NULL;
}

static PyObject *get_screen_text(PyObject *object, PyObject *unused)
{
	_cleanup_pyref_ PyObject *texts = texts_of_screen(object, 1, NULL);

	return texts ? PySequence_GetItem(texts, 0) : NULL;
}

static PyObject *get_screen_text_variants(PyObject *object, PyObject *unused)
{
	return texts_of_screen(object, NTD_PICTURE_VARIANT_COUNT, NULL);
}

/* _read_picture(path, all_variants): such a list for the picture in a file. */
static PyObject *read_picture(PyObject *object, PyObject *args)
{
	_cleanup_path_ struct py_path_arg path = {0};
	int all;

	if (!PyArg_ParseTuple(args, "O&p:_read_picture", py_convert_path, &path, &all))
		return NULL;
	return texts_of_screen(object, all ? NTD_PICTURE_VARIANT_COUNT : 1, path.text);
}

/* ---- waiting */

static int log_failure(struct search *search)
{
	_cleanup_pyref_ PyObject *shown = PyObject_Repr(search->texts);
	const char *text = shown ? PyUnicode_AsUTF8(shown) : NULL;

	if (text)
		py_log(ntd_machine_context(search->machine)->report, NTD_LEVEL_ALWAYS,
		       ntd_machine_name(search->machine), "Last OCR attempt failed. Text was: %s",
		       text);
	free(search->seen);
	search->seen = text ? ntd_strdup(text) : NULL;
	PyErr_Clear(); /* the wait fails anyway */
	return 0;
}

static int attempt(void *arg, bool last, struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct search *search = arg;
	int found;

	if (PY_IN_PYTHON(waiter, err, PyList_SetSlice(search->texts, 0, PY_SSIZE_T_MAX, NULL)) < 0)
		return -1;
	found = ntd_machine_read_screen(search->machine, &search->look, waiter, err);
	return found || !last ? found : PY_IN_PYTHON(waiter, err, log_failure(search));
}

static char *observed(const void *arg)
{
	const struct search *search = arg;

	return ntd_asprintf("the readings %s", search->seen ? search->seen : "[]");
}

static int search_screen(struct search *search, struct ntd_waiter *waiter, struct ntd_error **err)
{
	_cleanup_free_ char *step =
		ntd_asprintf("waiting for %s to appear on screen", search->shown);
	struct ntd_wait wait = {.step = step,
				.attempt = attempt,
				.observed = observed,
				.arg = search,
				.pace = NTD_PACE_SECOND,
				.timeout = search->timeout,
				.machine = search->machine};
	int result;

	search->began = ntd_now();
	result = ntd_machine_wait(&wait, waiter, err);
	ntd_screen_memory_free(&search->memory);
	free(search->seen);
	return result;
}

static PyObject *wait_for_text(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"regex", "timeout", NULL};
	struct search search = {
		.machine = py_machine_self(object)->machine,
		.look = {.variants = NTD_PICTURE_VARIANT_COUNT,
			 .memory = &search.memory,
			 .reader = reader,
			 .arg = &search},
		.timeout = NTD_DEFAULT_TIMEOUT,
	};
	_cleanup_pyref_ PyObject *pattern = NULL, *texts = NULL;
	_cleanup_free_ char *shown = NULL;
	PyObject *regex;

	if (!py_parse(args, kwargs, "O|O&:wait_for_text", names, &regex, py_convert_duration,
		      &search.timeout))
		return NULL;
	search.pattern = pattern = py_regex(regex, "regex");
	search.shown = shown = pattern ? py_shown_text(regex) : NULL;
	search.texts = texts = shown ? PyList_New(0) : NULL;
	search.look.ocr = texts ? engines() : NULL;
	if (!search.look.ocr || !with_engines(&search, search_screen))
		return NULL;
	Py_RETURN_NONE;
}

PyMethodDef py_machine_ocr_methods[] = {
	{"get_screen_text", get_screen_text, METH_NOARGS,
	 "get_screen_text($self)\n--\n\n"
	 "Returns the text on the screen, by optical character recognition. MachineError\n"
	 "when there is none on this host."},
	{"get_screen_text_variants", get_screen_text_variants, METH_NOARGS,
	 "get_screen_text_variants($self)\n--\n\n"
	 "Returns a list of the text on the screen as read from its picture and from two\n"
	 "that were made clearer. MachineError as in get_screen_text()."},
	PY_METHOD(
		"wait_for_text", wait_for_text,
		"wait_for_text($self, regex, timeout=900)\n--\n\n"
		"Waits until a reading of the screen's text matches a regular expression. timeout\n"
		"is in seconds. RequestedAssertionFailed when the time is over."),
	{"_read_picture", read_picture, METH_VARARGS,
	 "_read_picture($self, path, all_variants, /)\n--\n\n"
	 "Returns the readings of a picture in a file, as a list."},
	{NULL, NULL, 0, NULL},
};
