/* libssh's session on the event loop. Loop thread only.
 *
 * libssh writes only when its own poll() has found room in the socket, and takes EAGAIN for the end
 * of the connection; so the socket is non-blocking and still never says EAGAIN. libssh makes a
 * socket that it is given blocking again when it first uses it, which is undone after each of its
 * first calls.
 *
 * Any of libssh's functions may read from the socket, and call callbacks, though it was called for
 * something else. What was read then would wake nobody, so everything is done again until no byte
 * has moved.
 */
#include "ssh/session.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

enum {
	ROUNDS = 16, /* until the other sources of the loop have their turn */
	POLLS = 16,  /* of the socket in a round; libssh reads 4 KiB at a time */
};

/* Modern ciphers only, in the order of OpenSSH. In an emulated guest, whose processor has no AES
 * instructions, the first is the quickest by far; where both sides have them, none is slow. */
#define CIPHERS                                                                                    \
	"chacha20-poly1305@openssh.com,aes128-gcm@openssh.com,aes256-gcm@openssh.com,"             \
	"aes128-ctr,aes256-ctr"

static uint64_t moved(const struct ntd_ssh_session *session)
{
	return session->count.in_bytes + session->count.out_bytes;
}

static void make_non_blocking(const struct ntd_ssh_session *session)
{
	int flags = fcntl(session->socket.fd, F_GETFL);

	if (!(flags & O_NONBLOCK))
		fcntl(session->socket.fd, F_SETFL, flags | O_NONBLOCK);
}

/* Reads and writes until nothing moves; the callbacks of streams take what is read. */
static void move_bytes(struct ntd_ssh_session *session)
{
	for (int i = 0; i < POLLS; i++) {
		uint64_t before = moved(session);

		if (session->event)
			ntd_libssh.event_dopoll(session->event, 0);
		if (moved(session) == before)
			break;
	}
}

static void watch(struct ntd_ssh_session *session)
{
	bool waits = ntd_libssh.get_poll_flags(session->ssh) & SSH_WRITE_PENDING;

	ntd_source_modify(&session->socket, EPOLLIN | (waits ? (uint32_t)EPOLLOUT : 0));
}

void ntd_ssh_session_run(struct ntd_ssh_session *session)
{
	bool more = true;

	session->again_now = true;
	if (session->running || !session->ssh)
		return;
	session->running = true;
	for (int i = 0; i < ROUNDS && more && session->ssh; i++) {
		uint64_t before;

		move_bytes(session);
		before = moved(session);
		session->again_now = false;
		session->advance(session);
		more = session->again_now || moved(session) != before;
	}
	session->running = false;
	if (!session->ssh)
		return;
	if (more)
		ntd_timer_set(session->loop, &session->again, ntd_now());
	watch(session);
}

static void socket_ready(struct ntd_source *source, uint32_t events)
{
	ntd_ssh_session_run(ntd_container_of(source, struct ntd_ssh_session, socket));
}

static void run_again(struct ntd_timer *timer)
{
	ntd_ssh_session_run(ntd_container_of(timer, struct ntd_ssh_session, again));
}

bool ntd_ssh_session_ended(const struct ntd_ssh_session *session)
{
	return !session->ssh ||
	       ntd_libssh.get_status(session->ssh) & (SSH_CLOSED | SSH_CLOSED_ERROR);
}

const char *ntd_ssh_session_error(const struct ntd_ssh_session *session)
{
	return ntd_libssh.get_error(session->ssh);
}

uint64_t ntd_ssh_session_received(const struct ntd_ssh_session *session)
{
	return session->count.in_bytes;
}

/* The function takes the reply to the request of an earlier call, and then a request is sent only
 * by another call. */
void ntd_ssh_session_ask_for_life(struct ntd_ssh_session *session)
{
	for (int i = 0; i < 2 && session->ssh; i++)
		ntd_libssh.send_keepalive(session->ssh);
	ntd_ssh_session_run(session);
}

/* ---- life */

void ntd_ssh_session_init(struct ntd_ssh_session *session, struct ntd_loop *loop,
			  void (*advance)(struct ntd_ssh_session *session))
{
	*session = (struct ntd_ssh_session){.loop = loop,
					    .advance = advance,
					    .socket = {.fd = -1, .ready = socket_ready},
					    .again.expired = run_again};
}

/* Nothing of the user's own configuration is read: the run knows its keys itself. */
static int set_options(ssh_session ssh, int fd, const char *user)
{
	bool no = false;

	if (ntd_libssh.options_set(ssh, SSH_OPTIONS_FD, &fd) < 0 ||
	    ntd_libssh.options_set(ssh, SSH_OPTIONS_USER, user) < 0 ||
	    ntd_libssh.options_set(ssh, SSH_OPTIONS_PROCESS_CONFIG, &no) < 0 ||
	    ntd_libssh.options_set(ssh, SSH_OPTIONS_SSH_DIR, "/dev/null") < 0 ||
	    ntd_libssh.options_set(ssh, SSH_OPTIONS_KNOWNHOSTS, "/dev/null") < 0 ||
	    ntd_libssh.options_set(ssh, SSH_OPTIONS_GLOBAL_KNOWNHOSTS, "/dev/null") < 0 ||
	    ntd_libssh.options_set(ssh, SSH_OPTIONS_CIPHERS_C_S, CIPHERS) < 0 ||
	    ntd_libssh.options_set(ssh, SSH_OPTIONS_CIPHERS_S_C, CIPHERS) < 0)
		return -1;
	return 0;
}

int ntd_ssh_session_open(struct ntd_ssh_session *session, int fd, const char *user,
			 struct ntd_error **err)
{
	ssh_session ssh = ntd_libssh.new();

	session->count = (struct ssh_counter_struct){0};
	session->socket.fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (!ssh || session->socket.fd < 0 || set_options(ssh, fd, user) < 0) {
		ntd_error_set(err, NTD_E_MACHINE, "cannot make an SSH session: %s",
			      ssh ? ntd_libssh.get_error(ssh) : "no memory");
		ntd_libssh.free(ssh);
		ntd_close_fd(&session->socket.fd);
		close(fd);
		return -1;
	}
	session->ssh = ssh;
	ntd_libssh.set_blocking(ssh, 0);
	ntd_libssh.set_counters(ssh, &session->count, NULL);
	ntd_libssh.connect(ssh); /* hands the socket to libssh's poll() */
	make_non_blocking(session);
	session->event = ntd_libssh.event_new();
	if (!session->event || ntd_libssh.event_add_session(session->event, ssh) != SSH_OK ||
	    ntd_source_add(session->loop, &session->socket, EPOLLIN | EPOLLOUT, NULL) < 0) {
		ntd_error_set(err, NTD_E_MACHINE, "cannot watch an SSH session");
		ntd_ssh_session_close(session);
		return -1;
	}
	return 0;
}

void ntd_ssh_session_close(struct ntd_ssh_session *session)
{
	if (!session->ssh)
		return;
	ntd_timer_cancel(&session->again);
	ntd_source_remove(&session->socket);
	if (session->event)
		ntd_libssh.event_free(ntd_steal(&session->event));
	ntd_libssh.free(ntd_steal(&session->ssh));
	/* Also if libssh leaves its descriptor open. */
	shutdown(session->socket.fd, SHUT_RDWR);
	ntd_close_fd(&session->socket.fd);
}
