/* The connection to sshd: how it is made, found dead, and made again. Loop thread only.
 *
 * A port that accepts connections proves nothing, since QEMU accepts them for the guest before the
 * guest's sshd listens. So every attempt has a limit, and another one follows, until sshd has said
 * who it is, has let the user in and has run a first command. That command tells which boot of the
 * guest this is.
 *
 * TCP does not tell that a guest is dead, since QEMU answers for it. So sshd is asked for a sign of
 * life in each second of silence. Seconds are counted, and not measured, so that a driver that was
 * stopped itself does not take the guest for dead.
 */
#include "ssh/ssh_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#define FIRST_PATIENCE (5 * NTD_SECOND) /* for sshd's first line, then half as much again */
#define LAST_PATIENCE (30 * NTD_SECOND)
#define STEP_PATIENCE (60 * NTD_SECOND) /* for each of the steps after it */
#define PAUSE (250 * NTD_MS)
#define BOOT_PAUSE (1 * NTD_SECOND)
#define END_PATIENCE (1 * NTD_SECOND) /* for the end of the machine, after a connection's */
#define ROUND_PAUSE (2 * NTD_SECOND)
#define DENIED_PATIENCE (10 * NTD_SECOND) /* a key may reach a guest late in its boot */

enum {
	SILENCE_LIMIT = 8, /* seconds */
	PROBE_LIMIT = 256 << 10,
};

void ntd_ssh_set_refusal(struct ntd_ssh *ssh, struct ntd_error *why)
{
	ntd_error_free(ssh->refusal);
	ssh->refusal = why;
}

/* ---- the end of a connection */

static void drop(struct ntd_ssh *ssh)
{
	ntd_timer_cancel(&ssh->timer);
	ntd_timer_cancel(&ssh->pulse);
	ntd_ssh_streams_lose(&ssh->session);
	ntd_ssh_session_close(&ssh->session);
	ntd_source_remove(&ssh->connection);
	ntd_close_fd(&ssh->connection.fd);
	ntd_buf_free(&ssh->probe_output);
}

void ntd_ssh_disconnect(struct ntd_ssh *ssh)
{
	drop(ssh);
	ssh->state = NTD_SSH_CLOSED;
}

static void wait_and_connect(struct ntd_ssh *ssh, int64_t pause)
{
	drop(ssh);
	ssh->state = NTD_SSH_WAITING;
	ntd_timer_set(ssh->loop, &ssh->timer, ntd_after(pause));
}

/* Takes `why`. Pending commands fail after `pause`, unless the machine's end is known before. */
static void lose(struct ntd_ssh *ssh, struct ntd_error *why, int64_t pause)
{
	ntd_ssh_set_refusal(ssh, why);
	wait_and_connect(ssh, pause);
	ssh->channel.owner.lost(ssh->channel.owner.owner, &ssh->channel);
}

static void refuse(struct ntd_ssh *ssh, struct ntd_error *why)
{
	ntd_ssh_set_refusal(ssh, why);
	drop(ssh);
	ssh->state = NTD_SSH_REFUSED;
	ssh->channel.owner.refused(ssh->channel.owner.owner, &ssh->channel, why);
}

static void refuse_user(struct ntd_ssh *ssh)
{
	_cleanup_free_ char *how = ntd_ssh_auth_describe(&ssh->auth, &ssh->login);

	refuse(ssh,
	       ntd_error_new(NTD_E_MACHINE, "machine '%s': sshd does not let the user %s in: %s",
			     ssh->machine, ssh->login.user, how));
}

/* The connection has ended, or a step has taken too long. */
static void end_attempt(struct ntd_ssh *ssh)
{
	if (ssh->state == NTD_SSH_READY)
		lose(ssh,
		     ntd_error_new(NTD_E_MACHINE,
				   "machine '%s': the SSH connection to the guest has ended: %s",
				   ssh->machine, ntd_ssh_session_error(&ssh->session)),
		     END_PATIENCE);
	else if (ssh->denied && ntd_now() - ssh->denied >= DENIED_PATIENCE)
		refuse_user(ssh);
	else
		wait_and_connect(ssh, PAUSE);
}

/* ---- life and death */

static void pulse(struct ntd_timer *timer)
{
	struct ntd_ssh *ssh = ntd_container_of(timer, struct ntd_ssh, pulse);

	ntd_ssh_session_run(&ssh->session);
	if (ssh->state != NTD_SSH_READY)
		return;
	if (ntd_ssh_session_received(&ssh->session) != ssh->heard_bytes)
		ssh->silence = 0;
	else
		ssh->silence++;
	ssh->heard_bytes = ntd_ssh_session_received(&ssh->session);
	if (ssh->silence >= SILENCE_LIMIT) {
		lose(ssh,
		     ntd_error_new(NTD_E_MACHINE,
				   "machine '%s': the guest does not answer over SSH for %u s",
				   ssh->machine, ssh->silence),
		     0);
		return;
	}
	ntd_timer_set(ssh->loop, &ssh->pulse, ntd_after(NTD_SECOND));
	if (ssh->silence)
		ntd_ssh_session_ask_for_life(&ssh->session);
}

/* ---- the steps of a connection */

static void set_state(struct ntd_ssh *ssh, enum ntd_ssh_state state, int64_t limit)
{
	ssh->state = state;
	ntd_timer_set(ssh->loop, &ssh->timer, ntd_after(limit));
}

static void probe_output(struct ntd_ssh_stream *stream, const char *bytes, size_t len, bool error)
{
	struct ntd_ssh *ssh = ntd_container_of(stream, struct ntd_ssh, probe);

	if (!error && ssh->probe_output.len + len <= PROBE_LIMIT)
		ntd_buf_append(&ssh->probe_output, bytes, len);
}

/* The probe is looked at by probe_step(). */
static void probe_changed(struct ntd_ssh_stream *stream)
{
}

static void begin_probe(struct ntd_ssh *ssh)
{
	static const struct ntd_ssh_stream_ops ops = {.output = probe_output,
						      .changed = probe_changed};

	ssh->denied = 0;
	ntd_buf_clear(&ssh->probe_output);
	ssh->probe = (struct ntd_ssh_stream){
		.ops = &ops, .command = ntd_ssh_probe, .finish_input = true};
	ntd_ssh_stream_open(&ssh->probe, &ssh->session);
	set_state(ssh, NTD_SSH_PROBING, STEP_PATIENCE);
}

static void become_ready(struct ntd_ssh *ssh)
{
	free(ntd_steal(&ssh->left_boot));
	ntd_timer_cancel(&ssh->timer);
	ntd_ssh_set_refusal(ssh, NULL);
	ssh->patience = FIRST_PATIENCE;
	ssh->silence = 0;
	ssh->state = NTD_SSH_READY;
	ntd_timer_set(ssh->loop, &ssh->pulse, ntd_after(NTD_SECOND));
	ntd_ssh_copies_clean(ssh);
	ssh->channel.owner.ready(ssh->channel.owner.owner, &ssh->channel, NULL, 0);
}

static void probe_step(struct ntd_ssh *ssh)
{
	const struct ntd_ssh_stream *probe = &ssh->probe;
	struct ntd_error *error = NULL;
	bool failed = probe->state > NTD_STREAM_RUNNING;

	ntd_ssh_streams_step(&ssh->session);
	if (!failed && !probe->closed)
		return;
	ntd_ssh_stream_end(&ssh->probe);
	if (ntd_ssh_guest_parse(&ssh->guest, ntd_buf_bytes(&ssh->probe_output),
				ssh->probe_output.len, &error) < 0) {
		ntd_error_wrap(&error, "machine '%s': SSH", ssh->machine);
		ntd_ssh_set_refusal(ssh, error);
		wait_and_connect(ssh, BOOT_PAUSE);
	} else if (ssh->left_boot && *ssh->guest.boot &&
		   strcmp(ssh->guest.boot, ssh->left_boot) == 0) {
		wait_and_connect(ssh, BOOT_PAUSE); /* the guest is still shutting down */
	} else {
		become_ready(ssh);
	}
}

static void authenticate(struct ntd_ssh *ssh)
{
	switch (ntd_ssh_auth_step(&ssh->auth, &ssh->session, &ssh->login)) {
	case NTD_SSH_ADMITTED:
		begin_probe(ssh);
		ntd_ssh_session_run(&ssh->session);
		break;
	case NTD_SSH_DENIED:
		if (!ssh->denied)
			ssh->denied = ntd_now();
		if (ntd_now() - ssh->denied >= DENIED_PATIENCE)
			refuse_user(ssh);
		else
			set_state(ssh, NTD_SSH_PAUSING, ROUND_PAUSE);
		break;
	case NTD_SSH_ADMISSION_LOST:
	case NTD_SSH_ADMISSION_PENDING:
	default:
		break;
	}
}

static char *fingerprint(ssh_key key)
{
	unsigned char *hash = NULL;
	char *text = NULL, *copy;
	size_t len;

	if (ntd_libssh.get_publickey_hash(key, SSH_PUBLICKEY_HASH_SHA256, &hash, &len) == 0)
		text = ntd_libssh.get_fingerprint_hash(SSH_PUBLICKEY_HASH_SHA256, hash, len);
	copy = ntd_strdup(text ? text : "unknown");
	ntd_libssh.string_free_char(text);
	ntd_libssh.clean_pubkey_hash(&hash);
	return copy;
}

static void refuse_host(struct ntd_ssh *ssh, ssh_key key)
{
	_cleanup_free_ char *was = fingerprint(ssh->host_key), *is = fingerprint(key);

	refuse(ssh, ntd_error_new(NTD_E_MACHINE,
				  "machine '%s': sshd has another host key than before in this "
				  "run: %s, before %s",
				  ssh->machine, is, was));
}

/* Accepts the first host key of the run, and no other one. */
static bool knows_host(struct ntd_ssh *ssh)
{
	ssh_key key = NULL;
	bool same;

	if (ntd_libssh.get_server_publickey(ssh->session.ssh, &key) != SSH_OK) {
		wait_and_connect(ssh, PAUSE);
		return false;
	}
	if (!ssh->host_key)
		ssh->host_key = ntd_steal(&key);
	same = !key || ntd_libssh.key_cmp(key, ssh->host_key, SSH_KEY_CMP_PUBLIC) == 0;
	if (!same)
		refuse_host(ssh, key);
	ntd_libssh.key_free(key);
	return same;
}

static void greet(struct ntd_ssh *ssh)
{
	int result = ntd_libssh.connect(ssh->session.ssh);

	if (result == SSH_AGAIN && ntd_libssh.get_serverbanner(ssh->session.ssh) && ssh->patience) {
		ssh->patience = 0;
		ntd_timer_set(ssh->loop, &ssh->timer, ntd_after(STEP_PATIENCE));
	}
	if (result != SSH_OK || !knows_host(ssh))
		return;
	ntd_ssh_auth_begin(&ssh->auth);
	set_state(ssh, NTD_SSH_AUTHENTICATING, STEP_PATIENCE);
	ntd_ssh_session_run(&ssh->session);
}

/* A step may have another cause than bytes from the guest. */
static void note_hearing(struct ntd_ssh *ssh)
{
	uint64_t received = ntd_ssh_session_received(&ssh->session);

	if (received != ssh->known_bytes)
		ssh->channel.heard = ntd_now();
	ssh->known_bytes = received;
}

static void advance(struct ntd_ssh_session *session)
{
	struct ntd_ssh *ssh = ntd_container_of(session, struct ntd_ssh, session);

	switch (ssh->state) {
	case NTD_SSH_GREETING:
		greet(ssh);
		break;
	case NTD_SSH_AUTHENTICATING:
		authenticate(ssh);
		break;
	case NTD_SSH_PROBING:
		probe_step(ssh);
		break;
	case NTD_SSH_READY:
		note_hearing(ssh);
		ntd_ssh_streams_step(session);
		ntd_ssh_execs_start(ssh);
		break;
	case NTD_SSH_PAUSING:
	case NTD_SSH_CLOSED:
	case NTD_SSH_WAITING:
	case NTD_SSH_CONNECTING:
	case NTD_SSH_REFUSED:
	default:
		break;
	}
	if (session->ssh && ntd_ssh_session_ended(session))
		end_attempt(ssh);
}

/* ---- the socket */

static void connected(struct ntd_source *source, uint32_t events)
{
	struct ntd_ssh *ssh = ntd_container_of(source, struct ntd_ssh, connection);
	int failure = 0, on = 1, fd;
	socklen_t len = sizeof failure;

	getsockopt(source->fd, SOL_SOCKET, SO_ERROR, &failure, &len);
	if (failure) {
		wait_and_connect(ssh, PAUSE);
		return;
	}
	ntd_source_remove(source);
	fd = ntd_steal_fd(&source->fd);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (ntd_ssh_session_open(&ssh->session, fd, ssh->login.user, NULL) < 0) {
		wait_and_connect(ssh, PAUSE);
		return;
	}
	if (!ssh->patience)
		ssh->patience = FIRST_PATIENCE;
	set_state(ssh, NTD_SSH_GREETING, ssh->patience);
	ntd_ssh_session_run(&ssh->session);
}

void ntd_ssh_connect(struct ntd_ssh *ssh)
{
	struct ntd_source *source = &ssh->connection;

	drop(ssh);
	set_state(ssh, NTD_SSH_CONNECTING, STEP_PATIENCE);
	source->fd = socket(ssh->peer.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (source->fd < 0 ||
	    (connect(source->fd, (const struct sockaddr *)&ssh->peer, ssh->peer_len) < 0 &&
	     errno != EINPROGRESS) ||
	    ntd_source_add(ssh->loop, source, EPOLLOUT, NULL) < 0)
		wait_and_connect(ssh, PAUSE);
}

static void time_has_come(struct ntd_timer *timer)
{
	struct ntd_ssh *ssh = ntd_container_of(timer, struct ntd_ssh, timer);

	switch (ssh->state) {
	case NTD_SSH_WAITING:
		if (ssh->refusal) {
			ntd_ssh_execs_fail(ssh, ssh->refusal);
			ntd_ssh_copies_fail(ssh, ssh->refusal);
		}
		ntd_ssh_connect(ssh);
		break;
	case NTD_SSH_GREETING:
		if (ssh->patience)
			ssh->patience = ntd_earlier(ssh->patience * 3 / 2, LAST_PATIENCE);
		end_attempt(ssh);
		break;
	case NTD_SSH_PAUSING:
		ntd_ssh_auth_begin(&ssh->auth);
		set_state(ssh, NTD_SSH_AUTHENTICATING, STEP_PATIENCE);
		ntd_ssh_session_run(&ssh->session);
		break;
	case NTD_SSH_CONNECTING:
	case NTD_SSH_AUTHENTICATING:
	case NTD_SSH_PROBING:
		end_attempt(ssh);
		break;
	case NTD_SSH_CLOSED:
	case NTD_SSH_READY:
	case NTD_SSH_REFUSED:
	default:
		break;
	}
}

void ntd_ssh_connect_init(struct ntd_ssh *ssh)
{
	ssh->timer.expired = time_has_come;
	ssh->pulse.expired = pulse;
	ssh->connection = (struct ntd_source){.fd = -1, .ready = connected};
	ntd_ssh_session_init(&ssh->session, ssh->loop, advance);
}
