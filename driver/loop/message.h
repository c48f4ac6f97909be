/* Messages with descriptors on a socket that keeps messages apart (SOCK_SEQPACKET), between the
 * driver, the keeper and the guards. Any thread, and any of these processes.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/* How many descriptors one message can have. */
enum { NTD_MESSAGE_FDS = 4 };

/* Sends or receives one message with up to `fd_count` descriptors. Receiving returns the length, 0
 * at the end, -1 with errno; *fd_count becomes the number received. */
ssize_t ntd_message_send(int socket, const void *bytes, size_t len, const int *fds,
			 size_t fd_count);
ssize_t ntd_message_receive(int socket, void *bytes, size_t len, int *fds, size_t *fd_count);
