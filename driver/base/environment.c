/* Environments. The functions on lists take no lock; a run's environment has a mutex. */
#include "base/environment.h"

#include <pthread.h>
#include <string.h>

struct ntd_environment {
	char **process;
	pthread_mutex_t mutex; /* guards the rest */
	char **own;
};

/* The index of the variable `name` in `env`, or that of the NULL at the end. */
static size_t find(char *const *env, const char *name, size_t len)
{
	size_t i = 0;

	while (env[i] && !(!strncmp(env[i], name, len) && env[i][len] == '='))
		i++;
	return i;
}

const char *ntd_environment_get(char *const *env, const char *name)
{
	size_t len = strlen(name), i = find(env, name, len);

	return env[i] ? env[i] + len + 1 : NULL;
}

char **ntd_environment_set(char **env, const char *name, const char *value)
{
	size_t i = find(env, name, strlen(name));
	char *variable = ntd_asprintf("%s=%s", name, value);

	if (!env[i]) {
		ntd_strv_give(&env, variable);
		return env;
	}
	free(env[i]);
	env[i] = variable;
	return env;
}

char *ntd_environment_find_program(char *const *env, const char *name)
{
	const char *path = ntd_environment_get(env, "PATH");
	_cleanup_free_ char *directories = ntd_strdup(path ? path : "/usr/bin:/bin");
	char *rest = directories, *directory;

	while ((directory = strsep(&rest, ":"))) {
		_cleanup_free_ char *program = ntd_asprintf("%s/%s", directory, name);

		if (*directory == '/' && access(program, X_OK) == 0)
			return ntd_steal(&program);
	}
	return NULL;
}

struct ntd_environment *ntd_environment_new(char *const *process)
{
	struct ntd_environment *environment = ntd_calloc(1, sizeof *environment);

	environment->process = ntd_strv_copy(process);
	environment->own = ntd_calloc(1, sizeof *environment->own);
	pthread_mutex_init(&environment->mutex, NULL);
	return environment;
}

void ntd_environment_free(struct ntd_environment *environment)
{
	if (!environment)
		return;
	ntd_strv_free(environment->process);
	ntd_strv_free(environment->own);
	pthread_mutex_destroy(&environment->mutex);
	free(environment);
}

void ntd_environment_export(struct ntd_environment *environment, const char *name,
			    const char *value)
{
	pthread_mutex_lock(&environment->mutex);
	environment->own = ntd_environment_set(environment->own, name, value);
	pthread_mutex_unlock(&environment->mutex);
}

char **ntd_environment_for_process(struct ntd_environment *environment, char **env)
{
	if (!env)
		env = ntd_strv_copy(environment->process);
	pthread_mutex_lock(&environment->mutex);
	for (char **own = environment->own; *own; own++) {
		size_t i = find(env, *own, strcspn(*own, "="));

		if (!env[i])
			ntd_strv_add(&env, *own);
	}
	pthread_mutex_unlock(&environment->mutex);
	return env;
}
