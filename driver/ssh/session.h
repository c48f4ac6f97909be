/* One connection to sshd: libssh's session on the event loop. Loop thread only.
 *
 * libssh is never allowed to block. It gets a connected socket, and the loop calls it when the
 * socket is ready. Its functions say SSH_AGAIN until they are done, so the owner calls all of those
 * that it is about to do in `advance`, again and again, as often as something has happened.
 */
#pragma once

#include "base/list.h"
#include "loop/loop.h"
#include "ssh/library.h"

struct ntd_ssh_session {
	struct ntd_loop *loop;
	/* Goes on with whatever the owner does with the session; it may close the session. */
	void (*advance)(struct ntd_ssh_session *session);
	ssh_session ssh; /* NULL: there is no connection */
	/* Its descriptor is a duplicate of the one that libssh has, and closes. */
	struct ntd_source socket;
	ssh_event event;
	struct ssh_counter_struct count; /* of the bytes on the socket */
	struct ntd_timer again;          /* there may be more to do, but others come first */
	struct ntd_list streams;         /* struct ntd_ssh_stream (ssh/stream.h) */
	bool running, again_now;
};

void ntd_ssh_session_init(struct ntd_ssh_session *session, struct ntd_loop *loop,
			  void (*advance)(struct ntd_ssh_session *session));
/* Begins to speak to sshd as `user` over a connected socket, which the session takes. Returns 0; -1
 * with NTD_E_MACHINE, without a session. */
int ntd_ssh_session_open(struct ntd_ssh_session *session, int fd, const char *user,
			 struct ntd_error **err);
/* Does all that can be done now. Inside of `advance`: has it called again. */
void ntd_ssh_session_run(struct ntd_ssh_session *session);
/* Whether the connection has ended, and why, which is libssh's text. */
bool ntd_ssh_session_ended(const struct ntd_ssh_session *session);
const char *ntd_ssh_session_error(const struct ntd_ssh_session *session);
/* Bytes that sshd has sent so far. */
uint64_t ntd_ssh_session_received(const struct ntd_ssh_session *session);
/* Asks sshd for a sign of life. */
void ntd_ssh_session_ask_for_life(struct ntd_ssh_session *session);
/* Ends the connection; its streams have been ended before. Nothing happens without one. */
void ntd_ssh_session_close(struct ntd_ssh_session *session);
