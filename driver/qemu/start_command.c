/* The command line and the environment of a start script. Pure functions, for any thread. */
#include "qemu/start_command.h"

#include "base/text.h"

#include <ctype.h>
#include <string.h>

/* Appends an option of QEMU that has a path inside, quoted for the shell. QEMU takes a comma as the
 * end of the value unless it is doubled. */
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

/* Whether the line is a program's path, then words, some of them in single quotes, and no more. */
static bool is_plain(const char *line)
{
	const char *end = line + strcspn(line, " ");

	/* A first word without a slash may be the shell's own, such as `exit`. */
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

char **ntd_start_environment(char **env, const struct ntd_start_paths *paths)
{
	env = ntd_environment_set(env, "TMPDIR", paths->state_dir);
	env = ntd_environment_set(env, "SHARED_DIR", paths->shared_dir);
	env = ntd_environment_set(env, "USE_TMPDIR", "1");
	return ntd_environment_set(env, "NIX_EFI_VARS", paths->efi_vars);
}

bool ntd_start_has_display(char *const *env)
{
	return ntd_environment_get(env, "DISPLAY") || ntd_environment_get(env, "WAYLAND_DISPLAY");
}
