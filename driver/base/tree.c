/* Removing and making trees. Any thread that may block; also the keeper (loop/aftermath.h).
 *
 * A guest may write into a tree while it is removed. So names are looked up in directories that are
 * open, links are never followed, and a directory that is nested too deeply for the descriptors of
 * a process is moved to the top first.
 */
#include "base/tree.h"

#include "base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

/* ---- removing */

enum {
	NO_EFFECT = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
	/* A file with one of these attributes cannot be removed, nor anything in a directory that
	 * has one. */
	FIXED = FS_IMMUTABLE_FL | FS_APPEND_FL,
};

struct removal {
	dev_t device; /* of the tree; other file systems that are mounted in it stay */
	int top;      /* the tree's own directory; -1 before it is open */
	bool moved;   /* a directory has been moved to the top */
};

static void unfix(int fd)
{
	int attributes;

	if (fd < 0 || ioctl(fd, FS_IOC_GETFLAGS, &attributes) < 0 || !(attributes & FIXED))
		return;
	attributes &= ~FIXED;
	ioctl(fd, FS_IOC_SETFLAGS, &attributes);
}

/* Takes the attributes off the entry, and off the directory that it is in if that is part of the
 * tree. Only files and directories have attributes; to open anything else could have effects of its
 * own. */
static void make_removable(const struct removal *removal, int directory, const char *name)
{
	_cleanup_fd_ int fd = -1;
	struct stat info;

	if (removal->top >= 0)
		unfix(directory);
	if (fstatat(directory, name, &info, AT_SYMLINK_NOFOLLOW) < 0 ||
	    (!S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode)))
		return;
	fd = openat(directory, name, NO_EFFECT);
	unfix(fd);
}

/* Removes a file, or with AT_REMOVEDIR an empty directory; 0 when it is not there. */
static int remove_entry(const struct removal *removal, int directory, const char *name, int flags)
{
	if (unlinkat(directory, name, flags) == 0 || errno == ENOENT)
		return 0;
	if (errno != EPERM)
		return -1;
	make_removable(removal, directory, name);
	return unlinkat(directory, name, flags) < 0 && errno != ENOENT ? -1 : 0;
}

static int remove_any(struct removal *removal, int directory, const char *name, int depth);

/* Removes what is in the directory `fd`, which is consumed. Goes on past what cannot be removed; -1
 * with the errno of the first. */
static int empty(struct removal *removal, int fd, int depth)
{
	DIR *entries = ntd_fd_entries(fd);
	struct dirent *entry;
	int failed = entries ? 0 : errno;

	while (entries && (entry = ntd_fd_next_entry(entries)))
		if (remove_any(removal, dirfd(entries), entry->d_name, depth + 1) < 0 && !failed)
			failed = errno;
	if (entries)
		closedir(entries);
	errno = failed;
	return failed ? -1 : 0;
}

/* Removes what is in the tree's own directory, until nothing has been moved there meanwhile. */
static int empty_top(struct removal *removal, int fd)
{
	int result = 0;

	removal->top = fd;
	do {
		int again = openat(fd, ".", NO_EFFECT | O_DIRECTORY);

		removal->moved = false;
		result = empty(removal, again, 0);
	} while (result == 0 && removal->moved);
	removal->top = -1;
	return result;
}

static int move_to_top(struct removal *removal, int directory, const char *name,
		       const struct stat *info)
{
	_cleanup_free_ char *unique = ntd_asprintf(".removed-%ju", (uintmax_t)info->st_ino);

	if (renameat(directory, name, removal->top, unique) < 0)
		return -1;
	removal->moved = true;
	return 0;
}

static int remove_directory(struct removal *removal, int directory, const char *name, int fd,
			    int depth)
{
	_cleanup_fd_ int own = fd;
	struct stat info;

	if (fstat(fd, &info) < 0)
		return -1;
	if (depth == 0)
		removal->device = info.st_dev;
	if (depth == NTD_TREE_DEPTH)
		return move_to_top(removal, directory, name, &info);
	if (info.st_dev == removal->device &&
	    (depth == 0 ? empty_top(removal, fd) : empty(removal, ntd_steal_fd(&own), depth)) < 0)
		return -1;
	return remove_entry(removal, directory, name, AT_REMOVEDIR);
}

static int remove_any(struct removal *removal, int directory, const char *name, int depth)
{
	int fd = openat(directory, name, NO_EFFECT | O_DIRECTORY);

	if (fd >= 0)
		return remove_directory(removal, directory, name, fd, depth);
	if (errno == ENOENT)
		return 0;
	return remove_entry(removal, directory, name, errno == EACCES ? AT_REMOVEDIR : 0);
}

int ntd_tree_remove_at(int directory, const char *name, struct ntd_error **err)
{
	struct removal removal = {.top = -1};

	if (remove_any(&removal, directory, name, 0) < 0)
		return ntd_error_sys(err, errno, "cannot remove %s", name);
	return 0;
}

int ntd_tree_remove(const char *path, struct ntd_error **err)
{
	return ntd_tree_remove_at(AT_FDCWD, path, err);
}

/* ---- making */

int ntd_tree_make(const char *path, struct ntd_error **err)
{
	_cleanup_free_ char *prefix = ntd_strdup(path);
	struct stat info;

	for (char *slash = prefix + 1; *prefix; slash++) {
		char end = *slash;

		if (end && end != '/')
			continue;
		*slash = '\0';
		if (mkdir(prefix, 0777) < 0 && errno != EEXIST)
			return ntd_error_sys(err, errno, "cannot make directory %s", prefix);
		if (!end)
			break;
		*slash = end;
	}
	if (stat(path, &info) == 0 && S_ISDIR(info.st_mode))
		return 0;
	return ntd_error_sys(err, ENOTDIR, "cannot make directory %s", path);
}
