/* What comes back on the root shell: a parser for the bytes of hvc0. Pure; the loop thread runs it.
 *
 * The driver frames each command (channel/framing.c) so that the guest answers with one line,
 *
 *   QUOTED STATUS STATUS TOKEN\n
 *
 * the standard output as bash quotes a word ('text' or $'text\n'; the rest of what bash writes is
 * in its manual under "ANSI-C Quoting"), then the exit statuses of the command and of the reader of
 * its output. Of a long output QUOTED is empty and the line ends in " more"; the output then comes
 * as base64 in pieces, each when the driver asks for it,
 *
 *   BASE64 TOKEN\n
 *
 * Of an output that has gone by the data port, QUOTED is its checksum, as cksum(1) prints it, and
 * its length, or its length alone, and the line ends in " port".
 *
 * TOKEN is of this command alone. A line that does not end with a token is noise: firmware and
 * kernel messages, and two texts that mean something: the banner of a new root shell, and the
 * notice that the output is kept open, "TOKEN held PIDS\n". Bytes may arrive in any pieces.
 */
#pragma once

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

/* The most bytes of a token, with its NUL. */
enum { NTD_TOKEN_SIZE = 40 };

/* An output of at least so many bytes is sent in pieces. */
#define NTD_SHORT_OUTPUT 4096

/* What the parser has found. */
enum ntd_reply_event {
	NTD_REPLY_NONE,     /* all bytes are taken, without an event */
	NTD_REPLY_BANNER,   /* a new root shell has announced itself */
	NTD_REPLY_HELD,     /* `held` says which processes keep stdout open */
	NTD_REPLY_COMPLETE, /* `output` and the statuses are there */
	NTD_REPLY_MORE,     /* the statuses are there; the output is to be asked for */
	NTD_REPLY_PIECE,    /* a piece of `piece_len` characters has come */
	NTD_REPLY_PORT,     /* the statuses are there; the output has `count` bytes, on the port */
	NTD_REPLY_GARBLED,  /* the awaited reply, with other bytes in it */
	NTD_REPLY_TOO_LONG, /* the output is longer than `limit` */
};

/* A parser. The caller sets `limit` and reads the results; the rest is the parser's. It begins as
 * zero. */
struct ntd_reply {
	char token[NTD_TOKEN_SIZE]; /* of the reply that is awaited; empty: none */
	size_t limit;               /* most bytes of output to accept */
	struct ntd_buf output;      /* decoded */
	/* The exit statuses of the command and of the reader of its output, in the guest. */
	int command_status, reader_status;
	/* Of an output that comes by the port: its length, SIZE_MAX when the guest does not say it,
	 * and its checksum. */
	size_t count;
	uint32_t sum;
	bool has_sum;
	char *held; /* the processes of the notice; NULL: none has come */

	/* The present line; of a piece, the bytes from the first that is not base64. */
	struct ntd_buf line;
	bool cut;         /* the line was longer than a reply can be; its beginning is gone */
	bool in_pieces;   /* the output comes in pieces: lines belong together */
	size_t piece_len; /* characters of base64 since a line began, or the caller set it to 0 */
	unsigned quantum, digits; /* base64: bits gathered, characters in the group */
	bool padded;              /* the base64 has ended with '=' */
	bool complete;            /* the present line was the reply, and has ended */
};

/* Awaits the reply with `token` (empty: none). Bytes that came before are forgotten. */
void ntd_reply_expect(struct ntd_reply *reply, const char *token);
/* Awaits pieces with `token`, whose lines need not follow their reply. */
void ntd_reply_expect_pieces(struct ntd_reply *reply, const char *token);
/* Whether the base64 of all pieces ended where base64 can end. To be asked after the last piece. */
bool ntd_reply_is_whole(const struct ntd_reply *reply);
/* Takes bytes from *bytes, *len in all, up to and including the one that completes an event, and
 * returns the event. Moves *bytes and *len past the bytes taken. */
enum ntd_reply_event ntd_reply_feed(struct ntd_reply *reply, const char **bytes, size_t *len);
/* Frees what the parser holds, but not the structure. */
void ntd_reply_free(struct ntd_reply *reply);
