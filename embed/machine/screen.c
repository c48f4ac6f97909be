/* The methods about keyboard, text consoles and pictures of the screen. They run on threads that
 * hold the GIL, which PY_BLOCKING_CALL releases for calls that can block.
 */
#include "guest/screen.h"
#include "base/text.h"
#include "machine/py_machine.h"

#define DEFAULT_KEY_DELAY 0.01 /* seconds */

static PyObject *send_key(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"key", "delay", "log", NULL};
	struct ntd_machine *machine = py_machine_self(object)->machine;
	double delay = DEFAULT_KEY_DELAY;
	_cleanup_path_ struct py_path_arg key = {0};
	int log = true, result;

	if (!py_parse(args, kwargs, "O&|O&p:send_key", names, py_convert_text, &key,
		      py_convert_duration, &delay, &log) ||
	    !PY_BLOCKING_CALL(result,
			      ntd_machine_send_key(machine, key.text, delay, log, waiter, error)))
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *send_chars(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"chars", "delay", NULL};
	struct ntd_machine *machine = py_machine_self(object)->machine;
	_cleanup_pyref_ PyObject *shown = NULL;
	double delay = DEFAULT_KEY_DELAY;
	PyObject *text;
	int result;

	if (!py_parse(args, kwargs, "U|O&:send_chars", names, &text, py_convert_duration, &delay))
		return NULL;
	shown = PyObject_Repr(text);
	if (!shown || !PyUnicode_AsUTF8(shown) || !py_utf8(text, "send_chars() argument 'chars'") ||
	    !PY_BLOCKING_CALL(result, ntd_machine_send_chars(machine, PyUnicode_AsUTF8(text),
							     PyUnicode_AsUTF8(shown), delay, waiter,
							     error)))
		return NULL;
	Py_RETURN_NONE;
}

/* ---- text consoles */

/* The name of a tty, which is given as a str or a number. */
static PyObject *tty_name(PyObject *object)
{
	PyObject *text = PyLong_Check(object) ? PyObject_Str(object) : py_formatted(object);

	if (text && !py_utf8(text, "tty"))
		Py_CLEAR(text);
	if (text || PyErr_Occurred())
		return text;
	return PyErr_Format(PyExc_TypeError, "a tty must be a str or an int, not %s",
			    Py_TYPE(object)->tp_name);
}

static PyObject *get_tty_text(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"tty", NULL};
	struct ntd_machine *machine = py_machine_self(object)->machine;
	_cleanup_buf_ struct ntd_buf text = {0};
	_cleanup_pyref_ PyObject *name = NULL;
	PyObject *tty;
	int result;

	if (!py_parse(args, kwargs, "O:get_tty_text", names, &tty) || !(name = tty_name(tty)) ||
	    !PY_BLOCKING_CALL(result, ntd_machine_tty_text(machine, PyUnicode_AsUTF8(name), &text,
							   waiter, error)))
		return NULL;
	return py_text(&text);
}

static int fetch_tty(const struct py_machine_text_wait *wait, struct ntd_buf *text,
		     struct ntd_waiter *waiter, struct ntd_error **err)
{
	return ntd_machine_tty_text(wait->machine, wait->argument, text, waiter, err);
}

/* The name is part of a command; a plain number is what a channel can wait for. */
static struct ntd_awaited tty_change(const char *name)
{
	struct ntd_awaited awaited = {.condition.kind = NTD_CONDITION_TTY};

	if (strspn(name, "0123456789") == strlen(name) && strlen(name) <= 2)
		awaited.condition.port = (unsigned)strtoul(name, NULL, 10);
	return awaited;
}

static PyObject *wait_until_tty_matches(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"tty", "regexp", "timeout", NULL};
	struct py_machine_text_wait wait = {.machine = py_machine_self(object)->machine,
					    .fetch = fetch_tty};
	_cleanup_pyref_ PyObject *name = NULL;
	_cleanup_free_ char *shown = NULL, *step = NULL, *last_chance = NULL;
	double timeout = NTD_DEFAULT_TIMEOUT;
	PyObject *tty, *regexp;

	if (!py_parse(args, kwargs, "OO|O&:wait_until_tty_matches", names, &tty, &regexp,
		      py_convert_duration, &timeout))
		return NULL;
	name = tty_name(tty);
	shown = name ? py_shown_text(regexp) : NULL;
	if (!shown)
		return NULL;
	wait.argument = PyUnicode_AsUTF8(name);
	wait.awaited = tty_change(wait.argument);
	step = ntd_asprintf("waiting for %s to appear on tty %s", shown, wait.argument);
	last_chance = ntd_asprintf("Last chance to match /%s/ on TTY%s, which currently contains: ",
				   shown, wait.argument);
	wait.last_chance = last_chance;
	return py_machine_wait_for_match(&wait, regexp, step, timeout);
}

static PyObject *dump_tty_contents(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"tty", NULL};
	struct ntd_machine *machine = py_machine_self(object)->machine;
	_cleanup_pyref_ PyObject *name = NULL;
	_cleanup_free_ char *command = NULL;
	PyObject *tty;
	int result;

	if (!py_parse(args, kwargs, "O:dump_tty_contents", names, &tty) || !(name = tty_name(tty)))
		return NULL;
	command = ntd_asprintf("fold -w 80 /dev/vcs%s | systemd-cat", PyUnicode_AsUTF8(name));
	if (!PY_BLOCKING_CALL(result,
			      ntd_machine_status_of(
				      machine,
				      (struct ntd_bytes){.data = command, .len = strlen(command)},
				      NULL, waiter, error)))
		return NULL;
	Py_RETURN_NONE;
}

/* ---- pictures */

/* The path of a picture: a bare name is a file in the output directory, and gets ".png" if it has
 * no dot. */
static char *picture_path(struct ntd_machine *machine, const char *name)
{
	const char *suffix = strchr(name, '.') ? "" : ".png";

	if (strchr(name, '/'))
		return ntd_asprintf("%s%s", name, suffix);
	return ntd_asprintf("%s/%s%s", ntd_machine_context(machine)->out_dir, name, suffix);
}

/* Takes the picture, as a step in the log that names its file. */
static int take_screenshot(struct ntd_machine *machine, const char *path)
{
	char **attributes = ntd_calloc(3, sizeof *attributes);
	_cleanup_free_ char *step = ntd_asprintf("making screenshot %s", path);
	struct ntd_nest nest;
	int result;

	attributes[0] = ntd_strdup("image");
	attributes[1] = ntd_strdup(ntd_file_name(path));
	py_log_begin(&nest, ntd_machine_context(machine)->report, NTD_STEP_SCREEN,
		     ntd_machine_name(machine), step, attributes, false);
	PY_BLOCKING_CALL(result, ntd_machine_screenshot(machine, path, waiter, error));
	if (result >= 0)
		py_log_detail(ntd_machine_context(machine)->report, NTD_DETAIL_PICTURE,
			      ntd_machine_name(machine), path);
	py_log_end(&nest, result < 0);
	return result;
}

static PyObject *screenshot(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"filename", NULL};
	struct ntd_machine *machine = py_machine_self(object)->machine;
	_cleanup_path_ struct py_path_arg name = {0};
	_cleanup_free_ char *path = NULL;

	if (!py_parse(args, kwargs, "O&:screenshot", names, py_convert_path, &name))
		return NULL;
	path = picture_path(machine, name.text);
	if (take_screenshot(machine, path) < 0)
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *managed_screenshot(PyObject *object, PyObject *unused)
{
	return py_call("test_driver.machine.screen", "managed_screenshot", "(O)", object);
}

PyMethodDef py_machine_screen_methods[] = {
	PY_METHOD(
		"send_key", send_key,
		"send_key($self, key, delay=0.01, log=True)\n--\n\n"
		"Presses a key by its QEMU name (such as ctrl-alt-f2) or a single character, then\n"
		"waits delay seconds. A key that QEMU does not know is not sent, with a warning.\n"
		"Without log there is no step in the log."),
	PY_METHOD("send_chars", send_chars,
		  "send_chars($self, chars, delay=0.01)\n--\n\n"
		  "Types a text on a US keyboard, with delay seconds after each key."),
	PY_METHOD(
		"get_tty_text", get_tty_text,
		"get_tty_text($self, tty)\n--\n\n"
		"Returns the text on a virtual console, which is given by its number, such as 1."),
	PY_METHOD("dump_tty_contents", dump_tty_contents,
		  "dump_tty_contents($self, tty)\n--\n\n"
		  "Writes the text on a virtual console to the guest's journal."),
	PY_METHOD(
		"wait_until_tty_matches", wait_until_tty_matches,
		"wait_until_tty_matches($self, tty, regexp, timeout=900)\n--\n\n"
		"Waits until the text on a virtual console matches a regular expression. A match\n"
		"that appears meanwhile counts when the text has stood still for a moment, at the\n"
		"latest after a second: a script may be going to read the rest of it. timeout is\n"
		"in seconds. RequestedAssertionFailed when the time is over."),
	PY_METHOD(
		"screenshot", screenshot,
		"screenshot($self, filename)\n--\n\n"
		"Writes a picture of the screen as PNG. A bare name goes to the output directory,\n"
		"and gets \".png\" if it has no dot."),
	{"_managed_screenshot", managed_screenshot, METH_NOARGS,
	 "_managed_screenshot($self)\n--\n\n"
	 "Returns a context manager: the path of a picture of the screen as PPM, which is\n"
	 "removed at its end."},
	{NULL, NULL, 0, NULL},
};
