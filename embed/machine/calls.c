/* Which methods of machines call which. Scripts know that succeed() calls execute(): they override
 * methods in subclasses, put mocks and wrappers on objects and classes, and expect each to be seen
 * by the methods that call it. Methods in C do not call each other by name as long as all methods
 * that they call are the driver's. Else the call takes the way through class _Calls
 * (test_driver/machine/overridden.py), whose methods call each other as the table says. All of this
 * runs on threads that hold the GIL.
 */
#include "machine/py_machine.h"

/* A method stands below those that it calls. Names that begin with `logger.` are methods of the
 * machine's log. */
static const struct {
	const char *caller, *callees[4];
} table[] = {
	{"logger.log", {NULL}},
	{"logger.nested", {NULL}},
	{"logger.log_serial", {NULL}},
	{"log", {"logger.log"}},
	{"log_serial", {"logger.log_serial"}},
	{"nested", {"logger.nested"}},
	{"cleanup_statedir", {"log"}},
	{"run_callbacks", {NULL}},
	{"is_up", {NULL}},
	{"release", {NULL}},

	{"start", {"log"}},
	{"connect", {"nested", "start", "log"}},
	{"_execute", {"connect", "start"}},
	{"execute", {"run_callbacks", "_execute"}},
	{"succeed", {"nested", "execute", "log"}},
	{"fail", {"nested", "execute"}},
	{"wait_until_succeeds", {"nested", "execute"}},
	{"wait_until_fails", {"nested", "execute"}},
	{"sleep", {"succeed"}},
	{"wait_for_file", {"nested", "execute"}},
	{"wait_for_open_port", {"nested", "execute"}},
	{"wait_for_closed_port", {"nested", "execute"}},
	{"wait_for_open_unix_socket", {"nested", "execute"}},
	{"wait_for_x", {"nested", "execute"}},
	{"get_window_names", {"succeed"}},
	{"wait_for_window", {"nested", "get_window_names", "log"}},
	{"copy_from_host", {"succeed"}},
	{"copy_from_host_via_shell", {"succeed"}},
	{"copy_from_machine", {"succeed"}},
	{"copy_from_vm", {"copy_from_machine"}},

	{"systemctl", {"execute"}},
	{"start_job", {"systemctl"}},
	{"stop_job", {"systemctl"}},
	{"get_unit_info", {"systemctl"}},
	{"get_unit_property", {"systemctl"}},
	{"require_unit_state", {"nested", "get_unit_info"}},
	{"wait_for_unit", {"nested", "get_unit_property", "systemctl", "get_unit_info"}},

	{"get_tty_text", {"execute"}},
	{"dump_tty_contents", {"execute"}},
	{"wait_until_tty_matches", {"nested", "get_tty_text", "log"}},
	{"wait_for_console_text", {"nested"}},
	{"wait_for_monitor_prompt", {NULL}},
	{"send_monitor_command", {"run_callbacks", "wait_for_monitor_prompt"}},
	{"forward_port", {"send_monitor_command"}},
	{"block", {"send_monitor_command"}},
	{"unblock", {"send_monitor_command"}},
	{"send_key", {"nested", "send_monitor_command"}},
	{"send_chars", {"nested", "send_key"}},
	{"_managed_screenshot", {"send_monitor_command"}},
	{"screenshot", {"nested", "_managed_screenshot"}},
	{"get_screen_text", {"_managed_screenshot"}},
	{"get_screen_text_variants", {"_managed_screenshot"}},
	{"wait_for_text", {"nested", "get_screen_text_variants", "log"}},

	{"wait_for_shutdown", {"nested"}},
	{"shutdown", {"wait_for_shutdown"}},
	{"crash", {"log", "send_monitor_command", "wait_for_shutdown"}},
	{"reboot", {"send_key"}},
	{"switch_root", {"wait_for_unit", "execute", "connect"}},
};

enum { ROWS = sizeof table / sizeof *table };

static_assert(ROWS <= 64, "a set of methods is a uint64_t");

static const char logger_prefix[] = "logger.";

static bool is_of_logger(size_t row)
{
	return !strncmp(table[row].caller, logger_prefix, sizeof logger_prefix - 1);
}

/* The row of the name above `end`; ROWS if there is none. */
static size_t row_of(const char *name, size_t end)
{
	for (size_t row = 0; row < end; row++)
		if (!strcmp(table[row].caller, name))
			return row;
	return ROWS;
}

/* ---- whether a script has replaced a method */

/* Whether the value is the driver's method, put on its object as attribute: so do scripts that take
 * a mock away again. */
static bool is_own_method(const struct py_state *state, PyObject *value, PyObject *object,
			  PyObject *name)
{
	return PyMethod_Check(value) && PyMethod_Self(value) == object &&
	       py_method_is(state, PyMethod_Function(value), name);
}

static bool is_replaced(const struct py_state *state, PyObject *object, PyObject *name)
{
	PyObject *dict = ((struct py_object *)object)->dict;
	PyObject *own = dict && PyDict_Size(dict) ? PyDict_GetItemWithError(dict, name) : NULL;
	_cleanup_pyref_ PyObject *found = NULL;

	if (own)
		return !is_own_method(state, own, object, name);
	found = PyObject_GetAttr((PyObject *)Py_TYPE(object), name);
	if (!found)
		PyErr_Clear(); /* containers have fewer methods */
	return found && !py_method_is(state, found, name);
}

/* The log whose methods a script may have replaced. A log that is no CompositeLogger is told of all
 * events by one that is (py_logger_report()), so nothing in it counts as replaced: then NULL. */
static PyObject *logger_of(const struct py_state *state, PyObject *object)
{
	PyObject *logger = py_machine_self(object)->logger;

	if (!logger)
		return state->logger;
	return PyObject_TypeCheck(logger, state->logger_type) ? logger : NULL;
}

static bool row_is_replaced(const struct py_state *state, PyObject *object, size_t row)
{
	PyObject *owner = is_of_logger(row) ? logger_of(state, object) : object;

	return owner &&
	       is_replaced(state, owner, PyTuple_GetItem(state->call_names, (Py_ssize_t)row));
}

static bool any_is_replaced(const struct py_state *state, PyObject *object, uint64_t calls)
{
	/* A class with a __getattribute__ of its own may find anything. */
	if (PyType_GetSlot(Py_TYPE(object), Py_tp_getattro) !=
	    PyType_GetSlot(state->object_type, Py_tp_getattro))
		return true;
	for (size_t row = 0; calls; row++, calls >>= 1)
		if (calls & 1 && row_is_replaced(state, object, row))
			return true;
	return false;
}

static bool calls_are_replaced(const struct py_state *state, PyObject *object, uint64_t calls)
{
	return PyObject_TypeCheck(object, state->base_machine_type) &&
	       any_is_replaced(state, object, calls);
}

bool py_machine_is_plain(PyObject *object, const char *method)
{
	const struct py_state *state = py_state();
	size_t row = row_of(method, ROWS);

	return PyObject_TypeCheck(object, state->base_machine_type) &&
	       !any_is_replaced(state, object, UINT64_C(1) << row | state->calls[row]);
}

/* ---- the table as sets */

/* All methods that the row's method calls, directly or by others. */
static uint64_t calls_of(const struct py_state *state, size_t row)
{
	uint64_t calls = 0;

	for (size_t i = 0; i < sizeof table->callees / sizeof *table->callees; i++) {
		const char *callee = table[row].callees[i];
		size_t above = callee ? row_of(callee, row) : ROWS;

		assert(!callee || above < ROWS);
		if (callee)
			calls |= UINT64_C(1) << above | state->calls[above];
	}
	return calls;
}

int py_machine_add_calls(struct py_state *state)
{
	PyTypeObject *const types[] = {state->base_machine_type, state->qemu_machine_type,
				       state->nspawn_machine_type};

	state->calls_are_replaced = calls_are_replaced;
	state->calls = ntd_calloc(ROWS, sizeof *state->calls);
	state->call_names = PyTuple_New(ROWS);
	for (size_t row = 0; state->call_names && row < ROWS; row++) {
		const char *name = table[row].caller;
		PyObject *interned = PyUnicode_InternFromString(
			is_of_logger(row) ? name + sizeof logger_prefix - 1 : name);

		if (!interned || PyTuple_SetItem(state->call_names, (Py_ssize_t)row, interned) < 0)
			return -1;
		state->calls[row] = calls_of(state, row);
		for (size_t i = 0; i < sizeof types / sizeof *types; i++)
			py_method_set_calls(state, types[i], interned, state->calls[row]);
	}
	return state->call_names ? 0 : -1;
}
