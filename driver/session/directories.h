/* The directories of a run, checked by the main thread before anything starts. All errors are
 * NTD_E_USAGE. */
#pragma once

#include "base/error.h"

#include <stdbool.h>

/* Longest path of a Unix socket, without the NUL: sun_path of struct sockaddr_un has 108 bytes. */
#define NTD_SOCKET_PATH_MAX 107

/* Makes sure that files can be created in the directory `path`, by creating one: permission bits
 * mean nothing for root, and say nothing of a read-only file system. */
int ntd_directories_check(const char *path, struct ntd_error **err);

/* Makes sure that the file `path` can be written, or made in its directory. */
int ntd_directories_check_file(const char *path, struct ntd_error **err);

/* The path as an absolute one, below the current directory if need be; a new string. */
char *ntd_directories_absolute(const char *path);

/* The directory for everything that lives only while the driver runs: XDG_RUNTIME_DIR, else
 * TMPDIR, TEMP, TMP, else /tmp. If it is missing, it is made with mode 0700; its parent must exist.
 * Returns the absolute path as a new string, or NULL with an error that names the variable. */
char *ntd_directories_runtime_base(struct ntd_error **err);

/* A directory whose sockets have paths that are short enough for the kernel. */
struct ntd_socket_directory {
	char *path;
	bool temporary; /* it was made for this run, which removes it at the end */
};

/* Chooses `base` if the longest path of a socket in it fits: vm-state-NAME/monitor with a name of
 * `longest_name` bytes, NAME-nspawn.sock, or a port of a VLAN; else makes a directory with mode
 * 0700 and a short path. Fails when the name is too long for that, too. */
int ntd_directories_for_sockets(struct ntd_socket_directory *directory, const char *base,
				size_t longest_name, struct ntd_error **err);
