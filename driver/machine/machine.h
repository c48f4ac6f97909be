/* A machine: QEMU's, or a container. Functions block the calling script thread where they say so;
 * `waiter` lets a signal interrupt them (loop/request.h). Failures name the machine. What only one
 * kind of machine has is in machine/qemu.h and machine/container.h.
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
	const char *process;    /* what runs it */
	const char *program;    /* the same as a command */
	const char *boot_step;  /* the step of a wait for its boot */
	const char *end_step;   /* the step of a wait for its end */
	const char *late_start; /* what has not happened when a start takes too long */
	const char *late_boot;  /* what has not happened when a boot takes too long */
	const char *slow_boot;  /* of a boot that takes long, before the console's last line */
	const char *unbooted;   /* why it cannot be asked anything yet */
};

extern const struct ntd_machine_kind ntd_qemu_kind;      /* machine/qemu_kind.c */
extern const struct ntd_machine_kind ntd_container_kind; /* machine/container_kind.c */

/* By the accelerator: NTD_SCALE_TCG where QEMU emulates the processor, else 1. */
#define NTD_SCALE_AUTO 0.0
#define NTD_SCALE_TCG 4.0

/* Seconds. */
#define NTD_BOOT_SILENCE 300

/* What a machine needs of the run it belongs to. Copied, with the directories; the other pointers
 * must outlive the machine. */
struct ntd_machine_context {
	struct ntd_loop *loop;
	struct ntd_children *children;
	struct ntd_report *_Atomic report;
	struct ntd_environment *environment; /* of its processes, where the hooks do not say */
	const char *tmp_dir;                 /* run-time base: state directories are made here */
	const char *socket_dir;      /* tmp_dir, or another where that is too long for AF_UNIX */
	const char *_Atomic out_dir; /* where files for the user go; the machine's may be changed */
	/* Who delivers the raw console log, console.log in the state directory, to
	 * console-logs/NAME.log below the directory out_fd at the end; NULL: nobody. */
	const struct ntd_keeper *keeper;
	int out_fd;
	/* Seconds for a machine to start, and again to boot; the machine's may be changed. 0: it is
	 * given up after `boot_silence` seconds in which it has said nothing, and four times as
	 * many where QEMU emulates the processor. */
	_Atomic double boot_timeout;
	double boot_silence;
	double time_scale; /* stretches the time-outs of waits; NTD_SCALE_AUTO */
};

/* What a start runs: a line for /bin/sh -c and its whole environment. */
struct ntd_start_order {
	char *line, **env;
};

/* What the embedding adds. Called on script threads, with a waiter that has an owner; what other
 * threads do goes on without. */
struct ntd_machine_hooks {
	/* Before each command and monitor command; a failure is the command's. */
	int (*before_command)(void *owner, struct ntd_waiter *waiter, struct ntd_error **err);
	/* A copy of the environment for the start script; NULL: what the driver was started
	 * with. */
	char **(*environment)(void *owner);
	/* Before a start: fills in what is not the default. A failure is the start's. */
	int (*start_command)(void *owner, bool allow_reboot, struct ntd_start_order *order,
			     struct ntd_waiter *waiter, struct ntd_error **err);
	void *owner;
};

/* Makes the machine's state directory (0700), emptied first unless `keep_state`. `name` is as the
 * user gave it; `script` is a shell command. */
struct ntd_machine *ntd_machine_new(const struct ntd_machine_context *context,
				    const struct ntd_machine_kind *kind, const char *name,
				    const char *script, bool keep_state, struct ntd_error **err);
/* The same without any directory: for a machine that will never be started. */
struct ntd_machine *ntd_machine_new_bare(const struct ntd_machine_context *context,
					 const struct ntd_machine_kind *kind, const char *name,
					 const char *script);
void ntd_machine_set_hooks(struct ntd_machine *machine, const struct ntd_machine_hooks *hooks);
/* The machine must have been released, and nobody may wait for it. */
void ntd_machine_free(struct ntd_machine *machine);

/* ---- what it is; strings belong to the machine, and last as long, even when they are set anew.
 * Any thread. */
const struct ntd_machine_kind *ntd_machine_kind(const struct ntd_machine *machine);
const struct ntd_machine_words *ntd_machine_words(const struct ntd_machine *machine);
const char *ntd_machine_name(const struct ntd_machine *machine);
const struct ntd_machine_context *ntd_machine_context(const struct ntd_machine *machine);
const char *ntd_machine_state_dir(const struct ntd_machine *machine);
void ntd_machine_set_state_dir(struct ntd_machine *machine, const char *directory);
void ntd_machine_set_shared_dir(struct ntd_machine *machine, const char *directory);
void ntd_machine_set_out_dir(struct ntd_machine *machine, const char *directory);
bool ntd_machine_keeps_state(const struct ntd_machine *machine);
/* Seconds in all for it to start, and again to boot. */
void ntd_machine_set_boot_timeout(struct ntd_machine *machine, double seconds);
const char *ntd_machine_shared_dir(const struct ntd_machine *machine);
const char *ntd_machine_script(const struct ntd_machine *machine);
/* The path of one of the kind's sockets: monitor, qmp or shell, of a container notify; of a QEMU
 * machine also the file efi_vars, which may be missing. NULL: the kind has no such path. */
const char *ntd_machine_path(const struct ntd_machine *machine, const char *which);
/* Sets one of them, or the start script, "script", from the next start on. */
void ntd_machine_set_path(struct ntd_machine *machine, const char *which, const char *path);
/* Where its messages and its console go from now on. */
void ntd_machine_set_report(struct ntd_machine *machine, struct ntd_report *report);
/* Registers the machine's sockets with the keeper, which unlinks them when the driver exits. */
void ntd_machine_sweep_sockets(const struct ntd_machine *machine, const struct ntd_keeper *keeper);
struct ntd_console *ntd_machine_console(struct ntd_machine *machine);
/* How many times as long as on the host's own processor things take in the guest. */
double ntd_machine_slowness(const struct ntd_machine *machine);
/* By what time-outs of waits are multiplied at present: 1 until an automatic one is known. */
double ntd_machine_time_scale(const struct ntd_machine *machine);

/* Seconds that the guest has taken lately for the shortest of its commands; 0: it has had none. */
double ntd_machine_pace(const struct ntd_machine *machine);
/* Takes note of how long a command took. */
void ntd_machine_note_pace(struct ntd_machine *machine, double seconds);

/* ---- its channels (machine/channels.c), in order: the first one that is ready and can do what is
 * wanted is used. CONNECTED means that one is ready. */
enum ntd_channel_want {
	NTD_CHANNEL_ANY,      /* commands */
	NTD_CHANNEL_FILES,    /* put and get */
	NTD_CHANNEL_TERMINAL, /* a terminal */
};

/* Adds a channel at the end of the order. The caller frees it after the machine. */
void ntd_machine_add_channel(struct ntd_machine *machine, struct ntd_channel *channel);
/* When none is ready: for commands one that will say why, if the guest can have one at all; else
 * NULL. */
struct ntd_channel *ntd_machine_channel(struct ntd_machine *machine, enum ntd_channel_want want);
/* Whether the machine has such a channel, ready or not. */
bool ntd_machine_has_channel(const struct ntd_machine *machine, enum ntd_channel_want want);
/* For whom commands are run in the guest; NULL: for root. What the driver asks by itself is run for
 * root. */
void ntd_machine_set_user(struct ntd_machine *machine, const char *user);
const char *ntd_machine_user(const struct ntd_machine *machine);

/* ---- its state */
struct ntd_machine_status {
	enum ntd_machine_state state;
	bool booted;     /* as scripts see it */
	pid_t pid;       /* 0: none */
	unsigned starts; /* how many processes it has had: the number of the last */
	bool ended;      /* the last process has ended */
	int wait_status; /* then */
};

struct ntd_machine_status ntd_machine_status(struct ntd_machine *machine);
/* The state alone, as it was a moment ago: does not ask the loop thread. */
enum ntd_machine_state ntd_machine_state(const struct ntd_machine *machine);
/* What a script says of it, until the next start or the end of the process: of one that it says is
 * down nothing is waited for or asked, and the next start ends it first. */
void ntd_machine_set_booted(struct ntd_machine *machine, bool booted);

/* ---- its processes (machine/processes.c), each with a number */
struct ntd_machine_process {
	pid_t pid;
	bool ended;
	int wait_status; /* then */
	char *line;      /* what the shell ran; belongs to the machine */
};

struct ntd_machine_process ntd_machine_process(struct ntd_machine *machine, unsigned number);
/* No-op when it has ended. */
void ntd_machine_signal_process(struct ntd_machine *machine, unsigned number, int signal);
/* Waits for its end, and does nothing else. */
int ntd_machine_wait_for_process(struct ntd_machine *machine, unsigned number, int64_t deadline,
				 struct ntd_waiter *waiter, struct ntd_error **err);
/* Whether a script takes it for one that can be used: a virtual machine when its root shell is
 * there, a container when it runs. */
bool ntd_machine_is_up(struct ntd_machine *machine);
/* Why its process has ended; NULL unless it ended though nobody had asked for it. */
struct ntd_error *ntd_machine_death(struct ntd_machine *machine);
/* "; last console lines:" and those, a new string; "" when there are none. */
char *ntd_machine_last_lines(const struct ntd_machine *machine);
/* Sets an error about the machine, whose name it begins with; returns -1. */
int ntd_machine_error(struct ntd_error **err, const struct ntd_machine *machine, enum ntd_errc code,
		      const char *fmt, ...) ntd_printf(4, 5);

/* Whether what is always said of starts, boots and ends is left to the caller. */
void ntd_machine_mute(struct ntd_machine *machine, bool muted);
/* Any thread: a step under its name, unless it is muted. */
struct ntd_nest ntd_machine_step_begin(struct ntd_machine *machine, enum ntd_step step,
				       const char *text);

/* ---- life; blocking */
/* Returns when monitor, shell socket and QMP are connected, or when a container's start script
 * runs; no-op when up. */
int ntd_machine_start(struct ntd_machine *machine, bool allow_reboot, struct ntd_waiter *waiter,
		      struct ntd_error **err);
/* Starts all of them at the same time; fails with every machine's error. */
int ntd_machine_start_all(struct ntd_machine *const *machines, size_t count,
			  struct ntd_waiter *waiter, struct ntd_error **err);
/* Starts the machine if necessary and waits for the guest's root shell, or for a container to have
 * booted; no-op when connected. */
int ntd_machine_connect(struct ntd_machine *machine, struct ntd_waiter *waiter,
			struct ntd_error **err);
/* The script knows that the present root shell is gone. `new_boot`: banners so far do not count. */
void ntd_machine_disconnect(struct ntd_machine *machine, bool new_boot);
/* The script has met the root shell by itself; no-op unless the machine is up. */
void ntd_machine_assume_shell(struct ntd_machine *machine);
/* Waits for the end of the process and takes note of it; no-op when there is none. */
int ntd_machine_wait_for_shutdown(struct ntd_machine *machine, int64_t deadline,
				  struct ntd_waiter *waiter, struct ntd_error **err);
/* Whether a wait for its end has something to take note of, and so is a step in the log. */
bool ntd_machine_has_end(struct ntd_machine *machine);
/* Asks the guest to power off, a container when it has booted, if `power_off`; its end is nothing
 * unexpected from now on. Returns the number of its start; 0: it does not run. */
int ntd_machine_begin_end(struct ntd_machine *machine, bool power_off, struct ntd_waiter *waiter,
			  struct ntd_error **err);
/* Does that and waits. No-op unless it runs. */
int ntd_machine_shutdown(struct ntd_machine *machine, struct ntd_waiter *waiter,
			 struct ntd_error **err);
/* Ends its process at once, as by a power cut; nobody waits for that here. */
int ntd_machine_cut_power(struct ntd_machine *machine, struct ntd_waiter *waiter,
			  struct ntd_error **err);
/* Waits for the end of the process with that number, and takes note of it. */
int ntd_machine_finish_end(struct ntd_machine *machine, unsigned number, struct ntd_waiter *waiter,
			   struct ntd_error **err);

/* ---- the end of a run. Release begins with SIGTERM; what is left after `grace` ns is killed.
 * Unless that is 0, a container gets the longer time that its kind may take to end, but no more
 * than `most` ns. Returns the time given. */
int64_t ntd_machine_release(struct ntd_machine *machine, int64_t grace, int64_t most);
/* Waits until nothing of the machine's process is left; false at the deadline. */
bool ntd_machine_wait_gone(struct ntd_machine *machine, int64_t deadline);
/* Removes the state directory, with its messages. */
void ntd_machine_cleanup_state_dir(struct ntd_machine *machine);

/* ---- for what scripts ask of a machine (guest/) */
/* Calls what the embedding has to run before each command and monitor command. */
int ntd_machine_before_command(struct ntd_machine *machine, struct ntd_waiter *waiter,
			       struct ntd_error **err);
struct ntd_report *ntd_machine_report(const struct ntd_machine *machine);
/* The command that writes the guest's files to its disks; NULL: they are files of the host. */
const char *ntd_machine_sync_command(const struct ntd_machine *machine);
/* Takes note of a channel that has become ready though nobody waited for it. False: there is
 * none. */
bool ntd_machine_meet(struct ntd_machine *machine);
