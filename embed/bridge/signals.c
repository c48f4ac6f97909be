/* SIGINT becomes KeyboardInterrupt, SIGTERM and SIGHUP become SystemExit(128 + n), on the main
 * thread, so that `finally` and clean-up run. The C handler does three things that a handler may
 * do: it has the main thread interrupted (a wait sleeps there in ppoll), marks the signal for
 * Python, and writes to the loop's eventfd.
 *
 * A signal that arrives when the main thread is about to begin a system call interrupts nothing,
 * and the script may then wait for ever (os.waitpid). So the loop thread nudges the main thread for
 * a while by signals that do nothing but interrupt.
 *
 * The loop thread gives the main thread TERM_PATIENCE to end, then ends the run without it. Three
 * SIGINTs in a row do the same, unless a user sits at a prompt. The loop thread leaves these
 * signals unblocked, so that they arrive even while every other thread has them blocked.
 *
 * The state below is global because a signal's handler has no argument.
 */
#include "bridge/py_bridge.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/eventfd.h>

#define TERM_PATIENCE (10 * NTD_SECOND)
#define INT_MEMORY (10 * NTD_SECOND)
#define NUDGE_EVERY (NTD_SECOND / 10)

static const int handled[] = {SIGINT, SIGTERM, SIGHUP};
enum { HANDLED = sizeof handled / sizeof *handled, NUDGES = 20 };

/* Programs ignore it by default, which the driver's children do, too. */
enum { NUDGE = SIGURG };

static pthread_t main_thread;
static atomic_int wake_fd = -1, at_prompt; /* the handler may run on any thread */
static atomic_int ending_signal;           /* the last SIGTERM or SIGHUP; 0: none */
/* The signal that another thread got and has passed on to the main thread; 0: none. It counts only
 * once. */
static atomic_int passed_on;
/* The SIGINTs that the loop thread has not counted yet: a busy host may let several arrive before
 * the loop thread runs. */
static atomic_int new_interrupts;

struct watch {
	struct ntd_source source;
	struct ntd_timer patience, nudge;
	struct ntd_session *session;
	int interrupts, nudges;
	bool ending;
	int64_t last_interrupt;
};

static struct watch watch = {.source.fd = -1};

static void on_signal(int number)
{
	int saved = errno, passed = number;
	bool counted = false;

	if (!pthread_equal(pthread_self(), main_thread)) {
		passed_on = number;
		pthread_kill(main_thread, number);
	} else {
		counted = atomic_compare_exchange_strong(&passed_on, &passed, 0);
		PyErr_SetInterruptEx(number);
	}
	if (number != SIGINT)
		ending_signal = number;
	else if (!counted)
		new_interrupts++;
	if (!counted)
		eventfd_write(wake_fd, 1);
	errno = saved;
}

/* ---- on the loop thread */

static void out_of_patience(struct ntd_timer *timer)
{
	struct watch *self = ntd_container_of(timer, struct watch, patience);

	ntd_session_abort(self->session, ending_signal,
			  "the test script did not end when told to; ending without it");
}

static void on_nudge(int number)
{
}

static void nudge(struct ntd_timer *timer)
{
	struct watch *self = ntd_container_of(timer, struct watch, nudge);
	struct sigaction action;

	sigaction(NUDGE, NULL, &action);
	if (action.sa_handler != on_nudge) /* the script has taken the signal */
		return;
	pthread_kill(main_thread, NUDGE);
	if (++self->nudges < NUDGES)
		ntd_timer_set(self->source.loop, timer, ntd_after(NUDGE_EVERY));
}

/* The line editor of a prompt looks for signals by itself, and users may stay in it for long. */
static void begin_nudges(struct watch *self)
{
	self->nudges = 0;
	if (!at_prompt)
		ntd_timer_set(self->source.loop, &self->nudge, ntd_after(NUDGE_EVERY));
}

static void count_interrupts(struct watch *self, int new)
{
	int64_t now = ntd_now();
	int remembered = now - self->last_interrupt < INT_MEMORY ? self->interrupts : 0;

	self->interrupts = at_prompt ? 0 : remembered + new;
	self->last_interrupt = now;
	if (self->interrupts >= 3)
		ntd_session_abort(self->session, SIGINT, "interrupted three times");
}

static void signalled(struct ntd_source *source, uint32_t events)
{
	struct watch *self = ntd_container_of(source, struct watch, source);
	eventfd_t count;
	int new;

	eventfd_read(source->fd, &count);
	new = atomic_exchange(&new_interrupts, 0); /* those after it write to the eventfd again */
	begin_nudges(self);
	if (new)
		count_interrupts(self, new);
	if (ending_signal && !self->ending) {
		self->ending = true;
		ntd_timer_set(source->loop, &self->patience, ntd_after(TERM_PATIENCE));
	}
}

static void mask(int how)
{
	sigset_t set;

	sigemptyset(&set);
	for (int i = 0; i < HANDLED; i++)
		sigaddset(&set, handled[i]);
	pthread_sigmask(how, &set, NULL);
}

void py_signals_hold(void)
{
	mask(SIG_BLOCK);
}

static void start_watch(void *arg)
{
	struct ntd_session *session = arg;

	mask(SIG_UNBLOCK);
	ntd_source_add(session->loop, &watch.source, EPOLLIN, NULL);
}

static void stop_watch(void *arg)
{
	ntd_timer_cancel(&watch.patience);
	ntd_timer_cancel(&watch.nudge);
	ntd_source_remove(&watch.source);
}

/* ---- on the main thread */

static PyObject *raise_system_exit(PyObject *self, PyObject *args)
{
	_cleanup_pyref_ PyObject *status = NULL;
	PyObject *frame;
	int number;

	if (!PyArg_ParseTuple(args, "iO", &number, &frame))
		return NULL;
	status = PyLong_FromLong(128 + number);
	if (status)
		PyErr_SetObject(PyExc_SystemExit, status);
	return NULL;
}

/* signal.signal(): the previous handler, or NULL with an exception. */
static PyObject *set_handler(int number, PyObject *handler)
{
	return handler ? py_call("_signal", "signal", "(iO)", number, handler) : NULL;
}

static int install_python_handlers(void)
{
	static PyMethodDef method = {"raise_system_exit", raise_system_exit, METH_VARARGS, NULL};
	_cleanup_pyref_ PyObject *handler = PyCFunction_New(&method, NULL);

	for (int i = 0; i < HANDLED; i++) {
		_cleanup_pyref_ PyObject *previous = NULL;

		if (handled[i] == SIGINT)
			continue;
		previous = set_handler(handled[i], handler);
		if (!previous)
			return -1;
	}
	return 0;
}

static bool is_ours(PyObject *handler)
{
	return handler && PyCFunction_Check(handler) &&
	       PyCFunction_GetFunction(handler) == raise_system_exit;
}

/* ---- in a process that the script forks */

static _Thread_local sigset_t before_fork;

/* A signal that comes to the new process must not reach this handler there: the handler would tell
 * the loop of the parent. */
static void hold_all(void)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before_fork);
}

static void let_through(void)
{
	pthread_sigmask(SIG_SETMASK, &before_fork, NULL);
}

/* Python's handler of SIGINT stays. */
static void in_child(void)
{
	struct sigaction action;

	wake_fd = -1;
	main_thread = pthread_self();
	for (int i = 0; i < HANDLED; i++) {
		sigaction(handled[i], NULL, &action);
		if (action.sa_handler == on_signal && handled[i] != SIGINT)
			signal(handled[i], SIG_DFL);
	}
	let_through();
}

/* Takes the driver's handlers away from Python, and leaves those that the script has installed. */
void py_signals_forked(void)
{
	for (int i = 0; i < HANDLED; i++) {
		_cleanup_pyref_ PyObject *handler =
			py_call("_signal", "getsignal", "(i)", handled[i]);
		_cleanup_pyref_ PyObject *fallback = PyLong_FromLong((long)SIG_DFL);

		if (is_ours(handler))
			Py_XDECREF(set_handler(handled[i], fallback));
		PyErr_Clear();
	}
}

int py_signals_install(struct ntd_session *session, struct ntd_error **err)
{
	struct sigaction action = {.sa_handler = on_signal}, before;
	const struct sigaction nudged = {.sa_handler = on_nudge};

	watch = (struct watch){
		.source = {.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .ready = signalled},
		.patience.expired = out_of_patience,
		.nudge.expired = nudge,
		.session = session};
	if (watch.source.fd < 0)
		return ntd_error_sys(err, errno, "cannot watch for signals");
	main_thread = pthread_self();
	wake_fd = watch.source.fd;
	pthread_atfork(hold_all, let_through, in_child);
	if (install_python_handlers() < 0) {
		PyErr_Clear();
		return ntd_error_set(err, NTD_E_MACHINE, "cannot install Python's signal handlers");
	}
	for (int i = 0; i < HANDLED; i++) {
		sigaction(handled[i], NULL, &before);
		if (before.sa_handler != SIG_IGN) /* a background job of a shell ignores SIGINT */
			sigaction(handled[i], &action, NULL);
	}
	sigaction(NUDGE, &nudged, NULL);
	ntd_loop_call(session->loop, start_watch, session);
	mask(SIG_UNBLOCK);
	return 0;
}

void py_signals_keep(void)
{
	struct sigaction now, ours = {.sa_handler = on_signal};

	for (int i = 0; at_prompt && i < HANDLED; i++) {
		sigaction(handled[i], NULL, &now);
		if (now.sa_handler != on_signal && now.sa_handler != SIG_IGN &&
		    now.sa_handler != SIG_DFL)
			sigaction(handled[i], &ours, NULL);
	}
}

int py_signals_ending(void)
{
	return ending_signal;
}

unsigned long py_signals_main_thread(void)
{
	return (unsigned long)main_thread;
}

void py_signals_attended(bool attended)
{
	at_prompt = attended;
}

bool py_signals_are_attended(void)
{
	return at_prompt;
}

void py_signals_remove(struct ntd_session *session)
{
	if (watch.source.fd < 0)
		return;
	for (int i = 0; i < HANDLED; i++)
		signal(handled[i], SIG_IGN);
	ntd_loop_call(session->loop, stop_watch, NULL);
	ntd_close_fd(&watch.source.fd);
}
