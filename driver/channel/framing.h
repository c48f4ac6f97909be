/* How commands are written on the root shell: the guest's half of the protocol, whose other half is
 * channel/reply.h.
 */
#pragma once

#include "channel/channel.h"
#include "channel/reply.h"

/* What the present root shell has been told. */
struct ntd_framing {
	char identity[9]; /* of this driver's connection, in every token */
	unsigned grace;   /* seconds after a command's time-out until its output is given up */
	bool prepared;    /* the functions are defined */
};

/* channel/guest.bash without comments and indentation; the Makefile makes it. */
extern const char ntd_guest_bash[];

void ntd_framing_init(struct ntd_framing *framing, unsigned grace);
/* The root shell is a new one. */
void ntd_framing_forget(struct ntd_framing *framing);
/* The token of command `number`'s reply. */
void ntd_framing_token(const struct ntd_framing *framing, unsigned number,
		       char token[static NTD_TOKEN_SIZE]);
/* NTD_E_VALUE when a command has input and a text that would have to take its place. */
int ntd_framing_check(const struct ntd_command *command, struct ntd_error **err);
/* Appends what makes the guest run the command and answer with that token. */
void ntd_framing_write(struct ntd_framing *framing, const struct ntd_command *command,
		       unsigned number, struct ntd_buf *out);
/* Whether the guest can be told to give up a command that runs; not one with input on the wire. */
bool ntd_framing_can_interrupt(const struct ntd_command *command);
/* Appends what tells it. It answers as if the command had ended. */
void ntd_framing_write_interrupt(struct ntd_buf *out);
/* Characters in a piece of a long output; a shorter piece is the last. Well below what a Unix
 * socket holds by default, 212992 bytes. */
enum { NTD_PIECE_SIZE = 96 << 10 };
/* Appends the request for the next piece. */
void ntd_framing_write_more(unsigned number, struct ntd_buf *out);
