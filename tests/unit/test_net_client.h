/* A minimal VDE client for tests and measurements, which does what libvdeplug does. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

struct vde_client {
	int control, data;
	struct sockaddr_un ours, theirs; /* data sockets; ours is unlinked once connected */
};

struct vde_request {
	uint32_t magic, version, type;
	struct sockaddr_un data;
	char description[128];
} __attribute__((packed));

/* Limits each call on the socket; a successful call is much faster. */
static inline int set_timeout(int fd)
{
	const struct timeval limit = {.tv_sec = 10};

	return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) |
	       setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

static inline int connect_control(const char *directory)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof address.sun_path, "%.100s/ctl", directory);
	set_timeout(fd);
	if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
		return fd;
	close(fd);
	return -1;
}

/* Makes a request for any port, from a data socket at `path`, and returns its length. */
static inline size_t make_request(struct vde_request *request, const char *path,
				  const char *description)
{
	size_t len = strlen(path);

	*request =
		(struct vde_request){.magic = 0xfeedface, .version = 3, .data.sun_family = AF_UNIX};
	memcpy(request->data.sun_path, path,
	       len < sizeof request->data.sun_path ? len : sizeof request->data.sun_path);
	memcpy(request->description, description, strlen(description));
	return offsetof(struct vde_request, description) + strlen(description);
}

static inline void client_close(struct vde_client *client)
{
	close(client->control);
	close(client->data);
}

/* Binds the data socket and connects the control socket, but asks for nothing yet. */
static inline int client_prepare(struct vde_client *client, const char *directory,
				 unsigned char number)
{
	*client = (struct vde_client){.ours.sun_family = AF_UNIX};
	client->control = connect_control(directory);
	client->data = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	set_timeout(client->data);
	snprintf(client->ours.sun_path, sizeof client->ours.sun_path, "%.92s/.%05d-%05hhu",
		 directory, getpid(), number);
	if (client->control >= 0 &&
	    bind(client->data, (struct sockaddr *)&client->ours, sizeof client->ours) == 0)
		return 0;
	client_close(client);
	return -1;
}

/* Reads the reply and connects the data socket. */
static inline int client_finish(struct vde_client *client)
{
	if (recv(client->control, &client->theirs, sizeof client->theirs, MSG_WAITALL) !=
	    sizeof client->theirs)
		return -1;
	if (connect(client->data, (struct sockaddr *)&client->theirs, sizeof client->theirs) < 0)
		return -1;
	return unlink(client->ours.sun_path);
}

/* Does all steps of a client. `number` differs for the clients of a process. */
static inline int client_open(struct vde_client *client, const char *directory,
			      unsigned char number)
{
	struct vde_request request;
	size_t len;

	if (client_prepare(client, directory, number) < 0)
		return -1;
	len = make_request(&request, client->ours.sun_path, "test");
	if (send(client->control, &request, len, MSG_NOSIGNAL) == (ssize_t)len &&
	    client_finish(client) == 0)
		return 0;
	unlink(client->ours.sun_path);
	client_close(client);
	return -1;
}
