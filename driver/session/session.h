/* One run: its loop, report, machines and VLANs, its deadline and its end.
 *
 * All machines are here, those that scripts make while they run too, and all of them are released
 * at the end, however it comes: by ntd_session_clean_up(), or from a thread of its own by
 * ntd_session_abort() when the script thread cannot be waited for.
 */
#pragma once

#include "base/vec.h"
#include "machine/machine.h"
#include "net/vlan.h"
#include "report/sinks.h"
#include "session/claim.h"
#include "session/config.h"
#include "session/directories.h"
#include "session/ssh_backdoor.h"

#include <pthread.h>
#include <stdatomic.h>
#include <termios.h>

/* Why a run ends at its limit of time; scripts of CI systems look for it. */
#define NTD_TIMEOUT_REACHED "timeout reached; test terminating..."

struct ntd_session;

/* A limit of time, at which the run is ended. */
struct ntd_deadline {
	struct ntd_timer timer;
	struct ntd_session *session;
	double seconds;
	atomic_bool running;
};

struct ntd_session {
	const struct ntd_config *config;
	struct ntd_loop *loop;
	struct ntd_keeper *keeper;
	struct ntd_children *children;
	struct ntd_report *report;
	struct ntd_sink *terminal, *junit;   /* junit: NULL without a report */
	struct ntd_environment *environment; /* of the processes that it starts */
	struct ntd_claim claim;
	/* why tmp_dir or the sockets are not in the run-time directory itself; else NULL */
	char *elsewhere;
	char *tmp_dir;
	struct ntd_socket_directory sockets;
	int out_fd;                   /* the output directory, if the user has named one; else -1 */
	struct termios terminal_mode; /* of standard input at the start */

	/* Guards the lists. Whoever has it waits for nothing: who wants it may have the GIL. */
	pthread_mutex_t mutex;
	ntd_vec(struct ntd_machine *) machines;
	ntd_vec(struct ntd_vlan *) vlans;
	struct ntd_ssh_backdoor *ssh_backdoor; /* NULL: none */
	ntd_vec(struct ntd_report *) reports;  /* beside `report` */

	struct ntd_deadline deadline;

	/* Of session/ending.c. */
	_Atomic int64_t gone_by; /* when the keeper kills this process */
	/* In an end without the main thread, does what the end of a script's program does, and
	 * returns at the deadline at the latest. NULL: there is no script yet. The thread that runs
	 * the script's functions then, the finisher, is not stopped by the end. */
	void (*finish_script)(struct ntd_session *session, int64_t deadline);
	pthread_t finisher;
	const char *end_reason;
	int end_signal, end_status;
	atomic_bool has_finisher, status_told, ending;

	bool has_terminal, timed_out;
	atomic_bool collected; /* session/failure.c */
	/* There are containers, which VLANs made from now on reach by this system's network. */
	atomic_bool taps;
};

/* Prepares a run: directories, loop, report with its sinks. To be called before Python starts,
 * since scripts change the environment. `config` and `keeper` must outlive the session. */
int ntd_session_open(struct ntd_session *session, const struct ntd_config *config,
		     struct ntd_keeper *keeper, struct ntd_error **err);
/* Frees everything; after ntd_session_clean_up(). */
void ntd_session_close(struct ntd_session *session);

/* Starts the VLANs' switches; then makes the configured machines. */
int ntd_session_set_up(struct ntd_session *session, struct ntd_error **err);
/* A machine to be made; what is NULL is the session's. */
struct ntd_new_machine {
	const struct ntd_machine_kind *kind; /* NULL: QEMU's */
	const char *name, *script;
	const char *tmp_dir, *out_dir; /* absolute */
	struct ntd_report *report;     /* outlives the session */
	bool keep_state;
	bool bare; /* without directories: it will never be started */
};

/* Makes a machine that belongs to the session, until its end. */
struct ntd_machine *ntd_session_add_machine(struct ntd_session *session,
					    const struct ntd_new_machine *new,
					    struct ntd_error **err);
/* The machines so far, which live as long as the session; the array is the caller's. Any thread. */
struct ntd_machine **ntd_session_machines(struct ntd_session *session, size_t *count);
/* A report of its own, without sinks, for machines of which this run's does not tell. */
struct ntd_report *ntd_session_new_report(struct ntd_session *session, struct ntd_error **err);
/* ntd_report_settle() and ntd_report_is_settled() for all of its reports. */
void ntd_session_settle(struct ntd_session *session);
bool ntd_session_is_settled(struct ntd_session *session);

/* Starts a VLAN that belongs to the session, below the directory `base` (NULL: the session's).
 * Machines that are started from now on have its QEMU_VDE_SOCKET_n, unless their environment has
 * one. `report` NULL: the session's. */
struct ntd_vlan *ntd_session_add_vlan(struct ntd_session *session, int number, const char *base,
				      struct ntd_report *report, struct ntd_error **err);
/* Takes a VLAN off the list, the last if NULL; returns NULL when it is not there. */
struct ntd_vlan *ntd_session_take_vlan(struct ntd_session *session, const struct ntd_vlan *vlan);
/* Stops a VLAN; nothing if it is NULL, or the session's no more. */
void ntd_session_remove_vlan(struct ntd_session *session, struct ntd_vlan *vlan);

/* Any thread: starts, or starts again; stops. */
void ntd_deadline_start(struct ntd_deadline *deadline);
void ntd_deadline_stop(struct ntd_deadline *deadline);

/* Lifts the limit of the time that the run may take. */
void ntd_session_stop_timer(struct ntd_session *session);

/* Releases every machine and stops the VLANs. Never returns when an abort is under way. */
void ntd_session_clean_up(struct ntd_session *session);
/* Ends the process by `signal` after a clean-up that does not need the calling thread: any thread,
 * loop thread included. `reason` is logged if not NULL. The first call counts. */
void ntd_session_abort(struct ntd_session *session, int signal, const char *reason);
/* Gives the terminal back the mode that it had at the start, unless it is another program's by now:
 * after a prompt or an interactive shell that could not do so itself. */
void ntd_session_restore_terminal(const struct ntd_session *session);
/* The same by an exit status, once the machines are released, when Python does not come to its
 * end. */
void ntd_session_leave(struct ntd_session *session, int status, const char *reason);
/* Tells the report how the run ends; the first call counts. */
void ntd_session_tell_status(struct ntd_session *session, int status);
/* Stops the calling thread for good when an abort is under way. */
void ntd_session_yield_to_abort(struct ntd_session *session);
