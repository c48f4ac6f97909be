/* The methods about a machine's life: start, connect, shutdown, crash, reboot and their kin. They
 * run on threads that hold the GIL, which PY_BLOCKING_CALL releases for calls that can block.
 */
#include "base/forked.h"
#include "guest/power.h"
#include "guest/retry.h"
#include "guest/units.h"
#include "machine/py_machine.h"

/* Makes a call that can block; returns None, or NULL with its exception. */
#define RETURN_NONE_AFTER(call)                                                                    \
	do {                                                                                       \
		int result_;                                                                       \
                                                                                                   \
		if (!PY_BLOCKING_CALL(result_, call))                                              \
			return NULL;                                                               \
		Py_RETURN_NONE;                                                                    \
	} while (0)

static PyObject *start(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"allow_reboot", NULL};
	struct ntd_machine *machine = py_machine_self(object)->machine;
	int allow_reboot = false;

	if (!py_parse(args, kwargs, "|p:start", names, &allow_reboot))
		return NULL;
	RETURN_NONE_AFTER(ntd_machine_start(machine, allow_reboot, waiter, error));
}

static PyObject *start_container(PyObject *object, PyObject *unused)
{
	struct ntd_machine *machine = py_machine_self(object)->machine;

	RETURN_NONE_AFTER(ntd_machine_start(machine, false, waiter, error));
}

static PyObject *connect(PyObject *object, PyObject *unused)
{
	struct ntd_machine *machine = py_machine_self(object)->machine;

	RETURN_NONE_AFTER(ntd_machine_connect(machine, waiter, error));
}

static PyObject *shutdown(PyObject *object, PyObject *unused)
{
	struct ntd_machine *machine = py_machine_self(object)->machine;

	RETURN_NONE_AFTER(ntd_machine_shutdown(machine, waiter, error));
}

static PyObject *begin_end(PyObject *object, PyObject *power_off)
{
	struct ntd_machine *machine = py_machine_self(object)->machine;
	bool powers_off = PyObject_IsTrue(power_off) == 1;
	int begun;

	if (!PY_BLOCKING_CALL(begun, ntd_machine_begin_end(machine, powers_off, waiter, error)))
		return NULL;
	return PyBool_FromLong(begun);
}

static PyObject *has_end(PyObject *object, PyObject *unused)
{
	return PyBool_FromLong(ntd_machine_has_end(py_machine_self(object)->machine));
}

static PyObject *mute(PyObject *object, PyObject *muted)
{
	ntd_machine_mute(py_machine_self(object)->machine, PyObject_IsTrue(muted) == 1);
	Py_RETURN_NONE;
}

static PyObject *crash(PyObject *object, PyObject *unused)
{
	struct ntd_machine *machine = py_machine_self(object)->machine;

	RETURN_NONE_AFTER(ntd_machine_crash(machine, waiter, error));
}

static PyObject *reboot(PyObject *object, PyObject *unused)
{
	struct ntd_machine *machine = py_machine_self(object)->machine;

	RETURN_NONE_AFTER(ntd_machine_reboot(machine, waiter, error));
}

/* Raises subprocess.TimeoutExpired. What the driver has to say becomes a note, for that exception
 * has a text of its own. */
static PyObject *raise_timeout_expired(struct ntd_machine *machine, double timeout, int64_t waited)
{
	_cleanup_free_ char *stretched = ntd_stretched(machine);
	_cleanup_free_ char *tail = ntd_console_tail_now(ntd_machine_console(machine), 20);
	_cleanup_free_ char *text = ntd_asprintf(
		"machine '%s': %s: it still runs after %.2f seconds (timeout=%g)%s; %s%s",
		ntd_machine_name(machine), ntd_machine_words(machine)->end_step,
		ntd_seconds(waited), timeout, stretched,
		*tail ? "last console lines:\n" : "it printed nothing", tail);
	_cleanup_pyref_ PyObject *exception = py_call("subprocess", "TimeoutExpired", "(sd)",
						      ntd_machine_words(machine)->program, timeout);
	_cleanup_pyref_ PyObject *note = py_text_of(text);
	_cleanup_pyref_ PyObject *noted =
		exception && note ? PyObject_CallMethod(exception, "add_note", "O", note) : NULL;

	if (noted)
		PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
	return NULL;
}

static PyObject *wait_for_shutdown(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"timeout", NULL};
	struct ntd_machine *machine = py_machine_self(object)->machine;
	struct py_state *state = py_state();
	double timeout = NTD_NO_TIMEOUT;
	int64_t began = ntd_now(), deadline;
	int result;

	if (!py_parse(args, kwargs, "|O&:wait_for_shutdown", names, py_convert_duration, &timeout))
		return NULL;
	deadline = timeout < 0 ? NTD_FOREVER
			       : ntd_after(ntd_span(timeout * ntd_machine_time_scale(machine)));
	if (PY_BLOCKING_CALL(result,
			     ntd_machine_wait_for_shutdown(machine, deadline, waiter, error)))
		Py_RETURN_NONE;
	if (PyErr_ExceptionMatches(state->machine_timeout)) {
		PyErr_Clear();
		return raise_timeout_expired(machine, timeout, ntd_now() - began);
	}
	return NULL;
}

static PyObject *release(PyObject *object, PyObject *unused)
{
	struct py_machine *self = py_machine_self(object);
	struct ntd_machine *machine = self->machine;
	int64_t grace;

	if (!ntd_machine_status(machine).pid ||
	    py_machine_kept(object, &py_machine_kept_pid) == Py_None)
		Py_RETURN_NONE;
	py_machine_note_release(self);
	PY_WITHOUT_GIL(grace = ntd_machine_release(machine, NTD_SECOND, NTD_FOREVER);
		       ntd_machine_wait_gone(machine, ntd_after(grace + 5 * NTD_SECOND)));
	py_log_deliver(py_state());
	Py_RETURN_NONE;
}

/* Switches from the initrd's root shell to that of the booted system. */
static int switch_to_root(struct ntd_machine *machine, struct ntd_waiter *waiter,
			  struct ntd_error **err)
{
	static const char isolate[] = "systemctl isolate --no-block initrd-switch-root.target "
				      "2>/dev/null >/dev/null";
	struct ntd_command command = {.text = isolate,
				      .text_len = sizeof isolate - 1,
				      .timeout = NTD_DEFAULT_TIMEOUT,
				      .no_status = true,
				      .no_reply = true};
	_cleanup_result_ struct ntd_result result = {0};

	if (ntd_machine_wait_for_unit(machine, "initrd.target", NULL, NTD_DEFAULT_TIMEOUT, waiter,
				      err) < 0 ||
	    ntd_machine_run(machine, &command, &result, waiter, err) < 0)
		return -1;
	ntd_machine_disconnect(machine, false);
	return ntd_machine_connect(machine, waiter, err);
}

static PyObject *switch_root(PyObject *object, PyObject *unused)
{
	struct ntd_machine *machine = py_machine_self(object)->machine;

	RETURN_NONE_AFTER(switch_to_root(machine, waiter, error));
}

static PyObject *is_up(PyObject *object, PyObject *unused)
{
	return PyBool_FromLong(ntd_machine_is_up(py_machine_self(object)->machine));
}

static PyObject *cleanup_statedir(PyObject *object, PyObject *unused)
{
	struct ntd_machine *machine = py_machine_self(object)->machine;

	PY_WITHOUT_GIL(ntd_machine_cleanup_state_dir(machine));
	py_log_deliver(py_state());
	Py_RETURN_NONE;
}

static PyObject *run_callbacks(PyObject *object, PyObject *unused)
{
	if (py_machine_run_callbacks(py_machine_self(object)) < 0)
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *sweep_statedir(PyObject *object, PyObject *unused)
{
	ntd_keeper_sweep_tree(py_state()->session->keeper,
			      ntd_machine_state_dir(py_machine_self(object)->machine));
	Py_RETURN_NONE;
}

static PyObject *enter(PyObject *object, PyObject *unused)
{
	return Py_NewRef(object);
}

/* Calls release() by name: a subclass may have overridden it. */
static PyObject *leave(PyObject *object, PyObject *args)
{
	if (ntd_is_forked())
		Py_RETURN_NONE;
	return PyObject_CallMethod(object, "release", NULL);
}

PyMethodDef py_machine_life_methods[] = {
	{"shutdown", shutdown, METH_NOARGS,
	 "shutdown($self)\n--\n\n"
	 "Powers the guest off and waits for its end; does nothing if it is down."},
	PY_METHOD("wait_for_shutdown", wait_for_shutdown,
		  "wait_for_shutdown($self, timeout=None)\n--\n\n"
		  "Waits until the machine has ended. timeout is in seconds; None: no limit.\n"
		  "subprocess.TimeoutExpired when the time is over."),
	{"release", release, METH_NOARGS,
	 "release($self)\n--\n\n"
	 "Ends the machine and what belongs to it, without the guest's help, for good;\n"
	 "does nothing if it is down. Starts and commands then raise MachineDied."},
	{"is_up", is_up, METH_NOARGS,
	 "is_up($self)\n--\n\n"
	 "Returns whether QEMU runs and the root shell is there; for a container, whether\n"
	 "it runs."},
	{"cleanup_statedir", cleanup_statedir, METH_NOARGS,
	 "cleanup_statedir($self)\n--\n\nRemoves the state directory."},
	{"sweep_statedir", sweep_statedir, METH_NOARGS,
	 "sweep_statedir($self)\n--\n\n"
	 "Registers the state directory with the keeper, which removes it when the driver\n"
	 "has ended."},
	{"__enter__", enter, METH_NOARGS, "__enter__($self)\n--\n\nReturns the machine, as it is."},
	{"__exit__", leave, METH_VARARGS,
	 "__exit__($self, *exception)\n--\n\nReleases the machine."},
	{"run_callbacks", run_callbacks, METH_NOARGS,
	 "run_callbacks($self)\n--\n\n"
	 "Calls the functions in `callbacks`. What one raises passes; the rest is not\n"
	 "called."},
	{"_begin_end", begin_end, METH_O,
	 "_begin_end($self, power_off, /)\n--\n\n"
	 "Has the machine power off, or not; from now on its end is expected. Returns\n"
	 "whether the machine runs."},
	{"_has_end", has_end, METH_NOARGS,
	 "_has_end($self)\n--\n\n"
	 "Returns whether a wait for the end of the machine is a step in the log."},
	{"_mute", mute, METH_O,
	 "_mute($self, muted, /)\n--\n\n"
	 "While muted is true, the caller logs what is always logged of starts and ends,\n"
	 "and the driver does not."},
	{NULL, NULL, 0, NULL},
};

PyMethodDef py_machine_qemu_life_methods[] = {
	PY_METHOD(
		"start", start,
		"start($self, allow_reboot=False)\n--\n\n"
		"Starts QEMU, unless it runs; returns when it does, before the guest has booted.\n"
		"Without allow_reboot a reboot of the guest ends QEMU. MachineError when QEMU does\n"
		"not start."),
	{"connect", connect, METH_NOARGS,
	 "connect($self)\n--\n\n"
	 "Starts the machine if necessary and waits for the guest's root shell.\n"
	 "MachineError when the guest does not boot in time."},
	{"crash", crash, METH_NOARGS,
	 "crash($self)\n--\n\nEnds QEMU at once, like a power cut; does nothing if it is down."},
	{"reboot", reboot, METH_NOARGS,
	 "reboot($self)\n--\n\n"
	 "Presses Ctrl-Alt-Delete in the guest. Needs start(allow_reboot=True)."},
	{"switch_root", switch_root, METH_NOARGS,
	 "switch_root($self)\n--\n\nLeaves the initrd and connects to the booted system."},
	{NULL, NULL, 0, NULL},
};

PyMethodDef py_machine_nspawn_life_methods[] = {
	{"start", start_container, METH_NOARGS,
	 "start($self)\n--\n\n"
	 "Runs the start script, unless the container runs; returns before it has booted."},
	{NULL, NULL, 0, NULL},
};
