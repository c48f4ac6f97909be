/* The machines of a configuration: how they are called and how they are started. The main thread
 * makes the lists. */
#pragma once

#include "base/error.h"
#include "base/vec.h"

#include <stdbool.h>

/* More than any test has. The limit bounds the time that a wrong file costs, which grows with the
 * square of the count. */
#define NTD_MACHINES_MAX 1000

struct ntd_machine_config {
	char *name;
	char *python_name;  /* the name as an identifier; no two machines share one */
	char *start_script; /* a command for /bin/sh, to which arguments are appended */
};

/* Sorted by name. */
struct ntd_machine_configs ntd_vec_members(struct ntd_machine_config);

/* Adds a machine. Returns NULL, or a constant text that says what is wrong with the name or the
 * script. */
const char *ntd_machine_configs_add(struct ntd_machine_configs *machines, const char *name,
				    const char *script);
/* Whether a machine has that name. */
bool ntd_machine_configs_has(const struct ntd_machine_configs *machines, const char *name);
/* Prepares the start scripts for a shell in another directory: the path of an existing file is made
 * absolute, and quoted where the shell needs it. Other commands stay as they are. */
void ntd_machine_configs_resolve(struct ntd_machine_configs *machines);
void ntd_machine_configs_free(struct ntd_machine_configs *machines);

/* Makes sure that no two machines of both lists together share a name or an identifier. Fails with
 * NTD_E_USAGE. */
int ntd_machine_configs_check(const struct ntd_machine_configs *vms,
			      const struct ntd_machine_configs *containers, struct ntd_error **err);

/* The name of a machine that has none but that of its start script: NAME if the last component of
 * the path `command` ends with run-NAME and the suffix ("-vm" or "-nspawn"), else "machine". A new
 * string. */
char *ntd_machine_configs_name(const char *command, const char *suffix);
