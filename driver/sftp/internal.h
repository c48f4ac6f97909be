/* What the files of the SFTP client share. sftp/sftp.c has the life of a client: its phases, the
 * answers, the end; sftp/call.c has requests. What is copied and how is in the two sides, put
 * and get. All of it runs on the loop thread.
 *
 * A side works in calls: each is one request with the function that takes its answer. When there is
 * room for more requests, the client asks the side for more by `pump`. A side that cannot go on
 * calls ntd_sftp_fail(); from then on no answer reaches its functions, but its memory stays, so
 * that `clean` can remove from the server what the copy has left there.
 */
#pragma once

#include "base/list.h"
#include "base/vec.h"
#include "sftp/packet.h"
#include "sftp/sftp.h"

#include <sys/stat.h>

enum {
	NTD_SFTP_CALLS = 64,             /* requests in flight */
	NTD_SFTP_FILES = 32,             /* files that are copied at the same time */
	NTD_SFTP_OUTPUT_SIZE = 1 << 20,  /* no more is made while so much waits to be sent */
	NTD_SFTP_READING_SIZE = 4 << 20, /* bytes that have been asked for */
	NTD_SFTP_DEPTH = 128,            /* directories in each other */
	NTD_SFTP_NAMES = 1 << 20,        /* names in a directory of the server */
};

struct ntd_sftp_call;
typedef void ntd_sftp_answered(struct ntd_sftp *sftp, const struct ntd_sftp_call *call,
			       const struct ntd_sftp_answer *answer);

struct ntd_sftp_call {
	uint32_t id;
	ntd_sftp_answered *answered; /* NULL: nothing is in flight here */
	void *item;                  /* for `answered`, as the next two */
	uint64_t offset;
	uint32_t len;
	bool cleaning; /* a call of `clean` */
};

struct ntd_sftp_side {
	/* The server has been greeted: the copy begins. */
	void (*begin)(struct ntd_sftp *sftp);
	/* Makes calls while ntd_sftp_may_call(). */
	void (*pump)(struct ntd_sftp *sftp);
	/* Makes calls that remove what is half written from the server, as far as
	 * ntd_sftp_may_clean() allows. Answers do not matter. Returns whether the side waits for no
	 * more. NULL: there is nothing on the server. */
	bool (*clean)(struct ntd_sftp *sftp);
	/* Appends the paths that ntd_sftp_left() tells. NULL: there is nothing on the server. */
	void (*left)(struct ntd_sftp *sftp, struct ntd_buf *paths);
	/* Frees the side, and removes what is half written on this host; called once. */
	void (*free)(struct ntd_sftp *sftp);
};

extern const struct ntd_sftp_side ntd_sftp_put_side, ntd_sftp_get_side;

enum ntd_sftp_phase {
	NTD_SFTP_NEW,
	NTD_SFTP_GREETING, /* INIT is sent, the version or the limits are awaited */
	NTD_SFTP_COPYING,
	NTD_SFTP_CLEANING, /* `error` is set */
	NTD_SFTP_DONE,
};

struct ntd_sftp {
	struct ntd_sftp_wire wire;
	const struct ntd_sftp_side *side;
	char *source, *target;
	bool follow, follow_all;
	void *copy; /* the side's */
	enum ntd_sftp_phase phase;
	struct ntd_error *error;
	struct ntd_sftp_progress progress;
	struct ntd_buf input, output;
	struct ntd_sftp_offer offer;
	uint32_t read_size, write_size; /* the most of a READ and of a WRITE */
	struct ntd_sftp_call calls[NTD_SFTP_CALLS];
	uint32_t serial;
	unsigned in_flight;
	size_t packet;          /* where the request begins that is being made */
	bool inside;            /* settle() is running */
	bool again;             /* it has been called meanwhile */
	bool told;              /* `done` has been called */
	bool cleaned;           /* nothing is left on the server */
	struct ntd_buf left;    /* the paths of what is left there, of a client that is done */
	struct ntd_buf without; /* links that are not in the copy, as ntd_sftp_without() has them */
};

/* ---- requests */

/* Whether one more request may be made now, for the copy or to clean up. */
bool ntd_sftp_may_call(const struct ntd_sftp *sftp);
bool ntd_sftp_may_clean(const struct ntd_sftp *sftp);
/* Begins a request: the caller appends its parts to `output`, may set members of the call, and
 * makes no other call until ntd_sftp_send(). A call in an answer's function needs no room: that of
 * the answer is free. */
struct ntd_sftp_call *ntd_sftp_call(struct ntd_sftp *sftp, enum ntd_sftp_type type,
				    ntd_sftp_answered *answered, void *item);
void ntd_sftp_send(struct ntd_sftp *sftp);
/* A whole request whose only part is a string. */
void ntd_sftp_call_path(struct ntd_sftp *sftp, enum ntd_sftp_type type, const char *path,
			ntd_sftp_answered *answered, void *item);
/* A rename, which replaces a file at `to` if the server can. */
void ntd_sftp_call_rename(struct ntd_sftp *sftp, const char *from, const char *to,
			  ntd_sftp_answered *answered, void *item);
/* A CLOSE whose answer does not matter. */
void ntd_sftp_call_close(struct ntd_sftp *sftp, struct ntd_sftp_string handle);
void ntd_sftp_put_text(struct ntd_buf *out, const char *text);

/* Whether the answer is of that type. If it is not, the copy fails with the words of the server, or
 * because the answer makes no sense; the format says what could not be done. */
bool ntd_sftp_expect(struct ntd_sftp *sftp, const struct ntd_sftp_answer *answer,
		     enum ntd_sftp_type type, const char *fmt, ...) ntd_printf(4, 5);
/* The same for a STATUS that says that the request has been done. */
bool ntd_sftp_expect_ok(struct ntd_sftp *sftp, const struct ntd_sftp_answer *answer,
			const char *fmt, ...) ntd_printf(3, 4);
bool ntd_sftp_is_status(const struct ntd_sftp_answer *answer, enum ntd_sftp_code code);

/* ---- the end of a copy */

/* The copy has failed; takes the error. Only the first counts. */
void ntd_sftp_fail(struct ntd_sftp *sftp, struct ntd_error *error);
/* It has failed by a system call; appends the text of errno. */
void ntd_sftp_fail_sys(struct ntd_sftp *sftp, const char *fmt, ...) ntd_printf(2, 3);
/* The server broke the protocol: the wire is not used any more. */
void ntd_sftp_fail_protocol(struct ntd_sftp *sftp, const char *fmt, ...) ntd_printf(2, 3);
void ntd_sftp_succeed(struct ntd_sftp *sftp);

/* Whether the copy has succeeded or failed. */
static inline bool ntd_sftp_is_over(const struct ntd_sftp *sftp)
{
	return sftp->phase == NTD_SFTP_CLEANING || sftp->phase == NTD_SFTP_DONE;
}

static inline bool ntd_sftp_copying(const struct ntd_sftp *sftp)
{
	return sftp->phase == NTD_SFTP_COPYING;
}

/* ---- paths */

/* New strings. Slashes, and parts that are only a dot, are taken off the end of a path. */
char *ntd_sftp_trimmed(const char *path);
char *ntd_sftp_join(const char *directory, const char *name);
char *ntd_sftp_parent(const char *path); /* "." for a name without a slash */
char *ntd_sftp_temporary_name(void);     /* random, hidden */
/* The last part of the path; NULL: it is no name of a file. */
const char *ntd_sftp_name_of(const char *path);
