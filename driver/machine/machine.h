/* A machine: QEMU's, or a container. Functions block the calling script thread where they say so;
 * `waiter` lets a signal interrupt them (loop/request.h). Failures name the machine.
 */
#pragma once

#include "base/environment.h"
#include "channel/channel.h"
#include "channel/shell.h"
#include "console/console.h"
#include "loop/process.h"
#include "machine/state.h"
#include "qemu/monitor.h"
#include "qemu/qmp.h"
#include "report/report.h"

struct ntd_machine;
struct ntd_machine_kind;

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
const char *ntd_machine_name(const struct ntd_machine *machine);
const struct ntd_machine_context *ntd_machine_context(const struct ntd_machine *machine);
const char *ntd_machine_state_dir(const struct ntd_machine *machine);
void ntd_machine_set_state_dir(struct ntd_machine *machine, const char *directory);
void ntd_machine_set_shared_dir(struct ntd_machine *machine, const char *directory);
void ntd_machine_set_out_dir(struct ntd_machine *machine, const char *directory);
bool ntd_machine_keeps_state(const struct ntd_machine *machine);
/* Whether the guest has a root shell for the driver, which is so unless it was said that it has
 * none: then whatever needs one fails at once. */
bool ntd_machine_has_root_shell(const struct ntd_machine *machine);
void ntd_machine_set_root_shell(struct ntd_machine *machine, bool has);
/* Seconds in all for it to start, and again to boot. */
void ntd_machine_set_boot_timeout(struct ntd_machine *machine, double seconds);
const char *ntd_machine_shared_dir(const struct ntd_machine *machine);
const char *ntd_machine_script(const struct ntd_machine *machine);
/* `which` is monitor, qmp, shell, or of a container notify. */
const char *ntd_machine_socket_path(const struct ntd_machine *machine, const char *which);
/* monitor, qmp, shell, efi_vars or script, from the next start on. */
void ntd_machine_set_path(struct ntd_machine *machine, const char *which, const char *path);
/* Where its messages and its console go from now on. */
void ntd_machine_set_report(struct ntd_machine *machine, struct ntd_report *report);
/* Lets those that the machine has go with the driver, however this ends. */
void ntd_machine_sweep_sockets(const struct ntd_machine *machine, const struct ntd_keeper *keeper);
const char *ntd_machine_efi_vars(const struct ntd_machine *machine); /* a file, maybe missing */
/* The sockets of a vsock device that another process serves for QEMU and for this host (copied;
 * before the start); NULL when there is none. That of the host may be missing. */
void ntd_machine_set_vsock(struct ntd_machine *machine, const char *guest, const char *host);
const char *ntd_machine_vsock_guest(const struct ntd_machine *machine);
const char *ntd_machine_vsock_host(const struct ntd_machine *machine);
/* The process of a container's init, as this host counts; 0 while it is not known. */
pid_t ntd_machine_leader(const struct ntd_machine *machine);
struct ntd_console *ntd_machine_console(struct ntd_machine *machine);
struct ntd_monitor *ntd_machine_monitor(struct ntd_machine *machine);
struct ntd_shell *ntd_machine_shell(struct ntd_machine *machine);
struct ntd_qmp *ntd_machine_qmp(struct ntd_machine *machine);
/* By what time-outs of waits are multiplied at present: 1 until an automatic one is known. */
double ntd_machine_time_scale(const struct ntd_machine *machine);

/* What a wait for its end is called in the log. */
const char *ntd_machine_end_step(const struct ntd_machine *machine);

struct ntd_machine_status {
	enum ntd_machine_state state;
	bool booted;     /* as scripts see it */
	pid_t pid;       /* 0: none */
	unsigned starts; /* how many processes it has had: the number of the last */
	bool ended;      /* the last process has ended */
	int wait_status; /* then */
};

struct ntd_machine_status ntd_machine_status(struct ntd_machine *machine);
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
/* Why its process has ended, a new string; NULL unless it ended though nobody had asked for it. */
char *ntd_machine_cause_of_death(struct ntd_machine *machine);

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
/* Ends QEMU at once, as by a power cut, and waits. No-op unless booted. */
int ntd_machine_crash(struct ntd_machine *machine, struct ntd_waiter *waiter,
		      struct ntd_error **err);
/* Presses ctrl-alt-delete; the root shell must be waited for again. */
int ntd_machine_reboot(struct ntd_machine *machine, struct ntd_waiter *waiter,
		       struct ntd_error **err);

/* ---- the end of a run. Release begins with SIGTERM; what is left after `grace` ns is killed.
 * Unless that is 0, a container gets the longer time that its kind may take to end, but no more
 * than `most` ns. Returns the time given. */
int64_t ntd_machine_release(struct ntd_machine *machine, int64_t grace, int64_t most);
/* Waits until nothing of the machine's process is left; false at the deadline. */
bool ntd_machine_wait_gone(struct ntd_machine *machine, int64_t deadline);
/* Removes the state directory, with its messages. */
void ntd_machine_cleanup_state_dir(struct ntd_machine *machine);

/* ---- commands (guest/command.c) */
/* Runs a command: hooks, connect, channel. */
int ntd_machine_run(struct ntd_machine *machine, const struct ntd_command *command,
		    struct ntd_result *result, struct ntd_waiter *waiter, struct ntd_error **err);
/* The same without hooks. */
int ntd_machine_run_in_guest(struct ntd_machine *machine, const struct ntd_command *command,
			     struct ntd_result *result, struct ntd_waiter *waiter,
			     struct ntd_error **err);
/* Sends a monitor command, hooks first. */
int ntd_machine_monitor_command(struct ntd_machine *machine, const char *line,
				struct ntd_buf *reply, struct ntd_waiter *waiter,
				struct ntd_error **err);
