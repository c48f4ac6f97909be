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

/* The guest of a virtual machine has just gone back to an earlier state, for which the channel was
 * told to forget the agent, and has no command to run: sets its clock by the host's, and renews the
 * random numbers of its kernel, which would repeat. The agent does it, which is started for it
 * within `patience` ns, and stays if it serves; else a command of the root shell does what
 * ntd_refresh_command() can. A line at the level debug says which of the two, and why it was not
 * the agent; a guest in which neither can do it goes on as it is.
 *
 * Fails when the thread stops waiting, when the machine has ended, and when its root shell does not
 * answer or is not there. Script threads. */
int ntd_agent_channel_refresh(struct ntd_agent_channel *agent, int64_t patience,
			      struct ntd_waiter *waiter, struct ntd_error **err);
/* The text of a command that does it on any channel, as root, with status 0 if the clock has been
 * set and random bytes have been written; a new string, with the present time in it. Most kernels
 * take up the bytes within a minute, and at once only in a guest with perl or Python. */
char *ntd_refresh_command(void);
