/* How a QEMU machine is started: the command line and the environment that NixOS' run-NAME-vm
 * scripts and everything made after them rely on.
 */
#pragma once

#include "base/environment.h"

#include <stdbool.h>

struct ntd_start_paths {
	const char *state_dir, *shared_dir;
	const char *monitor, *qmp, *shell; /* sockets */
	const char *vsock;                 /* of who serves a vsock device; NULL: none */
	const char *efi_vars;
};

/* The line for /bin/sh -c: the start script with the driver's QEMU options. Without `allow_reboot`
 * a reboot of the guest ends QEMU; without `graphic`, QEMU opens no window. A new string. */
char *ntd_start_command_line(const char *script, const struct ntd_start_paths *paths,
			     bool allow_reboot, bool graphic);
/* The line after `exec`, if it is a program's path and plain words: then no shell stays between us
 * and the program. Some shells, such as dash, would. A new string. */
char *ntd_start_replacing_shell(const char *line);
/* `env` (which it consumes) with TMPDIR, SHARED_DIR, USE_TMPDIR and NIX_EFI_VARS set. */
char **ntd_start_environment(char **env, const struct ntd_start_paths *paths);
/* Whether `env` says that there is a display. */
bool ntd_has_display(char *const *env);
/* The path of a program, looked up in the PATH of `env`; NULL: it is nowhere. */
char *ntd_find_program(char *const *env, const char *name);
