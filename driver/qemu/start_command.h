/* How a QEMU machine is started: the command line and the environment that NixOS' run-NAME-vm
 * scripts, and start scripts written like them, rely on. The functions are pure, and for any
 * thread.
 */
#pragma once

#include "base/environment.h"

#include <stdbool.h>

struct ntd_start_paths {
	const char *state_dir, *shared_dir; /* directories */
	const char *monitor, *qmp, *shell;  /* sockets between QEMU and the driver */
	const char *vsock;    /* the socket of the process that serves a vsock device; NULL: none */
	const char *efi_vars; /* the file of EFI variables */
};

/* Returns the line for /bin/sh -c, a new string: the start script with the driver's QEMU options.
 * Without `allow_reboot` a reboot of the guest ends QEMU; without `graphic`, QEMU opens no
 * window. */
char *ntd_start_command_line(const char *script, const struct ntd_start_paths *paths,
			     bool allow_reboot, bool graphic);
/* Returns the line, a new string, with `exec` in front if it is a program's path and plain words.
 * Then no shell stays between the driver and the program, as some, such as dash, would. */
char *ntd_start_replacing_shell(const char *line);
/* Takes `env` and returns it with TMPDIR, SHARED_DIR, USE_TMPDIR and NIX_EFI_VARS set. */
char **ntd_start_environment(char **env, const struct ntd_start_paths *paths);
/* Whether `env` says that there is a display. */
bool ntd_start_has_display(char *const *env);
