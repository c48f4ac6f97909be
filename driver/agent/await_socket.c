/* Waits until the guest can connect to a Unix socket. */
#include "agent/await_internal.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

/* ms between attempts: `most` after a while. */
enum { EVERY = 10, EVERY_MOST = 40 };

/* A listener whose queue is full gives EAGAIN: it is asked again. */
static bool connects(const struct ntd_condition *condition, const struct sockaddr_un *address)
{
	int type = condition->kind == NTD_CONDITION_DATAGRAM ? SOCK_DGRAM : SOCK_STREAM;
	_cleanup_fd_ int fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	return fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) == 0;
}

static void look(struct ntd_await *await)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int64_t pause = EVERY + ntd_await_lasted(await) / 16;

	memcpy(address.sun_path, await->condition.subject, strlen(await->condition.subject));
	if (connects(&await->condition, &address))
		ntd_await_answer(await, NTD_MEETS, NULL);
	else
		ntd_await_again(await, pause < EVERY_MOST ? pause : EVERY_MOST);
}

static void begin(struct ntd_await *await)
{
	const char *path = await->condition.subject;

	if (!path || path[0] != '/' || strlen(path) >= sizeof((struct sockaddr_un *)0)->sun_path)
		ntd_await_answer(await, NTD_UNSEEN, NULL);
	else
		look(await);
}

const struct ntd_await_kind ntd_await_socket = {
	.size = sizeof(struct ntd_await),
	.begin = begin,
	.again = look,
};
