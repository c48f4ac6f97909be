/* A connection to QEMU or the guest as a script sees it: a real socket, one end of a pair, the
 * other end of which is the loop's. On it come bytes that are no part of an answer to the driver,
 * and what the script writes goes to where the driver's own commands go. The pair is made when a
 * script asks for its end; what came before is kept until then. The oldest bytes are dropped when
 * nobody reads.
 */
#pragma once

#include "base/buf.h"
#include "loop/loop.h"

struct ntd_script_socket {
	struct ntd_loop *loop;
	/* Loop: a script has written this. */
	void (*written)(struct ntd_script_socket *socket, const char *bytes, size_t len);
	/* ns that a script lets the driver wait for an answer, by a time-out on its end; 0: for
	 * ever. */
	_Atomic int64_t limit;

	struct ntd_buf waiting; /* what does not fit into the pair, or waits for one to be made */
	struct ntd_source ours; /* fd -1: there is no pair, or the loop's end is closed */
	int theirs; /* the script's end, of which it has a copy: its queue can be looked at; -1 */
	bool connected, was_connected;
};

void ntd_script_socket_init(struct ntd_script_socket *socket, struct ntd_loop *loop,
			    void (*written)(struct ntd_script_socket *, const char *, size_t));
/* Any thread; closed before. */
void ntd_script_socket_free(struct ntd_script_socket *socket);

/* Loop, from here on. A new connection; what a script still has of the last one is at its end. */
void ntd_script_socket_open(struct ntd_script_socket *socket);
/* The connection has ended: a script reads what came before that, and then the end. No-op when
 * closed. */
void ntd_script_socket_close(struct ntd_script_socket *socket);
/* As if there had never been a connection. */
void ntd_script_socket_reset(struct ntd_script_socket *socket);
/* Something for the script. */
void ntd_script_socket_add(struct ntd_script_socket *socket, const char *bytes, size_t len);
/* Takes back what no script has read, and appends it to `bytes`. */
void ntd_script_socket_take(struct ntd_script_socket *socket, struct ntd_buf *bytes);
/* Passes on what a script has written so far, which goes before what the driver writes from now
 * on. */
void ntd_script_socket_pull(struct ntd_script_socket *socket);

/* Any other thread: a new descriptor of the script's end; -1: there has been no connection, or,
 * with *err, there can be no pair. */
int ntd_script_socket_fd(struct ntd_script_socket *socket, struct ntd_error **err);
