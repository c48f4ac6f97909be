/* The texts that sshd runs for the driver, and what the guest says about itself. Pure; any thread.
 */
#pragma once

#include "channel/channel.h"

/* What the first command of a session finds out. */
struct ntd_ssh_guest {
	char *boot;    /* the kernel's boot id; "": the guest has none */
	char *user;    /* who has logged in */
	char *bash;    /* the path of bash; "": the guest has none */
	char *exports; /* the environment of a login shell, as commands; NULL: too much to keep */
	bool is_root;
	bool shell_is_bash; /* the login shell, which runs what sshd is given */
};

void ntd_ssh_guest_free(struct ntd_ssh_guest *guest);

/* The first command, and what its output says; the error is NTD_E_MACHINE. */
extern const char ntd_ssh_probe[];
int ntd_ssh_guest_parse(struct ntd_ssh_guest *guest, const char *output, size_t len,
			struct ntd_error **err);

/* What sshd is to run for a command. */
struct ntd_ssh_script {
	char *text;
	bool reads_text; /* the command's text is to be written to standard input */
	bool uses_sudo;
};

/* A command must have either a long text or standard input: a long text does not fit into an
 * argument of a program. */
bool ntd_ssh_command_is_long(const struct ntd_command *command);
/* `sudo`: commands are run as root where the channel's user is not the one who has logged in. The
 * script's first line on standard error is NTD_SSH_PID and a number; with sudo, the line
 * NTD_SSH_ROOT follows when sudo has begun. */
struct ntd_ssh_script ntd_ssh_script_for(const struct ntd_ssh_guest *guest, bool sudo,
					 const struct ntd_channel *channel,
					 const struct ntd_command *command);
/* A text that ends the process `pid`, its descendants, and their sessions: by SIGTERM, and after a
 * moment by SIGKILL. A new string. */
char *ntd_ssh_kill_text(bool sudo, long pid);
/* A text that removes files and trees, of which `paths` has the paths, each with a NUL at its end;
 * it prints nothing. A new string. */
char *ntd_ssh_remove_text(const char *paths, size_t len);

#define NTD_SSH_PID "ntd-pid:"
#define NTD_SSH_ROOT "ntd-root"
