/* The table of children: every process the driver starts, each with its own guard (loop/keeper.h).
 *
 * Loop thread only, except ntd_children_new(), ntd_children_close() and ntd_children_free(), which
 * any thread may call.
 */
#pragma once

#include "base/list.h"
#include "loop/keeper.h"
#include "loop/loop.h"

struct ntd_children;

/* A process to be started. All strings are copied; the descriptors still belong to the caller. */
struct ntd_spawn {
	char *const *argv; /* argv[0] is looked up in the environment's PATH */
	char *const *env;
	const char *directory; /* NULL: the driver's */
	int stdin_fd, stdout_fd, stderr_fd;
	/* When the driver is gone, however it ended, the process gets SIGTERM and this many
	 * milliseconds to end, with nobody to read what it writes; then, or at once for 0, it is
	 * killed as by ntd_process_kill_tree(). */
	unsigned grace;
	bool runs_on; /* whenever it is stopped (SIGSTOP), it is continued at once */
};

enum ntd_process_state {
	NTD_PROCESS_STARTING,
	NTD_PROCESS_RUNNING,
	NTD_PROCESS_ENDED, /* the process has ended; its descendants are being killed */
	NTD_PROCESS_GONE,  /* the process and its descendants are gone */
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
	bool doomed;      /* to be killed as soon as it has started */
	int first_signal; /* to be sent as soon as it has started; 0: none */
	int pidfd;
	struct ntd_source guard; /* pidfd of the guard; readable when the guard is gone */
};

/* `keeper` must outlive the table. */
struct ntd_children *ntd_children_new(struct ntd_loop *loop, struct ntd_keeper *keeper,
				      struct ntd_error **err);
/* From now on ntd_process_spawn() fails with NTD_E_CANCELLED. Any thread. */
void ntd_children_close(struct ntd_children *children);
/* Frees the table, from which all processes must have been let go; NULL is allowed. */
void ntd_children_free(struct ntd_children *children);

/* Orders a process to be started; it belongs to the caller until ntd_process_let_go(). `changed` is
 * called with `owner`. NULL with an error when the order cannot be sent; when the process cannot be
 * started, its state becomes NTD_PROCESS_FAILED. */
struct ntd_process *ntd_process_spawn(struct ntd_children *children, const struct ntd_spawn *spawn,
				      void (*changed)(struct ntd_process *, void *), void *owner,
				      struct ntd_error **err);
/* Sends a signal to the process itself, as soon as it has started; nothing happens when it has
 * ended. */
void ntd_process_signal(struct ntd_process *process, int signal);
/* Kills the process and everything below it, at once. */
void ntd_process_kill_tree(struct ntd_process *process);
/* Frees the process, without further callbacks; it and its descendants are killed if they still
 * run. */
void ntd_process_let_go(struct ntd_process *process);

/* "exited with code 3" or "was killed by signal 9 (Killed)"; a new string. */
char *ntd_status_text(int wait_status);
