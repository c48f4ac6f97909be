/* The guest's processes, as /proc shows them. */
#pragma once

#include "base/buf.h"

#include <stdbool.h>
#include <sys/types.h>

/* Kills a process that has not been waited for, its descendants, and the process groups that they
 * lead. */
void ntd_agent_kill_tree(pid_t pid);
/* Appends "PID (NAME) PID (NAME)" for the processes, other than the caller, that hold the pipe of
 * which `fd` is an end; at most `most` bytes. */
void ntd_agent_list_holders(struct ntd_buf *out, int fd, size_t most);
/* Whether a process sleeps until something happens: it neither runs, nor waits for a processor or a
 * disk, nor has ended. */
bool ntd_agent_process_waits(pid_t pid);
