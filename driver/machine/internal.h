/* The inside of struct ntd_machine, for the files that make up its life. */
#pragma once

#include "machine/life_wait.h"

#include <pthread.h>
#include <stdatomic.h>

/* What differs between the kinds of machines; everything else about their lives is written once. */
struct ntd_machine_kind {
	struct ntd_machine_words words;
	const char *const *sockets; /* which of ntd_machine_path() are sockets; ends with NULL */
	const char *sync;           /* see ntd_machine_sync_command() */
	int64_t grace;              /* what a release gives it to end by itself, at least */
	bool shares_console;        /* what the driver runs for it writes to its console, too */
	bool root_writes_state;     /* the guest's root can write anything in the state directory */
	bool is_up_when_booted;     /* for scripts, else when its root shell is there */

	/* Any thread. Makes the parts that only this kind has, and its channels. */
	void *(*make)(struct ntd_machine *machine);
	void (*free)(void *parts);
	/* The place of a path, or NULL. */
	char *_Atomic *(*path)(const struct ntd_machine *machine, const char *which);
	/* NULL: 1. */
	double (*slowness)(const struct ntd_machine *machine);

	/* Script threads. Fills in what of the order is missing. */
	void (*complete_order)(struct ntd_machine *machine, bool allow_reboot,
			       struct ntd_start_order *order);
	/* Logs that a channel has been met, `seconds` after the start; `wait` says which. */
	void (*connected)(struct ntd_machine *machine, const struct ntd_life_wait *wait,
			  double seconds);
	/* Asks a machine that is up or stopping to end; nobody waits for that here. */
	int (*power_off)(struct ntd_machine *machine, struct ntd_waiter *waiter,
			 struct ntd_error **err);
	/* Ends its process at once. NULL: it cannot be ended so. */
	int (*cut_power)(struct ntd_machine *machine, struct ntd_waiter *waiter,
			 struct ntd_error **err);

	/* Loop. Makes what the process needs before it is ordered. */
	int (*prepare)(struct ntd_machine *machine, struct ntd_error **err);
	/* The process has a pid. NULL: nothing is to be done. */
	void (*running)(struct ntd_machine *machine);
	/* The console tells of a kernel panic. NULL: the same. */
	void (*panicked)(struct ntd_machine *machine);
	/* A channel has become ready, or was lost. NULL: the same. */
	void (*channel_ready)(struct ntd_machine *machine);
	void (*channel_lost)(struct ntd_machine *machine);
	/* Closes the connections other than channels; what is pending on them fails with a copy of
	 * `why`. */
	void (*close)(struct ntd_machine *machine, const struct ntd_error *why);
	/* A new string: how its process ended. */
	char *(*how_it_ended)(const struct ntd_machine *machine);
};

struct ntd_machine {
	const struct ntd_machine_kind *kind;
	void *parts; /* of the kind */
	struct ntd_machine_context context;
	pthread_mutex_t mutex; /* guards the next two, and changes of the list of channels */
	struct ntd_machine_hooks hooks;
	/* Texts until others were set: any thread may still be reading them. */
	char **replaced;
	char *name;
	char *_Atomic script;
	char *tmp_dir, *socket_dir; /* what the context points to */
	char *_Atomic out_dir, *_Atomic state_dir, *_Atomic shared_dir;
	struct ntd_console *console;
	struct ntd_channel *_Atomic channels;
	bool keeps_state;
	_Atomic(bool) muted;  /* any thread */
	_Atomic double pace;  /* any thread; see ntd_machine_pace() */
	_Atomic(bool) ending; /* any thread: a script has asked for its end, and has not waited */

	/* The rest belongs to the loop thread; others may read the state. */
	_Atomic(enum ntd_machine_state) state;
	pid_t pid;
	struct ntd_process *process;           /* NULL: none, or nothing of it is left */
	struct ntd_machine_process *processes; /* all so far; see processes.c */
	size_t process_count;
	enum { NTD_AS_IT_IS, NTD_SAID_DOWN, NTD_SAID_UP } booted; /* what a script has set it to */
	int wait_status;
	bool ended;
	ino_t raw_inode;              /* of the raw console log; 0: not begun */
	int raw_fd;                   /* the log itself if it has no name; -1 */
	int console_end;              /* where more processes can write to the console; -1 */
	struct ntd_start_order order; /* of the last start that could launch the machine */
	struct ntd_list waits;
	struct ntd_error *death; /* why the machine is DEAD */
	char *start_failure;     /* why its process is being ended, if it could not start */
	struct ntd_timer kill;   /* life.c */
};

/* How much of the console an error about the machine shows. */
enum { NTD_TAIL_LINES = 20 };

/* Any thread. */
struct ntd_machine_hooks ntd_machine_hooks(struct ntd_machine *machine);
/* Those for what the thread does, none unless it is a script's. */
struct ntd_machine_hooks ntd_machine_hooks_for(struct ntd_machine *machine,
					       const struct ntd_waiter *waiter);
/* Makes the state directory, emptied first unless `keep_state`, and the shared one. */
int ntd_machine_make_directories(struct ntd_machine *machine, bool keep_state,
				 struct ntd_error **err);
/* Any thread: a line about the machine's life, unless the machine is muted. */
void ntd_machine_say(struct ntd_machine *machine, const char *fmt, ...) ntd_printf(2, 3);
/* A new socket of that type at `path`, in place of what is there. */
int ntd_machine_bind(int type, const char *path, struct ntd_error **err);
/* Sets a text that any thread may be reading; NULL: there is none. */
void ntd_machine_replace(struct ntd_machine *machine, char *_Atomic *text, const char *with);

/* ---- channels.c; loop */
/* A channel that has become ready, and that nobody has been told of; NULL: there is none. */
struct ntd_channel *ntd_channels_unmet(const struct ntd_machine *machine);
/* Of all channels nobody need be told any more. */
void ntd_channels_meet(struct ntd_machine *machine);
/* The guest cannot be reached by the channel until it is ready again. */
void ntd_channel_withdraw(struct ntd_channel *channel);
void ntd_channels_close(struct ntd_machine *machine, const struct ntd_error *why);
/* When the guest last said something on one of them; 0: it did not. */
int64_t ntd_channels_heard(const struct ntd_machine *machine);
void ntd_channels_forget(struct ntd_machine *machine);

/* ---- launch.c; loop */
/* Orders the machine's process, which calls `changed`. */
int ntd_launch(struct ntd_machine *machine,
	       void (*changed)(struct ntd_process *process, void *owner), struct ntd_error **err);

/* ---- life.c */
/* Loop: feeds an event to the table and carries out the action. Returns it. */
enum ntd_machine_action ntd_life_event(struct ntd_machine *machine, enum ntd_machine_event event);
/* Any other thread: the same by the loop. */
void ntd_life_feed(struct ntd_machine *machine, enum ntd_machine_event event);
/* Whether a script has said that it is down, though something of it may run. */
bool ntd_life_is_disowned(const struct ntd_machine_status *status);
/* Loop: ends the start with `error`, which it takes. */
void ntd_life_start_failed(struct ntd_machine *machine, struct ntd_error *error);
/* Loop: ends the waits of a kind, with a copy of `error` or successfully. */
void ntd_life_finish_waits(struct ntd_machine *machine, enum ntd_life_wait_kind kind,
			   const struct ntd_error *error);
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
