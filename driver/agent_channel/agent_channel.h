/* The agent as a channel: a program that the driver starts in the guest, and that serves any number
 * of commands, waits and copies at the same time, by frames (agent/frame.h). It is started when the
 * first of them is asked for after a boot (agent_channel/launch.c): in a virtual machine over the
 * root shell, with a data port; in a container by nsenter, with a pair of sockets. Where it cannot
 * be had, the channel counts as absent, and the root shell does its work, or nsenter. So does the
 * root shell when a script speaks to it by itself, from the first byte that the script writes until
 * the next root shell announces itself: what the script has changed in the shell, commands see.
 *
 * The functions marked "loop" are for the loop thread; the others are for any other thread.
 */
#pragma once

#include "channel/nsenter.h"
#include "channel/port.h"
#include "channel/shell.h"
#include "report/report.h"

struct ntd_agent_channel;

/* Makes the channel of a virtual machine, without an agent. `machine` is the machine's name for
 * messages. The root shell and the port live longer; no port: there never is an agent. Unless it
 * serves, the channel never runs commands, and its program is only used to refresh the guest. */
struct ntd_agent_channel *ntd_agent_channel_new(struct ntd_loop *loop, struct ntd_report *report,
						const char *machine, struct ntd_shell *shell,
						struct ntd_port *port, bool serves);
/* Makes the channel of a container, which has no `put` and `get`: files go by the shared directory.
 */
struct ntd_agent_channel *ntd_agent_channel_in_container(struct ntd_loop *loop,
							 struct ntd_report *report,
							 const char *machine,
							 struct ntd_nsenter *nsenter);
/* Loop: the container has booted, or is about to boot again. */
void ntd_agent_channel_booted(struct ntd_agent_channel *agent);
/* Frees a channel that is closed, or NULL. */
void ntd_agent_channel_free(struct ntd_agent_channel *agent);
/* The channel, which is a part of it. */
struct ntd_channel *ntd_agent_channel_of(struct ntd_agent_channel *agent);
/* Loop: has it write to another report. */
void ntd_agent_channel_set_report(struct ntd_agent_channel *agent, struct ntd_report *report);
/* Loop: takes the agent away, until it is needed again: the guest's state is about to be saved, or
 * to be replaced by another, in which there is no such agent. The root shell stays. What is pending
 * fails with a copy of `why`; NULL: with an error that says what QEMU does. */
void ntd_agent_channel_forget(struct ntd_agent_channel *agent, const struct ntd_error *why);

/* ---- an agent that is saved with its guest, and goes on with it (agent_channel/saved.c) */

/* What is to be known of it. */
struct ntd_agent_saved {
	unsigned port;    /* the number of its port on the bus; 0: the state has neither */
	uint32_t streams; /* the number of the last stream */
	uint32_t version; /* of its frames; 0: the state has the port, and no agent to go on */
};

/* Loop: whether there is an agent with nothing pending in it or on its way, so that it can be saved
 * with the guest. If so, adds to `saved` what is known of it, but for its port. */
bool ntd_agent_channel_rests(const struct ntd_agent_channel *agent, struct ntd_agent_saved *saved);
/* Gives QEMU the port of the agent that the state has which QEMU is about to load, to a guest that
 * stands still: QEMU loads no state without the ports of then. The agent must have been forgotten.
 * Script threads. */
int ntd_agent_channel_plug(struct ntd_agent_channel *agent, const struct ntd_agent_saved *saved,
			   struct ntd_waiter *waiter, struct ntd_error **err);
/* Loop: the state has been loaded, and its root shell is known (ntd_shell_assume()): the agent of
 * then is that of the channel. The guest does not run yet, so nothing but a refresh tells whether
 * the agent answers. */
void ntd_agent_channel_resume(struct ntd_agent_channel *agent, const struct ntd_agent_saved *saved);

/* The guest of a virtual machine has just gone back to an earlier state, for which the channel was
 * told to forget the agent, and has no command to run: sets its clock by the host's, and renews the
 * random numbers of its kernel, which would repeat. The agent of that state does it if it answers
 * within `patience` ns; or another, which is started within as many. It stays if it serves. Else a
 * command of the root shell does what ntd_refresh_command() can. A line at the level debug says
 * which of the two, and why it was not the agent; a guest in which neither can do it goes on as it
 * is.
 *
 * Fails when the thread stops waiting, when the machine has ended, and when its root shell does not
 * answer or is not there. Script threads. */
int ntd_agent_channel_refresh(struct ntd_agent_channel *agent, int64_t patience,
			      struct ntd_waiter *waiter, struct ntd_error **err);
/* The text of a command that does it on any channel, as root, with status 0 if the clock has been
 * set and random bytes have been written; a new string, with the present time in it. Most kernels
 * take up the bytes within a minute, and at once only in a guest with perl or Python. */
char *ntd_refresh_command(void);
