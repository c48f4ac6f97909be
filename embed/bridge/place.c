/* Where a thread of the script is in the test's sources, for the events that it emits: the
 * innermost of its frames whose file is one of these. They are the script itself, and in pytest
 * style the files of Python below it. A source becomes an event when a frame is first found in it.
 * Threads that hold the GIL call these functions, each for itself.
 */
#include "bridge/py_bridge.h"

#include "base/fd.h"
#include "base/forked.h"

#include <fcntl.h>
#include <string.h>

/* How many frames are looked at, and how long a source may be. */
enum { FRAMES_MOST = 100, SOURCE_MOST = 1 << 20 };

bool py_place_is_of_tests(const struct ntd_config *config, const char *path)
{
	size_t len = strlen(config->test_script);

	if (!strcmp(path, config->test_script))
		return true;
	return !strncmp(path, config->test_script, len) && path[len] == '/' &&
	       ntd_has_suffix(path, ".py") && !strstr(path + len, "/site-packages/") &&
	       !strstr(path + len, "/.");
}

static void tell_source(struct py_state *state, const char *name, uint16_t number, const char *text,
			size_t len)
{
	char *attributes[] = {"name", (char *)name, NULL};

	ntd_report_emit(state->session->report,
			&(struct ntd_event){.kind = NTD_EVENT_DETAIL,
					    .detail = NTD_DETAIL_SOURCE,
					    .level = NTD_LEVEL_ALWAYS,
					    .text = text,
					    .text_len = len < SOURCE_MOST ? len : SOURCE_MOST,
					    .source = number,
					    .attributes = attributes});
}

static bool tell_script(struct py_state *state, uint16_t number)
{
	Py_ssize_t len;
	const char *text =
		state->script_text ? PyUnicode_AsUTF8AndSize(state->script_text, &len) : NULL;

	if (text)
		tell_source(state, ntd_file_name(state->session->config->test_script), number, text,
			    (size_t)len);
	return text;
}

static bool tell_file(struct py_state *state, const char *path, uint16_t number)
{
	const struct ntd_config *config = state->session->config;
	size_t len = strlen(config->test_script);
	const char *name = path[len] == '/' ? path + len + 1 : ntd_file_name(path);
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	_cleanup_buf_ struct ntd_buf text = {0};

	if (fd < 0 || ntd_fd_read_all(fd, &text, SOURCE_MOST) < 0)
		return false;
	tell_source(state, name, number, ntd_buf_bytes(&text), text.len);
	return true;
}

/* The number that a file gets when it is seen first; 0: it is no source. */
static uint16_t add_source(struct py_state *state, PyObject *file)
{
	const char *path = PyUnicode_AsUTF8(file);
	uint16_t number = (uint16_t)(state->source_count + 1);
	bool told;

	if (!path || state->source_count == UINT16_MAX)
		return 0;
	if (!strcmp(path, PY_SCRIPT_NAME))
		told = state->mode != NTD_MODE_PYTEST && tell_script(state, number);
	else
		told = state->mode == NTD_MODE_PYTEST &&
		       py_place_is_of_tests(state->session->config, path) &&
		       tell_file(state, path, number);
	if (!told)
		return 0;
	state->source_count = number;
	return number;
}

static uint16_t source_of(struct py_state *state, PyObject *file)
{
	PyObject *known = PyDict_GetItem(state->sources, file);
	_cleanup_pyref_ PyObject *number = NULL;

	if (known)
		return (uint16_t)PyLong_AsLong(known);
	number = PyLong_FromLong(add_source(state, file));
	if (!number || PyDict_SetItem(state->sources, file, number) < 0)
		return 0;
	return (uint16_t)PyLong_AsLong(number);
}

static bool is_wanted(struct py_state *state)
{
	if (ntd_is_forked() || !ntd_report_has_timeline(state->session->report))
		return false;
	if (!state->sources)
		state->sources = PyDict_New();
	return state->sources;
}

uint16_t py_place_source(struct py_state *state, PyObject *file)
{
	PyObject *type, *error, *traceback;
	uint16_t number = 0;

	PyErr_Fetch(&type, &error, &traceback);
	if (is_wanted(state) && PyUnicode_Check(file))
		number = source_of(state, file);
	PyErr_Restore(type, error, traceback);
	return number;
}

/* The number of the source that the frame is in; 0: none. */
static uint16_t frame_source(struct py_state *state, PyFrameObject *frame)
{
	_cleanup_pyref_ PyObject *code = (PyObject *)PyFrame_GetCode(frame);
	_cleanup_pyref_ PyObject *file = PyObject_GetAttrString(code, "co_filename");

	return file && PyUnicode_Check(file) ? source_of(state, file) : 0;
}

static void note(struct py_state *state)
{
	PyFrameObject *frame = PyEval_GetFrame();

	Py_XINCREF(frame);
	for (int i = 0; frame && i < FRAMES_MOST; i++) {
		uint16_t source = frame_source(state, frame);
		PyFrameObject *back;

		if (source) {
			ntd_report_at(source, (uint32_t)PyFrame_GetLineNumber(frame));
			Py_DECREF(frame);
			return;
		}
		back = PyFrame_GetBack(frame);
		Py_SETREF(frame, back);
	}
	Py_XDECREF(frame);
	ntd_report_at(0, 0);
}

void py_place_note(struct py_state *state)
{
	PyObject *type, *error, *traceback;

	if (!is_wanted(state))
		return;
	PyErr_Fetch(&type, &error, &traceback);
	note(state);
	PyErr_Restore(type, error, traceback);
}
