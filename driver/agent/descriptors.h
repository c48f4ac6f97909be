/* Descriptors of files, in the agent and in the processes that it forks. */
#pragma once

#include "base/buf.h"

#include <stddef.h>
#include <stdint.h>

/* Closes all descriptors from `first` on, for a process that was forked: the port above all must
 * not stay open when the agent has ended. */
void ntd_agent_close_from(int first);
/* Appends all that there is to read, at most about `most` bytes. -1: it cannot be read, or there is
 * more; `text` then has what was read. */
int ntd_agent_read_all(int fd, size_t most, struct ntd_buf *text);
/* Writes all bytes at that place of a file. -1 with errno. */
int ntd_agent_write_at(int fd, const char *bytes, size_t len, uint64_t offset);
