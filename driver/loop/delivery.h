/* Files that are put where they belong when the driver is gone. Until then a directory of the user holds only
 * what was asked for.
 */
#pragma once

#include "base/mem.h"

#include <stdbool.h>

struct ntd_deliveries {
	struct ntd_delivery *list;
	size_t count;
};

/* Notes a file, open for reading, for `path` below the directory; duplicates both descriptors. */
void ntd_deliveries_add(struct ntd_deliveries *deliveries, int file, int directory,
			const char *path);
/* Delivers: the first file of a path replaces what is there, and the others of that path are appended. What
 * fails is told on stderr. */
void ntd_deliveries_make(const struct ntd_deliveries *deliveries);
