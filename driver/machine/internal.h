/* The inside of struct ntd_machine, for the files that make up its life. */
#pragma once

#include "machine/machine.h"

#include <pthread.h>
#include <stdatomic.h>

/* Someone who waits for a change of a machine's life: its start, its shell, its end. */
struct ntd_life_wait {
	struct ntd_request request;
	struct ntd_machine *machine;
	enum ntd_life_wait_kind {
		NTD_WAIT_START,
		NTD_WAIT_CONNECT,
		NTD_WAIT_GONE,
		NTD_WAIT_PROCESS, /* the process itself has ended */
	} kind;
	unsigned process; /* of NTD_WAIT_PROCESS, NTD_WAIT_GONE (0: the present one): its number */
	enum ntd_machine_event event; /* of NTD_WAIT_START */
	char *said;                   /* of NTD_WAIT_CONNECT: what the shell said */
	bool joins;                   /* of NTD_WAIT_START: waits for one that has begun */
	struct ntd_life_wait *next;
};

/* What differs between the kinds of machines; everything else about their lives is written once. */
struct ntd_machine_kind {
	const char *type;           /* what scripts call it */
	const char *const *sockets; /* which of ntd_machine_socket_path() it has; ends with NULL */
	const char *boot_step, *end_step;
	const char *late_start; /* what has not happened when a start takes too long */
	const char *late_shell; /* the same of a boot */
	/* What the log says of a boot that takes long, before the last line of the console. */
	const char *no_shell;
	int64_t grace;          /* what a release gives it to end by itself, at least */
	bool shares_console;    /* what the driver runs for it writes to its console, too */
	bool root_writes_state; /* the guest's root can write anything in the state directory */
	bool is_up_when_booted; /* for scripts, else when its root shell is there */

	/* Script threads. Fills in what of the order is missing. */
	void (*complete_order)(struct ntd_machine *machine, bool allow_reboot,
			       struct ntd_start_order *order);
	/* Its root shell has been met, after `seconds`, and may have said something (NULL:
	 * nothing). */
	void (*connected)(struct ntd_machine *machine, const char *said, double seconds);
	/* Asks a machine that is up or stopping to end; nobody waits for that here. */
	int (*power_off)(struct ntd_machine *machine, struct ntd_waiter *waiter,
			 struct ntd_error **err);
	struct ntd_channel *(*channel)(struct ntd_machine *machine);

	/* Loop. Makes what the process needs before it is ordered. */
	int (*prepare)(struct ntd_machine *machine, struct ntd_error **err);
	/* The process has a pid. NULL: nothing is to be done. */
	void (*running)(struct ntd_machine *machine);
	/* The console tells of a kernel panic. NULL: the same. */
	void (*panicked)(struct ntd_machine *machine);
	/* Closes the connections; what is pending on them fails with a copy of `why`. */
	void (*close)(struct ntd_machine *machine, const struct ntd_error *why);
	/* A new string: how its process ended. */
	char *(*how_it_ended)(const struct ntd_machine *machine);

	/* Any thread: its parts. */
	void (*make)(struct ntd_machine *machine);
	void (*free)(struct ntd_machine *machine);
};

struct ntd_machine {
	const struct ntd_machine_kind *kind;
	struct ntd_machine_context context;
	pthread_mutex_t mutex; /* guards the next two */
	struct ntd_machine_hooks hooks;
	/* directories until another was set: whoever asked for one may be reading it */
	char **replaced;
	char *name;
	char *_Atomic script;
	char *tmp_dir, *socket_dir; /* what the context points to */
	char *_Atomic out_dir;
	atomic_bool shellless; /* the guest is known to have no root shell for the driver */
	char *_Atomic state_dir, *_Atomic shared_dir;
	char *_Atomic efi_vars;
	char *_Atomic monitor_path, *_Atomic qmp_path, *_Atomic shell_path;
	char *notify_path;
	char *_Atomic vsock_guest, *_Atomic vsock_host; /* NULL: no vsock device */
	struct ntd_console *console;
	struct ntd_shell *shell;
	struct ntd_monitor *monitor;
	struct ntd_qmp *qmp;
	struct ntd_container *container; /* NULL: not one */
	bool keeps_state;

	/* The rest belongs to the loop thread; others may read the state. */
	_Atomic(enum ntd_machine_state) state;
	pid_t pid;
	struct ntd_process *process;           /* NULL: none, or nothing of it is left */
	struct ntd_machine_process *processes; /* all so far; see processes.c */
	size_t process_count;
	enum { NTD_AS_IT_IS, NTD_SAID_DOWN, NTD_SAID_UP } booted; /* what a script has set it to */
	int wait_status;
	bool ended, monitor_prompted, qmp_ready;
	bool announced;  /* a shell has announced itself that nobody has waited for */
	char *said;      /* by that shell */
	ino_t raw_inode; /* of the raw console log; 0: not begun */
	int raw_fd;      /* the log itself if it has no name; -1 */
	int console_end; /* where more processes can write to the console; -1 */
	struct ntd_source monitor_listener, shell_listener; /* fd -1: not listening */
	struct ntd_start_order order; /* of the last start that could launch the machine */
	struct ntd_life_wait *waits;
	struct ntd_error *death;        /* why the machine is DEAD */
	char *start_failure;            /* why its process is being ended, if it could not start */
	struct ntd_timer verdict, kill; /* life.c */
	int64_t panic_heard;            /* when the shell had last said something before a panic */
	unsigned accelerator_question;  /* accelerator.c */
	_Atomic(bool) emulated;         /* by TCG, as far as is known; any thread may read it */
	/* Any thread: seconds that the guest has taken lately for the shortest of its commands; 0:
	 * none yet. */
	_Atomic double pace;
	bool panicked;
	_Atomic(bool) muted; /* any thread */
	/* any thread: a script has asked for its end, and not waited for it yet */
	_Atomic(bool) ending;
};

/* Any thread. */
struct ntd_machine_hooks ntd_machine_hooks(struct ntd_machine *machine);
/* Those for what the thread does, none unless it is a script's. */
struct ntd_machine_hooks ntd_machine_hooks_for(struct ntd_machine *machine,
					       const struct ntd_waiter *waiter);
/* What comes before each command and monitor command. */
int ntd_machine_before_command(struct ntd_machine *machine, struct ntd_waiter *waiter,
			       struct ntd_error **err);
/* Makes the state directory, emptied first unless `keep_state`, and the shared one. */
int ntd_machine_make_directories(struct ntd_machine *machine, bool keep_state,
				 struct ntd_error **err);
/* Any thread: a line about the machine's life, unless the machine is muted. */
void ntd_machine_say(struct ntd_machine *machine, const char *fmt, ...) ntd_printf(2, 3);
/* A new socket of that type at `path`, in place of what is there. */
int ntd_machine_bind(int type, const char *path, struct ntd_error **err);
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
/* Loop: the callback of the machine's process. */
void ntd_life_process_changed(struct ntd_process *process, void *owner);
/* Loop: commands can be run from now on. */
void ntd_life_announce(struct ntd_machine *machine);
/* Loop: a new string: what ended it, and what was last on the console. */
struct ntd_error *ntd_life_obituary(struct ntd_machine *machine, const char *how);
/* Loop: closes the connections and the console; what is pending on them fails with a copy of
 * `why`. */
void ntd_life_close(struct ntd_machine *machine, const struct ntd_error *why);
/* ---- boot_limit.c; script threads */
/* When to give up on a start, or on a boot, that began at `began`, as it is at present. */
int64_t ntd_boot_deadline(struct ntd_machine *machine, int64_t began);
/* That limit for messages, a new string: "300 seconds of silence". */
char *ntd_boot_limit_text(const struct ntd_machine *machine);
/* Logs that a boot takes long, with what the console said last. */
void ntd_boot_tell(struct ntd_machine *machine);
/* ---- processes.c; loop */
void ntd_processes_add(struct ntd_machine *machine, pid_t pid);
void ntd_processes_end(struct ntd_machine *machine, int wait_status);
bool ntd_processes_has_ended(const struct ntd_machine *machine, unsigned number);
void ntd_processes_free(struct ntd_machine *machine);
/* Loop: what scripts see as booted. */
bool ntd_life_booted(const struct ntd_machine *machine);
void ntd_life_kill_expired(struct ntd_timer *timer);
/* Loop: SIGTERM to the process, and an end to it all after `grace` ns. */
void ntd_life_terminate(struct ntd_machine *machine, int64_t grace);
