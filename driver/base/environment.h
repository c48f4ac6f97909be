/* Environments: lists of "NAME=VALUE" that end with NULL, and the one that a run gives to its
 * processes.
 *
 * The environment of the driver's own process belongs to the script: Python changes it with the GIL
 * held, and another thread that reads or changes it meets freed memory. So the run keeps a copy
 * from before the start of Python, and adds variables of its own when it starts a process.
 */
#pragma once

#include "base/mem.h"

/* The value of the variable `name` in `env`, which stays the list's; NULL when it is not set. */
const char *ntd_environment_get(char *const *env, const char *name);
/* Sets a variable in `env`, which is consumed; returns the new list. */
char **ntd_environment_set(char **env, const char *name, const char *value);

/* The path of the program `name` from the directories in the PATH of `env`, a new string; NULL when
 * none of them has it. */
char *ntd_environment_find_program(char *const *env, const char *name);

/* The environment that a run gives to its processes. Any thread may use it. */
struct ntd_environment;
/* `process` is the environment that the driver was started with; it is copied. */
struct ntd_environment *ntd_environment_new(char *const *process);
void ntd_environment_free(struct ntd_environment *environment); /* NULL is allowed */
/* Sets a variable of the run, for the processes that are started from now on. */
void ntd_environment_export(struct ntd_environment *environment, const char *name,
			    const char *value);
/* The environment of a new process, a new list: `env`, which is consumed (NULL: the environment
 * that the driver was started with), with the variables of the run that `env` does not set. */
char **ntd_environment_for_process(struct ntd_environment *environment, char **env);
