/* Connections to managers of systemd, by their private sockets, which need no message bus. There is
 * one for each manager that was ever asked; it is made again when it was lost, as when systemd
 * executes itself again.
 */
#pragma once

#include "agent/agent.h"
#include "agent/dbus.h"

struct ntd_systemd;

/* A call that waits for its answer. */
struct ntd_systemd_query {
	/* Called once: with the answer, or NULL when the connection was lost. It may forget this
	 * query and others, but ask nothing when it gets NULL. */
	void (*answered)(struct ntd_systemd_query *query, struct ntd_dbus_message *answer);
	uint32_t serial;
	struct ntd_list_link link;
};

/* One that is told of signals. */
struct ntd_systemd_listener {
	const char *path; /* of the object that they are about */
	void (*changed)(struct ntd_systemd_listener *listener);
	struct ntd_list_link link;
};

/* The manager of a user, or the system's for NULL. Never freed. NULL: there is no such user. */
struct ntd_systemd *ntd_systemd_of(struct ntd_agent *agent, const char *user);
/* Sends a call, over a new connection if there is none. -1: there cannot be one now, and `answered`
 * will not be called. */
int ntd_systemd_ask(struct ntd_systemd *systemd, struct ntd_systemd_query *query,
		    const struct ntd_dbus_call *call);
void ntd_systemd_forget(struct ntd_systemd_query *query);
void ntd_systemd_listen(struct ntd_systemd *systemd, struct ntd_systemd_listener *listener);
void ntd_systemd_ignore(struct ntd_systemd_listener *listener);

/* The directory that stands for /run, for tests; NULL: /run. */
extern const char *ntd_systemd_run;
