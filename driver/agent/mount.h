/* Mounting shares of the host. The payload of MOUNT is a list as that of /proc/mounts, a line for
 * each: the tag, the directory, the type and the options, with a space in them written as \040. All
 * are mounted that can be. The agent answers with DONE and nothing more; or with FAILED, what is to
 * be said of each that was not mounted.
 */
#pragma once

#include "agent/agent.h"

/* What mount(2) takes. */
struct ntd_mount {
	char *tag, *directory, *type; /* in one piece of memory, whose beginning is `tag` */
	unsigned long flags;
	struct ntd_buf options; /* a text for the file system, separated by commas */
};

/* Reads a line. False: it is none. The caller frees in any case. */
bool ntd_mount_read(const char *line, size_t len, struct ntd_mount *mount);
void ntd_mount_free(struct ntd_mount *mount);
#define _cleanup_mount_ _cleanup_(ntd_mount_free)

extern const struct ntd_agent_service ntd_agent_mount;

/* agent/mount_call.c: asks the kernel. 0, or an error of errno(3). */
int ntd_agent_mount_share(const struct ntd_mount *share, const char *options);
