/* The inside of struct ntd_machine and of its kinds, for the files of this room. */
#pragma once

#include "base/vec.h"
#include "machine/life_wait.h"

#include <pthread.h>
#include <stdatomic.h>

/* What differs between the kinds of machines; everything else about their lives is written once. */
struct ntd_machine_kind {
	struct ntd_machine_words words;
	const char *const *sockets; /* which of ntd_machine_path() are sockets; ends with NULL */
	const char *sync;           /* see ntd_machine_sync_command() */
	int64_t grace; /* ns that a release gives the machine to end by itself, at least */
	/* Processes that the driver runs for the machine write to its console, too. */
	bool shares_console;
	bool root_writes_state; /* the guest's root can write anything in the state directory */
	bool is_up_when_booted; /* scripts can use it when it runs; else when a channel is ready */
	const char *no_snapshots; /* why it has none; NULL: it has */

	/* Any thread. Makes the parts that only this kind has, and its channels. */
	void *(*make)(struct ntd_machine *machine);
	void (*free)(void *parts);
	/* Where the path called `which` is kept; NULL: the kind has no such path. */
	char *_Atomic *(*path)(const struct ntd_machine *machine, const char *which);
	/* See ntd_machine_slowness(). NULL: 1. */
	double (*slowness)(const struct ntd_machine *machine);

	/* Script threads, as are the next functions. Fills in the members of the order that are
	 * NULL. */
	void (*complete_order)(struct ntd_machine *machine, bool allow_reboot,
			       struct ntd_start_order *order);
	/* Logs that a channel is ready, `seconds` after the start was complete; `wait` says which
	 * channel. */
	void (*connected)(struct ntd_machine *machine, const struct ntd_life_wait *wait,
			  double seconds);
	/* Asks a machine that is up or stopping to end, and does not wait for the end. */
	int (*power_off)(struct ntd_machine *machine, struct ntd_waiter *waiter,
			 struct ntd_error **err);
	/* Ends its process at once. NULL: it cannot be ended so. */
	int (*cut_power)(struct ntd_machine *machine, struct ntd_waiter *waiter,
			 struct ntd_error **err);
	/* What a boot is waited for if it is not what the words say, such as "sshd at
	 * 127.0.0.1:40123", a new string; NULL: the words are right. The operation itself is NULL
	 * if they always are. */
	char *(*awaited)(const struct ntd_machine *machine);

	/* Loop, as are the next functions. Makes what the process needs before it is ordered. */
	int (*prepare)(struct ntd_machine *machine, struct ntd_error **err);
	/* Called when the machine has another report. NULL: nothing is to be done. */
	void (*report_changed)(struct ntd_machine *machine);
	/* Called when the process has a pid. NULL: nothing is to be done. */
	void (*running)(struct ntd_machine *machine);
	/* Called when the console tells of a kernel panic. NULL: nothing is to be done. */
	void (*panicked)(struct ntd_machine *machine);
	/* Called when a channel has become ready, or was lost. NULL: nothing is to be done. */
	void (*channel_ready)(struct ntd_machine *machine);
	void (*channel_lost)(struct ntd_machine *machine, struct ntd_channel *channel);
	/* Closes the connections other than channels; what is pending on them fails with a copy of
	 * `why`. */
	void (*close)(struct ntd_machine *machine, const struct ntd_error *why);
	/* How the machine's process ended, a new string. The console has been read to its end. */
	char *(*how_it_ended)(const struct ntd_machine *machine);
	/* The text of ntd_machine_remark(), a new string; NULL when nothing is known. The operation
	 * itself is NULL if the kind never knows anything. */
	char *(*remark)(const struct ntd_machine *machine, int64_t since);
};

/* A variable in the environment of a machine's start script. */
struct ntd_machine_variable {
	char *name, *value;
};

struct ntd_machine {
	const struct ntd_machine_kind *kind;
	void *parts; /* of the kind */
	struct ntd_machine_context context;
	pthread_mutex_t mutex; /* guards the next two, and changes of the list of channels */
	struct ntd_machine_hooks hooks;
	/* Texts in whose place others were set; other threads may still be reading them. Ends with
	 * NULL. */
	char **replaced;
	char *name;
	char *_Atomic script;
	char *tmp_dir, *socket_dir; /* what the context points to */
	char *_Atomic out_dir, *_Atomic state_dir, *_Atomic shared_dir;
	struct ntd_console *console;
	/* The most preferred channel, which leads to the others. */
	struct ntd_channel *_Atomic channels;
	bool keeps_state;
	_Atomic(bool) muted; /* any thread */
	_Atomic double pace; /* any thread; see ntd_machine_pace() */
	/* Any thread: a script has asked for the machine's end, and has not waited for it. */
	_Atomic(bool) ending;

	atomic_uint users; /* any thread: of the guest; see use.c */
	atomic_uint
		restores; /* any thread: how often the guest has begun to go back to a snapshot */
	atomic_bool claimed; /* any thread: a thread saves or restores the machine's snapshots */
	bool allow_reboot;   /* script threads: of the last start */
	ntd_vec(struct ntd_machine_variable) variables; /* set before the first start */

	/* The rest belongs to the loop thread; others may read the state. */
	_Atomic(enum ntd_machine_state) state;
	pid_t pid;
	struct ntd_process *process;                   /* NULL: none, or nothing of it is left */
	ntd_vec(struct ntd_machine_process) processes; /* all so far; see processes.c */
	enum { NTD_AS_IT_IS, NTD_SAID_DOWN, NTD_SAID_UP } booted; /* what a script has said */
	int wait_status;
	bool ended;
	ino_t raw_inode; /* of the raw console log; 0: not begun */
	/* The raw console log if it has no name; -1: it has one, or is not begun. */
	int raw_fd;
	int console_end;              /* where more processes can write to the console; -1 */
	struct ntd_start_order order; /* of the last start that could launch the machine */
	/* The waits that have not ended, struct ntd_life_wait. */
	struct ntd_list waits;
	struct ntd_error *death;   /* why the machine is DEAD */
	int64_t boot_began;        /* when the boot that goes on began; 0: none does */
	_Atomic int64_t boot_time; /* see ntd_machine_boot_time() */
	char *start_failure;       /* why its process is being ended, if it could not start */
	/* Kills what a release has left of the process. */
	struct ntd_timer kill;
};

/* How much of the console an error about the machine shows. */
enum { NTD_TAIL_LINES = 20 };

/* Any thread. */
struct ntd_machine_hooks ntd_machine_hooks(struct ntd_machine *machine);
/* The hooks for what a thread with that waiter does: none unless the waiter has an owner. */
struct ntd_machine_hooks ntd_machine_hooks_for(struct ntd_machine *machine,
					       const struct ntd_waiter *waiter);
/* Makes the state directory, emptied first unless `keep_state`, and the shared directory. */
int ntd_machine_make_directories(struct ntd_machine *machine, bool keep_state,
				 struct ntd_error **err);
/* Any thread: a line about the machine's life, unless the machine is muted. */
void ntd_machine_say(struct ntd_machine *machine, const char *fmt, ...) ntd_printf(2, 3);
/* Sets a text that any thread may be reading; NULL: there is none. Any thread. */
void ntd_machine_replace(struct ntd_machine *machine, char *_Atomic *text, const char *with);

/* ---- channels.c; loop */
/* The first channel that has become ready and of which no thread has been told; NULL: there is
 * none. */
struct ntd_channel *ntd_channels_unmet(const struct ntd_machine *machine);
/* Takes note that no thread need be told any more of channels that have become ready. */
void ntd_channels_meet(struct ntd_machine *machine);
/* Takes note that the guest is about to reboot: channels that became ready so far do not count. */
void ntd_channels_reboot(struct ntd_machine *machine);
/* Takes note that a channel is not ready any more. */
void ntd_channel_withdraw(struct ntd_channel *channel);
/* Closes all channels; what is pending on them fails with a copy of `why`. */
void ntd_channels_close(struct ntd_machine *machine, const struct ntd_error *why);
/* Takes note of why a channel does not let the driver in; NULL: it is tried again. */
void ntd_channel_refused(struct ntd_channel *channel, const struct ntd_error *why);
/* The error of the first channel if the guest lets the driver in by none; NULL: one may still
 * become ready. */
const struct ntd_error *ntd_channels_refusal(const struct ntd_machine *machine);
/* Whether one of the channels can run commands. */
bool ntd_channels_ready(const struct ntd_machine *machine);
/* When the guest last wrote to one of the channels, a time of ntd_now(); 0: never. */
int64_t ntd_channels_heard(const struct ntd_machine *machine);
/* Frees what the channels have of the machine, which is being freed. */
void ntd_channels_forget(struct ntd_machine *machine);

/* ---- launch.c; loop */
/* Orders the machine's process; `changed` is called after each change of the process. */
int ntd_launch(struct ntd_machine *machine,
	       void (*changed)(struct ntd_process *process, void *owner), struct ntd_error **err);

/* ---- life.c */
/* Loop: feeds an event to the table, carries out the action and returns it. */
enum ntd_machine_action ntd_life_event(struct ntd_machine *machine, enum ntd_machine_event event);
/* Any other thread: has the loop thread do the same. */
void ntd_life_feed(struct ntd_machine *machine, enum ntd_machine_event event);
/* Whether a script has said that the machine is down, though it is up. */
bool ntd_life_is_disowned(const struct ntd_machine_status *status);
/* Loop: ends the start of a machine, and its process, with `error`, which this function takes. */
void ntd_life_start_failed(struct ntd_machine *machine, struct ntd_error *error);
/* Loop: ends the waits of that kind: with a copy of `error`; NULL: with success. */
void ntd_life_finish_waits(struct ntd_machine *machine, enum ntd_life_wait_kind kind,
			   const struct ntd_error *error);
/* Loop: takes note that a channel is ready, if a thread waits for one. */
void ntd_life_announce(struct ntd_machine *machine);
/* Loop: a new error, NTD_E_DEAD: `how` the machine ended, and the last lines of its console. */
struct ntd_error *ntd_life_obituary(struct ntd_machine *machine, const char *how);
/* Loop: closes the connections and the console; what is pending on them fails with a copy of
 * `why`. */
void ntd_life_close(struct ntd_machine *machine, const struct ntd_error *why);
/* Loop: ends the waits for the last user of the guest if there is none. */
void ntd_life_unused(struct ntd_machine *machine);
/* Waits until no thread uses the guest. Script threads, while the machine is SAVING or
 * RESTORING. */
int ntd_machine_wait_unused(struct ntd_machine *machine, int64_t deadline,
			    struct ntd_waiter *waiter, struct ntd_error **err);
/* ---- control.c; script threads */
/* Starts a machine that does not run, with a guest that stands still; the machine is RESTORING. */
int ntd_life_start_stopped(struct ntd_machine *machine, struct ntd_waiter *waiter,
			   struct ntd_error **err);
/* The same in two parts, with `options` for QEMU, each word after a space. The second part may be
 * on another thread, and follows every first part that has succeeded. */
int ntd_life_begin_stopped(struct ntd_machine *machine, const char *options,
			   struct ntd_life_wait *wait, struct ntd_waiter *waiter,
			   struct ntd_error **err);
int ntd_life_finish_stopped(struct ntd_machine *machine, struct ntd_life_wait *wait,
			    struct ntd_waiter *waiter, struct ntd_error **err);
/* ---- boot_limit.c; script threads */
/* When a start, or a boot, that began at `began` is given up, as things are at present. Times of
 * ntd_now(). */
int64_t ntd_boot_deadline(struct ntd_machine *machine, int64_t began);
/* The limit behind that for messages, a new string: "300 seconds of silence". */
char *ntd_boot_limit_text(const struct ntd_machine *machine);
/* Logs that a boot, which began at `began`, takes long: for how long, whether the guest is
 * emulated, and what the console said last. */
void ntd_boot_tell(struct ntd_machine *machine, int64_t began);
/* Returns -1 and an error if the guest has said that it will not start the root shell. */
int ntd_boot_given_up(struct ntd_machine *machine, struct ntd_error **err);
/* ---- processes.c; loop */
/* Adds the process that has just been started. */
void ntd_processes_add(struct ntd_machine *machine, pid_t pid);
/* Takes note of the end of the last process. */
void ntd_processes_end(struct ntd_machine *machine, int wait_status);
/* Whether the process with that number has ended; true if there is none. */
bool ntd_processes_has_ended(const struct ntd_machine *machine, unsigned number);
void ntd_processes_free(struct ntd_machine *machine);
/* ---- life.c, for the other files of this room */
/* Loop: whether scripts see the machine as booted. */
bool ntd_life_booted(const struct ntd_machine *machine);
/* Called when the machine's `kill` timer expires. */
void ntd_life_kill_expired(struct ntd_timer *timer);
/* Loop: sends SIGTERM to the process, and kills what is left of it after `grace` ns. */
void ntd_life_terminate(struct ntd_machine *machine, int64_t grace);
