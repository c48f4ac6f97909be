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
 * messages. The root shell and the port live longer; no port: there never is an agent. */
struct ntd_agent_channel *ntd_agent_channel_new(struct ntd_loop *loop, struct ntd_report *report,
						const char *machine, struct ntd_shell *shell,
						struct ntd_port *port);
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
 * to be replaced by another, in which there is no such agent. The root shell stays. */
void ntd_agent_channel_forget(struct ntd_agent_channel *agent);
