/* What comes back on the root shell: a parser for the bytes of hvc0.
 *
 * The driver frames each command (machine/shell.c) so that the guest answers with one line
 *
 *   TOKEN:BASE64 STATUS STATUS TOKEN\n
 *
 * the standard output in base64, then the exit statuses of the command and of base64. TOKEN is of this
 * command alone. Whatever else appears on the channel is noise: firmware and kernel messages, replies to
 * abandoned commands, and two texts that mean something: the banner of a new root shell, and the
 * watchdog's notice, "TOKEN held PIDS\n". Lines may arrive in any pieces.
 */
#pragma once

#include "base/buf.h"

#include <stdbool.h>

#define NTD_SHELL_BANNER "Spawning backdoor root shell..."

enum { NTD_TOKEN_SIZE = 40 };

enum ntd_reply_event {
	NTD_REPLY_NONE,     /* all bytes are used up, nothing to tell */
	NTD_REPLY_BANNER,   /* a new root shell speaks */
	NTD_REPLY_HELD,     /* the watchdog: `held` says which processes keep stdout open */
	NTD_REPLY_COMPLETE, /* `output` and the statuses are there */
	NTD_REPLY_GARBLED,  /* the reply began but is not what a reply can be */
	NTD_REPLY_TOO_LONG, /* more output than the limit */
};

struct ntd_reply {
	char token[NTD_TOKEN_SIZE]; /* of the reply that is awaited; empty: none */
	size_t limit;               /* most bytes of output to accept */
	struct ntd_buf output;      /* decoded */
	int command_status, encoder_status;
	char *held;

	bool in_data; /* TOKEN: was seen on the present line */
	struct ntd_buf line;
	unsigned quantum, digits; /* base64: bits gathered, characters in the group */
	bool padded;
};

/* Forgets what was received and awaits the reply with `token` (empty: none). */
void ntd_reply_expect(struct ntd_reply *reply, const char *token);
/* Takes bytes from `*bytes` up to and including the one that completes an event, and returns it. */
enum ntd_reply_event ntd_reply_feed(struct ntd_reply *reply, const char **bytes, size_t *len);
void ntd_reply_free(struct ntd_reply *reply);
