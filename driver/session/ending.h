/* The end of a run: by itself, or without the main thread. ending.c explains the two. */
#pragma once

#include "loop/request.h"

#include <pthread.h>
#include <stdatomic.h>
#include <termios.h>

struct ntd_session;

/* Why a run ends at its limit of time; scripts of CI systems look for it. */
#define NTD_TIMEOUT_REACHED "timeout reached; test terminating..."

struct ntd_ending {
	_Atomic int64_t gone_by; /* when the keeper kills this process */
	/* The next three are the embedding's. In an end without the main thread, `finish_script`
	 * does what the end of a script's program does, and returns at the deadline at the latest;
	 * NULL: there is no script yet. The thread that runs the script's functions then, the
	 * finisher, is not stopped by ntd_session_yield_to_abort(). */
	void (*finish_script)(struct ntd_session *session, int64_t deadline);
	pthread_t finisher;
	atomic_bool has_finisher;
	/* How a run without the main thread ends. */
	const char *reason;
	int signal, status;
	atomic_bool begun;     /* the end without the main thread */
	atomic_bool collected; /* the evidence of a failure */
	/* The state of the machines after a failure is being kept, or has been. */
	pthread_mutex_t keeping;
	bool state_kept;
	atomic_bool status_told;
	bool timed_out;
	bool has_terminal;            /* standard input is a terminal, */
	struct termios terminal_mode; /* which had this mode at the start */
};

/* Remembers how the run began: no limit of time yet, and the mode of the terminal. */
void ntd_ending_init(struct ntd_ending *ending);

/* Loop: the run ends at `at` or before; NTD_FOREVER: it may take any time. The keeper kills the
 * process some time after that. When an end has begun already, its own limit stays. */
void ntd_session_expect_end(struct ntd_session *session, int64_t at);

/* Collects what can be had of all machines that were started (session/failure.h). The first call
 * counts, others do nothing. -1 when `waiter` was interrupted. */
int ntd_session_collect(struct ntd_session *session, struct ntd_waiter *waiter,
			struct ntd_error **err);
/* The end on the main thread: releases every machine and stops the VLANs. Does not return when an
 * end without the main thread is under way. */
void ntd_session_clean_up(struct ntd_session *session);
/* Tells the report the exit status of the run; the first call counts. */
void ntd_session_tell_status(struct ntd_session *session, int status);
/* Gives the terminal the mode back that it had at the start, unless another program has it by now:
 * after a prompt or an interactive shell that could not do so itself. */
void ntd_session_restore_terminal(const struct ntd_session *session);

/* The end without the main thread: cleans up on a thread of its own and ends the process by
 * `signal`. Any thread, loop thread included. `reason`, a constant, is logged if not NULL. The
 * first call of this and of ntd_session_leave() counts. */
void ntd_session_abort(struct ntd_session *session, int signal, const char *reason);
/* The same with an exit status in place of a signal, when Python does not come to its end. */
void ntd_session_leave(struct ntd_session *session, int status, const char *reason);
/* Stops the calling thread for good when an end without the main thread is under way. */
void ntd_session_yield_to_abort(struct ntd_session *session);
