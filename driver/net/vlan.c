/* Clients of a VLAN, on the loop thread; other threads make, free and count.
 *
 * Theory of operation
 *
 * A client connects to DIRECTORY/ctl, sends one request that names its data socket, a datagram
 * socket in the same directory, and gets the name of the VLAN's data socket for this client in
 * return. The two data sockets connect to each other, so that neither takes frames from any other
 * socket, and the client unlinks its name. The control connection carries nothing more: it stands
 * for the port, and its end, however the client ends, is the end of the port.
 *
 * The VLAN's data socket is connected before it is bound and announced: there is no moment at which
 * a stranger could send to it. Only the last component of the client's path is used, in the VLAN's
 * own directory; no client can make the driver send frames to a socket elsewhere.
 *
 * A client that reaches the directory (mode 0700) runs as the driver's user, but may be broken, or
 * a QEMU that its guest has taken over. So nothing that a client sends or leaves out blocks the
 * loop, allocates without limit or fills the log.
 */
#include "net/vlan_internal.h"

#include "base/text.h"
#include "net/datagram.h"
#include "net/vde.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum {
	ACCEPT_BATCH = 16,
	COMPLAINTS_MAX = 20,
	PORT_NAME_SIZE = 12,
};

#define CONTROL "ctl"
#define ACCEPT_PAUSE (200 * NTD_MS)

struct client {
	struct ntd_source control;
	struct ntd_vlan *vlan;
	struct ntd_port *port; /* NULL until the request is complete */
	struct ntd_traffic_client traffic;
	unsigned slot;
	size_t len; /* of the request so far */
	unsigned char request[NTD_VDE_REQUEST_MAX];
};

/* ---- clients */

/* Logs an error that a client has caused, and frees it. Clients can cause errors as often as they
 * like, so only the first few are logged. */
static void complain(struct ntd_vlan *vlan, struct ntd_error *error)
{
	_cleanup_error_ struct ntd_error *owned = error;

	if (vlan->complaints++ < COMPLAINTS_MAX)
		ntd_log(vlan->report, NTD_LEVEL_WARNING, NULL, "vlan %d: %s%s", vlan->number,
			owned->message,
			vlan->complaints == COMPLAINTS_MAX ? " (further ones are not logged)" : "");
}

/* The name of a slot's data socket. */
static const char *port_name(unsigned slot, char name[static PORT_NAME_SIZE])
{
	snprintf(name, PORT_NAME_SIZE, "%03u", slot + 1);
	return name;
}

static void client_free(struct client *client)
{
	struct ntd_vlan *vlan = client->vlan;
	char name[PORT_NAME_SIZE];

	ntd_traffic_leave(&client->traffic);
	if (client->port) {
		ntd_port_unplug(client->port);
		ntd_socket_dir_unlink(&vlan->directory, port_name(client->slot, name));
	}
	ntd_source_remove(&client->control);
	ntd_close_fd(&client->control.fd);
	vlan->clients[client->slot] = NULL;
	free(client);
}

/* Makes the VLAN's data socket for the client, and answers with its address. */
static int plug(struct client *client, const struct ntd_vde_request *request,
		struct ntd_error **err)
{
	struct ntd_vlan *vlan = client->vlan;
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un reply;
	char name[PORT_NAME_SIZE];

	if (fd < 0)
		return ntd_error_sys(err, errno, "cannot make a data socket");
	port_name(client->slot, name);
	if (ntd_vde_address(&reply, vlan->directory.path, name, err) < 0 ||
	    ntd_socket_dir_connect(&vlan->directory, fd, ntd_file_name(request->path), err) < 0 ||
	    ntd_socket_dir_bind(&vlan->directory, fd, name, err) < 0)
		return -1;
	client->port = ntd_switch_plug(vlan->hub, fd, &ntd_datagram_link, err);
	if (!client->port) {
		ntd_socket_dir_unlink(&vlan->directory, name);
		return -1;
	}
	ntd_steal_fd(&fd);
	ntd_traffic_join(&vlan->traffic, &client->traffic, client->port, client->control.fd);
	if (send(client->control.fd, &reply, sizeof reply, MSG_NOSIGNAL) != sizeof reply)
		return ntd_error_sys(err, errno, "cannot answer a client");
	return 0;
}

/* Called when more of the request has arrived; plugs the client in when the request is complete. */
static int request_grew(struct client *client, struct ntd_error **err)
{
	struct ntd_vlan *vlan = client->vlan;
	struct ntd_vde_request request;
	int complete = ntd_vde_parse_request(client->request, client->len, &request, err);

	if (complete <= 0)
		return complete;
	if (plug(client, &request, err) < 0)
		return ntd_error_wrap(err, "client \"%s\"", request.description);
	ntd_log(vlan->report, NTD_LEVEL_DEBUG, NULL, "vlan %d: port %u is \"%s\"", vlan->number,
		client->slot + 1, request.description);
	return 0;
}

/* Takes what has come on the control connection. -1: the connection is over, with or without an
 * error. */
static int read_control(struct client *client, struct ntd_error **err)
{
	/* Bytes after the request mean nothing and are read over it; only the end is of interest.
	 */
	size_t at = client->port ? 0 : client->len;
	ssize_t count = recv(client->control.fd, client->request + at, sizeof client->request - at,
			     MSG_DONTWAIT);

	if (count < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (client->port)
		return count > 0 ? 0 : -1;
	if (count > 0) {
		client->len += (size_t)count;
		return request_grew(client, err);
	}
	if (client->len)
		ntd_error_set(err, NTD_E_PROTOCOL,
			      "a client hung up in its request, after %zu bytes", client->len);
	return -1;
}

static void control_ready(struct ntd_source *source, uint32_t events)
{
	struct client *client = ntd_container_of(source, struct client, control);
	struct ntd_error *error = NULL;

	if (read_control(client, &error) == 0)
		return;
	if (error)
		complain(client->vlan, error);
	client_free(client);
}

/* ---- accepting */

static void accept_client(struct ntd_vlan *vlan, int control_fd)
{
	_cleanup_fd_ int fd = control_fd;
	struct client *client;
	struct ntd_error *error = NULL;
	unsigned slot = 0;

	while (slot < NTD_VLAN_CLIENTS_MAX && vlan->clients[slot])
		slot++;
	if (slot == NTD_VLAN_CLIENTS_MAX) {
		complain(vlan, ntd_error_new(NTD_E_PROTOCOL,
					     "a client was refused: all %d ports are in use",
					     NTD_VLAN_CLIENTS_MAX));
		return;
	}
	client = ntd_calloc(1, sizeof *client);
	*client = (struct client){
		.control = {.fd = fd, .ready = control_ready}, .vlan = vlan, .slot = slot};
	if (ntd_source_add(vlan->loop, &client->control, EPOLLIN, &error) < 0) {
		complain(vlan, error);
		free(client);
		return;
	}
	ntd_steal_fd(&fd);
	vlan->clients[slot] = client;
}

/* The driver has no descriptors left, most likely. The connection stays in the backlog, so the
 * listener stays readable, and is not watched for a while. */
static void pause_accepting(struct ntd_vlan *vlan, int accept_errno)
{
	struct ntd_error *error = NULL;

	ntd_error_sys(&error, accept_errno, "cannot accept a client now");
	complain(vlan, error);
	ntd_source_modify(&vlan->listener, 0);
	ntd_timer_set(vlan->loop, &vlan->resume, ntd_after(ACCEPT_PAUSE));
}

static void resume_accepting(struct ntd_timer *timer)
{
	ntd_source_modify(&ntd_container_of(timer, struct ntd_vlan, resume)->listener, EPOLLIN);
}

static void listener_ready(struct ntd_source *source, uint32_t events)
{
	struct ntd_vlan *vlan = ntd_container_of(source, struct ntd_vlan, listener);

	for (int i = 0; i < ACCEPT_BATCH; i++) {
		int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0)
			accept_client(vlan, fd);
		else if (errno == EAGAIN)
			return;
		else if (errno != EINTR && errno != ECONNABORTED)
			return pause_accepting(vlan, errno);
	}
}

/* ---- the VLAN */

static int check_path(const char *directory, struct ntd_error **err)
{
	size_t len = strlen(directory);

	if (directory[0] != '/')
		return ntd_error_set(err, NTD_E_VALUE, "the directory %s is not absolute",
				     directory);
	if (len > NTD_VLAN_DIRECTORY_MAX)
		return ntd_error_set(err, NTD_E_VALUE,
				     "the directory %s has %zu bytes; at most %d leave room for "
				     "the names of sockets",
				     directory, len, NTD_VLAN_DIRECTORY_MAX);
	return 0;
}

static int open_listener(struct ntd_vlan *vlan, struct ntd_error **err)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	vlan->listener = (struct ntd_source){.fd = fd, .ready = listener_ready};
	if (fd < 0)
		return ntd_error_sys(err, errno, "cannot make the control socket");
	if (ntd_socket_dir_bind(&vlan->directory, fd, CONTROL, err) < 0)
		return -1;
	if (listen(fd, SOMAXCONN) < 0)
		return ntd_error_sys(err, errno, "cannot listen at %s/" CONTROL,
				     vlan->directory.path);
	return 0;
}

struct start {
	struct ntd_vlan *vlan;
	struct ntd_error **err;
	int result;
};

static void run_start(void *arg)
{
	struct start *start = arg;

	struct ntd_vlan *vlan = start->vlan;

	start->result = ntd_source_add(vlan->loop, &vlan->listener, EPOLLIN, start->err);
	ntd_traffic_begin(&vlan->traffic, vlan->loop, vlan->report, vlan->hub, vlan->number);
}

static int serve(struct ntd_vlan *vlan, const char *directory, struct ntd_error **err)
{
	struct start start = {.vlan = vlan, .err = err};

	if (check_path(directory, err) < 0 ||
	    ntd_socket_dir_open(&vlan->directory, directory, CONTROL, err) < 0 ||
	    open_listener(vlan, err) < 0)
		return -1;
	ntd_loop_call(vlan->loop, run_start, &start);
	return start.result;
}

static void run_stop(void *arg)
{
	struct ntd_vlan *vlan = arg;

	ntd_source_remove(&vlan->listener);
	ntd_timer_cancel(&vlan->resume);
	for (unsigned slot = 0; slot < NTD_VLAN_CLIENTS_MAX; slot++)
		if (vlan->clients[slot])
			client_free(vlan->clients[slot]);
	ntd_traffic_end(&vlan->traffic);
	ntd_switch_free(vlan->hub);
}

static void dispose(struct ntd_vlan *vlan)
{
	_cleanup_error_ struct ntd_error *error = NULL;

	ntd_loop_call(vlan->loop, run_stop, vlan);
	ntd_close_fd(&vlan->listener.fd);
	if (ntd_socket_dir_remove(&vlan->directory, &error) < 0)
		ntd_log(vlan->report, NTD_LEVEL_WARNING, NULL, "vlan %d: %s", vlan->number,
			error->message);
	free(vlan);
}

struct ntd_vlan *ntd_vlan_new(struct ntd_loop *loop, struct ntd_report *report, int number,
			      const char *directory, struct ntd_error **err)
{
	struct ntd_vlan *vlan = ntd_calloc(1, sizeof *vlan);

	*vlan = (struct ntd_vlan){.number = number,
				  .loop = loop,
				  .report = report,
				  .directory.fd = -1,
				  .hub = ntd_switch_new(loop),
				  .listener.fd = -1,
				  .resume.expired = resume_accepting};
	ntd_log(report, NTD_LEVEL_INFO, NULL, "start vlan");
	if (serve(vlan, directory, err) < 0) {
		dispose(vlan);
		return NULL;
	}
	ntd_log(report, NTD_LEVEL_INFO, NULL, "running vlan (pid %d; ctl %s)", getpid(), directory);
	return vlan;
}

void ntd_vlan_free(struct ntd_vlan *vlan)
{
	if (!vlan)
		return;
	ntd_log(vlan->report, NTD_LEVEL_INFO, NULL, "kill vlan (pid %d)", getpid());
	dispose(vlan);
}

int ntd_vlan_number(const struct ntd_vlan *vlan)
{
	return vlan->number;
}

const char *ntd_vlan_directory(const struct ntd_vlan *vlan)
{
	return vlan->directory.path;
}
