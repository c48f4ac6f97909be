/* What each request of a copy does in the guest. In a process of its own for each copy, so the
 * calls may block. All bytes are the driver's, but a program in the guest can write to the port,
 * too: the program that sends a wrong request gets an error, and can do nothing that it could not
 * do anyway.
 */
#include "agent/descriptors.h"
#include "agent/files_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* ---- attributes */

static mode_t mode_of(const struct ntd_files *files, mode_t mode)
{
	return (mode & S_IFMT) | (mode & 0777 & ~files->mask);
}

static struct ntd_sftp_attrs attrs_of(const struct ntd_files *files, const struct stat *info)
{
	return (struct ntd_sftp_attrs){.flags = NTD_SFTP_HAS_MODE | NTD_SFTP_HAS_SIZE,
				       .size = (uint64_t)info->st_size,
				       .mode = mode_of(files, info->st_mode)};
}

static void say_attrs(struct ntd_files *files, uint32_t id, const struct stat *info)
{
	struct ntd_sftp_attrs attrs = attrs_of(files, info);
	size_t begun = ntd_sftp_put_begin(&files->output, NTD_SFTP_ATTRS, id);

	ntd_sftp_put_attrs(&files->output, &attrs);
	ntd_sftp_put_end(&files->output, begun);
}

static void look(struct ntd_files *files, uint32_t id, struct ntd_sftp_reader *request, int links)
{
	_cleanup_free_ char *path = ntd_files_path(request);
	struct stat info;

	if (path && fstatat(AT_FDCWD, path, &info, links) == 0)
		say_attrs(files, id, &info);
	else
		ntd_files_say(files, id, -1);
}

static void call_stat(struct ntd_files *files, uint32_t id, struct ntd_sftp_reader *request)
{
	look(files, id, request, 0);
}

static void call_lstat(struct ntd_files *files, uint32_t id, struct ntd_sftp_reader *request)
{
	look(files, id, request, AT_SYMLINK_NOFOLLOW);
}

static int set_attrs(const struct ntd_files *files, int fd, const struct ntd_sftp_attrs *attrs)
{
	if ((attrs->flags & NTD_SFTP_HAS_SIZE) && ftruncate(fd, (off_t)attrs->size) < 0)
		return -1;
	if (attrs->flags & NTD_SFTP_HAS_MODE)
		return fchmod(fd, mode_of(files, attrs->mode) & 0777);
	return 0;
}

static void call_fsetstat(struct ntd_files *files, uint32_t id, struct ntd_sftp_reader *request)
{
	struct files_handle *handle = ntd_files_handle(files, request);
	struct ntd_sftp_attrs attrs = ntd_sftp_get_attrs(request);

	ntd_files_say(files, id, handle ? set_attrs(files, handle->fd, &attrs) : -1);
}

static void call_setstat(struct ntd_files *files, uint32_t id, struct ntd_sftp_reader *request)
{
	_cleanup_free_ char *path = ntd_files_path(request);
	struct ntd_sftp_attrs attrs = ntd_sftp_get_attrs(request);
	_cleanup_fd_ int fd =
		path ? open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;

	ntd_files_say(files, id, fd < 0 ? -1 : set_attrs(files, fd, &attrs));
}

/* ---- handles */

static void say_handle(struct ntd_files *files, uint32_t id, const struct files_handle *handle)
{
	size_t begun = ntd_sftp_put_begin(&files->output, NTD_SFTP_HANDLE, id);

	ntd_sftp_put_u32(&files->output, sizeof handle->number);
	ntd_sftp_put_u32(&files->output, handle->number);
	ntd_sftp_put_end(&files->output, begun);
}

/* Opens a file that is there. A file that was swapped for a pipe must not make the copy wait for
 * its other end. */
static int open_to_read(const char *path)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat info;

	if (fd < 0 || fstat(fd, &info) < 0)
		return -1;
	if (!S_ISREG(info.st_mode)) {
		errno = S_ISDIR(info.st_mode) ? EISDIR : EINVAL;
		return -1;
	}
	return ntd_steal_fd(&fd);
}

static int open_new(struct ntd_files *files, const char *path)
{
	int fd = ntd_files_may_make(files, path) < 0
			 ? -1
			 : open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd >= 0)
		ntd_files_made(files, path);
	return fd;
}

static void call_open(struct ntd_files *files, uint32_t id, struct ntd_sftp_reader *request)
{
	_cleanup_free_ char *path = ntd_files_path(request);
	uint32_t how = ntd_sftp_get_u32(request);
	_cleanup_fd_ int fd = -1;
	struct files_handle *handle;

	if (path)
		fd = how & NTD_SFTP_OPEN_WRITE ? open_new(files, path) : open_to_read(path);
	handle = fd < 0 ? NULL : ntd_files_open(files, fd, NULL);
	if (!handle) {
		ntd_files_say(files, id, -1);
		return;
	}
	ntd_steal_fd(&fd);
	say_handle(files, id, handle);
}

static void call_close(struct ntd_files *files, uint32_t id, struct ntd_sftp_reader *request)
{
	struct files_handle *handle = ntd_files_handle(files, request);

	if (handle)
		ntd_files_close(handle);
	ntd_files_say(files, id, handle ? 0 : -1);
}

/* ---- data */

/* Reads into the answer itself. */
static void call_read(struct ntd_files *files, uint32_t id, struct ntd_sftp_reader *request)
{
	struct files_handle *handle = ntd_files_handle(files, request);
	uint64_t offset = ntd_sftp_get_u64(request);
	uint32_t len = ntd_sftp_get_u32(request);
	enum { HEAD = 4 + 1 + 4 + 4 };
	ssize_t got = -1;
	char *place;

	len = len < FILES_READ_SIZE ? len : FILES_READ_SIZE;
	place = ntd_buf_reserve(&files->output, HEAD + len) + HEAD;
	if (handle)
		got = pread(handle->fd, place, len, (off_t)offset);
	if (got > 0) {
		size_t begun = ntd_sftp_put_begin(&files->output, NTD_SFTP_DATA, id);

		ntd_sftp_put_u32(&files->output, (uint32_t)got);
		ntd_buf_added(&files->output, (size_t)got); /* they are there already */
		ntd_sftp_put_end(&files->output, begun);
	} else if (got == 0) {
		ntd_files_say_status(files, id, NTD_SFTP_EOF, "");
	} else {
		ntd_files_say(files, id, -1);
	}
}

static void call_write(struct ntd_files *files, uint32_t id, struct ntd_sftp_reader *request)
{
	struct files_handle *handle = ntd_files_handle(files, request);
	uint64_t offset = ntd_sftp_get_u64(request);
	struct ntd_sftp_string data = ntd_sftp_get_string(request);

	ntd_files_say(files, id,
		      handle ? ntd_agent_write_at(handle->fd, data.bytes, data.len, offset) : -1);
}

/* The next data from an offset on: where it begins and where it ends. At the end of the file, and
 * in a hole that ends there, both are the largest number. */
static void call_seek(struct ntd_files *files, uint32_t id, struct ntd_sftp_reader *request)
{
	struct files_handle *handle = ntd_files_handle(files, request);
	uint64_t offset = ntd_sftp_get_u64(request), begin = offset, end = UINT64_MAX;
	off_t data = handle ? lseek(handle->fd, (off_t)offset, SEEK_DATA) : -1;
	off_t hole = data < 0 ? -1 : lseek(handle->fd, data, SEEK_HOLE);
	size_t begun;

	if (!handle) {
		ntd_files_say(files, id, -1);
		return;
	}
	if (data >= 0)
		begin = (uint64_t)data;
	else if (errno == ENXIO)
		begin = UINT64_MAX;
	if (hole >= 0)
		end = (uint64_t)hole;
	begun = ntd_sftp_put_begin(&files->output, NTD_SFTP_EXTENDED_REPLY, id);
	ntd_sftp_put_u64(&files->output, begin);
	ntd_sftp_put_u64(&files->output, end);
	ntd_sftp_put_end(&files->output, begun);
}

/* ---- directories */

static void call_opendir(struct ntd_files *files, uint32_t id, struct ntd_sftp_reader *request)
{
	_cleanup_free_ char *path = ntd_files_path(request);
	DIR *entries = path ? opendir(path) : NULL;
	struct files_handle *handle =
		entries ? ntd_files_open(files, dirfd(entries), entries) : NULL;

	if (handle) {
		say_handle(files, id, handle);
		return;
	}
	ntd_files_say(files, id, -1);
	if (entries)
		closedir(entries);
}

/* Of what cannot be looked at there are no attributes; the client asks for them, and hears why. */
static void add_name(struct ntd_files *files, struct ntd_buf *names, int directory,
		     const char *name)
{
	struct ntd_sftp_attrs attrs = {0};
	struct stat info;

	if (fstatat(directory, name, &info, AT_SYMLINK_NOFOLLOW) == 0)
		attrs = attrs_of(files, &info);
	ntd_sftp_put_string(names, name, strlen(name));
	ntd_sftp_put_string(names, "", 0); /* the line of "ls -l" */
	ntd_sftp_put_attrs(names, &attrs);
}

static void call_readdir(struct ntd_files *files, uint32_t id, struct ntd_sftp_reader *request)
{
	enum { NAMES_SIZE = 16 << 10 };
	struct files_handle *handle = ntd_files_handle(files, request);
	_cleanup_buf_ struct ntd_buf names = {0};
	struct dirent *entry;
	uint32_t count = 0;
	size_t begun;

	if (!handle || !handle->entries) {
		errno = EBADF;
		ntd_files_say(files, id, -1);
		return;
	}
	for (; names.len < NAMES_SIZE && (entry = readdir(handle->entries)); count++)
		add_name(files, &names, handle->fd, entry->d_name);
	if (!count) {
		ntd_files_say_status(files, id, NTD_SFTP_EOF, "");
		return;
	}
	begun = ntd_sftp_put_begin(&files->output, NTD_SFTP_NAME, id);
	ntd_sftp_put_u32(&files->output, count);
	ntd_buf_append(&files->output, ntd_buf_bytes(&names), names.len);
	ntd_sftp_put_end(&files->output, begun);
}

static void call_mkdir(struct ntd_files *files, uint32_t id, struct ntd_sftp_reader *request)
{
	_cleanup_free_ char *path = ntd_files_path(request);
	struct ntd_sftp_attrs attrs = ntd_sftp_get_attrs(request);
	mode_t mode = attrs.flags & NTD_SFTP_HAS_MODE ? attrs.mode & 0777 : 0777;
	int result = !path || ntd_files_may_make(files, path) < 0 ? -1 : mkdir(path, mode);

	if (result == 0)
		ntd_files_made(files, path);
	ntd_files_say(files, id, result);
}

/* ---- names */

static void remove_by(struct ntd_files *files, uint32_t id, struct ntd_sftp_reader *request,
		      int (*function)(const char *path))
{
	_cleanup_free_ char *path = ntd_files_path(request);
	int result = path ? function(path) : -1;

	if (result == 0)
		ntd_files_forget(files, path);
	ntd_files_say(files, id, result);
}

static void call_remove(struct ntd_files *files, uint32_t id, struct ntd_sftp_reader *request)
{
	remove_by(files, id, request, unlink);
}

static void call_rmdir(struct ntd_files *files, uint32_t id, struct ntd_sftp_reader *request)
{
	remove_by(files, id, request, rmdir);
}

static void call_realpath(struct ntd_files *files, uint32_t id, struct ntd_sftp_reader *request)
{
	static const struct ntd_sftp_attrs none = {0};
	_cleanup_free_ char *path = ntd_files_path(request);
	_cleanup_free_ char *real = path ? realpath(path, NULL) : NULL;
	size_t begun;

	if (!real) {
		ntd_files_say(files, id, -1);
		return;
	}
	begun = ntd_sftp_put_begin(&files->output, NTD_SFTP_NAME, id);
	ntd_sftp_put_u32(&files->output, 1);
	ntd_sftp_put_string(&files->output, real, strlen(real));
	ntd_sftp_put_string(&files->output, "", 0);
	ntd_sftp_put_attrs(&files->output, &none);
	ntd_sftp_put_end(&files->output, begun);
}

/* Writes a file into another one that stays where it is, and removes the first. */
static int pour(const char *from, const char *to)
{
	_cleanup_fd_ int in = open(from, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_fd_ int out = open(to, O_WRONLY | O_TRUNC | O_NOCTTY | O_CLOEXEC);
	char bytes[32 << 10];
	ssize_t got = -1;

	if (in < 0 || out < 0)
		return -1;
	while ((got = read(in, bytes, sizeof bytes)) > 0)
		for (ssize_t done = 0; done < got;) {
			ssize_t put = write(out, bytes + done, (size_t)(got - done));

			if (put < 0 && errno != EINTR)
				return -1;
			done += put < 0 ? 0 : put;
		}
	return got < 0 ? -1 : unlink(from);
}

/* As `cp` has it, a file that is there keeps its owner and its mode. A device is written to, and so
 * is a file that cannot be replaced because something is mounted there. */
static int rename_as_cp(const char *from, const char *to)
{
	struct stat there;
	bool exists = stat(to, &there) == 0;

	if (exists && !S_ISREG(there.st_mode) && !S_ISDIR(there.st_mode))
		return pour(from, to);
	if (exists && S_ISREG(there.st_mode) &&
	    (lchown(from, there.st_uid, there.st_gid) < 0 ||
	     fchmodat(AT_FDCWD, from, there.st_mode & 07777, 0) < 0))
		return -1;
	if (rename(from, to) == 0)
		return 0;
	return errno == EBUSY && exists && S_ISREG(there.st_mode) ? pour(from, to) : -1;
}

static void call_rename(struct ntd_files *files, uint32_t id, struct ntd_sftp_reader *request)
{
	_cleanup_free_ char *from = ntd_files_path(request), *to = NULL;
	int result = -1;

	if (from)
		to = ntd_files_path(request);
	if (to)
		result = rename_as_cp(from, to);
	if (result == 0)
		ntd_files_forget(files, from);
	ntd_files_say(files, id, result);
}

/* ---- extensions */

/* What the client may ask for: a packet, a READ, a WRITE, open handles. */
static void call_limits(struct ntd_files *files, uint32_t id, struct ntd_sftp_reader *request)
{
	static const uint64_t limits[] = {NTD_SFTP_PACKET_LIMIT, FILES_READ_SIZE, FILES_READ_SIZE,
					  FILES_HANDLES};
	size_t begun = ntd_sftp_put_begin(&files->output, NTD_SFTP_EXTENDED_REPLY, id);

	for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
		ntd_sftp_put_u64(&files->output, limits[i]);
	ntd_sftp_put_end(&files->output, begun);
}

static void call_extended(struct ntd_files *files, uint32_t id, struct ntd_sftp_reader *request)
{
	static const struct {
		const char *name;
		ntd_files_call *call;
	} extensions[] = {
		{"posix-rename@openssh.com", call_rename},
		{"limits@openssh.com", call_limits},
		{NTD_SFTP_SEEK, call_seek},
	};
	struct ntd_sftp_string name = ntd_sftp_get_string(request);

	for (size_t i = 0; i < sizeof extensions / sizeof *extensions; i++)
		if (name.len == strlen(extensions[i].name) &&
		    memcmp(name.bytes, extensions[i].name, name.len) == 0) {
			extensions[i].call(files, id, request);
			return;
		}
	ntd_files_say_status(files, id, NTD_SFTP_UNSUPPORTED, "");
}

ntd_files_call *ntd_files_call_of(uint8_t type)
{
	static ntd_files_call *const calls[UINT8_MAX + 1] = {
		[NTD_SFTP_OPEN] = call_open,         [NTD_SFTP_CLOSE] = call_close,
		[NTD_SFTP_READ] = call_read,         [NTD_SFTP_WRITE] = call_write,
		[NTD_SFTP_LSTAT] = call_lstat,       [NTD_SFTP_SETSTAT] = call_setstat,
		[NTD_SFTP_FSETSTAT] = call_fsetstat, [NTD_SFTP_OPENDIR] = call_opendir,
		[NTD_SFTP_READDIR] = call_readdir,   [NTD_SFTP_REMOVE] = call_remove,
		[NTD_SFTP_MKDIR] = call_mkdir,       [NTD_SFTP_RMDIR] = call_rmdir,
		[NTD_SFTP_REALPATH] = call_realpath, [NTD_SFTP_STAT] = call_stat,
		[NTD_SFTP_RENAME] = call_rename,     [NTD_SFTP_EXTENDED] = call_extended,
	};

	return calls[type];
}
