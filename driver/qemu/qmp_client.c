/* QMP connections that a script makes by itself, to sockets other than those of its machines. The
 * public functions run on the script's thread, which waits for the loop thread.
 */
#include "qemu/qmp.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

int ntd_qmp_dial(const char *path, struct ntd_error **err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (strlen(path) >= sizeof address.sun_path)
		errno = ENAMETOOLONG;
	else
		memcpy(address.sun_path, path, strlen(path));
	if (fd < 0 || !*address.sun_path ||
	    connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
		return ntd_error_sys(err, errno, "cannot connect to QMP at %s", path);
	return ntd_steal_fd(&fd);
}

/* ---- waiting for the negotiation */

struct greeting {
	struct ntd_request request;
	struct ntd_qmp *qmp;
	int fd;
	bool over; /* the script's thread does not wait any more */
};

static void greeted(void *owner, const struct ntd_error *failure)
{
	struct greeting *greeting = owner;

	if (!greeting->over)
		ntd_request_complete(&greeting->request, failure ? ntd_error_copy(failure) : NULL);
}

static void hang_up(void *arg)
{
	_cleanup_error_ struct ntd_error *error =
		ntd_error_new(NTD_E_DEAD, "the QMP connection was closed");

	ntd_qmp_close(arg, error);
}

static void greeting_abandon(struct ntd_request *request)
{
	struct greeting *greeting = ntd_container_of(request, struct greeting, request);

	greeting->over = true;
	hang_up(greeting->qmp);
}

static void greeting_begin(struct ntd_request *request)
{
	struct greeting *greeting = ntd_container_of(request, struct greeting, request);
	struct ntd_error *error = NULL;

	if (ntd_qmp_open(greeting->qmp, greeting->fd, greeted, greeting, &error) < 0) {
		greeting_abandon(request);
		ntd_request_complete(request, error);
	}
}

struct ntd_qmp *ntd_qmp_connect(struct ntd_loop *loop, const char *path, int64_t deadline,
				struct ntd_waiter *waiter, struct ntd_error **err)
{
	_cleanup_free_ char *who = ntd_asprintf("QMP at %s", path);
	struct greeting greeting = {
		.request = {.begin = greeting_begin, .abandon = greeting_abandon},
		.fd = ntd_qmp_dial(path, err)};

	if (greeting.fd < 0)
		return NULL;
	greeting.qmp = ntd_qmp_new(loop, who);
	if (ntd_request_run(loop, &greeting.request, deadline, waiter, err) == 0)
		return greeting.qmp;
	ntd_error_wrap(err, "%s: waiting for QEMU's greeting", who);
	/* The greeting may have come just when the wait was given up. */
	ntd_qmp_hang_up(loop, greeting.qmp);
	ntd_qmp_free(greeting.qmp);
	return NULL;
}

void ntd_qmp_hang_up(struct ntd_loop *loop, struct ntd_qmp *qmp)
{
	ntd_loop_call(loop, hang_up, qmp);
}
