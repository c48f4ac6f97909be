/* Errands: what the keeper does with files when the driver is gone, however it ended. All functions
 * run in the keeper's process (loop/keeper.h). A list of zeros is empty.
 */
#pragma once

#include "base/mem.h"

struct ntd_aftermath {
	struct ntd_errand *errands;
	size_t count;
};

/* Each of these functions notes an errand; it copies paths and duplicates descriptors. */

/* To remove a file, or a directory with the sockets in it unless another driver has locked it. The
 * last path that was noted is removed first. */
void ntd_aftermath_remove(struct ntd_aftermath *aftermath, const char *path);
/* To remove a directory with everything in it. */
void ntd_aftermath_remove_tree(struct ntd_aftermath *aftermath, const char *path);
/* To put the contents that `file`, open for reading, has then at `path` below the open `directory`.
 * The parent of `path` is made, but not the directories above it. The first file that is delivered
 * to a path replaces what is there; others are appended. */
void ntd_aftermath_deliver(struct ntd_aftermath *aftermath, int file, int directory,
			   const char *path);
/* To cut off what follows the last newline in `file`, open for reading and writing: a driver that
 * is killed while it writes several pages may have written only the first of them. */
void ntd_aftermath_cut(struct ntd_aftermath *aftermath, int file);
/* To add `text` to `file`, open for reading and writing, unless the file ends with the last line of
 * `text`: then the driver itself has completed it. */
void ntd_aftermath_complete(struct ntd_aftermath *aftermath, int file, const char *text);

/* Runs all errands; writes to standard error which of them have failed. */
void ntd_aftermath_run(const struct ntd_aftermath *aftermath);
void ntd_aftermath_free(struct ntd_aftermath *aftermath);
