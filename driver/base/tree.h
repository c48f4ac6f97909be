/* Directory trees on the host. */
#pragma once

#include "base/error.h"

/* Removes what is at `path`, a tree or a single file; links are not followed. A missing path is fine.
 * Where need be, the attributes "immutable" and "append only" (chattr) are taken off first, which root may. */
int ntd_tree_remove(const char *path, struct ntd_error **err);
/* Copies a file or a tree. Contents, modes and times are kept, symbolic links inside a tree become what
 * they point to; `target` must not exist if `source` is a directory, and is overwritten if it is a file. */
int ntd_tree_copy(const char *source, const char *target, struct ntd_error **err);
/* Makes a directory and those above it. */
int ntd_tree_make(const char *path, struct ntd_error **err);
