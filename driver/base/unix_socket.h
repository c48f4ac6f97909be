/* Sockets of this host that have a path. */
#pragma once

#include "base/error.h"

/* Makes a non-blocking socket of `type` (SOCK_STREAM or another) that is bound to `path`, in place
 * of a file that is there. Returns it, or -1 with the error. */
int ntd_socket_bind(int type, const char *path, struct ntd_error **err);
/* The same for streams, listening for one connection. */
int ntd_socket_listen(const char *path, struct ntd_error **err);
