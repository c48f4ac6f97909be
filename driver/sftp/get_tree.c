/* Receiving directories. On the loop thread.
 *
 * A guest may give names and links that mean harm, so each name is checked and made new in a
 * directory that is open, below a directory that nobody else knows: what is there already, also a
 * link that came before, is an error. The directory that was found last is listed first, and opened
 * only then, so that few are open at a time.
 */
#include "sftp/get.h"

#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

enum { DIRECTORY = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, WRITABLE = 0700 };

void ntd_sftp_get_cannot_make(struct ntd_sftp *sftp, const char *path)
{
	ntd_sftp_fail_sys(sftp, "cannot make the copy of %s on this host", path);
}

/* ---- holds of directories */

static struct sftp_get_dir *hold(struct sftp_get_dir *dir)
{
	if (dir)
		dir->holds++;
	return dir;
}

static void dir_free(struct sftp_get_dir *dir)
{
	ntd_list_unlink(&dir->link);
	ntd_close_fd(&dir->fd);
	ntd_buf_free(&dir->names);
	free(dir->path);
	free(dir->name);
	free(dir->real);
	free(dir);
}

/* Its path below the temporary directory, a new string. */
static char *path_below_top(const struct sftp_get_dir *dir)
{
	char *path = ntd_strdup(".");

	for (; dir->above; dir = dir->above) {
		char *longer = ntd_asprintf("%s/%s", dir->name, path);

		free(path);
		path = longer;
	}
	return path;
}

static void complete_dir(struct ntd_sftp *sftp, struct sftp_get_dir *dir)
{
	mode_t mode = dir->attrs.mode & 0777;

	if ((mode & WRITABLE) != WRITABLE)
		ntd_vec_push(&sftp_get_of(sftp)->shut,
			     (struct sftp_get_shut){path_below_top(dir), mode});
	if (fchmod(dir->fd, mode | WRITABLE) < 0)
		ntd_sftp_get_cannot_make(sftp, dir->path);
	if (dir->attrs.flags & NTD_SFTP_HAS_TIMES)
		futimens(dir->fd, (struct timespec[]){{.tv_sec = dir->attrs.atime},
						      {.tv_sec = dir->attrs.mtime}});
}

static void release(struct ntd_sftp *sftp, struct sftp_get_dir *dir)
{
	while (dir && --dir->holds == 0) {
		struct sftp_get_dir *above = dir->above;

		complete_dir(sftp, dir);
		dir_free(dir);
		dir = above;
	}
}

/* Opens each directory of the path in the one before, as the whole may be longer than a path can
 * be.
 */
static int shut_one(int top, const struct sftp_get_shut *shut)
{
	_cleanup_fd_ int fd = openat(top, ".", DIRECTORY);

	for (const char *part = shut->path; fd >= 0 && *part;) {
		const char *slash = strchr(part, '/');
		size_t len = slash ? (size_t)(slash - part) : strlen(part);
		_cleanup_free_ char *name = ntd_strndup(part, len);
		int next = openat(fd, name, DIRECTORY);

		close(fd);
		fd = next;
		part += len + (slash != NULL);
	}
	return fd < 0 ? -1 : fchmod(fd, shut->mode);
}

/* Those below come before those above. */
int ntd_sftp_get_shut(struct sftp_get *get, int top)
{
	for (size_t i = 0; i < get->shut.count; i++)
		if (shut_one(top, &get->shut.items[i]) < 0)
			return -1;
	return 0;
}

/* ---- entries that wait for an answer */

struct sftp_get_entry *ntd_sftp_get_wait(struct ntd_sftp *sftp, struct sftp_get_dir *dir,
					 const char *name, const char *path,
					 const struct ntd_sftp_attrs *attrs)
{
	struct sftp_get *get = sftp_get_of(sftp);
	struct sftp_get_entry *entry = ntd_calloc(1, sizeof *entry);

	entry->dir = hold(dir);
	entry->name = ntd_strdup(name);
	entry->path = ntd_strdup(path);
	entry->attrs = *attrs;
	ntd_list_append(&get->entries, &entry->link);
	get->entry_count++;
	return entry;
}

static void entry_free(struct sftp_get_entry *entry)
{
	ntd_list_unlink(&entry->link);
	free(entry->name);
	free(entry->path);
	free(entry);
}

void ntd_sftp_get_end(struct ntd_sftp *sftp, struct sftp_get_entry *entry)
{
	sftp_get_of(sftp)->entry_count--;
	release(sftp, entry->dir);
	entry_free(entry);
}

int ntd_sftp_get_fd(struct ntd_sftp *sftp, const struct sftp_get_dir *dir)
{
	return dir ? dir->fd : sftp_get_of(sftp)->parent;
}

/* Servers that do not say with a name what it is are asked. */
static void looked_at(struct ntd_sftp *sftp, const struct ntd_sftp_call *call,
		      const struct ntd_sftp_answer *answer)
{
	struct sftp_get_entry *entry = call->item;

	if (!ntd_sftp_expect(sftp, answer, NTD_SFTP_ATTRS, "cannot read %s in the guest",
			     entry->path))
		return;
	ntd_sftp_get_entry(sftp, entry->dir, entry->name, entry->path, &answer->attrs, NULL);
	ntd_sftp_get_end(sftp, entry);
}

/* ---- directories */

static void get_directory(struct ntd_sftp *sftp, struct sftp_get_dir *above, const char *name,
			  const char *path, const struct ntd_sftp_attrs *attrs, const char *real)
{
	struct sftp_get *get = sftp_get_of(sftp);
	struct sftp_get_dir *dir;

	if (above && above->depth == NTD_SFTP_DEPTH) {
		ntd_sftp_fail(sftp, ntd_error_new(NTD_E_VALUE,
						  "cannot copy %s: more than %d directories deep",
						  path, NTD_SFTP_DEPTH));
		return;
	}
	if (mkdirat(ntd_sftp_get_fd(sftp, above), name, WRITABLE) < 0) {
		ntd_sftp_get_cannot_make(sftp, path);
		return;
	}
	dir = ntd_calloc(1, sizeof *dir);
	dir->fd = -1;
	dir->above = hold(above);
	dir->depth = above ? above->depth + 1 : 0;
	dir->path = ntd_strdup(path);
	dir->name = ntd_strdup(name);
	if (real)
		dir->real = ntd_strdup(real);
	else if (above && above->real)
		dir->real = ntd_sftp_join(above->real, name);
	dir->attrs = *attrs;
	hold(dir);
	ntd_list_append(&get->dirs, &dir->link);
	ntd_vec_push(&get->stack, dir);
}

void ntd_sftp_get_entry(struct ntd_sftp *sftp, struct sftp_get_dir *dir, const char *name,
			const char *path, const struct ntd_sftp_attrs *attrs, const char *real)
{
	int fd;

	if (!(attrs->flags & NTD_SFTP_HAS_MODE)) {
		ntd_sftp_fail_protocol(sftp, "no mode of %s", path);
	} else if (S_ISDIR(attrs->mode)) {
		get_directory(sftp, dir, name, path, attrs, real);
	} else if (S_ISLNK(attrs->mode)) {
		sftp_get_of(sftp)->link(sftp, dir, name, path, attrs);
	} else if (!S_ISREG(attrs->mode)) {
		ntd_sftp_fail(sftp,
			      ntd_error_new(NTD_E_VALUE,
					    "cannot copy %s: it is neither a file nor a directory",
					    path));
	} else {
		fd = openat(ntd_sftp_get_fd(sftp, dir), name,
			    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd < 0)
			ntd_sftp_get_cannot_make(sftp, path);
		else
			ntd_sftp_get_file(sftp, fd, path, attrs);
	}
}

/* ---- listings */

static void opened(struct ntd_sftp *sftp, const struct ntd_sftp_call *call,
		   const struct ntd_sftp_answer *answer)
{
	struct sftp_get_dir *dir = call->item;

	if (!ntd_sftp_expect(sftp, answer, NTD_SFTP_HANDLE, "cannot read %s in the guest",
			     dir->path))
		return;
	memcpy(dir->handle, answer->text.bytes, answer->text.len);
	dir->handle_len = answer->text.len;
	dir->reading = false;
}

/* Opens the directory here and in the guest. */
static void begin_listing(struct ntd_sftp *sftp, struct sftp_get_dir *dir)
{
	dir->fd = openat(ntd_sftp_get_fd(sftp, dir->above), dir->name, DIRECTORY);
	if (dir->fd < 0) {
		ntd_sftp_get_cannot_make(sftp, dir->path);
		return;
	}
	dir->reading = true;
	ntd_sftp_call_path(sftp, NTD_SFTP_OPENDIR, dir->path, opened, dir);
}

static void listed(struct ntd_sftp *sftp, const struct ntd_sftp_call *call,
		   const struct ntd_sftp_answer *answer)
{
	struct sftp_get_dir *dir = call->item;

	dir->reading = false;
	if (ntd_sftp_is_status(answer, NTD_SFTP_EOF)) {
		dir->ended = true;
		return;
	}
	if (!ntd_sftp_expect(sftp, answer, NTD_SFTP_NAME, "cannot read %s in the guest", dir->path))
		return;
	if (answer->count == 0) {
		ntd_sftp_fail_protocol(sftp, "no names and no end of %s", dir->path);
		return;
	}
	ntd_buf_clear(&dir->names);
	ntd_buf_append(&dir->names, answer->rest.at, answer->rest.left);
	dir->rest = answer->rest;
	dir->rest.at = (const unsigned char *)ntd_buf_bytes(&dir->names);
	dir->count = answer->count;
}

static void list_more(struct ntd_sftp *sftp, struct sftp_get_dir *dir)
{
	dir->reading = true;
	ntd_sftp_call(sftp, NTD_SFTP_READDIR, listed, dir);
	ntd_sftp_put_string(&sftp->output, dir->handle, dir->handle_len);
	ntd_sftp_send(sftp);
}

static void get_name(struct ntd_sftp *sftp, struct sftp_get_dir *dir, struct ntd_sftp_string bytes,
		     const struct ntd_sftp_attrs *attrs)
{
	_cleanup_free_ char *name = ntd_strndup(bytes.bytes, bytes.len);
	_cleanup_free_ char *path = NULL;

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return;
	path = ntd_sftp_join(dir->path, name);
	if (attrs->flags & NTD_SFTP_HAS_MODE)
		ntd_sftp_get_entry(sftp, dir, name, path, attrs, NULL);
	else
		ntd_sftp_call_path(sftp, NTD_SFTP_LSTAT, path, looked_at,
				   ntd_sftp_get_wait(sftp, dir, name, path, attrs));
}

static void next_name(struct ntd_sftp *sftp, struct sftp_get_dir *dir)
{
	struct ntd_sftp_string name;
	struct ntd_sftp_attrs attrs;

	if (ntd_sftp_next_name(&dir->rest, &dir->count, &name, &attrs) < 0) {
		ntd_sftp_fail_protocol(sftp, "names of %s that are cut off", dir->path);
	} else if (++dir->seen > NTD_SFTP_NAMES) {
		ntd_sftp_fail_protocol(sftp, "more than %d names of %s", NTD_SFTP_NAMES, dir->path);
	} else if (!ntd_sftp_is_name(name) && !ntd_sftp_is_dots(name)) {
		_cleanup_free_ char *shown =
			ntd_bytes_repr(name.bytes, name.len < NAME_MAX ? name.len : NAME_MAX);

		ntd_sftp_fail_protocol(sftp, "a name in %s that cannot be: %s", dir->path, shown);
	} else {
		get_name(sftp, dir, name, &attrs);
	}
}

static void end_listing(struct ntd_sftp *sftp, struct sftp_get_dir *dir)
{
	sftp_get_of(sftp)->stack.count--;
	ntd_sftp_call_close(sftp, (struct ntd_sftp_string){dir->handle, dir->handle_len});
	release(sftp, dir);
}

void ntd_sftp_get_walk(struct ntd_sftp *sftp)
{
	struct sftp_get *get = sftp_get_of(sftp);

	while (ntd_sftp_may_call(sftp) && get->stack.count && get->file_count < NTD_SFTP_FILES &&
	       get->entry_count < NTD_SFTP_FILES) {
		struct sftp_get_dir *dir = get->stack.items[get->stack.count - 1];

		if (dir->fd < 0)
			begin_listing(sftp, dir);
		else if (dir->count)
			next_name(sftp, dir);
		else if (dir->ended)
			end_listing(sftp, dir);
		else if (dir->reading)
			return;
		else
			list_more(sftp, dir);
	}
}

void ntd_sftp_get_free_tree(struct sftp_get *get)
{
	ntd_list_each (struct sftp_get_entry, entry, &get->entries, link)
		entry_free(entry);
	ntd_list_each (struct sftp_get_dir, dir, &get->dirs, link)
		dir_free(dir);
	ntd_vec_free(&get->stack);
	for (size_t i = 0; i < get->shut.count; i++)
		free(get->shut.items[i].path);
	ntd_vec_free(&get->shut);
}
