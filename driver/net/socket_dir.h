/* A directory of sockets that one process serves: made private, locked while it is in use, and
 * taken over when the process that made it is gone.
 */
#pragma once

#include "base/error.h"

struct ntd_socket_dir {
	char *path;
	int fd; /* holds the lock; -1: not open */
};

/* Makes `path` with mode 0700, or takes over a directory that an earlier process left behind, and
 * removes the sockets in it. Fails with NTD_E_VALUE if the directory belongs to another user, or if
 * another process has it locked or serves `control`, a stream socket in it; the error names that
 * process where its id is known. */
int ntd_socket_dir_open(struct ntd_socket_dir *dir, const char *path, const char *control,
			struct ntd_error **err);
/* Bind a socket to `name` in the directory, or connect it to the socket there. */
int ntd_socket_dir_bind(const struct ntd_socket_dir *dir, int fd, const char *name,
			struct ntd_error **err);
int ntd_socket_dir_connect(const struct ntd_socket_dir *dir, int fd, const char *name,
			   struct ntd_error **err);
void ntd_socket_dir_unlink(const struct ntd_socket_dir *dir, const char *name);
/* Removes all sockets and the directory, and closes it. Fails if other files are in the directory,
 * which is closed then, too. Nothing happens to one that is not open. */
int ntd_socket_dir_remove(struct ntd_socket_dir *dir, struct ntd_error **err);
