/* How commands are written on the root shell: the driver's half of the protocol with guest.bash.
 * The replies are in channel/reply.h. The functions change nothing but their arguments; any thread.
 */
#pragma once

#include "channel/channel.h"
#include "channel/reply.h"

/* The functions for the shell: guest.bash, guest_long.bash and guest_port.bash. */
enum ntd_guest_text { NTD_GUEST_BASIC, NTD_GUEST_LONG, NTD_GUEST_PORT, NTD_GUEST_TEXTS };

/* What the driver has told the present root shell. */
struct ntd_framing {
	char identity[9]; /* random, the beginning of every token */
	unsigned grace;   /* seconds after a command's time-out until its output is given up */
	bool sent[NTD_GUEST_TEXTS]; /* the shell has these functions */
	/* The shell has opened the data port, so that input and long outputs go by it; it has one
	 * open that is no more. */
	bool port, port_left;
};

/* channel/guest.bash and the others without comments and indentation; the Makefile makes them. */
extern const char ntd_guest_bash[], ntd_guest_long_bash[], ntd_guest_port_bash[];

/* Begins with a new identity. `grace`: see the structure. */
void ntd_framing_init(struct ntd_framing *framing, unsigned grace);
/* Takes note that the root shell is a new one, which does not have the functions. */
void ntd_framing_forget(struct ntd_framing *framing);
/* Writes the token of the reply to command `number`. */
void ntd_framing_token(const struct ntd_framing *framing, unsigned number,
		       char token[static NTD_TOKEN_SIZE]);
/* NTD_E_VALUE when a command has input and a text so long that it would take the input's place. */
int ntd_framing_check(const struct ntd_command *command, struct ntd_error **err);
/* Appends the bytes that make the guest run the command and reply with the token of `number`. With
 * a port, the command's input, if it has one, is for the caller to send by it. */
void ntd_framing_write(struct ntd_framing *framing, const struct ntd_command *command,
		       unsigned number, struct ntd_buf *out);
/* The bytes that the guest reads after the command's line: its input, or its own text if that is
 * long. NULL: none. */
const char *ntd_framing_input(const struct ntd_command *command, size_t *len);
/* Whether ntd_framing_write_interrupt() ends the command: not when it has such bytes, or when the
 * shell itself is what runs. */
bool ntd_framing_can_interrupt(const struct ntd_command *command);
/* Appends the order to open the data port of that name. The reply with the token of `number` has
 * the status 0 when that is done. */
void ntd_framing_write_port(struct ntd_framing *framing, unsigned number, const char *name,
			    struct ntd_buf *out);
/* Appends the order to send the output of command `number`, which the guest has kept, by the
 * port. */
void ntd_framing_write_send(unsigned number, struct ntd_buf *out);
/* Appends the line that makes the guest kill the command that runs, and reply as if it had
 * ended. */
void ntd_framing_write_interrupt(struct ntd_buf *out);
/* Characters in a piece of a long output; a shorter piece is the last. Well below what a Unix
 * socket holds by default, 212992 bytes. */
enum { NTD_PIECE_SIZE = 96 << 10 };
/* Append the requests for the first piece of the output of command `number`, and for the next. */
void ntd_framing_write_first(struct ntd_framing *framing, unsigned number, struct ntd_buf *out);
void ntd_framing_write_more(struct ntd_buf *out);
/* Appends the order to send no more pieces, of which the last may have come. */
void ntd_framing_write_leave(const struct ntd_framing *framing, struct ntd_buf *out);
