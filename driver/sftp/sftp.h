/* Copies of files and trees by SFTP, version 3 (draft-ietf-secsh-filexfer-02), with many requests
 * in flight. The client is a state machine on the loop thread that knows no SSH: it reads and
 * writes the bytes of a wire, which is an SSH channel with the subsystem "sftp" (ssh/copy.c), or,
 * in tests, the pipes of a sftp-server process. All bytes from the wire are untrusted.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct ntd_sftp;

/* What the client asks of its wire, on the loop thread. */
struct ntd_sftp_wire {
	/* There are bytes to send in ntd_sftp_output(). */
	void (*output)(void *owner);
	/* The client is done: with success if `error` is NULL, else with the error, which this
	 * function takes. The client makes no call after this one, which may free the client. */
	void (*done)(void *owner, struct ntd_error *error);
	void *owner;
};

enum ntd_sftp_direction { NTD_SFTP_PUT, NTD_SFTP_GET };

/* How far a copy has come. */
struct ntd_sftp_progress {
	uint64_t bytes, files; /* copied so far */
	uint64_t total;        /* bytes in all, as far as known */
};

/* Makes a client that copies `source` to `target`: a file, a symbolic link or a tree, with its
 * modes and its symbolic links; holes of sparse files are not sent. A file appears at its target
 * by a rename, so an interrupted copy leaves no half-written file there. `target` is a new path, or
 * a file that is replaced; a directory at `target` gets the copy inside, as with `cp -r`. */
struct ntd_sftp *ntd_sftp_new(enum ntd_sftp_direction direction, const char *source,
			      const char *target, const struct ntd_sftp_wire *wire);
/* Before it begins: a source that is a symbolic link is copied as what the link points to. In a
 * tree of this host, links stay links. In a tree of the server, they are what the host can follow:
 * a link that leads into the tree is one in the copy, any other is copied as what it leads to in
 * the guest, and one that leads to neither a file nor a directory is not in the copy. */
void ntd_sftp_follow(struct ntd_sftp *sftp);
/* The same for links in a tree of this host, which is copied to the server. */
void ntd_sftp_follow_all(struct ntd_sftp *sftp);
/* Loop: begins. */
void ntd_sftp_begin(struct ntd_sftp *sftp);
/* Loop: bytes from the server. */
void ntd_sftp_input(struct ntd_sftp *sftp, const char *bytes, size_t len);
/* Loop: the bytes that are to be sent; the wire consumes what it has sent, and the client then
 * makes more by ntd_sftp_sent(). */
struct ntd_buf *ntd_sftp_output(struct ntd_sftp *sftp);
void ntd_sftp_sent(struct ntd_sftp *sftp);
/* Loop: the wire has ended; the client fails unless it was done. `why`: NULL: the server closed
 * it. */
void ntd_sftp_ended(struct ntd_sftp *sftp, const struct ntd_error *why);
/* Loop: ends the copy with NTD_E_CANCELLED. The client is done when what it has half written is
 * removed, also in the guest as long as the wire lives; a caller that does not want to wait so long
 * frees it. Nothing happens to a client that is done. */
void ntd_sftp_cancel(struct ntd_sftp *sftp);
/* Loop: appends the paths of what may be half written in the guest, each with a NUL at its end, of
 * a client whose wire has ended before its time. They have names that nothing else has. */
void ntd_sftp_left(struct ntd_sftp *sftp, struct ntd_buf *paths);
/* Loop: the links that are not in the copy: the path of each in the guest, and a new line. Of a
 * great many, only the first. */
const struct ntd_buf *ntd_sftp_without(const struct ntd_sftp *sftp);
/* Loop. */
struct ntd_sftp_progress ntd_sftp_progress(const struct ntd_sftp *sftp);
/* Loop: frees the client; what it has half written on this host is removed. NULL is allowed. */
void ntd_sftp_free(struct ntd_sftp *sftp);
