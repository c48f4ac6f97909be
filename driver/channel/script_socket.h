/* A connection to QEMU or the guest (monitor, QMP, root shell) as a script sees it: one end of a
 * pair of sockets, whose other end is the loop thread's. The script reads the bytes that are no
 * part of an answer to the driver; what it writes goes out on the connection as the driver's
 * commands do. The pair is made when a script asks for its end; bytes that came before are kept
 * until then. The oldest bytes are dropped when 16 MiB wait to be read.
 */
#pragma once

#include "base/buf.h"
#include "loop/loop.h"

/* The script's socket of one connection. The loop thread owns all of it but `limit`. */
struct ntd_script_socket {
	struct ntd_loop *loop;
	/* Loop: called with what a script has written. */
	void (*written)(struct ntd_script_socket *socket, const char *bytes, size_t len);
	/* ns that a script lets the driver wait for an answer, by a time-out on its end; 0: for
	 * ever. */
	_Atomic int64_t limit;

	struct ntd_buf waiting; /* what does not fit into the pair, or waits for one to be made */
	struct ntd_source ours; /* fd -1: there is no pair, or the loop's end is closed */
	/* The script's end, of which the script has a copy, so that the loop can see what is not
	 * read yet; -1. */
	int theirs;
	/* Whether the connection is open; whether it has been since the last reset. */
	bool connected, was_connected;
};

/* Makes a socket without a connection. `written` may be called until ntd_script_socket_free(). */
void ntd_script_socket_init(struct ntd_script_socket *socket, struct ntd_loop *loop,
			    void (*written)(struct ntd_script_socket *, const char *, size_t));
/* Any thread. The connection must be closed. */
void ntd_script_socket_free(struct ntd_script_socket *socket);

/* Loop, as are the next functions. Begins a new connection; a script that has the socket of an
 * earlier one reads the end of that. */
void ntd_script_socket_open(struct ntd_script_socket *socket);
/* Ends the connection: a script reads what came before, and then the end. Does nothing when
 * closed. */
void ntd_script_socket_close(struct ntd_script_socket *socket);
/* Drops the pair and all bytes, as if there had never been a connection. */
void ntd_script_socket_reset(struct ntd_script_socket *socket);
/* Adds bytes for the script to read. */
void ntd_script_socket_add(struct ntd_script_socket *socket, const char *bytes, size_t len);
/* Takes back the bytes that no script has read, and appends them to `bytes`. */
void ntd_script_socket_take(struct ntd_script_socket *socket, struct ntd_buf *bytes);
/* Passes on what a script has written so far, so that it goes before what the driver writes
 * next. */
void ntd_script_socket_pull(struct ntd_script_socket *socket);

/* Any other thread: returns a new descriptor of the script's end, which the caller closes. -1
 * without an error: there has been no connection; -1 with one: the pair cannot be made. */
int ntd_script_socket_fd(struct ntd_script_socket *socket, struct ntd_error **err);
