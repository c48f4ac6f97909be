/* Messages with descriptors. Each function is one system call on its caller's thread, or process.
 */
#include "loop/message.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

ssize_t ntd_message_send(int socket, const void *bytes, size_t len, const int *fds, size_t fd_count)
{
	char control[CMSG_SPACE(sizeof(int) * NTD_MESSAGE_FDS)] = {0};
	struct iovec iov = {.iov_base = (void *)bytes, .iov_len = len};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t sent;

	if (fd_count) {
		struct cmsghdr *header;

		message.msg_control = control;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
		header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
		memcpy(CMSG_DATA(header), fds, sizeof(int) * fd_count);
	}
	do
		sent = sendmsg(socket, &message, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent;
}

ssize_t ntd_message_receive(int socket, void *bytes, size_t len, int *fds, size_t *fd_count)
{
	char control[CMSG_SPACE(sizeof(int) * NTD_MESSAGE_FDS)];
	struct iovec iov = {.iov_base = bytes, .iov_len = len};
	struct msghdr message = {.msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof control};
	struct cmsghdr *header;
	ssize_t received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

	*fd_count = 0;
	if (received <= 0)
		return received;
	header = CMSG_FIRSTHDR(&message);
	if (header && header->cmsg_type == SCM_RIGHTS) {
		*fd_count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds, CMSG_DATA(header), *fd_count * sizeof(int));
	}
	return received;
}
