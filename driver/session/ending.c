/* The end of a run, in one of two ways.
 *
 * A run that ends by itself does so on the main thread: ntd_session_clean_up(), then Python's own
 * end (embed/), then ntd_session_close(). Sometimes the main thread cannot be waited for: at the
 * limit of time, for example, it may be anywhere in the script. Then a new thread takes the steps
 * in the table below and ends the process. The first end that begins counts; the script's threads
 * stop where they next wait for the driver.
 *
 * Each step is bounded. The keeper (loop/keeper.h) bounds all of them together: it kills a process
 * that is still there END_PATIENCE after the limit of time or the beginning of such an end,
 * whatever the process hangs in. The machines end with it.
 */
#include "base/thread.h"
#include "base/tree.h"
#include "session/failure.h"
#include "session/keep.h"
#include "session/session.h"

#include <assert.h>
#include <signal.h>

/* With this, machines that the keeper has to end are gone 30 s after the limit of time. */
#define END_PATIENCE (25 * NTD_SECOND)
#define EVIDENCE_PATIENCE (10 * NTD_SECOND)
/* QEMU ends within 0.1 s of SIGTERM. A process that has not ended after this time is killed with
 * all of its descendants. */
#define RELEASE_GRACE (1 * NTD_SECOND)
#define GONE_PATIENCE (5 * NTD_SECOND)
/* The most time that a container gets to shut down in an end without the main thread. In the end on
 * the main thread the machine's kind says how long it gets. */
#define CONTAINER_GRACE (3 * NTD_SECOND)
#define SCRIPT_PATIENCE (4 * NTD_SECOND)
#define FLUSH_PATIENCE (2 * NTD_SECOND)

static_assert(EVIDENCE_PATIENCE + CONTAINER_GRACE + GONE_PATIENCE + SCRIPT_PATIENCE +
			      FLUSH_PATIENCE <
		      END_PATIENCE,
	      "the steps of an end have time enough");

/* Tells the keeper when to kill this process. */
static void set_gone_by(struct ntd_session *session, int64_t gone_by)
{
	session->ending.gone_by = gone_by;
	ntd_keeper_limit(session->keeper, gone_by);
}

void ntd_session_expect_end(struct ntd_session *session, int64_t at)
{
	if (!session->ending.begun)
		set_gone_by(session,
			    at < NTD_FOREVER - END_PATIENCE ? at + END_PATIENCE : NTD_FOREVER);
}

void ntd_ending_init(struct ntd_ending *ending)
{
	*ending = (struct ntd_ending){.gone_by = NTD_FOREVER, .keeping = PTHREAD_MUTEX_INITIALIZER};
	ending->has_terminal = tcgetattr(STDIN_FILENO, &ending->terminal_mode) == 0;
}

/* ---- steps of both ends */

int ntd_session_collect(struct ntd_session *session, struct ntd_waiter *waiter,
			struct ntd_error **err)
{
	struct ntd_failure failure = {.loop = session->loop,
				      .report = session->report,
				      .output_dir = session->config->output_dir};
	_cleanup_free_ struct ntd_machine **machines = NULL;

	if (atomic_exchange(&session->ending.collected, true))
		return 0;
	/* At the limit of time a thread of the script is at work in a guest, most often, and there
	 * is not time enough. */
	if (!session->ending.timed_out && ntd_keep_failure(session, waiter, err) < 0)
		return -1;
	machines = ntd_session_machines(session, &failure.count);
	failure.machines = machines;
	return ntd_failure_collect(&failure, waiter, err);
}

void ntd_session_restore_terminal(const struct ntd_session *session)
{
	if (session->ending.has_terminal && tcgetpgrp(STDIN_FILENO) == getpgrp())
		tcsetattr(STDIN_FILENO, TCSANOW, &session->ending.terminal_mode);
}

/* Ends all machines. A thread of the script may still be at work, so no process can be started any
 * more: machines that the thread makes from now on have none to wait for. */
static void release_machines(struct ntd_session *session, int64_t most)
{
	int64_t longest = 0, patience;
	_cleanup_free_ struct ntd_machine **machines = NULL;
	size_t count;

	ntd_children_close(session->children);
	machines = ntd_session_machines(session, &count);
	for (size_t i = 0; i < count; i++) {
		int64_t grace = ntd_machine_release(machines[i], RELEASE_GRACE, most);

		longest = grace > longest ? grace : longest;
	}
	patience = ntd_after(longest + GONE_PATIENCE);
	for (size_t i = 0; i < count; i++)
		if (!ntd_machine_wait_gone(machines[i], patience))
			ntd_log(session->report, NTD_LEVEL_WARNING, ntd_machine_name(machines[i]),
				"its processes do not end; they are left to the keeper process");
}

static void stop_networks(struct ntd_session *session)
{
	struct ntd_vlan *vlan;

	while ((vlan = ntd_session_take_vlan(session, NULL)))
		ntd_vlan_free(vlan);
	ntd_ssh_backdoor_stop(ntd_steal(&session->ssh_backdoor));
}

void ntd_session_tell_status(struct ntd_session *session, int status)
{
	if (!atomic_exchange(&session->ending.status_told, true))
		ntd_report_run_end(session->report, status);
}

/* Stops the deadline of the run. The keeper's limit stays: it bounds this end, too. */
static void cancel_deadline(void *arg)
{
	struct ntd_deadline *deadline = arg;

	ntd_timer_cancel(&deadline->timer);
	deadline->running = false;
}

void ntd_session_clean_up(struct ntd_session *session)
{
	struct ntd_nest nest;

	ntd_session_yield_to_abort(session);
	nest = ntd_nest_begin(session->report, NTD_STEP_CLEANUP, NULL, "cleanup");
	ntd_loop_call(session->loop, cancel_deadline, &session->deadline);
	release_machines(session, NTD_FOREVER);
	stop_networks(session);
	ntd_session_yield_to_abort(session);
	ntd_nest_end(&nest, false);
}

/* ---- the end without the main thread */

static int status_of(const struct ntd_session *session)
{
	return session->ending.signal ? 128 + session->ending.signal : session->ending.status;
}

static void tell_why(struct ntd_session *session)
{
	if (session->ending.reason)
		ntd_log(session->report,
			session->ending.signal ? NTD_LEVEL_ERROR : NTD_LEVEL_WARNING, NULL, "%s",
			session->ending.reason);
}

static void tell_summary(struct ntd_session *session)
{
	if (session->ending.reason)
		ntd_summary_failure(session, session->ending.reason);
}

static void collect_evidence(struct ntd_session *session)
{
	struct ntd_waiter waiter = {.deadline = ntd_after(EVIDENCE_PATIENCE)};
	_cleanup_error_ struct ntd_error *error = NULL;

	if (session->ending.timed_out)
		ntd_session_collect(session, &waiter, &error);
}

static void release_soon(struct ntd_session *session)
{
	release_machines(session, CONTAINER_GRACE);
}

static void finish_script(struct ntd_session *session)
{
	if (session->ending.finish_script)
		session->ending.finish_script(session, ntd_after(SCRIPT_PATIENCE));
}

static void remove_sockets(struct ntd_session *session)
{
	if (session->sockets.temporary)
		ntd_tree_remove(session->sockets.path, NULL);
}

static void end_report(struct ntd_session *session)
{
	ntd_session_tell_status(session, status_of(session));
	ntd_report_end(session->report, ntd_after(FLUSH_PATIENCE));
}

static void stop_keeper(struct ntd_session *session)
{
	ntd_keeper_stop(session->keeper, session->ending.gone_by);
}

static void restore_terminal(struct ntd_session *session)
{
	ntd_session_restore_terminal(session);
}

static void print_summary(struct ntd_session *session)
{
	if (session->summary)
		ntd_summary_print(session->summary, status_of(session));
}

static void leave_place(struct ntd_session *session)
{
	ntd_claim_leave(&session->claim);
}

static void (*const steps[])(struct ntd_session *session) = {
	tell_why,      tell_summary,  collect_evidence, release_soon,
	stop_networks, finish_script, remove_sockets,   end_report,
	stop_keeper,   leave_place,   restore_terminal, print_summary,
};

/* Ends the process, by a signal's default action if there is one, so that a shell sees 128 +
 * signal. */
__attribute__((noreturn)) static void leave(const struct ntd_session *session)
{
	struct sigaction deadly = {.sa_handler = SIG_DFL};
	sigset_t set;

	if (session->ending.signal) {
		sigaction(session->ending.signal, &deadly, NULL);
		sigemptyset(&set);
		sigaddset(&set, session->ending.signal);
		pthread_sigmask(SIG_UNBLOCK, &set, NULL);
		kill(getpid(), session->ending.signal);
	}
	_exit(status_of(session));
}

static void *end_main(void *arg)
{
	struct ntd_session *session = arg;

	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
		steps[i](session);
	leave(session);
}

static void end_without_main_thread(struct ntd_session *session, int signal, int status,
				    const char *reason)
{
	pthread_t thread;

	if (atomic_exchange(&session->ending.begun, true))
		return;
	session->ending.signal = signal;
	session->ending.status = status;
	session->ending.reason = reason;
	set_gone_by(session, ntd_earlier(session->ending.gone_by, ntd_after(END_PATIENCE)));
	if (ntd_thread_start(&thread, "end", end_main, session, NULL) < 0)
		leave(session);
	pthread_detach(thread);
}

void ntd_session_abort(struct ntd_session *session, int signal, const char *reason)
{
	end_without_main_thread(session, signal, 0, reason);
}

void ntd_session_leave(struct ntd_session *session, int status, const char *reason)
{
	end_without_main_thread(session, 0, status, reason);
}

void ntd_session_yield_to_abort(struct ntd_session *session)
{
	while (session->ending.begun && !(session->ending.has_finisher &&
					  pthread_equal(session->ending.finisher, pthread_self())))
		pause();
}
