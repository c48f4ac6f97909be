/* Copying trees. Any thread that may block. The guest may write at one of the two ends meanwhile,
 * and may mean harm: names there are looked up in directories that are open, and links are never
 * followed; only files and directories are opened; of a file no more than its size is read, and
 * holes stay holes.
 */
#include "base/tree.h"

#include "base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* One end of a copy: a name in an open directory; `path` is for messages. */
struct end {
	int directory;
	const char *name, *path;
};

struct copy {
	bool from_guest; /* else to a guest */
	int depth;
};

static int copy_any(struct copy copy, struct end from, struct end to, struct ntd_error **err);

static int cannot_copy(const struct end *from, const struct end *to, struct ntd_error **err)
{
	return ntd_error_sys(err, errno, "cannot copy %s to %s", from->path, to->path);
}

/* ---- files */

/* Has the kernel copy the bytes from `begin` to `end`, as far as it can: it takes half the time,
 * and shares the blocks of the two files where the file system knows how. Returns where it stopped;
 * why, reading from there shows. */
static off_t copy_in_kernel(int from, int to, off_t begin, off_t end)
{
	off_t written = begin;

	while (begin < end &&
	       copy_file_range(from, &begin, to, &written, (size_t)(end - begin), 0) > 0)
		;
	return begin;
}

/* Copies the bytes from `begin` to `end`, or fewer: a file that has become shorter is no error. */
static int copy_data(int from, int to, off_t begin, off_t end)
{
	char bytes[64 << 10];

	begin = copy_in_kernel(from, to, begin, end);
	if (lseek(from, begin, SEEK_SET) < 0 || lseek(to, begin, SEEK_SET) < 0)
		return -1;
	while (begin < end) {
		off_t left = end - begin;
		ssize_t got = ntd_fd_read(from, bytes,
					  left < (off_t)sizeof bytes ? (size_t)left : sizeof bytes);

		if (got <= 0)
			return (int)got;
		if (ntd_fd_write_all(to, bytes, (size_t)got) < 0)
			return -1;
		begin += got;
	}
	return 0;
}

/* Where a file system knows of no holes, all is data. */
static int copy_bytes(int from, int to, off_t size)
{
	off_t data = 0, hole;

	while (data < size && (data = lseek(from, data, SEEK_DATA)) >= 0 && data < size) {
		hole = lseek(from, data, SEEK_HOLE);
		if (hole < 0 || hole > size)
			hole = size;
		if (copy_data(from, to, data, hole) < 0)
			return -1;
		data = hole;
	}
	if (data < 0 && errno != ENXIO)
		return -1;
	return data < size ? ftruncate(to, size) : 0;
}

/* A program that comes from a guest gets no set-user-ID and set-group-ID bits on the host. */
static mode_t mode_of(const struct copy *copy, const struct stat *info)
{
	return info->st_mode & (copy->from_guest ? 0777 : 07777);
}

static int copy_file(const struct copy *copy, int from_fd, const struct stat *info,
		     const struct end *from, const struct end *to, struct ntd_error **err)
{
	int how = copy->from_guest && !copy->depth ? O_TRUNC : O_EXCL | O_NOFOLLOW;
	_cleanup_fd_ int to_fd =
		openat(to->directory, to->name, O_WRONLY | O_CREAT | O_CLOEXEC | how, 0600);

	if (to_fd < 0)
		return ntd_error_sys(err, errno, "cannot write %s", to->path);
	if (copy_bytes(from_fd, to_fd, info->st_size) < 0 || fchmod(to_fd, mode_of(copy, info)) < 0)
		return cannot_copy(from, to, err);
	futimens(to_fd, (struct timespec[]){info->st_atim, info->st_mtim});
	return 0;
}

/* ---- directories */

static int copy_entry(const struct copy *copy, const struct end *from, const struct end *to,
		      const char *name, struct ntd_error **err)
{
	_cleanup_free_ char *from_path = ntd_asprintf("%s/%s", from->path, name);
	_cleanup_free_ char *to_path = ntd_asprintf("%s/%s", to->path, name);

	return copy_any((struct copy){copy->from_guest, copy->depth + 1},
			(struct end){from->directory, name, from_path},
			(struct end){to->directory, name, to_path}, err);
}

/* Goes on past what cannot be copied; the error is the first. */
static int copy_entries(const struct copy *copy, DIR *entries, const struct end *from,
			const struct end *to, struct ntd_error **err)
{
	struct dirent *entry;
	int result = 0;

	while ((entry = ntd_fd_next_entry(entries)))
		if (copy_entry(copy, from, to, entry->d_name, result ? NULL : err) < 0)
			result = -1;
	return result;
}

static int copy_directory(const struct copy *copy, int from_fd, const struct stat *info,
			  const struct end *from, const struct end *to, struct ntd_error **err)
{
	_cleanup_fd_ int own = from_fd, to_fd = -1;
	DIR *entries;
	int result;

	if (mkdirat(to->directory, to->name, 0700) < 0 ||
	    (to_fd = openat(to->directory, to->name,
			    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0)
		return ntd_error_sys(err, errno, "cannot make directory %s", to->path);
	entries = ntd_fd_entries(ntd_steal_fd(&own));
	if (!entries)
		return ntd_error_sys(err, errno, "cannot read %s", from->path);
	result = copy_entries(copy, entries, &(struct end){from_fd, NULL, from->path},
			      &(struct end){to_fd, NULL, to->path}, err);
	if (fchmod(to_fd, mode_of(copy, info)) < 0 && result == 0)
		result = cannot_copy(from, to, err);
	futimens(to_fd, (struct timespec[]){info->st_atim, info->st_mtim});
	closedir(entries);
	return result;
}

/* ---- links */

/* Reads the text of a link; false: it is none, or a long one. */
static bool read_link(const struct end *from, char *text, size_t size)
{
	ssize_t len = readlinkat(from->directory, from->name, text, size);

	if (len <= 0 || (size_t)len == size)
		return false;
	text[len] = 0;
	return true;
}

/* Whether a link in a directory that is so many levels below the top of a tree leads to nothing
 * outside, wherever the other links of the tree lead: it goes up no further than to the top,
 * through no link, and then down. */
static bool stays_within(const char *text, int depth)
{
	if (strcmp(text, ".") == 0)
		return true;
	while (strncmp(text, "..", 2) == 0 && (!text[2] || text[2] == '/')) {
		if (--depth < 0)
			return false;
		text += text[2] ? 3 : 2;
	}
	while (*text) {
		size_t len = strcspn(text, "/");

		if (len == 0 || (len <= 2 && memcmp(text, "..", len) == 0))
			return false;
		text += len + (text[len] == '/');
	}
	return true;
}

/* ---- all */

/* Opens a file or a directory. To open anything else could have effects: a pipe waits for its other
 * end, and a device may do what it is made for. */
static int open_source(const struct copy *copy, const struct end *from, struct stat *info,
		       struct ntd_error **err)
{
	int links = copy->from_guest ? O_NOFOLLOW : 0;
	_cleanup_fd_ int place = openat(from->directory, from->name, O_PATH | O_CLOEXEC | links);
	_cleanup_free_ char *link = ntd_asprintf("/proc/self/fd/%d", place);
	int fd;

	if (place < 0 || fstat(place, info) < 0)
		return ntd_error_sys(err, errno, "cannot read %s", from->path);
	if (!S_ISREG(info->st_mode) && !S_ISDIR(info->st_mode))
		return ntd_error_set(err, NTD_E_VALUE,
				     "cannot copy %s: it is neither a file nor a directory",
				     from->path);
	fd = open(link, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? ntd_error_sys(err, errno, "cannot read %s", from->path) : fd;
}

static int copy_any(struct copy copy, struct end from, struct end to, struct ntd_error **err)
{
	struct stat info = {0};
	_cleanup_fd_ int fd = -1;
	char text[PATH_MAX];

	if (copy.from_guest && copy.depth && read_link(&from, text, sizeof text) &&
	    stays_within(text, copy.depth - 1))
		return symlinkat(text, to.directory, to.name) < 0 ? cannot_copy(&from, &to, err)
								  : 0;
	if (copy.depth > NTD_TREE_DEPTH)
		return ntd_error_set(err, NTD_E_VALUE,
				     "cannot copy %s: more than %d directories deep", from.path,
				     NTD_TREE_DEPTH);
	fd = open_source(&copy, &from, &info, err);
	if (fd < 0)
		return -1;
	if (S_ISDIR(info.st_mode))
		return copy_directory(&copy, ntd_steal_fd(&fd), &info, &from, &to, err);
	return copy_file(&copy, fd, &info, &from, &to, err);
}

int ntd_tree_copy_to_guest(const char *source, int directory, const char *name,
			   struct ntd_error **err)
{
	return copy_any((struct copy){.from_guest = false}, (struct end){AT_FDCWD, source, source},
			(struct end){directory, name, name}, err);
}

int ntd_tree_copy_from_guest(int directory, const char *name, const char *target,
			     struct ntd_error **err)
{
	return copy_any((struct copy){.from_guest = true}, (struct end){directory, name, name},
			(struct end){AT_FDCWD, target, target}, err);
}

int ntd_tree_copy_file(const char *source, const char *target, mode_t mode, struct ntd_error **err)
{
	_cleanup_fd_ int from = open(source, O_RDONLY | O_CLOEXEC | O_NONBLOCK), to = -1;
	struct stat info = {0};

	if (from < 0 || fstat(from, &info) < 0)
		return ntd_error_sys(err, errno, "cannot read %s", source);
	if (!S_ISREG(info.st_mode))
		return ntd_error_set(err, NTD_E_VALUE, "cannot copy %s: it is not a file", source);
	to = open(target, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	if (to < 0)
		return ntd_error_sys(err, errno, "cannot make %s", target);
	if (copy_bytes(from, to, info.st_size) == 0)
		return 0;
	ntd_error_sys(err, errno, "cannot copy %s to %s", source, target);
	unlink(target);
	return -1;
}
