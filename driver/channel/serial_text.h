/* The text of a serial console as a dialogue sees it: lines without what the kernel has printed in
 * the middle of them, the prompts and messages of a login, and the answers of channel/serial.sh.
 * Pure; script threads run it. All text comes from the guest.
 */
#pragma once

#include "base/buf.h"

#include <stdbool.h>

/* ---- lines */

/* Makes lines of text that comes in any pieces. A message of the kernel, from its time stamp to its
 * newline, is left out, and the line that it interrupts goes on after it. Begin with zeros. */
struct ntd_serial_lines {
	struct ntd_buf line; /* the present line; of a very long one, the beginning */
	bool complete;       /* it has ended */
};

/* Takes text from *text, *len bytes in all, up to the newline that completes a line; moves both
 * past what it took. Returns whether the line is complete; the next call begins another. */
bool ntd_serial_lines_next(struct ntd_serial_lines *lines, const char **text, size_t *len);
/* The length of the present line without a kernel's message that has begun in it. */
size_t ntd_serial_lines_begun(const struct ntd_serial_lines *lines);
/* Forgets the present line. */
void ntd_serial_lines_clear(struct ntd_serial_lines *lines);
void ntd_serial_lines_free(struct ntd_serial_lines *lines);

/* ---- a login */

enum ntd_serial_seen {
	NTD_SERIAL_NOTHING,
	NTD_SERIAL_LOGIN,       /* asks for the user's name */
	NTD_SERIAL_PASSWORD,    /* asks for the password */
	NTD_SERIAL_CURRENT,     /* asks for the password that is to be changed */
	NTD_SERIAL_NEW,         /* asks for a new password */
	NTD_SERIAL_RETYPE,      /* asks for it again */
	NTD_SERIAL_SHELL,       /* looks like a shell's prompt */
	NTD_SERIAL_REFUSED,     /* the name or the password is wrong */
	NTD_SERIAL_UNACCEPTABLE /* the new password is */
};

/* What the guest asks for at the end of a line that has begun. */
enum ntd_serial_seen ntd_serial_prompt(const char *line, size_t len);
/* What a complete line says. */
enum ntd_serial_seen ntd_serial_verdict(const char *line, size_t len);

/* ---- answers of channel/serial.sh */

enum ntd_serial_word {
	NTD_SERIAL_NOISE,
	NTD_SERIAL_OK,
	NTD_SERIAL_BAD,
	NTD_SERIAL_GO,
	NTD_SERIAL_DONE,
	NTD_SERIAL_PART,
	NTD_SERIAL_END,
	NTD_SERIAL_READY
};

struct ntd_serial_answer {
	enum ntd_serial_word word;
	unsigned number; /* of the line that is answered */
	/* DONE: the status, and the lines and bytes of encoded output. PART: its first and its last
	 * line. */
	unsigned long values[3];
	/* READY: whose shell it is, and what encodes. */
	char user[65], encoding[16];
};

/* What a line is. An answer may stand behind other text on its line. */
struct ntd_serial_answer ntd_serial_answer(const char *line, size_t len, const char *identity);

/* ---- output, encoded as lines of text */

enum ntd_serial_encoding { NTD_SERIAL_BASE64, NTD_SERIAL_HEX };

/* Bytes of output on a line, and characters of that line, if it is not the last. */
size_t ntd_serial_line_bytes(enum ntd_serial_encoding encoding);
size_t ntd_serial_line_length(enum ntd_serial_encoding encoding);
/* Appends the bytes of a line to `out`; false, and nothing is appended, when it is none. */
bool ntd_serial_decode(enum ntd_serial_encoding encoding, const char *line, size_t len,
		       struct ntd_buf *out);
/* Appends text as printf's %b reads it, in printable ASCII. */
void ntd_serial_escape(struct ntd_buf *out, const char *bytes, size_t len);
