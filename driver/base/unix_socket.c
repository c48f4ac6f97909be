/* Sockets with a path. Any thread. */
#include "base/unix_socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

int ntd_socket_bind(int type, const char *path, struct ntd_error **err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup_fd_ int fd = -1;

	if (strlen(path) >= sizeof address.sun_path)
		return ntd_error_set(err, NTD_E_MACHINE,
				     "socket path %s has %zu bytes, the limit is %zu", path,
				     strlen(path), sizeof address.sun_path - 1);
	memcpy(address.sun_path, path, strlen(path));
	unlink(path);
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
		return ntd_error_sys(err, errno, "cannot make the socket %s", path);
	return ntd_steal_fd(&fd);
}

int ntd_socket_listen(const char *path, struct ntd_error **err)
{
	_cleanup_fd_ int fd = ntd_socket_bind(SOCK_STREAM, path, err);

	if (fd < 0)
		return -1;
	if (listen(fd, 1) < 0) {
		ntd_error_sys(err, errno, "cannot listen on %s", path);
		unlink(path);
		return -1;
	}
	return ntd_steal_fd(&fd);
}
