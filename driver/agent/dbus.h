/* The few messages of D-Bus that the agent needs: calls with strings as arguments, and reading what
 * systemd answers and signals. Pure functions; no byte of a message is trusted. Only little endian,
 * which all machines are that the agent runs on.
 */
#pragma once

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

enum { NTD_DBUS_MOST = 1 << 20 }; /* the longest message that is read */

enum ntd_dbus_type {
	NTD_DBUS_CALL = 1,
	NTD_DBUS_RETURN,
	NTD_DBUS_ERROR,
	NTD_DBUS_SIGNAL,
};

/* Bytes of a message; not terminated. */
struct ntd_dbus_text {
	const char *bytes;
	size_t len;
};

struct ntd_dbus_message {
	uint8_t type; /* enum ntd_dbus_type, or another number */
	uint32_t serial, reply_serial;
	struct ntd_dbus_text path, interface, member, signature;
	/* The body, and how much of it has been read. */
	const char *body;
	size_t len, at;
};

enum ntd_dbus_verdict {
	NTD_DBUS_PARTIAL, /* more bytes are needed */
	NTD_DBUS_WHOLE,
	NTD_DBUS_BROKEN, /* not a message, or too long */
};

/* What is called. */
struct ntd_dbus_call {
	const char *destination; /* NULL: the connection has one partner */
	const char *path, *interface, *member;
	const char *const *arguments; /* strings, `count` of them */
	size_t count;
};

/* Appends the call. */
void ntd_dbus_append_call(struct ntd_buf *out, uint32_t serial, const struct ntd_dbus_call *call);

/* Looks at the first message of `len` bytes. A whole one is described by `message`, whose texts
 * stay in place; *taken is its length. */
enum ntd_dbus_verdict ntd_dbus_take(const char *bytes, size_t len, struct ntd_dbus_message *message,
				    size_t *taken);

/* Read the next value of the body. False: it is not there. The body's signature has to be checked
 * by the caller, by ntd_dbus_is(); ntd_dbus_variant() reads the signature of a variant. */
bool ntd_dbus_u32(struct ntd_dbus_message *message, uint32_t *value);
bool ntd_dbus_u64(struct ntd_dbus_message *message, uint64_t *value);
bool ntd_dbus_string(struct ntd_dbus_message *message, struct ntd_dbus_text *text);
bool ntd_dbus_variant(struct ntd_dbus_message *message, struct ntd_dbus_text *signature);

/* Whether the text is this string. */
bool ntd_dbus_is(struct ntd_dbus_text text, const char *string);

/* The object path of a unit of systemd, a new string. */
char *ntd_dbus_unit_path(const char *unit);
