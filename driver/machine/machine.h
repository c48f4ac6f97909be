/* A machine: a virtual machine of QEMU, or a container. Functions with a waiter block a script
 * thread (loop/request.h), and fail with NTD_E_CANCELLED when the thread is interrupted. The others
 * are for any thread but the loop thread, or for any thread where they say so. Errors name the
 * machine. What only one kind of machine has is in machine/qemu.h and machine/container.h.
 */
#pragma once

#include "base/environment.h"
#include "channel/channel.h"
#include "console/console.h"
#include "loop/process.h"
#include "machine/state.h"
#include "report/report.h"

struct ntd_machine;
struct ntd_machine_kind;

/* What a kind of machine is called, and what the log and errors say of its life. */
struct ntd_machine_words {
	const char *type;       /* the class in scripts */
	const char *process;    /* the process that runs it */
	const char *program;    /* the program of that process */
	const char *boot_step;  /* the step of a wait for its boot */
	const char *end_step;   /* the step of a wait for its end */
	const char *late_start; /* what has not happened when a start takes too long */
	const char *late_boot;  /* what has not happened when a boot takes too long */
	const char *slow_boot;  /* of a boot that takes long, before the console's last line */
	const char *unbooted;   /* why the machine cannot be asked anything before its boot */
};

extern const struct ntd_machine_kind ntd_qemu_kind;      /* machine/qemu_kind.c */
extern const struct ntd_machine_kind ntd_container_kind; /* machine/container_kind.c */

/* A time scale that follows the accelerator: NTD_SCALE_TCG where QEMU emulates the processor, else
 * 1. */
#define NTD_SCALE_AUTO 0.0
#define NTD_SCALE_TCG 4.0

/* The default of `boot_silence`, in seconds. */
#define NTD_BOOT_SILENCE 300

/* What a machine needs of the run that it belongs to. The machine copies the structure and the
 * directories' names; the other pointers must outlive the machine. */
struct ntd_machine_context {
	struct ntd_loop *loop;
	struct ntd_children *children;
	struct ntd_report *_Atomic report;
	struct ntd_environment *environment; /* of its processes, where no hook gives another */
	const char *tmp_dir;                 /* run-time base: state directories are made here */
	const char *socket_dir;      /* tmp_dir, or another where that is too long for AF_UNIX */
	const char *_Atomic out_dir; /* where files for the user go; the machine's may be changed */
	/* At the end, the keeper copies the raw console log, console.log in the state directory, to
	 * console-logs/NAME.log below the directory of the descriptor out_fd. NULL: nothing copies
	 * it. */
	const struct ntd_keeper *keeper;
	int out_fd;
	/* Seconds for a machine to start, and again to boot; the machine's may be changed. 0: the
	 * driver gives the machine up when it has printed nothing for `boot_silence` seconds, or
	 * four times as many where QEMU emulates the processor. */
	_Atomic double boot_timeout;
	double boot_silence;
	double time_scale; /* stretches the time-outs of waits; NTD_SCALE_AUTO */
	bool no_agent;     /* the driver starts no agent in guests */
};

/* What a start runs: a line for /bin/sh -c and its whole environment. */
struct ntd_start_order {
	char *line, **env;
};

/* What the embedding adds to a machine. Hooks are called on script threads, whose waiter has an
 * owner; what other threads do goes on without hooks. */
struct ntd_machine_hooks {
	/* Called before each command and monitor command, which fails if the hook fails. */
	int (*before_command)(void *owner, struct ntd_waiter *waiter, struct ntd_error **err);
	/* Returns a new environment for the start script; NULL: the environment that the driver was
	 * started with. */
	char **(*environment)(void *owner);
	/* Called before a start, which fails if the hook fails. Fills in the members of `order`
	 * that are not to have their default. */
	int (*start_command)(void *owner, bool allow_reboot, struct ntd_start_order *order,
			     struct ntd_waiter *waiter, struct ntd_error **err);
	void *owner;
};

/* Makes a machine that is DOWN, and its state directory (mode 0700), emptied first unless
 * `keep_state`. `name` is as the user gave it; `script` is the shell command that starts the
 * machine. */
struct ntd_machine *ntd_machine_new(const struct ntd_machine_context *context,
				    const struct ntd_machine_kind *kind, const char *name,
				    const char *script, bool keep_state, struct ntd_error **err);
/* Makes a machine without any directory, which will never be started. */
struct ntd_machine *ntd_machine_new_bare(const struct ntd_machine_context *context,
					 const struct ntd_machine_kind *kind, const char *name,
					 const char *script);
/* Sets the hooks, which are copied, for the calls that begin from now on. */
void ntd_machine_set_hooks(struct ntd_machine *machine, const struct ntd_machine_hooks *hooks);
/* Sets a variable in the environment of the machine's start script, before the first start. */
void ntd_machine_set_variable(struct ntd_machine *machine, const char *name, const char *value);
/* Sets in a new machine what has been set in another one. */
void ntd_machine_copy_variables(struct ntd_machine *machine, const struct ntd_machine *from);
/* Frees a machine that has been released and that no thread waits for, or NULL. */
void ntd_machine_free(struct ntd_machine *machine);

/* ---- what it is. Strings belong to the machine and stay valid as long as it does, even when
 * others are set. Any thread. */
const struct ntd_machine_kind *ntd_machine_kind(const struct ntd_machine *machine);
const struct ntd_machine_words *ntd_machine_words(const struct ntd_machine *machine);
const char *ntd_machine_name(const struct ntd_machine *machine);
const struct ntd_machine_context *ntd_machine_context(const struct ntd_machine *machine);
const char *ntd_machine_state_dir(const struct ntd_machine *machine);
/* Set the machine's directories, for what uses them from now on; the names are copied. */
void ntd_machine_set_state_dir(struct ntd_machine *machine, const char *directory);
void ntd_machine_set_shared_dir(struct ntd_machine *machine, const char *directory);
void ntd_machine_set_out_dir(struct ntd_machine *machine, const char *directory);
bool ntd_machine_keeps_state(const struct ntd_machine *machine);
/* Sets the seconds for the machine to start, and again to boot; see the context. */
void ntd_machine_set_boot_timeout(struct ntd_machine *machine, double seconds);
const char *ntd_machine_shared_dir(const struct ntd_machine *machine);
const char *ntd_machine_script(const struct ntd_machine *machine);
/* The path that is called `which`: of a QEMU machine the sockets "monitor", "qmp" and "shell" and
 * the file "efi_vars", which may be missing; of a container the socket "notify". NULL: the
 * machine's kind has no such path. */
const char *ntd_machine_path(const struct ntd_machine *machine, const char *which);
/* Sets such a path, or the start script if `which` is "script", for starts from now on. */
void ntd_machine_set_path(struct ntd_machine *machine, const char *which, const char *path);
/* Sends the machine's messages and its console to another report from now on. Not for the loop
 * thread. */
void ntd_machine_set_report(struct ntd_machine *machine, struct ntd_report *report);
/* Registers the machine's sockets with the keeper, which unlinks them when the driver exits. */
void ntd_machine_sweep_sockets(const struct ntd_machine *machine, const struct ntd_keeper *keeper);
/* The console lives as long as the machine. */
struct ntd_console *ntd_machine_console(struct ntd_machine *machine);
/* How many times longer the guest takes for its work than the host's own processor would. */
double ntd_machine_slowness(const struct ntd_machine *machine);
/* The factor for time-outs of waits at present; an automatic one is 1 until the accelerator is
 * known. */
double ntd_machine_time_scale(const struct ntd_machine *machine);

/* Seconds that the guest has taken lately for the shortest of its commands; 0: it has run none. */
double ntd_machine_pace(const struct ntd_machine *machine);
/* Takes note that a command took `seconds`. */
void ntd_machine_note_pace(struct ntd_machine *machine, double seconds);

/* ---- its channels (machine/channels.c), in order of preference. CONNECTED means that one is
 * ready. Any thread. */
enum ntd_channel_want {
	NTD_CHANNEL_ANY,    /* commands */
	NTD_CHANNEL_WAY_IN, /* commands, by a channel that needs no other to become ready */
	NTD_CHANNEL_FILES,  /* put and get */
};

/* Adds a channel as the last in the order, for the machine's user. The caller frees it after the
 * machine. */
void ntd_machine_add_channel(struct ntd_machine *machine, struct ntd_channel *channel);
/* The first channel that is ready and can do what is wanted. When none is ready: for commands, the
 * first channel that the guest may have, whose error says why it is not ready; else NULL. */
struct ntd_channel *ntd_machine_channel(struct ntd_machine *machine, enum ntd_channel_want want);
/* The channel that commands get, if it can wait, too (its operation `await`) and sees all that is
 * to be seen: a machine's user may not. Else NULL. */
struct ntd_channel *ntd_machine_waiting_channel(struct ntd_machine *machine);
/* Has the channels that need other ones made ready, if that is possible, before one of all channels
 * is picked for the work of a script. Fails only when the thread is to stop waiting. */
int ntd_machine_prepare_channels(struct ntd_machine *machine, struct ntd_waiter *waiter,
				 struct ntd_error **err);
/* Whether the guest may have a channel that can do what is wanted, ready or not. */
bool ntd_machine_has_channel(const struct ntd_machine *machine, enum ntd_channel_want want);
/* Sets the user as whom the guest runs the commands of scripts; NULL: root. Commands of the
 * driver's own are run as root. */
void ntd_machine_set_user(struct ntd_machine *machine, const char *user);
const char *ntd_machine_user(const struct ntd_machine *machine);

/* ---- its state */
/* A machine's state at a moment. */
struct ntd_machine_status {
	enum ntd_machine_state state;
	bool booted; /* as scripts see the machine */
	pid_t pid;   /* 0: none */
	/* How many processes the machine has had, which is the number of the last. */
	unsigned starts;
	bool ended;      /* the last process has ended */
	int wait_status; /* then */
};

/* Asks the loop thread for the state. */
struct ntd_machine_status ntd_machine_status(struct ntd_machine *machine);
/* Any thread: the state alone, as it was a moment ago, without asking the loop thread. */
enum ntd_machine_state ntd_machine_state(const struct ntd_machine *machine);
/* Any thread: how long the last boot took, from the start of the process until the first channel
 * was ready, in ns; 0: no boot has got so far. */
int64_t ntd_machine_boot_time(const struct ntd_machine *machine);
/* Makes the machine count as booted or not, as a script says, until the next start or the end of
 * the process. A machine that a script says is down is not waited for or asked anything, and the
 * next start ends its process first. */
void ntd_machine_set_booted(struct ntd_machine *machine, bool booted);

/* ---- its processes (machine/processes.c), each with a number, from 1 */
struct ntd_machine_process {
	pid_t pid;
	bool ended;
	int wait_status; /* then */
	char *line;      /* what the shell ran; belongs to the machine */
};

/* The process with that number; all zero: there is none. */
struct ntd_machine_process ntd_machine_process(struct ntd_machine *machine, unsigned number);
/* Sends a signal to the process with that number, unless it has ended. */
void ntd_machine_signal_process(struct ntd_machine *machine, unsigned number, int signal);
/* Waits until the process with that number has ended; does not change the machine's state. */
int ntd_machine_wait_for_process(struct ntd_machine *machine, unsigned number, int64_t deadline,
				 struct ntd_waiter *waiter, struct ntd_error **err);
/* Whether scripts can use the machine: a virtual machine when a channel is ready, a container when
 * it runs. */
bool ntd_machine_is_up(struct ntd_machine *machine);
/* Why the machine is DEAD, a new error: how its process ended. NULL: it is not DEAD. */
struct ntd_error *ntd_machine_death(struct ntd_machine *machine);
/* "; last console lines:" and the last 20 lines of the console, a new string; "" when there are
 * none. */
char *ntd_machine_last_lines(const struct ntd_machine *machine);
/* What may explain that the guest has not done what was expected since `since`, a time of
 * ntd_now(): "; the guest is stopped" or "; the guest was reset meanwhile", a new string; "" when
 * nothing is known. */
char *ntd_machine_remark(const struct ntd_machine *machine, int64_t since);
/* Sets an error about the machine, whose name it begins with; returns -1. */
int ntd_machine_error(struct ntd_error **err, const struct ntd_machine *machine, enum ntd_errc code,
		      const char *fmt, ...) ntd_printf(4, 5);

/* With `muted`, the messages about starts, boots and ends are left to the caller. */
void ntd_machine_mute(struct ntd_machine *machine, bool muted);
/* Any thread: begins a step under the machine's name, unless the machine is muted. */
struct ntd_nest ntd_machine_step_begin(struct ntd_machine *machine, enum ntd_step step,
				       const char *text);

/* ---- life; blocking */
/* Starts the machine, and returns when monitor, shell socket and QMP are connected, or when a
 * container's start script runs. Does nothing when the machine is up. Without `allow_reboot`, QEMU
 * ends when the guest reboots. NTD_E_TIMEOUT when the start takes too long; the machine is then
 * ended. */
int ntd_machine_start(struct ntd_machine *machine, bool allow_reboot, struct ntd_waiter *waiter,
		      struct ntd_error **err);
/* Starts all machines at the same time; fails with NTD_E_MACHINE and every machine's error. */
int ntd_machine_start_all(struct ntd_machine *const *machines, size_t count,
			  struct ntd_waiter *waiter, struct ntd_error **err);
/* Starts the machine if necessary and waits until a channel is ready: the guest has a root shell,
 * or a container has booted. Does nothing when CONNECTED. NTD_E_TIMEOUT when the boot takes too
 * long. */
int ntd_machine_connect(struct ntd_machine *machine, struct ntd_waiter *waiter,
			struct ntd_error **err);
/* Takes note that a script knows that the present root shell is gone: CONNECTED becomes UP. With
 * `new_boot`, channels that became ready so far do not count. */
void ntd_machine_disconnect(struct ntd_machine *machine, bool new_boot);
/* Takes note that a script has found the root shell by itself: UP becomes CONNECTED. */
void ntd_machine_assume_shell(struct ntd_machine *machine);
/* Waits until nothing is left of the machine's process and takes note of that: the machine is DOWN.
 * Does nothing when there is no process. NTD_E_TIMEOUT at the deadline. */
int ntd_machine_wait_for_shutdown(struct ntd_machine *machine, int64_t deadline,
				  struct ntd_waiter *waiter, struct ntd_error **err);
/* Whether ntd_machine_wait_for_shutdown() has an end to take note of, and so is a step in the
 * log. */
bool ntd_machine_has_end(struct ntd_machine *machine);
/* With `power_off`, asks the guest to power off, a container after it has booted. From now on the
 * end of the process is expected. Returns the number of the process; 0: the machine does not
 * run. */
int ntd_machine_begin_end(struct ntd_machine *machine, bool power_off, struct ntd_waiter *waiter,
			  struct ntd_error **err);
/* Asks the guest to power off and waits for the end. Does nothing unless the machine runs. */
int ntd_machine_shutdown(struct ntd_machine *machine, struct ntd_waiter *waiter,
			 struct ntd_error **err);
/* Ends the machine's process at once, as by a power cut, and does not wait for the end.
 * NTD_E_MACHINE for a container. */
int ntd_machine_cut_power(struct ntd_machine *machine, struct ntd_waiter *waiter,
			  struct ntd_error **err);
/* Waits for the end of the process with that number, and takes note of it. */
int ntd_machine_finish_end(struct ntd_machine *machine, unsigned number, struct ntd_waiter *waiter,
			   struct ntd_error **err);

/* ---- the end of a run */
/* Sends SIGTERM to the machine's process, and kills what is left of it after `grace` ns, or kills
 * it at once if that is 0; does not wait for that. Unless `grace` is 0, a container gets at least
 * 30 s, but no more than `most` ns. Returns the time given. */
int64_t ntd_machine_release(struct ntd_machine *machine, int64_t grace, int64_t most);
/* Waits until nothing of the machine's process is left, and takes note of that; false at the
 * deadline. */
bool ntd_machine_wait_gone(struct ntd_machine *machine, int64_t deadline);
/* Removes the state directory, and logs that. */
void ntd_machine_cleanup_state_dir(struct ntd_machine *machine);

/* ---- for what scripts ask of a machine (guest/) */
/* Calls the hook that the embedding has for commands. */
int ntd_machine_before_command(struct ntd_machine *machine, struct ntd_waiter *waiter,
			       struct ntd_error **err);
struct ntd_report *ntd_machine_report(const struct ntd_machine *machine);
/* The command that writes the guest's files to its disks; NULL: the guest's files are the
 * host's. */
const char *ntd_machine_sync_command(const struct ntd_machine *machine);
/* Connects the machine (ntd_machine_connect()), and counts the calling thread as a user of the
 * guest: until it calls ntd_machine_leave(), no state of the guest is saved, and none is put in its
 * place before what the thread waits for in the guest has failed. While a state is saved or
 * restored, it waits for the end of that. Returns the machine, for _cleanup_user_; NULL after an
 * error, and the thread is no user. */
struct ntd_machine *ntd_machine_enter(struct ntd_machine *machine, struct ntd_waiter *waiter,
				      struct ntd_error **err);
/* Does the same if the machine is CONNECTED, without waiting; else returns NULL. */
struct ntd_machine *ntd_machine_try_enter(struct ntd_machine *machine);
void ntd_machine_leave(struct ntd_machine *machine);

static inline void ntd_cleanup_user(struct ntd_machine **machine)
{
	if (*machine)
		ntd_machine_leave(*machine);
}

/* Declares a pointer to a machine that the thread leaves at the end of the block, if it is set. */
#define _cleanup_user_ _cleanup_(ntd_cleanup_user)

/* How many times the guest has begun to go back to a snapshot. Any thread. */
unsigned ntd_machine_restores(const struct ntd_machine *machine);
/* Takes note of a channel that became ready while no thread waited for it. Returns whether the
 * machine is CONNECTED. */
bool ntd_machine_meet(struct ntd_machine *machine);
