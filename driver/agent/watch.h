/* Watching directories of the guest by inotify(7): one instance for all of the agent, since a user
 * may have few of them. */
#pragma once

#include "agent/agent.h"

#include <sys/inotify.h>

/* What is heard of the entries of a directory. */
enum { NTD_WATCH_EVENTS = IN_CREATE | IN_MOVED_TO | IN_OPEN | IN_CLOSE_WRITE | IN_CLOSE_NOWRITE };

/* A watch that is not set has memory of zeros. */
struct ntd_agent_watch {
	int number; /* inotify's, which watches of the same directory share; 0: not set */
	/* Something has happened to the entry `name`, or to the directory itself, which is then
	 * NULL and `events` IN_IGNORED when it is not watched any more, or IN_Q_OVERFLOW when
	 * events have been lost. It may clear its own watch. */
	void (*event)(struct ntd_agent_watch *watch, uint32_t events, const char *name);
	struct ntd_list_link link;
};

/* Watches a directory. -1: it is not there, or nothing can be watched. */
int ntd_agent_watch_set(struct ntd_agent *agent, struct ntd_agent_watch *watch,
			const char *directory);
void ntd_agent_watch_clear(struct ntd_agent_watch *watch);
