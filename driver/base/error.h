/* One error value, passed as the last parameter.
 *
 * A function that fails returns a negative number (or NULL) and has set *err; one that succeeds has
 * not touched it. Callers add context on the way up with ntd_error_wrap(). Passing NULL discards
 * the error. The codes map one to one to Python exceptions in embed/bridge/errors.c.
 */
#pragma once

#include "base/mem.h"

enum ntd_errc {
	NTD_E_SYS,       /* a system call failed; sys_errno says how */
	NTD_E_USAGE,     /* wrong command line or configuration */
	NTD_E_VALUE,     /* a caller passed something that cannot be used */
	NTD_E_ASSERTION, /* a check that the script asked for did not hold */
	NTD_E_MACHINE,   /* the machine, or the host around it, cannot do what was asked */
	NTD_E_DEAD,      /* the machine's process ended, or was not running */
	NTD_E_TIMEOUT,   /* a deadline of the driver passed */
	NTD_E_PROTOCOL,  /* a peer sent what its protocol does not allow */
	NTD_E_CANCELLED, /* the waiting thread was interrupted */
	NTD_E_COUNT
};

struct ntd_error {
	enum ntd_errc code;
	int sys_errno;
	char *message; /* UTF-8 or bytes; decoded with replacement at the edge */
	char *note;    /* more for people, which is no part of the message; NULL: nothing */
};

/* Sets *err; always returns -1, so that `return ntd_error_set(...)` reads well. */
int ntd_error_set(struct ntd_error **err, enum ntd_errc code, const char *fmt, ...)
	ntd_printf(3, 4);
/* The same for a failed system call: appends ": " and the text of `sys_errno`. */
int ntd_error_sys(struct ntd_error **err, int sys_errno, const char *fmt, ...) ntd_printf(3, 4);
/* Puts "text: " in front of the message that *err already holds; returns -1. */
int ntd_error_wrap(struct ntd_error **err, const char *fmt, ...) ntd_printf(2, 3);
/* Appends a text to an error's message. */
void ntd_error_add(struct ntd_error *error, const char *text);
/* Sets the error's note. */
void ntd_error_note(struct ntd_error *error, const char *fmt, ...) ntd_printf(2, 3);
/* Moves `from` into *err (or frees it when err is NULL); returns -1. */
int ntd_error_move(struct ntd_error **err, struct ntd_error *from);

/* Errors that are kept or passed on otherwise: a new one, a copy (NULL for NULL), and the end of
 * one (NULL is allowed). */
struct ntd_error *ntd_error_new(enum ntd_errc code, const char *fmt, ...) ntd_printf(2, 3);
struct ntd_error *ntd_error_copy(const struct ntd_error *error);
void ntd_error_free(struct ntd_error *error);
/* A short name of the code, for logs and tests. */
const char *ntd_errc_name(enum ntd_errc code);

static inline void ntd_cleanup_error(struct ntd_error **error)
{
	ntd_error_free(*error);
}

#define _cleanup_error_ _cleanup_(ntd_cleanup_error)
