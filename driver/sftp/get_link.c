/* Receiving symbolic links. On the loop thread.
 *
 * A link of the guest would lead to other files on this host, if to any. So the server is asked
 * where it leads. If that is within a directory that is being copied and has the link in it, the
 * copy is a link, too: up to the copy of that directory, then down. It cannot lead out of the copy,
 * whatever the server says: going up it meets no links, and going down it does not go up again.
 * Else what it leads to takes its place. A link that leads back to a directory above itself is of
 * the first kind, so this ends.
 */
#include "sftp/get.h"

#include "base/text.h"

#include <limits.h>
#include <string.h>

/* ---- as it is */

static void linked(struct ntd_sftp *sftp, const struct ntd_sftp_call *call,
		   const struct ntd_sftp_answer *answer)
{
	struct sftp_get_entry *entry = call->item;
	struct ntd_sftp_reader names = answer->rest;
	uint32_t count = answer->count;
	struct ntd_sftp_string text;
	struct ntd_sftp_attrs attrs;
	_cleanup_free_ char *target = NULL;

	if (!ntd_sftp_expect(sftp, answer, NTD_SFTP_NAME, "cannot read the link %s in the guest",
			     entry->path))
		return;
	if (ntd_sftp_next_name(&names, &count, &text, &attrs) <= 0 || text.len == 0 ||
	    text.len >= PATH_MAX || memchr(text.bytes, 0, text.len)) {
		ntd_sftp_fail_protocol(sftp, "what cannot be in the link %s", entry->path);
		return;
	}
	target = ntd_strndup(text.bytes, text.len);
	if (symlinkat(target, ntd_sftp_get_fd(sftp, entry->dir), entry->name) < 0) {
		ntd_sftp_get_cannot_make(sftp, entry->path);
		return;
	}
	sftp->progress.files++;
	ntd_sftp_get_end(sftp, entry);
}

/* ---- by where it leads */

/* Whether the path is absolute and has only names in it. */
static bool is_real(const char *path)
{
	if (strcmp(path, "/") == 0)
		return true;
	while (*path == '/') {
		size_t len = strcspn(path + 1, "/");

		if (!ntd_sftp_is_name((struct ntd_sftp_string){path + 1, len}))
			return false;
		path += 1 + len;
	}
	return !*path;
}

char *ntd_sftp_get_real(struct ntd_sftp *sftp, const struct ntd_sftp_answer *answer,
			const char *path)
{
	struct ntd_sftp_reader names = answer->rest;
	uint32_t count = answer->count;
	struct ntd_sftp_string text;
	struct ntd_sftp_attrs attrs;
	_cleanup_free_ char *real = NULL;

	if (ntd_sftp_next_name(&names, &count, &text, &attrs) > 0 && text.len &&
	    text.len < PATH_MAX && !memchr(text.bytes, 0, text.len))
		real = ntd_strndup(text.bytes, text.len);
	if (real && is_real(real))
		return ntd_steal(&real);
	ntd_sftp_fail_protocol(sftp, "what cannot be the path of %s", path);
	return NULL;
}

/* What follows the directory in the path, without slashes around it; NULL: it is not within. */
static const char *within(const char *path, const char *directory)
{
	size_t len = strcmp(directory, "/") == 0 ? 0 : strlen(directory);

	if (strncmp(path, directory, len) != 0 || (path[len] && path[len] != '/'))
		return NULL;
	return path[len] ? path + len + 1 : path + len;
}

/* The text of a link in `dir` to the copy of a path of the guest, a new string; NULL: the copy has
 * none. */
static char *link_text(const struct sftp_get_dir *dir, const char *real)
{
	_cleanup_buf_ struct ntd_buf text = {0};

	for (; dir; dir = dir->above) {
		const char *rest = within(real, dir->real);

		if (rest) {
			ntd_buf_puts(&text, rest);
			if (text.len && !*rest) /* "../" */
				text.len--;
			return text.len ? ntd_strndup(ntd_buf_bytes(&text), text.len)
					: ntd_strdup(".");
		}
		ntd_buf_puts(&text, "../");
	}
	return NULL;
}

static void leave_out(struct ntd_sftp *sftp, struct sftp_get_entry *entry)
{
	enum { ENOUGH = 64 << 10 };

	if (sftp->without.len < ENOUGH) {
		ntd_buf_puts(&sftp->without, entry->path);
		ntd_buf_puts(&sftp->without, "\n");
	}
	ntd_sftp_get_end(sftp, entry);
}

static void resolved(struct ntd_sftp *sftp, const struct ntd_sftp_call *call,
		     const struct ntd_sftp_answer *answer)
{
	struct sftp_get_entry *entry = call->item;
	_cleanup_free_ char *real = NULL, *text = NULL;

	if (!ntd_sftp_expect(sftp, answer, NTD_SFTP_NAME, "cannot follow %s in the guest",
			     entry->path))
		return;
	real = ntd_sftp_get_real(sftp, answer, entry->path);
	if (!real)
		return;
	text = link_text(entry->dir, real);
	if (!text) {
		ntd_sftp_get_entry(sftp, entry->dir, entry->name, entry->path, &entry->attrs, real);
	} else if (symlinkat(text, ntd_sftp_get_fd(sftp, entry->dir), entry->name) < 0) {
		ntd_sftp_get_cannot_make(sftp, entry->path);
		return;
	} else {
		sftp->progress.files++;
	}
	ntd_sftp_get_end(sftp, entry);
}

static void followed(struct ntd_sftp *sftp, const struct ntd_sftp_call *call,
		     const struct ntd_sftp_answer *answer)
{
	struct sftp_get_entry *entry = call->item;
	bool is_there = answer->type == NTD_SFTP_ATTRS;

	if (!is_there && !(answer->type == NTD_SFTP_STATUS && answer->code != NTD_SFTP_OK)) {
		ntd_sftp_fail_protocol(sftp, "no answer about %s", entry->path);
		return;
	}
	entry->attrs = answer->attrs;
	if (is_there && !(entry->attrs.flags & NTD_SFTP_HAS_MODE))
		ntd_sftp_fail_protocol(sftp, "no mode of %s", entry->path);
	else if (!is_there || !(S_ISREG(entry->attrs.mode) || S_ISDIR(entry->attrs.mode)))
		leave_out(sftp, entry);
	else
		ntd_sftp_call_path(sftp, NTD_SFTP_REALPATH, entry->path, resolved, entry);
}

void ntd_sftp_get_link(struct ntd_sftp *sftp, struct sftp_get_dir *dir, const char *name,
		       const char *path, const struct ntd_sftp_attrs *attrs)
{
	bool by_end = dir && dir->real;

	ntd_sftp_call_path(sftp, by_end ? NTD_SFTP_STAT : NTD_SFTP_READLINK, path,
			   by_end ? followed : linked,
			   ntd_sftp_get_wait(sftp, dir, name, path, attrs));
}
