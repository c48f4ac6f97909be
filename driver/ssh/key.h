/* SSH keys of a run, made by libssh. On script threads. */
#pragma once

#include "base/error.h"

/* Makes an Ed25519 key pair: the private key in the new file `path`, mode 0600, in OpenSSH's
 * format, and the public key in `path`.pub. Returns the line of the public key, a new string; NULL
 * with the error. */
char *ntd_ssh_key_make(const char *path, const char *comment, struct ntd_error **err);
