/* QMP, QEMU's JSON monitor: greeting, commands with ids, a queue of events for scripts, and
 * listeners of the driver's own. Functions that say "loop" are for the loop thread; the others may
 * block and are for any other thread.
 *
 * Protocol: https://www.qemu.org/docs/master/interop/qmp-spec.html
 */
#pragma once

#include "base/json.h"
#include "base/list.h"
#include "channel/script_socket.h"
#include "loop/request.h"

struct ntd_qmp;

/* Makes a connection that is not open yet. `who` is what its errors begin with, such as "machine
 * 'server'". */
struct ntd_qmp *ntd_qmp_new(struct ntd_loop *loop, const char *who);
/* Frees a connection that is closed, or NULL. */
void ntd_qmp_free(struct ntd_qmp *qmp);

/* Loop: opens the connection on the connected socket `fd`, which it takes. `ready` is called once,
 * on the loop thread: without a `failure` when the capabilities have been negotiated after QEMU's
 * greeting, or with one when the connection was closed before. Events of an earlier connection are
 * forgotten. */
typedef void ntd_qmp_ready(void *owner, const struct ntd_error *failure);
int ntd_qmp_open(struct ntd_qmp *qmp, int fd, ntd_qmp_ready *ready, void *owner,
		 struct ntd_error **err);
/* Loop: handles what has arrived and has not been read yet, as when QEMU has ended; the connection
 * stays open. */
void ntd_qmp_drain(struct ntd_qmp *qmp);
/* Loop: closes the connection, if it is open; pending commands and waits fail with a copy of `why`.
 * Events that have come can still be taken. */
void ntd_qmp_close(struct ntd_qmp *qmp, const struct ntd_error *why);
/* Whether the capabilities have been negotiated and the connection is open. */
bool ntd_qmp_is_open(struct ntd_qmp *qmp);
/* Loop: the same. */
bool ntd_qmp_is_ready(const struct ntd_qmp *qmp);
/* Loop: QEMU's version, such as 7.2.0; "" when it has not been said. */
const char *ntd_qmp_version(const struct ntd_qmp *qmp);
/* Any thread: the error of a command where there is no connection, a new one. */
struct ntd_error *ntd_qmp_not_open(const struct ntd_qmp *qmp);
/* The loop that serves the connection. Any thread. */
struct ntd_loop *ntd_qmp_loop(const struct ntd_qmp *qmp);
/* "machine 'server'", the beginning of errors about the connection. Any thread. */
const char *ntd_qmp_who(const struct ntd_qmp *qmp);
/* The socket for a script that speaks QMP by itself: it gets the replies to what is not a command
 * of the driver. */
struct ntd_script_socket *ntd_qmp_socket(struct ntd_qmp *qmp);
/* How many events have come that no script has taken yet. */
size_t ntd_qmp_count_events(struct ntd_qmp *qmp);

/* Executes a command and waits for its reply. `arguments` stays the caller's; it may be NULL, or
 * raw text, which is sent as it is. Returns the whole reply object without its id ({"return": ...}
 * or {"error": ...}), owned by the caller. NULL with an error: NTD_E_DEAD when the connection is or
 * was closed, NTD_E_TIMEOUT at the deadline, NTD_E_CANCELLED when the waiter was interrupted. */
cJSON *ntd_qmp_execute(struct ntd_qmp *qmp, const char *command, const cJSON *arguments,
		       int64_t deadline, struct ntd_waiter *waiter, struct ntd_error **err);
/* Takes the next event, in order of arrival, owned by the caller; waits for one until `deadline`.
 * Each event goes to one caller only. Errors are those of ntd_qmp_execute(). */
cJSON *ntd_qmp_next_event(struct ntd_qmp *qmp, int64_t deadline, struct ntd_waiter *waiter,
			  struct ntd_error **err);

/* ---- commands of the core */

/* A command of the driver itself. The owner fills in the first two members, and keeps the structure
 * while the question is pending: until it is answered or the owner has unlinked it. */
struct ntd_qmp_question {
	/* Called on the loop thread with the whole reply, or with NULL when the connection has been
	 * closed before. With a reply, it may ask again. */
	void (*answered)(void *owner, const cJSON *reply);
	void *owner;
	unsigned id;
	struct ntd_list_link link;
};

/* Loop: executes a command for the driver itself. The connection is ready, and the question is not
 * pending; others may be. `arguments` stays the caller's; NULL: there are none. */
void ntd_qmp_ask(struct ntd_qmp *qmp, struct ntd_qmp_question *question, const char *command,
		 const cJSON *arguments);

/* Loop: sends a command of the driver's, whose reply nobody needs, to a connection that is open. */
void ntd_qmp_send(struct ntd_qmp *qmp, const char *command, const cJSON *arguments);
/* Loop: has the question answered with NULL when the connection is closed; nothing is sent. The
 * connection is open, and the question is not pending. */
void ntd_qmp_await_close(struct ntd_qmp *qmp, struct ntd_qmp_question *question);

/* ---- events for the core */

/* A part of the driver that wants to hear of an event. The owner fills in all members but the link,
 * and keeps the listener until it has unlinked it or the connection's structure is freed. */
struct ntd_qmp_listener {
	const char *name; /* of the event, such as "SHUTDOWN" */
	/* Called on the loop thread for each event of that name, before scripts can see it, with
	 * the whole message. It may unlink its own listener and no other; it may close the
	 * connection, but not free it. */
	void (*heard)(void *owner, const cJSON *event);
	/* Whether the event is about something that the driver has made for itself, so that scripts
	 * do not get it. It is asked before `heard` is called. NULL: no event is. */
	bool (*is_private)(void *owner, const cJSON *event);
	void *owner;
	struct ntd_list_link link;
};

/* Adds a listener, for this connection and those that are opened later: on the loop thread, or on
 * any other before the first is opened. Listeners are called in the order in which they were added.
 * Events: https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html */
void ntd_qmp_on(struct ntd_qmp *qmp, struct ntd_qmp_listener *listener);

/* ---- qmp_message.c */

/* Calls the listeners in a list of struct ntd_qmp_listener that are for this event. Returns whether
 * it is private. */
bool ntd_qmp_tell(const struct ntd_list *listeners, const cJSON *event);
/* The value of an enumeration that the event's data have as `member`, such as "guest-shutdown" for
 * "reason": 1 to 64 letters, digits, hyphens and underscores. NULL: there is none, or it is
 * something else. It lives as long as the event. */
const char *ntd_qmp_event_word(const cJSON *event, const char *member);
/* The text of a message from ntd_qmp_take_message(), as QEMU wrote it: cJSON's numbers are exact to
 * 53 bits only, and do not tell 1.0 from 1. */
const char *ntd_qmp_text(const cJSON *message);

/* Takes one message off the front of `in`: sets *message (NULL for a line that is not a JSON
 * object) and returns true, or returns false when `in` holds no whole line. */
bool ntd_qmp_take_message(struct ntd_buf *in, cJSON **message);

/* ---- qmp_client.c */

/* Returns a new socket that is connected to the one at `path`, or -1 with the error. */
int ntd_qmp_dial(const char *path, struct ntd_error **err);
/* Opens a connection to the socket at `path` and waits until it is ready for commands. NULL with
 * the error on failure. The caller hangs up before freeing it. */
struct ntd_qmp *ntd_qmp_connect(struct ntd_loop *loop, const char *path, int64_t deadline,
				struct ntd_waiter *waiter, struct ntd_error **err);
/* Closes a connection of ntd_qmp_connect(). */
void ntd_qmp_hang_up(struct ntd_loop *loop, struct ntd_qmp *qmp);
