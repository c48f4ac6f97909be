/* One run: its loop, report, machines and VLANs, its deadline and its end.
 *
 * All machines belong to the session, also machines that scripts make while they run. All of them
 * are released at the end, however the run ends: by ntd_session_clean_up(), or on a thread of its
 * own by ntd_session_abort() when the main thread cannot be waited for.
 *
 * The main thread opens, sets up and closes the session. The headers of the parts say which threads
 * may call what (session/members.h, session/deadline.h, session/ending.h).
 */
#pragma once

#include "report/sinks.h"
#include "session/claim.h"
#include "session/config.h"
#include "session/deadline.h"
#include "session/directories.h"
#include "session/ending.h"
#include "session/members.h"
#include "session/ssh_backdoor.h"
#include "session/summary.h"

struct ntd_session {
	const struct ntd_config *config;
	struct ntd_loop *loop;
	/* How many of the script's threads are in a call into the core, without Python's lock. A
	 * daemon thread may be when Python has ended. */
	_Atomic unsigned calls;
	struct ntd_keeper *keeper;
	struct ntd_children *children;
	struct ntd_report *report;
	struct ntd_sink *terminal, *junit;   /* junit: NULL without a report */
	struct ntd_summary *summary;         /* outlives the session; NULL: none is wanted */
	struct ntd_environment *environment; /* of the processes that it starts */
	struct ntd_claim claim;
	/* why tmp_dir or the sockets are not in the run-time directory itself; else NULL */
	char *elsewhere;
	char *tmp_dir;
	struct ntd_socket_directory sockets;
	int out_fd; /* the output directory, if the user has named one; else -1 */

	struct ntd_members members;
	struct ntd_ssh_backdoor *ssh_backdoor; /* NULL: none */
	struct ntd_deadline deadline;
	struct ntd_ending ending;
};

/* Prepares a run: directories, loop, report with its sinks. To be called before Python starts,
 * since scripts change the environment. The rest must outlive the session; `summary` may be NULL.
 * After an error the session is to be closed all the same. */
int ntd_session_open(struct ntd_session *session, const struct ntd_config *config,
		     struct ntd_keeper *keeper, struct ntd_summary *summary,
		     struct ntd_error **err);
/* Starts the VLANs' switches; then makes the configured machines. */
int ntd_session_set_up(struct ntd_session *session, struct ntd_error **err);
/* Ends the report, and frees the session's parts unless a thread of the script is in a call into
 * the core: then it returns false, and the session and its parts stay until the process exits. */
bool ntd_session_close(struct ntd_session *session);
