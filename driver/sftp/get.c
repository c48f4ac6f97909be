/* Copying from the server: the beginning and the end. On the loop thread. The copy is made under a
 * temporary name in the directory of the target, and renamed when it is whole; what is made so far
 * is removed with the client.
 */
#include "sftp/get.h"

#include "base/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

static void cannot_write(struct ntd_sftp *sftp)
{
	ntd_sftp_fail_sys(sftp, "cannot write %s on this host", sftp_get_of(sftp)->target);
}

/* ---- the end */

/* A tree replaces nothing. Not every file system can be asked for that. */
static int rename_new(const struct sftp_get *get)
{
	struct stat info;

	if (renameat2(get->parent, get->temporary, get->parent, get->name, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	if (fstatat(get->parent, get->name, &info, AT_SYMLINK_NOFOLLOW) == 0) {
		errno = EEXIST;
		return -1;
	}
	return renameat(get->parent, get->temporary, get->parent, get->name);
}

/* Directories are shut after the rename: a tree with such directories could not be removed if the
 * rename failed. */
static void finish(struct ntd_sftp *sftp)
{
	struct sftp_get *get = sftp_get_of(sftp);
	_cleanup_fd_ int top = -1;

	if (get->is_directory)
		top = openat(get->parent, get->temporary, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if ((get->is_directory
		     ? rename_new(get)
		     : renameat(get->parent, get->temporary, get->parent, get->name)) < 0) {
		cannot_write(sftp);
		return;
	}
	get->made = false;
	if (ntd_sftp_get_shut(get, top) < 0)
		cannot_write(sftp);
	ntd_sftp_succeed(sftp);
}

static void pump(struct ntd_sftp *sftp)
{
	struct sftp_get *get = sftp_get_of(sftp);

	if (!get->began)
		return;
	ntd_sftp_get_pump_files(sftp);
	ntd_sftp_get_walk(sftp);
	if (ntd_sftp_copying(sftp) && !get->stack.count && ntd_list_empty(&get->dirs) &&
	    !get->file_count && !get->entry_count)
		finish(sftp);
}

/* ---- the beginning */

/* Links in a tree are copied by where they lead (get_link.c). */
static void found_real(struct ntd_sftp *sftp, const struct ntd_sftp_call *call,
		       const struct ntd_sftp_answer *answer)
{
	struct sftp_get *get = sftp_get_of(sftp);
	_cleanup_free_ char *real = NULL;

	if (!ntd_sftp_expect(sftp, answer, NTD_SFTP_NAME, "cannot read %s in the guest",
			     sftp->source))
		return;
	real = ntd_sftp_get_real(sftp, answer, sftp->source);
	if (!real)
		return;
	get->began = get->made = true;
	ntd_sftp_get_entry(sftp, NULL, get->temporary, sftp->source, &get->attrs, real);
}

static void found_source(struct ntd_sftp *sftp, const struct ntd_sftp_call *call,
			 const struct ntd_sftp_answer *answer)
{
	struct sftp_get *get = sftp_get_of(sftp);

	if (!ntd_sftp_expect(sftp, answer, NTD_SFTP_ATTRS, "cannot read %s in the guest",
			     sftp->source))
		return;
	if (sftp->follow && S_ISLNK(answer->attrs.mode)) {
		ntd_sftp_fail_protocol(sftp, "a link where %s leads", sftp->source);
		return;
	}
	get->is_directory = S_ISDIR(answer->attrs.mode);
	if (get->is_directory && get->exists) {
		errno = EEXIST;
		cannot_write(sftp);
		return;
	}
	if (get->is_directory && sftp->follow) {
		get->attrs = answer->attrs;
		ntd_sftp_call_path(sftp, NTD_SFTP_REALPATH, sftp->source, found_real, NULL);
		return;
	}
	get->began = get->made = true;
	ntd_sftp_get_entry(sftp, NULL, get->temporary, sftp->source, &answer->attrs, NULL);
}

/* Finds the directory and the name of the target, as `cp -r` would. Returns -1 when the copy has
 * failed. */
static int find_target(struct ntd_sftp *sftp)
{
	struct sftp_get *get = sftp_get_of(sftp);
	const char *name = ntd_sftp_name_of(sftp->source);
	_cleanup_free_ char *parent = NULL;
	struct stat info;

	if (stat(sftp->target, &info) == 0 && S_ISDIR(info.st_mode))
		get->target = name ? ntd_sftp_join(sftp->target, name) : NULL;
	else
		get->target = ntd_strdup(sftp->target);
	name = get->target ? ntd_sftp_name_of(get->target) : NULL;
	if (!name) {
		ntd_sftp_fail(sftp,
			      ntd_error_new(NTD_E_VALUE,
					    "%s cannot be copied to %s: it would have no name",
					    sftp->source, sftp->target));
		return -1;
	}
	get->name = ntd_strdup(name);
	parent = ntd_sftp_parent(get->target);
	get->parent = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (get->parent < 0) {
		ntd_sftp_fail_sys(sftp, "cannot write in %s on this host", parent);
		return -1;
	}
	get->exists = fstatat(get->parent, get->name, &info, AT_SYMLINK_NOFOLLOW) == 0;
	if (get->exists && S_ISDIR(info.st_mode)) {
		errno = EEXIST;
		cannot_write(sftp);
		return -1;
	}
	return 0;
}

static void begin(struct ntd_sftp *sftp)
{
	struct sftp_get *get = ntd_calloc(1, sizeof *get);

	sftp->copy = get;
	get->parent = -1;
	get->link = ntd_sftp_get_link;
	get->temporary = ntd_sftp_temporary_name();
	if (find_target(sftp) == 0)
		ntd_sftp_call_path(sftp, sftp->follow ? NTD_SFTP_STAT : NTD_SFTP_LSTAT,
				   sftp->source, found_source, NULL);
}

static void get_free(struct ntd_sftp *sftp)
{
	struct sftp_get *get = ntd_steal(&sftp->copy);
	struct sftp_get_file *file;

	if (!get)
		return;
	while ((file = ntd_list_take(&get->files, struct sftp_get_file, link)))
		ntd_sftp_get_file_free(file);
	ntd_sftp_get_free_tree(get);
	if (get->made)
		ntd_tree_remove_at(get->parent, get->temporary, NULL);
	ntd_close_fd(&get->parent);
	free(get->name);
	free(get->temporary);
	free(get->target);
	free(get);
}

const struct ntd_sftp_side ntd_sftp_get_side = {.begin = begin, .pump = pump, .free = get_free};
