/* Connections to managers of systemd. The agent is root, whom the managers of users accept, too,
 * and the client says all that it has to say for its authentication at once, calls behind it.
 */
#include "agent/systemd.h"

#include "agent/descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

struct ntd_systemd {
	struct ntd_agent *agent;
	struct sockaddr_un address;
	struct ntd_agent_source source; /* fd -1: not connected */
	bool trusted;                   /* the manager has accepted the authentication */
	struct ntd_buf in, out;
	uint32_t serial; /* of the last call */
	struct ntd_list queries, listeners;
	struct ntd_list_link link;
};

/* The managers that were ever asked. */
static struct ntd_list managers;

const char *ntd_systemd_run;

enum { LINE_MOST = 512, READ_MOST = 64 << 10, USERS_MOST = 4 << 20 };

/* ---- the connection */

static void lose(struct ntd_systemd *systemd)
{
	struct ntd_systemd_query *query;

	ntd_agent_source_remove(&systemd->source);
	ntd_close_fd(&systemd->source.fd);
	ntd_buf_free(&systemd->in);
	ntd_buf_free(&systemd->out);
	while ((query = ntd_list_take(&systemd->queries, struct ntd_systemd_query, link)))
		query->answered(query, NULL);
}

/* Writes what waits. An error is found by reading, too. */
static void flush(struct ntd_systemd *systemd)
{
	ssize_t sent = 1;

	while (systemd->out.len && sent > 0) {
		sent = send(systemd->source.fd, ntd_buf_bytes(&systemd->out), systemd->out.len,
			    MSG_NOSIGNAL);
		if (sent > 0)
			ntd_buf_consume(&systemd->out, (size_t)sent);
	}
	systemd->source.events = (short)(systemd->out.len ? POLLIN | POLLOUT : POLLIN);
}

static void dispatch(struct ntd_systemd *systemd, struct ntd_dbus_message *message)
{
	if (message->type == NTD_DBUS_SIGNAL) {
		ntd_list_each (struct ntd_systemd_listener, listener, &systemd->listeners, link)
			if (ntd_dbus_is(message->path, listener->path))
				listener->changed(listener);
		return;
	}
	if (message->type != NTD_DBUS_RETURN && message->type != NTD_DBUS_ERROR)
		return;
	ntd_list_each (struct ntd_systemd_query, query, &systemd->queries, link) {
		if (query->serial != message->reply_serial)
			continue;
		ntd_list_unlink(&query->link);
		query->answered(query, message);
		return;
	}
}

/* Reads the answer to the authentication. Returns 1, 0: it is not whole yet, -1: refused. */
static int authenticated(struct ntd_systemd *systemd)
{
	const char *line = ntd_buf_bytes(&systemd->in);
	const char *end = memchr(line, '\n', systemd->in.len);

	if (!end)
		return systemd->in.len < LINE_MOST ? 0 : -1;
	if (end - line < 3 || memcmp(line, "OK ", 3) != 0)
		return -1;
	ntd_buf_consume(&systemd->in, (size_t)(end - line) + 1);
	systemd->trusted = true;
	return 1;
}

/* Takes the messages that are there. -1: they are none. */
static int take(struct ntd_systemd *systemd)
{
	int trusted = systemd->trusted ? 1 : authenticated(systemd);

	while (trusted > 0) {
		struct ntd_dbus_message message;
		size_t taken;
		enum ntd_dbus_verdict verdict = ntd_dbus_take(ntd_buf_bytes(&systemd->in),
							      systemd->in.len, &message, &taken);

		if (verdict == NTD_DBUS_BROKEN)
			return -1;
		if (verdict == NTD_DBUS_PARTIAL)
			return 0;
		dispatch(systemd, &message);
		ntd_buf_consume(&systemd->in, taken);
	}
	return trusted;
}

static void ready(struct ntd_agent_source *source, short events)
{
	struct ntd_systemd *systemd = ntd_container_of(source, struct ntd_systemd, source);
	ssize_t got;

	flush(systemd);
	got = recv(source->fd, ntd_buf_reserve(&systemd->in, READ_MOST), READ_MOST, 0);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	ntd_buf_added(&systemd->in, got > 0 ? (size_t)got : 0);
	if (got <= 0 || take(systemd) < 0)
		lose(systemd);
}

/* Appends the authentication as a user, whose number is written in decimal, and that in hex. */
static void authenticate(struct ntd_systemd *systemd)
{
	_cleanup_free_ char *number = ntd_asprintf("%u", (unsigned)geteuid());

	ntd_buf_append(&systemd->out, "", 1);
	ntd_buf_puts(&systemd->out, "AUTH EXTERNAL ");
	for (const char *c = number; *c; c++)
		ntd_buf_printf(&systemd->out, "%02x", (unsigned)*c);
	ntd_buf_puts(&systemd->out, "\r\nBEGIN\r\n");
}

static void append_call(struct ntd_systemd *systemd, const struct ntd_dbus_call *call)
{
	ntd_dbus_append_call(&systemd->out, ++systemd->serial, call);
}

static int connected(struct ntd_systemd *systemd)
{
	static const struct ntd_dbus_call subscribe = {.path = "/org/freedesktop/systemd1",
						       .interface =
							       "org.freedesktop.systemd1.Manager",
						       .member = "Subscribe"};
	_cleanup_fd_ int fd = -1;

	if (systemd->source.fd >= 0)
		return 0;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 ||
	    connect(fd, (const struct sockaddr *)&systemd->address, sizeof systemd->address) < 0)
		return -1;
	systemd->source = (struct ntd_agent_source){
		.fd = ntd_steal_fd(&fd), .events = POLLIN, .ready = ready};
	systemd->trusted = false;
	ntd_agent_source_add(systemd->agent, &systemd->source);
	authenticate(systemd);
	append_call(systemd, &subscribe);
	return 0;
}

/* ---- managers */

/* Reads /etc/passwd, or the beginning of one that has no end. */
static void read_users(struct ntd_buf *users)
{
	_cleanup_fd_ int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);

	ntd_agent_read_all(fd, USERS_MOST, users);
	ntd_buf_append(users, "", 1);
}

/* The number of a user, as its line "NAME:PASSWORD:NUMBER:..." has it, decimal and not terminated;
 * NULL: the file knows no such user. The C library's function would be a tenth of the program. */
static const char *number_of(const char *users, const char *user, size_t *len)
{
	size_t name = strlen(user);

	for (const char *line = users; line; line = strchr(line, '\n')) {
		const char *colon;

		line += *line == '\n';
		if (strncmp(line, user, name) != 0 || line[name] != ':')
			continue;
		colon = strchr(line + name + 1, ':');
		*len = colon ? strspn(colon + 1, "0123456789") : 0;
		return *len && colon[1 + *len] == ':' ? colon + 1 : NULL;
	}
	return NULL;
}

/* The path of the manager's socket, a new string; NULL: there is no such user. */
static char *socket_of(const char *user)
{
	const char *run = ntd_systemd_run ? ntd_systemd_run : "/run", *number;
	_cleanup_buf_ struct ntd_buf users = {0};
	size_t len;

	if (!user)
		return ntd_asprintf("%s/systemd/private", run);
	read_users(&users);
	number = number_of(ntd_buf_bytes(&users), user, &len);
	return number ? ntd_asprintf("%s/user/%.*s/systemd/private", run, (int)len, number) : NULL;
}

struct ntd_systemd *ntd_systemd_of(struct ntd_agent *agent, const char *user)
{
	_cleanup_free_ char *path = socket_of(user);
	struct ntd_systemd *systemd;

	if (!path || strlen(path) >= sizeof systemd->address.sun_path)
		return NULL;
	ntd_list_each (struct ntd_systemd, known, &managers, link)
		if (!strcmp(known->address.sun_path, path))
			return known;
	systemd = ntd_calloc(1, sizeof *systemd);
	systemd->agent = agent;
	systemd->address.sun_family = AF_UNIX;
	memcpy(systemd->address.sun_path, path, strlen(path));
	systemd->source.fd = -1;
	ntd_list_append(&managers, &systemd->link);
	return systemd;
}

/* ---- for waits */

int ntd_systemd_ask(struct ntd_systemd *systemd, struct ntd_systemd_query *query,
		    const struct ntd_dbus_call *call)
{
	if (connected(systemd) < 0)
		return -1;
	append_call(systemd, call);
	query->serial = systemd->serial;
	ntd_list_append(&systemd->queries, &query->link);
	flush(systemd);
	return 0;
}

void ntd_systemd_forget(struct ntd_systemd_query *query)
{
	ntd_list_unlink(&query->link);
}

void ntd_systemd_listen(struct ntd_systemd *systemd, struct ntd_systemd_listener *listener)
{
	ntd_list_append(&systemd->listeners, &listener->link);
}

void ntd_systemd_ignore(struct ntd_systemd_listener *listener)
{
	ntd_list_unlink(&listener->link);
}
