/* Environments: lists of "NAME=VALUE" that end with NULL, and the one that a run gives to its
 * processes.
 *
 * The process's own environment is the script's: Python changes it with its lock held, and whoever
 * reads or changes it without that lock meets freed memory. So the run keeps a copy from before the
 * start of Python, and variables of its own are added when a process is made.
 */
#pragma once

#include "base/mem.h"

/* The value of `name` in `env`, or NULL. */
const char *ntd_environment_get(char *const *env, const char *name);
/* Sets a variable in `env`, which is consumed. */
char **ntd_environment_set(char **env, const char *name, const char *value);

/* Any thread. */
struct ntd_environment;
/* `process` is copied: what the driver was started with. */
struct ntd_environment *ntd_environment_new(char *const *process);
void ntd_environment_free(struct ntd_environment *environment);
/* Sets a variable of the run. */
void ntd_environment_export(struct ntd_environment *environment, const char *name,
			    const char *value);
/* For a new process: `env`, which is consumed (NULL: what the driver was started with), and those
 * variables of the run that are not in it. */
char **ntd_environment_for_process(struct ntd_environment *environment, char **env);
