/* The machines of a configuration: how they are called and how they are started. */
#pragma once

#include "base/error.h"
#include "base/vec.h"

/* More than any test has; keeps a wrong file from costing time that grows with its square. */
#define NTD_MACHINES_MAX 1000

struct ntd_machine_config {
	char *name;
	char *python_name;  /* the name as an identifier; no two machines share one */
	char *start_script; /* a command for /bin/sh, to which arguments are appended */
};

/* Sorted by name. */
struct ntd_machine_configs ntd_vec_members(struct ntd_machine_config);

/* Adds a machine. Returns NULL, or what is wrong with the name or script, for a message. */
const char *ntd_machine_configs_add(struct ntd_machine_configs *machines, const char *name,
				    const char *script);
/* Prepares the start scripts for a shell in another directory: one that is the path of an
 * existing file becomes absolute, and quoted where the shell needs it. Others are left as
 * commands. */
void ntd_machine_configs_resolve(struct ntd_machine_configs *machines);
void ntd_machine_configs_free(struct ntd_machine_configs *machines);

/* Makes sure that no two machines, of both lists together, have one name or one identifier. */
int ntd_machine_configs_check(const struct ntd_machine_configs *vms,
			      const struct ntd_machine_configs *containers, struct ntd_error **err);

/* The name in a start script: NAME where the last path component of `command` ends in run-NAME
 * and the suffix, "-vm" or "-nspawn"; else "machine". A new string. */
char *ntd_machine_configs_name(const char *command, const char *suffix);
