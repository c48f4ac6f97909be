/* The serial console and the monitor. */
#include "machine_object.h"

enum { TAKE_LIMIT = 64 << 20 };

/* A wait for console text: lines that nobody has used yet, joined without separators, searched after
 * each arrival. Text that made a match is used up; what follows the line that completed it is not. */
struct search {
	struct ntd_machine *machine;
	PyObject *pattern; /* compiled */
	struct ntd_buf text;
};

static int matches(const struct search *search)
{
	_cleanup_pyref_ PyObject *text = ntd_text(&search->text);
	_cleanup_pyref_ PyObject *match =
		text ? PyObject_CallMethod(search->pattern, "search", "O", text) : NULL;

	return match ? match != Py_None : -1;
}

static void append_lines(struct ntd_buf *text, const char *lines, size_t len)
{
	while (len) {
		const char *end = memchr(lines, '\n', len);
		size_t line = end ? (size_t)(end - lines) : len;

		ntd_buf_append(text, lines, line);
		line += end != NULL;
		lines += line;
		len -= line;
	}
}

/* Whether the first `len` bytes of `lines`, after what was there before, match. */
static int matches_with(struct search *search, const struct ntd_buf *lines, size_t before,
			size_t len)
{
	search->text.len = before;
	append_lines(&search->text, ntd_buf_bytes(lines), len);
	return matches(search);
}

/* The text of `lines` completed a match: finds the line that did, by bisection, and gives back those
 * after it. */
static int give_back_rest(struct search *search, const struct ntd_buf *lines, size_t before)
{
	const char *bytes = ntd_buf_bytes(lines);
	size_t low = 0, high = lines->len; /* without a match, with one; both at ends of lines */

	for (;;) {
		const char *end =
			memchr(bytes + low + (high - low) / 2, '\n', high - low - (high - low) / 2);
		size_t middle = end ? (size_t)(end - bytes) + 1 : high;
		int found;

		if (middle == high) { /* the half from here on is one line: look before it */
			end = memrchr(bytes + low, '\n', high - low - 1);
			middle = end ? (size_t)(end - bytes) + 1 : low;
		}
		if (middle <= low)
			break;
		found = matches_with(search, lines, before, middle);
		if (found < 0)
			return -1;
		if (found)
			high = middle;
		else
			low = middle;
	}
	ntd_console_give_back(ntd_machine_console(search->machine), lines->len - high);
	return 0;
}

static int search_console(struct search *search, double timeout)
{
	struct ntd_console *console = ntd_machine_console(search->machine);
	int64_t began = ntd_now();
	int64_t deadline = timeout < 0 ? NTD_FOREVER : ntd_after(ntd_span(timeout));

	for (;;) {
		_cleanup_buf_ struct ntd_buf lines = {0};
		size_t before = search->text.len;
		int result;

		if (!NTD_BLOCKING_CALL(result, ntd_console_take(console, &lines, TAKE_LIMIT,
								deadline, waiter, error))) {
			struct ntd_module_state *state = ntd_module_state();

			if (!PyErr_ExceptionMatches(state->machine_timeout))
				return -1;
			PyErr_Clear();
			ntd_raise(state, ntd_retry_timed_out(ntd_now() - began, timeout));
			return -1;
		}
		append_lines(&search->text, ntd_buf_bytes(&lines), lines.len);
		result = matches(search);
		if (result)
			return result < 0 ? -1 : give_back_rest(search, &lines, before);
	}
}

static PyObject *compiled(PyObject *regex)
{
	_cleanup_pyref_ PyObject *re = PyImport_ImportModule("re");

	return re ? PyObject_CallMethod(re, "compile", "O", regex) : NULL;
}

static PyObject *wait_for_console_text(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"regex", "timeout", NULL};
	struct search search = {.machine = ntd_machine_self(object)->machine};
	_cleanup_pyref_ PyObject *text = NULL;
	double timeout = NTD_NO_TIMEOUT;
	PyObject *regex;
	struct ntd_nest nest;
	int result;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|O&:wait_for_console_text", names, &regex,
					 ntd_convert_duration, &timeout))
		return NULL;
	text = PyObject_Str(regex);
	search.pattern = compiled(regex);
	if (!search.pattern || !text || !PyUnicode_AsUTF8(text)) {
		Py_XDECREF(search.pattern);
		return NULL;
	}
	nest = ntd_nest_begin(ntd_machine_context(search.machine)->report,
			      ntd_machine_name(search.machine),
			      "waiting for %s to appear on console", PyUnicode_AsUTF8(text));
	result = search_console(&search, timeout);
	ntd_nest_end(&nest, result < 0);
	ntd_buf_free(&search.text);
	Py_DECREF(search.pattern);
	if (result < 0)
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *get_console_log(PyObject *object, PyObject *unused)
{
	_cleanup_buf_ struct ntd_buf log = {0};

	(void)unused;
	ntd_console_copy_log(ntd_machine_console(ntd_machine_self(object)->machine), &log);
	return ntd_text(&log);
}

static PyObject *send_monitor_command(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"command", NULL};
	struct ntd_machine *machine = ntd_machine_self(object)->machine;
	_cleanup_buf_ struct ntd_buf reply = {0};
	const char *line;
	int result;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "s:send_monitor_command", names, &line) ||
	    !NTD_BLOCKING_CALL(result,
			       ntd_machine_monitor_command(machine, line, &reply, waiter, error)))
		return NULL;
	return ntd_text(&reply);
}

static PyObject *wait_for_monitor_prompt(PyObject *object, PyObject *unused)
{
	struct ntd_machine *machine = ntd_machine_self(object)->machine;
	_cleanup_buf_ struct ntd_buf reply = {0};
	int result;

	(void)unused;
	if (!NTD_BLOCKING_CALL(result, ntd_monitor_command(ntd_machine_monitor(machine), NULL,
							   &reply, NTD_FOREVER, waiter, error)))
		return NULL;
	return ntd_text(&reply);
}

static PyObject *send_console(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"chars", NULL};
	struct ntd_machine *machine = ntd_machine_self(object)->machine;
	struct ntd_error *error = NULL;
	const char *text;
	Py_ssize_t len;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "s#:send_console", names, &text, &len))
		return NULL;
	if (ntd_console_write(ntd_machine_console(machine), text, (size_t)len, &error) < 0)
		return ntd_raise(ntd_state_of(object), error);
	Py_RETURN_NONE;
}

static PyObject *forward_port(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"host_port", "guest_port", NULL};
	struct ntd_machine *machine = ntd_machine_self(object)->machine;
	_cleanup_buf_ struct ntd_buf reply = {0};
	_cleanup_free_ char *line = NULL;
	int host = 8080, guest = 80, result;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|ii:forward_port", names, &host, &guest))
		return NULL;
	line = ntd_asprintf("hostfwd_add tcp::%d-:%d", host, guest);
	if (!NTD_BLOCKING_CALL(result,
			       ntd_machine_monitor_command(machine, line, &reply, waiter, error)))
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *log_serial(PyObject *object, PyObject *message)
{
	struct ntd_machine *machine = ntd_machine_self(object)->machine;
	_cleanup_pyref_ PyObject *text = PyObject_Str(message);
	Py_ssize_t len;
	const char *utf8 = text ? PyUnicode_AsUTF8AndSize(text, &len) : NULL;

	if (!utf8)
		return NULL;
	Py_BEGIN_ALLOW_THREADS
	ntd_report_emit(ntd_machine_context(machine)->report,
			&(struct ntd_event){.kind = NTD_EVENT_SERIAL,
					    .level = NTD_LEVEL_ALWAYS,
					    .machine = ntd_machine_name(machine),
					    .text = utf8,
					    .text_len = (size_t)len});
	Py_END_ALLOW_THREADS
	Py_RETURN_NONE;
}

/* The second network card is the first VLAN's. */
static PyObject *set_link(PyObject *object, const char *line)
{
	struct ntd_machine *machine = ntd_machine_self(object)->machine;
	_cleanup_buf_ struct ntd_buf reply = {0};
	int result;

	if (!NTD_BLOCKING_CALL(result,
			       ntd_machine_monitor_command(machine, line, &reply, waiter, error)))
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *block(PyObject *object, PyObject *unused)
{
	(void)unused;
	return set_link(object, "set_link virtio-net-pci.1 off");
}

static PyObject *unblock(PyObject *object, PyObject *unused)
{
	(void)unused;
	return set_link(object, "set_link virtio-net-pci.1 on");
}

PyMethodDef ntd_machine_console_methods[] = {
	NTD_METHOD("wait_for_console_text", wait_for_console_text,
		   "wait_for_console_text($self, regex, timeout=None)\n--\n\n"
		   "Waits until the console's lines since the last such wait, joined without "
		   "newlines,\n"
		   "match a regular expression."),
	{"get_console_log", get_console_log, METH_NOARGS,
	 "get_console_log($self)\n--\n\nAll console lines since the machine was started."},
	NTD_METHOD("send_monitor_command", send_monitor_command,
		   "send_monitor_command($self, command)\n--\n\n"
		   "Runs a command on QEMU's monitor; its reply, with echo and prompt."),
	NTD_METHOD("wait_for_qmp_event", ntd_wait_for_qmp_event,
		   "wait_for_qmp_event($self, event_filter, timeout=600)\n--\n\n"
		   "The next QMP event for which event_filter(event) is true; others are dropped."),
	{"wait_for_monitor_prompt", wait_for_monitor_prompt, METH_NOARGS,
	 "wait_for_monitor_prompt($self)\n--\n\nWaits for QEMU's monitor to prompt; what it said."},
	NTD_METHOD("send_console", send_console,
		   "send_console($self, chars)\n--\n\nWrites text to the guest's serial port."),
	NTD_METHOD("forward_port", forward_port,
		   "forward_port($self, host_port=8080, guest_port=80)\n--\n\n"
		   "Forwards a TCP port of the host to the guest."),
	{"log_serial", log_serial, METH_O,
	 "log_serial($self, msg, /)\n--\n\nLogs a line as if it came from the console."},
	{"block", block, METH_NOARGS,
	 "block($self)\n--\n\nPulls the cable of the first VLAN's network card."},
	{"unblock", unblock, METH_NOARGS, "unblock($self)\n--\n\nPlugs that cable in again."},
	{NULL, NULL, 0, NULL},
};
