/* The end of a copy to the server that has failed or was cancelled while the server still answers:
 * what is half written there is removed. On the loop thread.
 *
 * Nothing is known of the requests that are in flight, so all are awaited first. Then the files
 * go, and when they are gone, the directories, the last that was found first. Answers do not
 * matter: the copy has failed already.
 *
 * A server that does not answer any more keeps what is half written. It is told to the owner, who
 * can remove it in another way.
 */
#include "sftp/put.h"

#include <string.h>

static void cleaned(struct ntd_sftp *sftp, const struct ntd_sftp_call *call,
		    const struct ntd_sftp_answer *answer)
{
}

/* A directory that has its mode already may forbid to remove what is in it. */
static void open_dirs(struct ntd_sftp *sftp, struct sftp_put *put)
{
	static const struct ntd_sftp_attrs own = {.flags = NTD_SFTP_HAS_MODE, .mode = 0700};

	while (put->cleaning.modes < put->dirs.count && ntd_sftp_may_clean(sftp)) {
		ntd_sftp_call(sftp, NTD_SFTP_SETSTAT, cleaned, NULL);
		ntd_sftp_put_text(&sftp->output, put->dirs.items[put->cleaning.modes++]->path);
		ntd_sftp_put_attrs(&sftp->output, &own);
		ntd_sftp_send(sftp);
	}
}

static void remove_files(struct ntd_sftp *sftp, struct sftp_put *put)
{
	struct sftp_put_file *file;

	while (ntd_sftp_may_clean(sftp) &&
	       (file = ntd_list_take(&put->files, struct sftp_put_file, link))) {
		ntd_sftp_call_path(sftp, NTD_SFTP_REMOVE, file->path, cleaned, NULL);
		ntd_sftp_put_file_free(file);
	}
	while (put->cleaning.files && ntd_sftp_may_clean(sftp))
		ntd_sftp_call_path(sftp, NTD_SFTP_REMOVE,
				   put->made_files.items[--put->cleaning.files], cleaned, NULL);
}

static void remove_dirs(struct ntd_sftp *sftp, struct sftp_put *put)
{
	while (put->cleaning.dirs && ntd_sftp_may_clean(sftp))
		ntd_sftp_call_path(sftp, NTD_SFTP_RMDIR,
				   put->dirs.items[--put->cleaning.dirs]->path, cleaned, NULL);
}

bool ntd_sftp_put_clean(struct ntd_sftp *sftp)
{
	struct sftp_put *put = sftp_put_of(sftp);

	if (!put->cleaning.begun) {
		if (sftp->in_flight)
			return false;
		put->cleaning.begun = true;
		put->cleaning.files = put->made_files.count;
		put->cleaning.dirs = put->top ? put->dirs.count : 0;
		put->cleaning.modes = put->top && put->walked ? 0 : put->dirs.count;
	}
	open_dirs(sftp, put);
	if (put->cleaning.modes == put->dirs.count)
		remove_files(sftp, put);
	if (!put->cleaning.files && ntd_list_empty(&put->files) &&
	    (put->cleaning.removed_files || sftp->in_flight == 0)) {
		put->cleaning.removed_files = true;
		remove_dirs(sftp, put);
	}
	return put->cleaning.removed_files && !put->cleaning.dirs && sftp->in_flight == 0;
}

static void append_path(struct ntd_buf *paths, const char *path)
{
	ntd_buf_append(paths, path, strlen(path) + 1);
}

void ntd_sftp_put_left(struct ntd_sftp *sftp, struct ntd_buf *paths)
{
	struct sftp_put *put = sftp_put_of(sftp);

	if (put->top) {
		append_path(paths, put->top);
		return;
	}
	ntd_list_each (struct sftp_put_file, file, &put->files, link)
		if (file->target)
			append_path(paths, file->path);
}
