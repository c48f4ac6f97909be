/* The inside of struct ntd_machine, for the files that make up its life. */
#pragma once

#include "machine/machine.h"

#include <stdatomic.h>

/* Someone who waits for a change of a machine's life: its start, its shell, its end. */
struct ntd_life_wait {
	struct ntd_request request;
	struct ntd_machine *machine;
	enum ntd_life_wait_kind {
		NTD_WAIT_START,
		NTD_WAIT_CONNECT,
		NTD_WAIT_GONE,
	} kind;
	enum ntd_machine_event event; /* of NTD_WAIT_START */
	char *said;                   /* of NTD_WAIT_CONNECT: what the shell said */
	struct ntd_life_wait *next;
};

struct ntd_machine {
	struct ntd_machine_context context;
	struct ntd_machine_hooks hooks;
	char *name, *script;
	char *tmp_dir, *socket_dir, *out_dir; /* what the context points to */
	bool shellless; /* the guest is known to have no root shell for the driver */
	char *state_dir, *shared_dir, *efi_vars;
	char *monitor_path, *qmp_path, *shell_path;
	char *vsock_guest, *vsock_host; /* NULL: no vsock device */
	struct ntd_console *console;
	struct ntd_shell *shell;
	struct ntd_monitor *monitor;
	struct ntd_qmp *qmp;
	bool keeps_state;

	/* The rest belongs to the loop thread; others may read the state. */
	_Atomic(enum ntd_machine_state) state;
	pid_t pid;
	struct ntd_process *process; /* NULL: none, or nothing of it is left */
	int wait_status;
	bool ended, monitor_prompted, qmp_ready;
	bool announced;  /* a shell has announced itself that nobody has waited for */
	char *said;      /* by that shell */
	ino_t raw_inode; /* of the raw console log; 0: not begun */
	struct ntd_source monitor_listener, shell_listener; /* fd -1: not listening */
	struct ntd_start_order order; /* of the last start that could launch the machine */
	struct ntd_life_wait *waits;
	struct ntd_error *death;        /* why the machine is DEAD */
	char *start_failure;            /* why its process is being ended, if it could not start */
	struct ntd_timer verdict, kill; /* life.c */
	unsigned panic_activity;
	unsigned accelerator_question; /* accelerator.c */
	_Atomic(bool) emulated;        /* by TCG, as far as is known; any thread may read it */
	bool panicked;
};

/* Makes the state directory, emptied first unless `keep_state`, and the shared one. */
int ntd_machine_make_directories(struct ntd_machine *machine, bool keep_state,
				 struct ntd_error **err);
/* Any thread: hands in what `wait` says; ntd_request_wait() is due. */
void ntd_life_begin(struct ntd_machine *machine, struct ntd_life_wait *wait);
/* The same and the waiting. */
int ntd_life_wait(struct ntd_machine *machine, struct ntd_life_wait *wait, int64_t deadline,
		  struct ntd_waiter *waiter, struct ntd_error **err);
/* Loop: feeds an event to the table and carries out the action. Returns it. */
enum ntd_machine_action ntd_life_event(struct ntd_machine *machine, enum ntd_machine_event event);
/* Loop: launches the machine (launch.c). */
void ntd_life_launch(struct ntd_machine *machine);
/* Loop: ends the start with `error`, which it takes. */
void ntd_life_start_failed(struct ntd_machine *machine, struct ntd_error *error);
/* Loop: ends the waits of a kind, with a copy of `error` or successfully. */
void ntd_life_finish_waits(struct ntd_machine *machine, enum ntd_life_wait_kind kind,
			   const struct ntd_error *error);
/* Loop: the callbacks of the machine's parts. */
void ntd_life_process_changed(struct ntd_process *process, void *owner);
void ntd_life_console_panicked(void *owner);
void ntd_life_shell_announced(void *owner, const char *said, size_t len);
void ntd_life_shell_disconnected(void *owner);
/* Loop: closes the connections and the console; what is pending on them fails with a copy of `why`. */
void ntd_life_close(struct ntd_machine *machine, const struct ntd_error *why);
void ntd_life_verdict_expired(struct ntd_timer *timer);
void ntd_life_kill_expired(struct ntd_timer *timer);
/* Loop: SIGTERM to the process, and an end to it all after `grace` ns. */
void ntd_life_terminate(struct ntd_machine *machine, int64_t grace);
