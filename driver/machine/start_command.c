#include "machine/start_command.h"

#include "base/text.h"

#include <ctype.h>
#include <string.h>

/* A path inside an option of QEMU's, where a comma ends the value unless doubled, for the shell. */
static void option_with_path(struct ntd_buf *line, const char *before, const char *path,
			     const char *after)
{
	_cleanup_buf_ struct ntd_buf option = {0};

	ntd_buf_puts(&option, before);
	for (const char *c = path; *c; c++)
		ntd_buf_append(&option, *c == ',' ? ",," : c, *c == ',' ? 2 : 1);
	ntd_buf_puts(&option, after);
	ntd_buf_puts(line, " ");
	ntd_shell_quote(line, ntd_buf_bytes(&option), option.len);
}

/* A program's path, then words, some of them in single quotes, and nothing else. */
static bool is_plain(const char *line)
{
	const char *end = line + strcspn(line, " ");

	/* A path: other words may be the shell's own. */
	if (!memchr(line, '/', (size_t)(end - line)) || memchr(line, '=', (size_t)(end - line)) ||
	    memchr(line, '\'', (size_t)(end - line)))
		return false;
	for (const char *c = line; *c; c++) {
		if (*c == '\'' && !(c = strchr(c + 1, '\'')))
			return false;
		if (!isalnum((unsigned char)*c) && !strchr("@%_-+=:,./ '", *c))
			return false;
	}
	return true;
}

char *ntd_start_replacing_shell(const char *line)
{
	return ntd_asprintf("%s%s", is_plain(line) ? "exec " : "", line);
}

char *ntd_start_command_line(const char *script, const struct ntd_start_paths *paths,
			     bool allow_reboot, bool graphic)
{
	struct ntd_buf line = {0};

	ntd_buf_puts(&line, script);
	ntd_buf_puts(&line, " -qmp");
	option_with_path(&line, "unix:", paths->qmp, ",server=on,wait=off");
	ntd_buf_puts(&line, " -monitor");
	option_with_path(&line, "unix:", paths->monitor, "");
	ntd_buf_puts(&line, " -chardev");
	option_with_path(&line, "socket,id=shell,path=", paths->shell, "");
	ntd_buf_puts(&line, " -device virtio-serial -device virtconsole,chardev=shell"
			    " -device virtio-rng-pci -serial stdio");
	if (!allow_reboot)
		ntd_buf_puts(&line, " -no-reboot");
	if (paths->vsock) {
		ntd_buf_puts(&line, " -chardev");
		option_with_path(&line, "socket,id=vsock_ssh,path=", paths->vsock, "");
		ntd_buf_puts(&line, " -device vhost-user-vsock-pci,chardev=vsock_ssh");
	}
	if (!graphic)
		ntd_buf_puts(&line, " -nographic");
	return ntd_buf_take_string(&line);
}

static size_t count(char *const *env)
{
	size_t n = 0;

	while (env[n])
		n++;
	return n;
}

char **ntd_environment_copy(char *const *env)
{
	size_t n = count(env);
	char **copy = ntd_calloc(n + 1, sizeof *copy);

	for (size_t i = 0; i < n; i++)
		copy[i] = ntd_strdup(env[i]);
	return copy;
}

const char *ntd_environment_get(char *const *env, const char *name)
{
	size_t len = strlen(name);

	for (; *env; env++)
		if (!strncmp(*env, name, len) && (*env)[len] == '=')
			return *env + len + 1;
	return NULL;
}

static char **set(char **env, const char *name, const char *value)
{
	size_t len = strlen(name), n = count(env), i = 0;

	while (i < n && !(!strncmp(env[i], name, len) && env[i][len] == '='))
		i++;
	if (i == n) {
		env = ntd_realloc(env, (n + 2) * sizeof *env);
		env[n + 1] = NULL;
	} else {
		free(env[i]);
	}
	env[i] = ntd_asprintf("%s=%s", name, value);
	return env;
}

char **ntd_start_environment(char **env, const struct ntd_start_paths *paths)
{
	env = set(env, "TMPDIR", paths->state_dir);
	env = set(env, "SHARED_DIR", paths->shared_dir);
	env = set(env, "USE_TMPDIR", "1");
	return set(env, "NIX_EFI_VARS", paths->efi_vars);
}

bool ntd_has_display(char *const *env)
{
	return ntd_environment_get(env, "DISPLAY") || ntd_environment_get(env, "WAYLAND_DISPLAY");
}

char *ntd_find_program(char *const *env, const char *name)
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
