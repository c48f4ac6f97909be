/* What systemd-nspawn expects of the system around it, for runs with containers. */
#pragma once

#include "base/environment.h"
#include "base/error.h"

/* Prepares this system for containers. Fails with NTD_E_MACHINE when the driver does not run as
 * root, which systemd-nspawn needs. In the sandbox of a Nix build (`environment` has
 * NIX_BUILD_TOP), sets up what the sandbox lacks: a writable /run with netns, /var/run, cgroups,
 * /etc/os-release and /etc/machine-id; fails with NTD_E_SYS. Elsewhere these are the host's and
 * stay as they are. Any thread. */
int ntd_sandbox_prepare(struct ntd_environment *environment, struct ntd_error **err);
