/* Directory trees on the host. */
#pragma once

#include "base/error.h"

#include <sys/types.h>

/* Directories that are nested deeper are not copied: each level takes a descriptor. */
enum { NTD_TREE_DEPTH = 128 };

/* Removes the tree or the single file at `path`; links are not followed, and file systems that are
 * mounted in the tree stay. A path that does not exist is no error. Where need be, the attributes
 * "immutable" and "append only" (chattr) are taken off first, which root may do. Other processes
 * may write into the tree meanwhile. */
int ntd_tree_remove(const char *path, struct ntd_error **err);
/* The same in an open directory. */
int ntd_tree_remove_at(int directory, const char *name, struct ntd_error **err);

/* Copy a file or a tree with contents, modes and times, to or from the name in an open directory
 * into which a guest may write meanwhile. Links in that directory are not followed, so that the
 * guest can neither read nor change other files of the host.
 *
 * To a guest: symbolic links of the host become what they point to; `name` must not exist. */
int ntd_tree_copy_to_guest(const char *source, int directory, const char *name,
			   struct ntd_error **err);
/* From a guest: a link in a tree is copied if it cannot lead out of the tree, which its text must
 * show: up no further than to the top, then down. Any other entry that is neither a file nor a
 * directory is an error, after all others have been copied; set-user-ID and the like are not kept.
 * `target` must not exist if a directory is copied, and is overwritten if a file is. */
int ntd_tree_copy_from_guest(int directory, const char *name, const char *target,
			     struct ntd_error **err);

/* Copies the contents of a file to a new one with that mode. Holes stay holes, and the two share
 * their blocks where the file system can do that. After an error the new file is removed, unless it
 * was there before, which is an error. */
int ntd_tree_copy_file(const char *source, const char *target, mode_t mode, struct ntd_error **err);

/* Makes a directory, and the directories above it, unless they exist. */
int ntd_tree_make(const char *path, struct ntd_error **err);
