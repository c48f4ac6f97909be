/* Copying to the server: the walk over the source, and the order of things. On the loop thread.
 *
 * A file gets a temporary name beside its target. A tree whose target is new is made under a
 * temporary name as a whole; a tree that goes into a directory that is there replaces file by file.
 * Directories are listed in the order in which they were found, each when the server has it, while
 * the files of those before are still on their way; their modes come last, as one may forbid to
 * write.
 */
#include "sftp/put.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* ---- directories */

static void dir_free(struct sftp_put_dir *dir)
{
	free(dir->source);
	free(dir->path);
	free(dir);
}

/* A directory that could not be made is one that is there, or there is an error. */
static void looked_at_dir(struct ntd_sftp *sftp, const struct ntd_sftp_call *call,
			  const struct ntd_sftp_answer *answer)
{
	struct sftp_put_dir *dir = call->item;

	sftp_put_of(sftp)->dirs_pending--;
	if (!ntd_sftp_expect(sftp, answer, NTD_SFTP_ATTRS, "cannot make directory %s in the guest",
			     dir->path))
		return;
	if (!S_ISDIR(answer->attrs.mode)) {
		ntd_sftp_fail(sftp, ntd_error_new(NTD_E_MACHINE,
						  "cannot make directory %s in the guest: there is "
						  "something else",
						  dir->path));
		return;
	}
	dir->ready = dir->existed = true;
}

static void made_dir(struct ntd_sftp *sftp, const struct ntd_sftp_call *call,
		     const struct ntd_sftp_answer *answer)
{
	struct sftp_put *put = sftp_put_of(sftp);
	struct sftp_put_dir *dir = call->item;
	_cleanup_free_ char *shown = NULL;

	if (put->merge && ntd_sftp_is_status(answer, NTD_SFTP_FAILURE)) {
		ntd_sftp_call_path(sftp, NTD_SFTP_STAT, dir->path, looked_at_dir, dir);
		return;
	}
	put->dirs_pending--;
	shown = ntd_sftp_put_shown(sftp, dir->path);
	dir->ready =
		ntd_sftp_expect_ok(sftp, answer, "cannot make directory %s in the guest", shown);
}

/* Takes `path`. */
static struct sftp_put_dir *add_dir(struct ntd_sftp *sftp, const struct stat *info,
				    const char *source, char *path, unsigned depth)
{
	struct sftp_put_dir *dir = ntd_calloc(1, sizeof *dir);

	dir->source = ntd_strdup(source);
	dir->path = path;
	dir->info = *info;
	dir->depth = depth;
	ntd_vec_push(&sftp_put_of(sftp)->dirs, dir);
	return dir;
}

/* Only its owner may look into it until its mode is set. */
static void make_dir(struct ntd_sftp *sftp, struct sftp_put_dir *dir)
{
	static const struct ntd_sftp_attrs own = {.flags = NTD_SFTP_HAS_MODE, .mode = 0700};

	sftp_put_of(sftp)->dirs_pending++;
	ntd_sftp_call(sftp, NTD_SFTP_MKDIR, made_dir, dir);
	ntd_sftp_put_text(&sftp->output, dir->path);
	ntd_sftp_put_attrs(&sftp->output, &own);
	ntd_sftp_send(sftp);
}

/* ---- the walk */

/* Whether a link is copied as what it points to; `top`: it is the source itself. */
static bool follows(const struct ntd_sftp *sftp, bool top)
{
	return sftp->follow_all || (sftp->follow && top);
}

static int look_at(const char *path, bool follow, struct stat *info)
{
	return follow ? stat(path, info) : lstat(path, info);
}

/* A file that is swapped for a pipe meanwhile must not make the loop wait for its other end. */
static void put_file(struct ntd_sftp *sftp, const char *source, char *path, char *target)
{
	int links = follows(sftp, strcmp(source, sftp->source) == 0) ? 0 : O_NOFOLLOW;
	_cleanup_fd_ int fd = open(source, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | links);
	struct stat info;

	if (fd < 0 || fstat(fd, &info) < 0) {
		ntd_sftp_fail_sys(sftp, "cannot read %s on this host", source);
	} else if (S_ISREG(info.st_mode)) {
		ntd_sftp_put_file(sftp, ntd_steal_fd(&fd), &info, source, path, target);
		return;
	} else {
		ntd_sftp_fail(sftp,
			      ntd_error_new(NTD_E_VALUE,
					    "cannot copy %s: it is not a file any more", source));
	}
	free(path);
	free(target);
}

/* Begins to copy a file or a link; `target` is where it will be, which is taken. In `merge`, and
 * for a single file, it is written beside. */
static void put_leaf(struct ntd_sftp *sftp, const struct stat *info, const char *source,
		     char *target, bool beside)
{
	char *path = target;

	if (beside) {
		_cleanup_free_ char *parent = ntd_sftp_parent(target);
		_cleanup_free_ char *name = ntd_sftp_temporary_name();

		path = ntd_sftp_join(parent, name);
	}
	if (S_ISREG(info->st_mode)) {
		put_file(sftp, source, path, beside ? target : NULL);
	} else if (S_ISLNK(info->st_mode)) {
		ntd_sftp_put_link(sftp, info, source, path, beside ? target : NULL);
	} else {
		ntd_sftp_fail(sftp,
			      ntd_error_new(NTD_E_VALUE,
					    "cannot copy %s: it is neither a file nor a directory",
					    source));
		free(path);
		if (beside)
			free(target);
	}
}

/* Whether an entry that could not be looked at, as errno says, is not there any more; keeps errno.
 * A link to nowhere is there. */
static bool has_gone(const char *source)
{
	int number = errno;
	struct stat info;
	bool gone = number == ENOENT && lstat(source, &info) < 0 && errno == ENOENT;

	errno = number;
	return gone;
}

static void put_entry(struct ntd_sftp *sftp, const struct sftp_put_dir *dir, const char *name)
{
	_cleanup_free_ char *source = ntd_sftp_join(dir->source, name);
	struct stat info;

	if (look_at(source, follows(sftp, false), &info) < 0) {
		if (!has_gone(source))
			ntd_sftp_fail_sys(sftp, "cannot read %s on this host", source);
		return;
	}
	if (!S_ISDIR(info.st_mode)) {
		put_leaf(sftp, &info, source, ntd_sftp_join(dir->path, name),
			 sftp_put_of(sftp)->merge);
		return;
	}
	if (dir->depth == NTD_SFTP_DEPTH) {
		ntd_sftp_fail(sftp, ntd_error_new(NTD_E_VALUE,
						  "cannot copy %s: more than %d directories deep",
						  source, NTD_SFTP_DEPTH));
		return;
	}
	make_dir(sftp,
		 add_dir(sftp, &info, source, ntd_sftp_join(dir->path, name), dir->depth + 1));
}

/* The directory that is being listed, or the next one, which is opened; NULL: there is none yet. */
static DIR *open_listing(struct ntd_sftp *sftp)
{
	struct sftp_put *put = sftp_put_of(sftp);
	const struct sftp_put_dir *dir;
	int links;

	if (put->entries)
		return put->entries;
	if (put->listing == put->dirs.count || !put->dirs.items[put->listing]->ready)
		return NULL;
	dir = put->dirs.items[put->listing];
	links = follows(sftp, dir->depth == 0) ? 0 : O_NOFOLLOW;
	put->entries =
		ntd_fd_entries(open(dir->source, O_RDONLY | O_DIRECTORY | O_CLOEXEC | links));
	if (!put->entries)
		ntd_sftp_fail_sys(sftp, "cannot read %s on this host", dir->source);
	return put->entries;
}

static void walk(struct ntd_sftp *sftp)
{
	struct sftp_put *put = sftp_put_of(sftp);
	struct dirent *entry;
	DIR *entries;

	while (ntd_sftp_may_call(sftp) && put->file_count < NTD_SFTP_FILES &&
	       (entries = open_listing(sftp))) {
		entry = ntd_fd_next_entry(entries);
		if (entry) {
			put_entry(sftp, put->dirs.items[put->listing], entry->d_name);
			continue;
		}
		closedir(entries);
		put->entries = NULL;
		put->listing++;
	}
}

/* ---- the end */

static void set_mode(struct ntd_sftp *sftp, const struct ntd_sftp_call *call,
		     const struct ntd_sftp_answer *answer)
{
	struct sftp_put_dir *dir = call->item;
	_cleanup_free_ char *shown = ntd_sftp_put_shown(sftp, dir->path);

	sftp_put_of(sftp)->modes_pending--;
	ntd_sftp_expect_ok(sftp, answer, "cannot set the mode of %s in the guest", shown);
}

/* From the last directory to the first, so that those above are still open to the user. */
static void set_modes(struct ntd_sftp *sftp)
{
	struct sftp_put *put = sftp_put_of(sftp);

	while (put->modes_left && ntd_sftp_may_call(sftp)) {
		struct sftp_put_dir *dir = put->dirs.items[--put->modes_left];
		struct ntd_sftp_attrs attrs = ntd_sftp_attrs_of(&dir->info);

		if (dir->existed)
			continue;
		put->modes_pending++;
		ntd_sftp_call(sftp, NTD_SFTP_SETSTAT, set_mode, dir);
		ntd_sftp_put_text(&sftp->output, dir->path);
		ntd_sftp_put_attrs(&sftp->output, &attrs);
		ntd_sftp_send(sftp);
	}
}

static void renamed_top(struct ntd_sftp *sftp, const struct ntd_sftp_call *call,
			const struct ntd_sftp_answer *answer)
{
	if (ntd_sftp_expect_ok(sftp, answer, "cannot make %s in the guest",
			       sftp_put_of(sftp)->target))
		ntd_sftp_succeed(sftp);
}

static void finish(struct ntd_sftp *sftp)
{
	struct sftp_put *put = sftp_put_of(sftp);

	if (!put->walked) {
		put->walked = true;
		put->modes_left = put->dirs.count;
	}
	set_modes(sftp);
	if (put->modes_left || put->modes_pending || put->renaming || !ntd_sftp_may_call(sftp))
		return;
	put->renaming = true;
	if (put->top)
		ntd_sftp_call_rename(sftp, put->top, put->target, renamed_top, NULL);
	else
		ntd_sftp_succeed(sftp);
}

static void pump(struct ntd_sftp *sftp)
{
	struct sftp_put *put = sftp_put_of(sftp);

	if (!put->began || put->refusal)
		return;
	ntd_sftp_put_pump_files(sftp);
	walk(sftp);
	if (ntd_sftp_copying(sftp) && !put->entries && put->listing == put->dirs.count &&
	    put->file_count == 0)
		finish(sftp);
}

/* ---- the beginning */

/* The target is known, and the directories above it are there. */
static void found_target(struct ntd_sftp *sftp)
{
	struct sftp_put *put = sftp_put_of(sftp);
	_cleanup_free_ char *parent = ntd_sftp_parent(put->target);
	_cleanup_free_ char *name = ntd_sftp_temporary_name();

	put->began = true;
	if (!S_ISDIR(put->info.st_mode)) {
		put_leaf(sftp, &put->info, sftp->source, ntd_strdup(put->target), true);
	} else if (put->merge) {
		struct sftp_put_dir *dir =
			add_dir(sftp, &put->info, sftp->source, ntd_strdup(put->target), 0);

		dir->ready = dir->existed = true;
	} else {
		put->top = ntd_sftp_join(parent, name);
		make_dir(sftp, add_dir(sftp, &put->info, sftp->source, ntd_strdup(put->top), 0));
	}
}

static void begin(struct ntd_sftp *sftp)
{
	struct sftp_put *put = ntd_calloc(1, sizeof *put);

	sftp->copy = put;
	put->target = ntd_strdup(sftp->target);
	put->found_target = found_target;
	if (look_at(sftp->source, sftp->follow, &put->info) < 0)
		ntd_sftp_fail_sys(sftp, "cannot read %s on this host", sftp->source);
	else
		ntd_sftp_put_find_target(sftp);
}

static void put_free(struct ntd_sftp *sftp)
{
	struct sftp_put *put = ntd_steal(&sftp->copy);
	struct sftp_put_file *file;

	if (!put)
		return;
	while ((file = ntd_list_take(&put->files, struct sftp_put_file, link)))
		ntd_sftp_put_file_free(file);
	for (size_t i = 0; i < put->dirs.count; i++)
		dir_free(put->dirs.items[i]);
	ntd_vec_free(&put->dirs);
	for (size_t i = 0; i < put->made_files.count; i++)
		free(put->made_files.items[i]);
	ntd_vec_free(&put->made_files);
	if (put->entries)
		closedir(put->entries);
	ntd_error_free(put->parent_error);
	free(put->refusal);
	free(put->target);
	free(put->top);
	free(put);
}

const struct ntd_sftp_side ntd_sftp_put_side = {
	.begin = begin,
	.pump = pump,
	.clean = ntd_sftp_put_clean,
	.left = ntd_sftp_put_left,
	.free = put_free,
};
