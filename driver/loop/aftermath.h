/* What the keeper does with files when the driver is gone, however it ended. */
#pragma once

#include "base/mem.h"

struct ntd_aftermath {
	struct ntd_errand *errands;
	size_t count;
};

/* Each notes an errand; descriptors are duplicated. */

/* Removes a file, or a directory with the sockets in it unless another driver has it locked. What
 * was noted last is removed first. */
void ntd_aftermath_remove(struct ntd_aftermath *aftermath, const char *path);
/* Removes a directory with all that is in it. */
void ntd_aftermath_remove_tree(struct ntd_aftermath *aftermath, const char *path);
/* Puts what is in `file` then, open for reading, to `path` below a directory, which is made, at
 * most one level deep. The first file of a path replaces what is there; the others of that path are
 * appended. */
void ntd_aftermath_deliver(struct ntd_aftermath *aftermath, int file, int directory,
			   const char *path);
/* Cuts off what follows the last newline in `file`, open for reading and writing: a driver that is
 * killed while it writes some pages may have written only the first of them. */
void ntd_aftermath_cut(struct ntd_aftermath *aftermath, int file);

/* Does it all. What fails is told on stderr. */
void ntd_aftermath_run(const struct ntd_aftermath *aftermath);
void ntd_aftermath_free(struct ntd_aftermath *aftermath);
