#include "base/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

/* ---- removing */

/* A file with one of these attributes cannot be removed, nor anything in a directory that has one. */
enum { FIXED = FS_IMMUTABLE_FL | FS_APPEND_FL };

static void unfix(int fd)
{
	int attributes;

	if (fd < 0 || ioctl(fd, FS_IOC_GETFLAGS, &attributes) < 0 || !(attributes & FIXED))
		return;
	attributes &= ~FIXED;
	ioctl(fd, FS_IOC_SETFLAGS, &attributes);
}

/* Takes the attributes from `path` and from the directory it is in, unless that is not of the tree. Only files and
 * directories have them; to open anything else could have effects of its own. */
static void make_removable(const char *path, const struct stat *info, const struct FTW *ftw)
{
	enum { FLAGS = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC };
	_cleanup_fd_ int directory = -1, fd = -1;

	if (ftw->level > 0) {
		/* Without the slash, which would follow a link. */
		_cleanup_free_ char *parent = ntd_strndup(path, (size_t)ftw->base - 1);

		directory = open(parent, FLAGS | O_DIRECTORY);
		unfix(directory);
		if (directory < 0)
			return;
	}
	if (!S_ISREG(info->st_mode) && !S_ISDIR(info->st_mode))
		return;
	fd = openat(ftw->level > 0 ? directory : AT_FDCWD, ftw->level > 0 ? path + ftw->base : path,
		    FLAGS);
	unfix(fd);
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *ftw)
{
	if (remove(path) == 0 || errno == ENOENT)
		return 0;
	if (errno != EPERM)
		return -1;
	make_removable(path, info, ftw);
	return remove(path) < 0 && errno != ENOENT ? -1 : 0;
}

int ntd_tree_remove(const char *path, struct ntd_error **err)
{
	if (nftw(path, remove_one, 64, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) < 0 && errno != ENOENT)
		return ntd_error_sys(err, errno, "cannot remove %s", path);
	return 0;
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

/* ---- copying */

static int copy_bytes(int from, int to)
{
	char bytes[64 << 10];
	ssize_t got;

	while ((got = read(from, bytes, sizeof bytes)) > 0)
		for (ssize_t done = 0; done < got;) {
			ssize_t written = write(to, bytes + done, (size_t)(got - done));

			if (written < 0)
				return -1;
			done += written;
		}
	return got < 0 ? -1 : 0;
}

static int copy_file(const char *source, const struct stat *info, const char *target,
		     struct ntd_error **err)
{
	_cleanup_fd_ int from = open(source, O_RDONLY | O_CLOEXEC);
	_cleanup_fd_ int to = -1;

	if (from < 0)
		return ntd_error_sys(err, errno, "cannot read %s", source);
	to = open(target, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (to < 0)
		return ntd_error_sys(err, errno, "cannot write %s", target);
	if (copy_bytes(from, to) < 0 || fchmod(to, info->st_mode & 07777) < 0)
		return ntd_error_sys(err, errno, "cannot copy %s to %s", source, target);
	futimens(to, (struct timespec[]){info->st_atim, info->st_mtim});
	return 0;
}

static int copy_directory(const char *source, const struct stat *info, const char *target,
			  struct ntd_error **err)
{
	DIR *directory = opendir(source);
	struct dirent *entry;
	int result = 0;

	if (!directory)
		return ntd_error_sys(err, errno, "cannot read %s", source);
	if (mkdir(target, 0700) < 0)
		result = ntd_error_sys(err, errno, "cannot make directory %s", target);
	while (result == 0 && (entry = readdir(directory))) {
		_cleanup_free_ char *from = ntd_asprintf("%s/%s", source, entry->d_name);
		_cleanup_free_ char *to = ntd_asprintf("%s/%s", target, entry->d_name);

		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			result = ntd_tree_copy(from, to, err);
	}
	closedir(directory);
	if (result == 0 && chmod(target, info->st_mode & 07777) < 0)
		result = ntd_error_sys(err, errno, "cannot copy %s to %s", source, target);
	utimensat(AT_FDCWD, target, (struct timespec[]){info->st_atim, info->st_mtim}, 0);
	return result;
}

int ntd_tree_copy(const char *source, const char *target, struct ntd_error **err)
{
	struct stat info;

	if (stat(source, &info) < 0)
		return ntd_error_sys(err, errno, "cannot read %s", source);
	if (S_ISDIR(info.st_mode))
		return copy_directory(source, &info, target, err);
	if (!S_ISREG(info.st_mode)) /* opening a pipe would wait for its other end */
		return ntd_error_set(err, NTD_E_VALUE,
				     "cannot copy %s: it is neither a file nor a directory",
				     source);
	return copy_file(source, &info, target, err);
}
