/* The table of children: every process the driver starts, each with its own guard (loop/keeper.h).
 *
 * Loop thread only, but for ntd_children_new(), _close() and _free().
 */
#pragma once

#include "base/list.h"
#include "loop/keeper.h"
#include "loop/loop.h"

struct ntd_children;

/* What to start. All strings are copied. The descriptors stay the caller's. */
struct ntd_spawn {
	char *const *argv; /* argv[0] is looked up in the environment's PATH */
	char *const *env;
	const char *directory; /* NULL: the driver's */
	int stdin_fd, stdout_fd, stderr_fd;
	/* When the driver is gone, however it ended, the process gets SIGTERM and this many
	 * milliseconds to end, with what it writes going nowhere; then, or at once for 0, it is
	 * killed as by ntd_process_kill_tree(). */
	unsigned grace;
	bool runs_on; /* when it is stopped (SIGSTOP) it is continued at once */
};

enum ntd_process_state {
	NTD_PROCESS_STARTING,
	NTD_PROCESS_RUNNING,
	NTD_PROCESS_ENDED, /* the process has ended; its descendants are being killed */
	NTD_PROCESS_GONE,  /* nothing of it is left */
	NTD_PROCESS_FAILED /* could not be started */
};

struct ntd_process {
	/* Called after each change of state. The callback may let go of the process. */
	void (*changed)(struct ntd_process *process, void *owner);
	void *owner;
	enum ntd_process_state state;
	pid_t pid;
	int status;      /* wait status, when ended */
	int start_errno; /* when failed */
	struct ntd_children *children;
	struct ntd_list_link link; /* in the table */
	uint32_t id;
	bool doomed;      /* to be killed when it has started */
	int first_signal; /* to be sent then; 0: none */
	int pidfd;
	struct ntd_source guard; /* readable when the guard has gone */
};

/* `keeper` must outlive the table. */
struct ntd_children *ntd_children_new(struct ntd_loop *loop, struct ntd_keeper *keeper,
				      struct ntd_error **err);
/* From now on nothing can be started: NTD_E_CANCELLED. Any thread. */
void ntd_children_close(struct ntd_children *children);
/* All processes must have been let go of. */
void ntd_children_free(struct ntd_children *children);

/* Orders a process to be started; it belongs to the caller until ntd_process_let_go(). */
struct ntd_process *ntd_process_spawn(struct ntd_children *children, const struct ntd_spawn *spawn,
				      void (*changed)(struct ntd_process *, void *), void *owner,
				      struct ntd_error **err);
/* Sends a signal to the process itself, as soon as it has started; no-op when it has ended. */
void ntd_process_signal(struct ntd_process *process, int signal);
/* Kills the process and everything below it, at once. */
void ntd_process_kill_tree(struct ntd_process *process);
/* Forgets the process: no more callbacks. What still runs of it is killed. */
void ntd_process_let_go(struct ntd_process *process);

/* "exited with code 3" or "was killed by signal 9 (Killed)"; a new string. */
char *ntd_status_text(int wait_status);
