/* Mounts and files for containers. A Nix build with the system feature uid-range is root in
 * namespaces of its own, also of users and mounts, so what is mounted here ends with the build.
 */
#include "session/sandbox.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>

static int mount_at(const char *directory, const char *type, struct ntd_error **err)
{
	if (mkdir(directory, 0755) < 0 && errno != EEXIST)
		return ntd_error_sys(err, errno, "cannot make %s", directory);
	if (mount("none", directory, type, 0, NULL) < 0)
		return ntd_error_sys(err, errno, "cannot mount %s at %s", type, directory);
	return 0;
}

static int writable_run(struct ntd_error **err)
{
	if (access("/run", W_OK) < 0 && mount_at("/run", "tmpfs", err) < 0)
		return -1;
	if (mkdir("/run/netns", 0755) < 0 && errno != EEXIST)
		return ntd_error_sys(err, errno, "cannot make /run/netns");
	return 0;
}

static int var_run(struct ntd_error **err)
{
	if (access("/var/run", F_OK) == 0)
		return 0;
	if ((mkdir("/var", 0755) < 0 && errno != EEXIST) || symlink("/run", "/var/run") < 0)
		return ntd_error_sys(err, errno, "cannot make /var/run");
	return 0;
}

static int cgroups(struct ntd_error **err)
{
	struct statfs info;

	if (statfs("/sys/fs/cgroup", &info) == 0 && info.f_type == CGROUP2_SUPER_MAGIC)
		return 0;
	return mount_at("/sys/fs/cgroup", "cgroup2", err);
}

/* systemd-nspawn wants the file to exist; it may be empty. */
static int os_release(struct ntd_error **err)
{
	_cleanup_fd_ int fd = open("/etc/os-release", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	return fd < 0 && access("/etc/os-release", F_OK) < 0
		       ? ntd_error_sys(err, errno, "cannot make /etc/os-release")
		       : 0;
}

/* Writes a machine id as machine-id(5) describes it: 32 digits, of a random UUID of version 4. */
static int machine_id(struct ntd_error **err)
{
	struct stat info;
	unsigned char bytes[16];
	_cleanup_fd_ int fd = -1;

	if (stat("/etc/machine-id", &info) == 0 && info.st_size > 0)
		return 0;
	fd = open("/etc/machine-id", O_WRONLY | O_CREAT | O_CLOEXEC, 0444);
	if (fd < 0 || getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
		return ntd_error_sys(err, errno, "cannot make /etc/machine-id");
	bytes[6] = (bytes[6] & 0x0f) | 0x40;
	bytes[8] = (bytes[8] & 0x3f) | 0x80;
	for (size_t i = 0; i < sizeof bytes; i++)
		dprintf(fd, "%02x", bytes[i]);
	dprintf(fd, "\n");
	return 0;
}

int ntd_sandbox_prepare(struct ntd_environment *environment, struct ntd_error **err)
{
	static int (*const steps[])(struct ntd_error **) = {writable_run, var_run, cgroups,
							    os_release, machine_id};

	_cleanup_strv_ char **env = ntd_environment_for_process(environment, NULL);

	if (geteuid() != 0)
		return ntd_error_set(
			err, NTD_E_MACHINE,
			"systemd-nspawn requires root to work. You are %u; in a Nix build "
			"that takes the system feature uid-range",
			geteuid());
	if (!ntd_environment_get(env, "NIX_BUILD_TOP"))
		return 0;
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
		if (steps[i](err) < 0)
			return ntd_error_wrap(err, "containers need more than this sandbox has");
	return 0;
}
