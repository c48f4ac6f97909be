/* machine.login(): a login on the serial console, after which commands can be run in the shell
 * there. The method runs on threads that hold the GIL, which PY_BLOCKING_CALL releases.
 */
#include "guest/retry.h"
#include "machine/py_machine.h"
#include "machine/qemu.h"

struct login {
	struct ntd_wait wait; /* only the machine and the time-out */
	struct ntd_serial_login who;
};

static int log_in(const struct login *login, struct ntd_waiter *waiter, struct ntd_error **err)
{
	if (ntd_machine_start(login->wait.machine, false, waiter, err) < 0)
		return -1;
	return ntd_serial_login(ntd_machine_serial(login->wait.machine), &login->who,
				ntd_wait_deadline(&login->wait, ntd_now()), waiter, err);
}

static PyObject *login(PyObject *object, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"user", "password", "new_password", "timeout", NULL};
	struct login login = {.wait = {.machine = py_machine_self(object)->machine,
				       .timeout = NTD_DEFAULT_TIMEOUT},
			      .who.user = "root"};
	_cleanup_free_ char *step = NULL;
	struct ntd_nest nest;
	bool done;
	int result;

	if (!py_parse(args, kwargs, "|szzO&:login", names, &login.who.user, &login.who.password,
		      &login.who.new_password, py_convert_duration, &login.wait.timeout))
		return NULL;
	step = ntd_asprintf("logging in as %s on the serial console", login.who.user);
	py_log_begin_wait(&nest, &login.wait, step);
	done = PY_BLOCKING_CALL(result, log_in(&login, waiter, error));
	py_log_end_wait(&nest, &login.wait, !done);
	if (!done)
		return NULL;
	Py_RETURN_NONE;
}

PyMethodDef py_machine_login_methods[] = {
	PY_METHOD(
		"login", login,
		"login($self, user='root', password=None, new_password=None, timeout=900)\n--\n\n"
		"Logs in on the serial console, or takes the user's shell that is there, starting\n"
		"the machine if need be. Afterwards commands run in that shell, unless the machine\n"
		"has a better way. new_password is for a guest that asks for a change of the\n"
		"password. timeout is in seconds; None: no limit. RequestedAssertionFailed when\n"
		"the guest refuses the login or asks for a password that was not given,\n"
		"MachineTimeout with the console's last lines when the time is over."),
	{NULL, NULL, 0, NULL},
};
