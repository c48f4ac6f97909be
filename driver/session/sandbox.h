/* What systemd-nspawn expects of its surroundings, for runs with containers. */
#pragma once

#include "base/environment.h"
#include "base/error.h"

/* Fails unless containers can be started at all: that takes root. In the sandbox of a Nix build,
 * sets up what it lacks: a writable /run with netns, /var/run, cgroups, /etc/os-release and
 * /etc/machine-id. Elsewhere these are the host's, and are left alone. */
int ntd_sandbox_prepare(struct ntd_environment *environment, struct ntd_error **err);
