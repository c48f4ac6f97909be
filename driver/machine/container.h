/* What only containers have. Any thread. */
#pragma once

#include "machine/machine.h"

/* The pid of the container's init, as this host counts; 0: it is not known, or the machine is no
 * container. */
pid_t ntd_machine_leader(const struct ntd_machine *machine);
/* An ssh command that reaches the container by the socket of systemd-ssh-generator(8), a new
 * string; NULL: the machine is no container. */
char *ntd_machine_ssh_command(const struct ntd_machine *machine);
