/* Descriptors of files, in the agent and in the processes that it forks. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Closes all descriptors from `first` on, for a process that was forked: the port above all must
 * not stay open when the agent has ended. */
void ntd_agent_close_from(int first);
/* Writes all bytes at that place of a file. -1 with errno. */
int ntd_agent_write_at(int fd, const char *bytes, size_t len, uint64_t offset);
