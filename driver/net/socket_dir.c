/* Claiming and leaving a directory of sockets. Any thread, each with directories of its own.
 *
 * Two things tell that a directory is in use: its lock (flock on the directory, which the kernel
 * drops when the process dies, however it dies) and a process that accepts connections at its
 * control socket (servers that do not lock, such as vde_switch). While this process has the lock,
 * no other driver can be between looking and binding.
 */
#include "net/socket_dir.h"

#include "base/fd.h"
#include "base/forked.h"
#include "net/vde.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>

int ntd_socket_dir_bind(const struct ntd_socket_dir *dir, int fd, const char *name,
			struct ntd_error **err)
{
	struct sockaddr_un address;

	if (ntd_vde_address(&address, dir->path, name, err) < 0)
		return -1;
	if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
		return ntd_error_sys(err, errno, "cannot bind %s", address.sun_path);
	return 0;
}

int ntd_socket_dir_connect(const struct ntd_socket_dir *dir, int fd, const char *name,
			   struct ntd_error **err)
{
	struct sockaddr_un address;

	if (ntd_vde_address(&address, dir->path, name, err) < 0)
		return -1;
	if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
		return ntd_error_sys(err, errno, "cannot connect to %s", address.sun_path);
	return 0;
}

void ntd_socket_dir_unlink(const struct ntd_socket_dir *dir, const char *name)
{
	unlinkat(dir->fd, name, 0);
}

static int open_directory(struct ntd_socket_dir *dir, struct ntd_error **err)
{
	struct stat status;

	if (mkdir(dir->path, 0700) < 0 && errno != EEXIST)
		return ntd_error_sys(err, errno, "cannot make the directory %s", dir->path);
	dir->fd = open(dir->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	ntd_forked_withhold(dir->fd); /* else a forked process would keep the lock */
	if (dir->fd < 0 || fstat(dir->fd, &status) < 0)
		return ntd_error_sys(err, errno, "cannot open the directory %s", dir->path);
	if (status.st_uid != geteuid())
		return ntd_error_set(err, NTD_E_VALUE, "the directory %s belongs to user %u",
				     dir->path, status.st_uid);
	if (fchmod(dir->fd, 0700) < 0)
		return ntd_error_sys(err, errno, "cannot change the mode of %s", dir->path);
	return 0;
}

/* The id of the process that serves the control socket; 0 if the id is unknown (another pid
 * namespace, or a process so busy that its backlog is full), -1 if no process serves it. */
static pid_t server_of(const struct ntd_socket_dir *dir, const char *control)
{
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un address;
	struct ucred peer = {0};
	socklen_t len = sizeof peer;

	if (ntd_vde_address(&address, dir->path, control, NULL) < 0)
		return -1;
	if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
		return errno == EAGAIN ? 0 : -1;
	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
	return peer.pid;
}

static int claim(struct ntd_socket_dir *dir, const char *control, struct ntd_error **err)
{
	bool locked = flock(dir->fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;
	pid_t server = server_of(dir, control);

	if (server > 0)
		return ntd_error_set(err, NTD_E_VALUE, "%s is in use by process %d", dir->path,
				     server);
	if (locked || server == 0)
		return ntd_error_set(err, NTD_E_VALUE, "%s is in use by another process",
				     dir->path);
	return 0;
}

static bool is_socket(int dir_fd, const char *name)
{
	struct stat status;

	return fstatat(dir_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISSOCK(status.st_mode);
}

static void remove_sockets(const struct ntd_socket_dir *dir)
{
	DIR *stream = ntd_fd_entries(openat(dir->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	const struct dirent *entry;

	if (!stream)
		return;
	while ((entry = readdir(stream)))
		if (is_socket(dir->fd, entry->d_name))
			ntd_socket_dir_unlink(dir, entry->d_name);
	closedir(stream);
}

static void close_directory(struct ntd_socket_dir *dir)
{
	ntd_forked_release(dir->fd);
	ntd_close_fd(&dir->fd);
	free(ntd_steal(&dir->path));
}

int ntd_socket_dir_open(struct ntd_socket_dir *dir, const char *path, const char *control,
			struct ntd_error **err)
{
	*dir = (struct ntd_socket_dir){.path = ntd_strdup(path), .fd = -1};
	if (open_directory(dir, err) < 0 || claim(dir, control, err) < 0) {
		close_directory(dir);
		return -1;
	}
	remove_sockets(dir);
	return 0;
}

int ntd_socket_dir_remove(struct ntd_socket_dir *dir, struct ntd_error **err)
{
	int failed = 0;

	if (!dir->path)
		return 0;
	remove_sockets(dir);
	if (rmdir(dir->path) < 0)
		failed = ntd_error_sys(err, errno, "cannot remove the directory %s", dir->path);
	close_directory(dir);
	return failed;
}
