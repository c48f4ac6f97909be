/* The service COPY: the copy of a large file of the guest to another place in it. It is the second
 * half of a copy from the host by the directory that host and guest share, in whose place there is
 * `cp SOURCE TARGET` in a guest without the agent.
 *
 * What comes by 9p comes a request at a time for a reader. So there are several, in processes of
 * their own: while one has what it has read written, QEMU reads for others. Measured with 50 MB
 * from 9p into a tmpfs of an emulated guest with one processor: ms, the least of five rounds.
 *
 *	msize     cp     1 reader   2     3     4     8
 *	16384     1580   1364       919   450   429   369
 *	262144    163    150        112   118   115   129
 *
 * A small msize is what guests of NixOS have by default.
 *
 * The payload of COPY is two texts, the source and the target. Payload of DONE: uint8, 1 if the
 * target is the copy now. If it is 0, the copy could not be made, or it is one for which `cp` is
 * needed, and `cp` can be run now: it begins from the start, and says what is wrong, if anything.
 * A copy that is cancelled, or whose agent ends, stops where it is, as `cp` would.
 */
#pragma once

#include "agent/agent.h"

#include <stdbool.h>

extern const struct ntd_agent_service ntd_agent_copy_file;

/* Copies a file as `cp` would: the target gets the mode of the source less the umask, or keeps
 * owner and mode if it is there. Returns false when the target is not the copy: it is no regular
 * file, the source is none or has holes or a mode with set-user-ID and the like, or something
 * failed. It blocks, and starts processes that end with the caller. */
bool ntd_copy_file(const char *source, const char *target);
