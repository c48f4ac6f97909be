/* Directory trees on the host. */
#pragma once

#include "base/error.h"

/* What is nested deeper is not copied; a process has a thousand descriptors. */
enum { NTD_TREE_DEPTH = 128 };

/* Removes what is at `path`, a tree or a single file; links are not followed, and what is mounted
 * in it stays. A missing path is fine. Where need be, the attributes "immutable" and "append only"
 * (chattr) are taken off first, which root may. Others may write into the tree meanwhile. */
int ntd_tree_remove(const char *path, struct ntd_error **err);
/* The same in an open directory. */
int ntd_tree_remove_at(int directory, const char *name, struct ntd_error **err);

/* Copies a file or a tree with contents, modes and times, to or from the name in an open directory
 * into which a guest may write meanwhile. What is in there becomes nothing else of the host's:
 * links in it are not followed.
 *
 * To a guest: symbolic links of the host become what they point to; `name` must not exist. */
int ntd_tree_copy_to_guest(const char *source, int directory, const char *name,
			   struct ntd_error **err);
/* From a guest: what is neither a file nor a directory is an error, after all else has been copied;
 * set-user-ID and the like are not kept. `target` must not exist if it is a directory, and is
 * overwritten if it is a file. */
int ntd_tree_copy_from_guest(int directory, const char *name, const char *target,
			     struct ntd_error **err);

/* Makes a directory and those above it. */
int ntd_tree_make(const char *path, struct ntd_error **err);
