/* The directories of a run, checked before anything starts. All errors are NTD_E_USAGE. */
#pragma once

#include "base/error.h"

#include <stdbool.h>

/* Longest path of a Unix socket, without the NUL: sun_path of struct sockaddr_un has 108 bytes. */
#define NTD_SOCKET_PATH_MAX 107

/* Makes sure that files can be created in `path`, by creating one: permission bits alone say
 * nothing to root, and nothing of read-only file systems. */
int ntd_directories_check(const char *path, struct ntd_error **err);

/* The same for a file that will be written: it can be opened, or made in its directory. */
int ntd_directories_check_file(const char *path, struct ntd_error **err);

/* `path` as it is if absolute, else below the current directory; a new string. */
char *ntd_directories_absolute(const char *path);

/* The directory for everything that lives only while the driver runs: XDG_RUNTIME_DIR, else
 * TMPDIR, TEMP, TMP, else /tmp. Created with mode 0700 if missing (its parent must exist);
 * absolute. Errors name the variable. NULL on error. */
char *ntd_directories_runtime_base(struct ntd_error **err);

/* A directory whose sockets have paths that the kernel takes. */
struct ntd_socket_directory {
	char *path;
	bool temporary; /* made for this run: remove it, with what is in it, at the end */
};

/* `base` where the longest socket path fits: vm-state-NAME/monitor with a name of `longest_name`
 * bytes, NAME-nspawn.sock, or a port of a VLAN; else a new directory, mode 0700, with a short
 * path. */
int ntd_directories_for_sockets(struct ntd_socket_directory *directory, const char *base,
				size_t longest_name, struct ntd_error **err);
