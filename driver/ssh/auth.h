/* How a user is let in by sshd: a key, then a password. Loop thread only. */
#pragma once

#include "ssh/session.h"

struct ntd_ssh_credentials {
	char *user;
	char *key_path; /* NULL: none */
	ssh_key key;    /* NULL: none, or it cannot be read */
	char *password; /* NULL: none */
};

enum ntd_ssh_admission {
	NTD_SSH_ADMISSION_PENDING,
	NTD_SSH_ADMITTED,
	NTD_SSH_DENIED, /* everything has been tried once more; sshd may allow another round */
	NTD_SSH_ADMISSION_LOST, /* the connection has ended */
};

struct ntd_ssh_auth {
	int step;    /* where the present round is */
	int methods; /* that sshd accepts, SSH_AUTH_METHOD_* of libssh */
};

/* Begins a round, on a new connection or on one on which a round has failed. */
void ntd_ssh_auth_begin(struct ntd_ssh_auth *auth);
/* Goes on as far as it can. */
enum ntd_ssh_admission ntd_ssh_auth_step(struct ntd_ssh_auth *auth, struct ntd_ssh_session *session,
					 const struct ntd_ssh_credentials *with);
/* What was tried and what sshd accepts, for people; a new string. */
char *ntd_ssh_auth_describe(const struct ntd_ssh_auth *auth,
			    const struct ntd_ssh_credentials *with);
/* Reads the credentials' key, if there is one. Any thread that owns them. */
void ntd_ssh_credentials_read_key(struct ntd_ssh_credentials *credentials);
void ntd_ssh_credentials_free(struct ntd_ssh_credentials *credentials);
