/* What the files of SSH share. Loop thread only, unless said otherwise. */
#pragma once

#include "ssh/auth.h"
#include "ssh/script.h"
#include "ssh/session.h"
#include "ssh/ssh.h"
#include "ssh/stream.h"

#include <sys/socket.h>

enum ntd_ssh_state {
	NTD_SSH_CLOSED,
	NTD_SSH_WAITING,        /* until it is time to try again */
	NTD_SSH_CONNECTING,     /* until the socket is connected */
	NTD_SSH_GREETING,       /* until both sides have agreed on keys */
	NTD_SSH_AUTHENTICATING, /* until sshd has let the user in */
	NTD_SSH_PAUSING,        /* until the user is announced to sshd once more */
	NTD_SSH_PROBING,        /* until the first command has ended */
	NTD_SSH_READY,          /* commands can be run */
	NTD_SSH_REFUSED,        /* sshd has not let the user in */
};

struct ntd_ssh {
	struct ntd_channel channel;
	struct ntd_loop *loop;
	struct ntd_report *report;
	char *machine;

	struct ntd_ssh_credentials login;
	bool sudo;
	struct sockaddr_storage peer;
	socklen_t peer_len;

	enum ntd_ssh_state state;
	struct ntd_source connection; /* a socket that is not connected so far; fd -1: none */
	struct ntd_ssh_session session;
	struct ntd_ssh_auth auth;
	struct ntd_timer timer; /* the state's limit, or when to try again */
	struct ntd_timer pulse; /* each second of a session that is ready */
	int64_t patience;       /* how long sshd may take to say who it is */
	int64_t denied;         /* when sshd first refused to let the user in; 0: it has not */
	uint64_t heard_bytes;   /* at the last pulse */
	uint64_t known_bytes;   /* when `heard` of the channel was last set */
	unsigned silence;       /* seconds */
	ssh_key host_key;       /* that of the run; NULL: not known so far */
	struct ntd_ssh_guest guest;
	char *left_boot; /* the boot that is about to end; NULL: none */
	struct ntd_ssh_stream probe;
	struct ntd_buf probe_output;
	/* Why no commands can be run; NULL: they can, or sshd has not been found so far. */
	struct ntd_error *refusal;

	/* struct ntd_ssh_exec (exec.c): those that run, then those that wait. */
	struct ntd_list execs;
	struct ntd_list copies; /* struct ntd_ssh_copy (copy.c) */
	/* Paths in the guest that copies have left half written, each with a NUL at its end. */
	struct ntd_buf left;
	unsigned room;          /* how many streams sshd allows in a session */
	struct ntd_timer retry; /* starts those that wait, after sshd has refused one */
	int64_t made_room;      /* when a stream last ended */
};

/* ---- exec.c */
/* Any thread: runs a command, as the channel's operation does. */
int ntd_ssh_exec_run(struct ntd_ssh *ssh, const struct ntd_command *command,
		     struct ntd_result *result, struct ntd_waiter *waiter, struct ntd_error **err);
void ntd_ssh_execs_init(struct ntd_ssh *ssh);
/* Starts commands that wait, as many as sshd allows. */
void ntd_ssh_execs_start(struct ntd_ssh *ssh);
/* Begins with a text of the driver's own, which is taken, on a channel that is ready; nobody waits
 * for its end. */
void ntd_ssh_exec_unattended(struct ntd_ssh *ssh, char *text);
/* Fails all commands with copies of `why`, and forgets them. */
void ntd_ssh_execs_fail(struct ntd_ssh *ssh, const struct ntd_error *why);
/* Completes a request, with the reason, on a channel that cannot do anything now; false: it can. */
bool ntd_ssh_turns_away(const struct ntd_ssh *ssh, struct ntd_request *request);

/* ---- copy.c */
/* Any thread: the channel's operations. */
int ntd_ssh_put(struct ntd_channel *channel, const char *source, const char *target,
		struct ntd_waiter *waiter, struct ntd_error **err);
int ntd_ssh_get(struct ntd_channel *channel, const char *source, const char *target,
		struct ntd_waiter *waiter, struct ntd_error **err);
/* Begins to remove what copies have left in the guest, on a channel that has become ready. */
void ntd_ssh_copies_clean(struct ntd_ssh *ssh);
/* Fails all copies with copies of `why`, and forgets them. */
void ntd_ssh_copies_fail(struct ntd_ssh *ssh, const struct ntd_error *why);

/* ---- terminal.c */
/* Any thread: the channel's operation. */
int ntd_ssh_terminal(struct ntd_channel *channel, unsigned rows, unsigned columns,
		     struct ntd_waiter *waiter, struct ntd_error **err);

/* ---- connect.c */
void ntd_ssh_connect_init(struct ntd_ssh *ssh);
/* Begins to connect, from any state. */
void ntd_ssh_connect(struct ntd_ssh *ssh);
/* Ends the connection and all attempts; the state is CLOSED. */
void ntd_ssh_disconnect(struct ntd_ssh *ssh);
void ntd_ssh_set_refusal(struct ntd_ssh *ssh, struct ntd_error *why);
