/* Starts bash, or another shell. The C library's posix_spawn() does not copy the
 * agent's memory, which costs much where the guest is emulated, and tells of a bash that cannot be
 * executed.
 */
#include "agent/spawn.h"

#include "base/vec.h"

#include <errno.h>
#include <spawn.h>

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

struct strings ntd_vec_members(char *);

static char *find_in_path(void)
{
	const char *path = getenv("PATH");

	for (path = path ? path : DEFAULT_PATH; path; path = strchr(path, ':')) {
		_cleanup_free_ char *file = NULL;
		int len;

		path += *path == ':';
		len = (int)strcspn(path, ":");
		file = ntd_asprintf("%.*s%sbash", len, path, len ? "/" : "");
		if (!access(file, X_OK))
			return ntd_steal(&file);
	}
	return NULL;
}

/* The path of the shell, a new string; NULL: there is none. */
static char *find_shell(const struct ntd_agent_manner *manner)
{
	if (!manner->shells)
		return find_in_path();
	for (const char *const *shell = manner->shells; *shell; shell++)
		if (!access(*shell, X_OK))
			return ntd_strdup(*shell);
	return NULL;
}

/* The environment of a program that a shell starts: `_` is the program's path. */
static void list_environment(struct strings *out, char *underscore)
{
	for (char **each = environ; *each; each++)
		if (strncmp(*each, "_=", 2) != 0)
			ntd_vec_push(out, *each);
	ntd_vec_push(out, underscore);
	ntd_vec_push(out, NULL);
}

static void set_descriptors(posix_spawn_file_actions_t *actions,
			    const struct ntd_agent_spawn *spawn)
{
	posix_spawn_file_actions_adddup2(actions, spawn->input, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(actions, spawn->output, STDOUT_FILENO);
	if (spawn->errors >= 0)
		posix_spawn_file_actions_adddup2(actions, spawn->errors, STDERR_FILENO);
	if (spawn->text_fd >= 0)
		posix_spawn_file_actions_adddup2(actions, spawn->text_fd, spawn->text_fd);
}

static void set_attributes(posix_spawnattr_t *attributes, const struct ntd_agent_setup *setup,
			   bool own_group)
{
	sigset_t defaults = setup->defaults;

	if (own_group) { /* as timeout(1) does: the kernel stops one that reads the terminal */
		sigaddset(&defaults, SIGTTIN);
		sigaddset(&defaults, SIGTTOU);
	}
	posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
						     (own_group ? POSIX_SPAWN_SETPGROUP : 0));
	posix_spawnattr_setsigmask(attributes, &setup->mask);
	posix_spawnattr_setsigdefault(attributes, &defaults);
}

int ntd_agent_spawn(const struct ntd_agent_setup *setup, const struct ntd_agent_spawn *spawn,
		    pid_t *pid)
{
	_cleanup_free_ char *shell = find_shell(setup->manner), *underscore = NULL;
	char *const argv[] = {setup->manner->shells ? shell : (char *)"bash", (char *)"-c",
			      (char *)spawn->text, NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	struct strings environment = {0};
	int failed;

	if (!shell)
		return ENOENT;
	underscore = ntd_asprintf("_=%s", shell);
	list_environment(&environment, underscore);
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	set_descriptors(&actions, spawn);
	set_attributes(&attributes, setup, spawn->own_group);
	failed = posix_spawn(pid, shell, &actions, &attributes, argv, environment.items);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	ntd_vec_free(&environment);
	return failed;
}
