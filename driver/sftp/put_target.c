/* Where a copy to the server goes, as with `cp -r`: into a directory that is there, over a file
 * that is there, or to a new path, for which the directories above are made. One request at a time,
 * on the loop thread.
 */
#include "sftp/put.h"

#include <string.h>

static bool is_directory(const struct ntd_sftp_answer *answer)
{
	return answer->type == NTD_SFTP_ATTRS && (answer->attrs.flags & NTD_SFTP_HAS_MODE) &&
	       S_ISDIR(answer->attrs.mode);
}

static void go_on(struct ntd_sftp *sftp)
{
	sftp_put_of(sftp)->found_target(sftp);
}

/* ---- the directories above */

static void make_next_parent(struct ntd_sftp *sftp);

static void checked_parent(struct ntd_sftp *sftp, const struct ntd_sftp_call *call,
			   const struct ntd_sftp_answer *answer)
{
	struct sftp_put *put = sftp_put_of(sftp);
	_cleanup_free_ char *parent = ntd_sftp_parent(put->target);

	if (is_directory(answer))
		go_on(sftp);
	else if (put->parent_error)
		ntd_sftp_fail(sftp, ntd_steal(&put->parent_error));
	else
		ntd_sftp_fail(sftp, ntd_error_new(NTD_E_MACHINE,
						  "cannot make directory %s in the guest: there is "
						  "something else",
						  parent));
}

/* Directories that exist cannot be made, so an error counts only if the last one is not there in
 * the end. */
static void made_parent(struct ntd_sftp *sftp, const struct ntd_sftp_call *call,
			const struct ntd_sftp_answer *answer)
{
	struct sftp_put *put = sftp_put_of(sftp);

	if (answer->type == NTD_SFTP_STATUS && answer->code != NTD_SFTP_OK) {
		_cleanup_free_ char *words = ntd_sftp_words(answer);

		ntd_error_free(put->parent_error);
		put->parent_error =
			ntd_error_new(NTD_E_MACHINE, "cannot make directory %.*s in the guest: %s",
				      (int)put->parent_end, put->target, words);
	}
	make_next_parent(sftp);
}

static void make_next_parent(struct ntd_sftp *sftp)
{
	static const struct ntd_sftp_attrs none = {0};
	struct sftp_put *put = sftp_put_of(sftp);
	const char *slash = strchr(put->target + put->parent_end + 1, '/');

	if (!slash) {
		_cleanup_free_ char *parent = ntd_sftp_parent(put->target);

		ntd_sftp_call_path(sftp, NTD_SFTP_STAT, parent, checked_parent, NULL);
		return;
	}
	put->parent_end = (size_t)(slash - put->target);
	ntd_sftp_call(sftp, NTD_SFTP_MKDIR, made_parent, NULL);
	ntd_sftp_put_string(&sftp->output, put->target, put->parent_end);
	ntd_sftp_put_attrs(&sftp->output, &none);
	ntd_sftp_send(sftp);
}

static void found_parent(struct ntd_sftp *sftp, const struct ntd_sftp_call *call,
			 const struct ntd_sftp_answer *answer)
{
	if (is_directory(answer))
		go_on(sftp);
	else
		make_next_parent(sftp);
}

static void find_parent(struct ntd_sftp *sftp)
{
	_cleanup_free_ char *parent = ntd_sftp_parent(sftp_put_of(sftp)->target);

	ntd_sftp_call_path(sftp, NTD_SFTP_STAT, parent, found_parent, NULL);
}

/* ---- what is there */

static void found_real_path(struct ntd_sftp *sftp, const struct ntd_sftp_call *call,
			    const struct ntd_sftp_answer *answer)
{
	struct sftp_put *put = sftp_put_of(sftp);
	struct ntd_sftp_reader names = answer->rest;
	struct ntd_sftp_attrs attrs;
	struct ntd_sftp_string name;
	uint32_t count = answer->count;

	if (!ntd_sftp_expect(sftp, answer, NTD_SFTP_NAME, "cannot find %s in the guest",
			     put->target))
		return;
	if (ntd_sftp_next_name(&names, &count, &name, &attrs) <= 0 || name.len == 0 ||
	    memchr(name.bytes, 0, name.len)) {
		ntd_sftp_fail_protocol(sftp, "no path where one was asked for");
		return;
	}
	free(put->target);
	put->target = ntd_strndup(name.bytes, name.len);
	go_on(sftp);
}

/* A file that is there is replaced. Where `target` is a link to it, the link stays. */
static void found_file(struct ntd_sftp *sftp)
{
	struct sftp_put *put = sftp_put_of(sftp);

	if (S_ISDIR(put->info.st_mode))
		ntd_sftp_fail(sftp, ntd_error_new(NTD_E_MACHINE,
						  "cannot copy directory %s to %s in the guest, "
						  "which is no directory",
						  sftp->source, put->target));
	else
		ntd_sftp_call_path(sftp, NTD_SFTP_REALPATH, put->target, found_real_path, NULL);
}

/* The path in the directory that the target is. */
static void found_inner(struct ntd_sftp *sftp, const struct ntd_sftp_call *call,
			const struct ntd_sftp_answer *answer)
{
	struct sftp_put *put = sftp_put_of(sftp);

	if (!is_directory(answer)) {
		if (answer->type == NTD_SFTP_ATTRS)
			found_file(sftp);
		else
			go_on(sftp);
		return;
	}
	if (!S_ISDIR(put->info.st_mode)) {
		ntd_sftp_fail(sftp, ntd_error_new(NTD_E_MACHINE,
						  "cannot copy %s to %s in the guest, which is a "
						  "directory",
						  sftp->source, put->target));
		return;
	}
	put->merge = true;
	go_on(sftp);
}

static void found_target(struct ntd_sftp *sftp, const struct ntd_sftp_call *call,
			 const struct ntd_sftp_answer *answer)
{
	struct sftp_put *put = sftp_put_of(sftp);
	const char *name = ntd_sftp_name_of(sftp->source);
	char *inner;

	if (answer->type != NTD_SFTP_ATTRS) {
		find_parent(sftp);
		return;
	}
	if (!is_directory(answer)) {
		found_file(sftp);
		return;
	}
	if (!name) {
		ntd_sftp_fail(sftp, ntd_error_new(NTD_E_VALUE,
						  "%s cannot be copied: it has no name of its own",
						  sftp->source));
		return;
	}
	inner = ntd_sftp_join(put->target, name);
	free(put->target);
	put->target = inner;
	ntd_sftp_call_path(sftp, NTD_SFTP_STAT, inner, found_inner, NULL);
}

void ntd_sftp_put_find_target(struct ntd_sftp *sftp)
{
	ntd_sftp_call_path(sftp, NTD_SFTP_STAT, sftp_put_of(sftp)->target, found_target, NULL);
}
