/* Copies of files within the guest, by the agent. */
#pragma once

struct ntd_agent_channel;
struct ntd_error;
struct ntd_waiter;

/* Script threads: copies a large file of the guest as `cp` would. Returns 0; 1: it was not copied,
 * and `cp` is to do it; -1: the wait was given up, or the agent was lost, as for each call of it.
 */
int ntd_agent_copy_in_guest(struct ntd_agent_channel *agent, const char *source, const char *target,
			    struct ntd_waiter *waiter, struct ntd_error **err);
