/* Sending one file: OPEN; WRITE for each piece of data, many at a time; FSETSTAT and CLOSE as soon
 * as all of them are on their way, as a server handles the requests on one handle in order; and
 * when all have been answered well, the rename to its name. On the loop thread, which reads a piece
 * of the file at a time.
 */
#include "sftp/put.h"

#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

void ntd_sftp_put_file_free(struct sftp_put_file *file)
{
	ntd_close_fd(&file->fd);
	free(file->source);
	free(file->path);
	free(file->target);
	free(file);
}

char *ntd_sftp_put_shown(const struct ntd_sftp *sftp, const char *path)
{
	const struct sftp_put *put = sftp->copy;

	if (put->top && ntd_has_prefix(path, put->top))
		return ntd_asprintf("%s%s", put->target, path + strlen(put->top));
	return ntd_strdup(path);
}

/* Fails because of an answer; `what` could not be done with the file. */
static void refused(struct ntd_sftp *sftp, const struct sftp_put_file *file,
		    const struct ntd_sftp_answer *answer, const char *what)
{
	_cleanup_free_ char *name =
		ntd_sftp_put_shown(sftp, file->target ? file->target : file->path);
	_cleanup_free_ char *words = NULL;

	if (!ntd_sftp_is_status(answer, NTD_SFTP_FAILURE) || !sftp->offer.statvfs) {
		ntd_sftp_expect_ok(sftp, answer, "cannot %s %s in the guest", what, name);
		return;
	}
	words = ntd_sftp_words(answer);
	ntd_sftp_put_fail_for_space(
		sftp, file->path, ntd_asprintf("cannot %s %s in the guest: %s", what, name, words));
}

struct ntd_sftp_attrs ntd_sftp_attrs_of(const struct stat *info)
{
	bool times = info->st_mtime >= 0 && info->st_mtime <= UINT32_MAX && info->st_atime >= 0 &&
		     info->st_atime <= UINT32_MAX;

	return (struct ntd_sftp_attrs){
		.flags = NTD_SFTP_HAS_MODE | (times ? NTD_SFTP_HAS_TIMES : 0),
		.mode = info->st_mode & 07777,
		.atime = (uint32_t)info->st_atime,
		.mtime = (uint32_t)info->st_mtime,
	};
}

/* ---- the end of a file */

static void finish(struct ntd_sftp *sftp, struct sftp_put_file *file)
{
	struct sftp_put *put = sftp_put_of(sftp);
	uint64_t size = S_ISREG(file->info.st_mode) ? (uint64_t)file->info.st_size : 0;

	if (size > file->counted) /* holes */
		sftp->progress.bytes += size - file->counted;
	sftp->progress.files++;
	put->file_count--;
	ntd_list_unlink(&file->link);
	if (put->top)
		ntd_vec_push(&put->made_files, ntd_steal(&file->path));
	ntd_sftp_put_file_free(file);
}

static void renamed(struct ntd_sftp *sftp, const struct ntd_sftp_call *call,
		    const struct ntd_sftp_answer *answer)
{
	struct sftp_put_file *file = call->item;

	if (ntd_sftp_is_status(answer, NTD_SFTP_OK))
		finish(sftp, file);
	else
		refused(sftp, file, answer, "make");
}

static void removed(struct ntd_sftp *sftp, const struct ntd_sftp_call *call,
		    const struct ntd_sftp_answer *answer)
{
	struct sftp_put_file *file = call->item;

	if (ntd_sftp_is_status(answer, NTD_SFTP_OK))
		ntd_sftp_call_rename(sftp, file->path, file->target, renamed, file);
	else
		refused(sftp, file, answer, "replace");
}

/* The plain rename of the protocol does not replace a file. */
static void renamed_first(struct ntd_sftp *sftp, const struct ntd_sftp_call *call,
			  const struct ntd_sftp_answer *answer)
{
	struct sftp_put_file *file = call->item;

	if (ntd_sftp_is_status(answer, NTD_SFTP_FAILURE) && !sftp->offer.posix_rename)
		ntd_sftp_call_path(sftp, NTD_SFTP_REMOVE, file->target, removed, file);
	else
		renamed(sftp, call, answer);
}

static void complete_if_over(struct ntd_sftp *sftp, struct sftp_put_file *file)
{
	if (file->pending || !file->sent || file->open || file->renaming)
		return;
	file->renaming = true;
	if (file->target)
		ntd_sftp_call_rename(sftp, file->path, file->target, renamed_first, file);
	else
		finish(sftp, file);
}

/* ---- data */

static void written(struct ntd_sftp *sftp, const struct ntd_sftp_call *call,
		    const struct ntd_sftp_answer *answer)
{
	struct sftp_put_file *file = call->item;

	file->pending--;
	if (!ntd_sftp_is_status(answer, NTD_SFTP_OK)) {
		refused(sftp, file, answer, "write");
		return;
	}
	file->counted += call->len;
	sftp->progress.bytes += call->len;
	complete_if_over(sftp, file);
}

static struct ntd_sftp_call *call_handle(struct ntd_sftp *sftp, enum ntd_sftp_type type,
					 struct sftp_put_file *file)
{
	struct ntd_sftp_call *call = ntd_sftp_call(sftp, type, written, file);

	file->pending++;
	ntd_sftp_put_string(&sftp->output, file->handle, file->handle_len);
	return call;
}

/* Finds the next data from `next` on. Returns false at the end of the file. Where a file system
 * knows of no holes, all is data. */
static bool find_data(struct ntd_sftp *sftp, struct sftp_put_file *file)
{
	uint64_t size = (uint64_t)file->info.st_size;
	off_t data, hole;

	if (file->next < file->data_end)
		return true;
	if (file->next >= size)
		return false;
	data = lseek(file->fd, (off_t)file->next, SEEK_DATA);
	if (data < 0 && errno == ENXIO) {
		file->next = size;
		return false;
	}
	hole = data < 0 ? -1 : lseek(file->fd, data, SEEK_HOLE);
	file->next = data < 0 ? file->next : (uint64_t)data;
	file->data_end = hole < 0 || (uint64_t)hole > size ? size : (uint64_t)hole;
	return file->next < size;
}

/* Reads a piece into the request itself. A file that has become shorter ends there. */
static void write_piece(struct ntd_sftp *sftp, struct sftp_put_file *file)
{
	uint64_t left = file->data_end - file->next;
	size_t most = left < sftp->write_size ? (size_t)left : sftp->write_size;
	size_t head = sizeof(uint32_t) * 4 + 1 + file->handle_len + sizeof(uint64_t);
	char *place = ntd_buf_reserve(&sftp->output, head + most) + head;
	ssize_t got = pread(file->fd, place, most, (off_t)file->next);
	struct ntd_sftp_call *call;

	if (got < 0) {
		ntd_sftp_fail_sys(sftp, "cannot read %s on this host", file->source);
		return;
	}
	if (got == 0) {
		file->info.st_size = (off_t)file->next;
		file->data_end = file->next;
		return;
	}
	call = call_handle(sftp, NTD_SFTP_WRITE, file);
	call->len = (uint32_t)got;
	ntd_sftp_put_u64(&sftp->output, file->next);
	ntd_sftp_put_u32(&sftp->output, (uint32_t)got);
	ntd_buf_added(&sftp->output, (size_t)got); /* they are there already */
	ntd_sftp_send(sftp);
	file->next += (uint64_t)got;
	file->written = file->next;
}

static void end_data(struct ntd_sftp *sftp, struct sftp_put_file *file)
{
	struct ntd_sftp_attrs attrs = ntd_sftp_attrs_of(&file->info);

	attrs.size = (uint64_t)file->info.st_size;
	if (attrs.size > file->written) /* it ends in a hole */
		attrs.flags |= NTD_SFTP_HAS_SIZE;
	call_handle(sftp, NTD_SFTP_FSETSTAT, file);
	ntd_sftp_put_attrs(&sftp->output, &attrs);
	ntd_sftp_send(sftp);
	file->sent = true;
	ntd_close_fd(&file->fd);
}

/* CLOSE is a call of its own so that the two need not have room at the same time. */
static void close_remote(struct ntd_sftp *sftp, struct sftp_put_file *file)
{
	file->open = false;
	call_handle(sftp, NTD_SFTP_CLOSE, file);
	ntd_sftp_send(sftp);
}

static void pump_file(struct ntd_sftp *sftp, struct sftp_put_file *file)
{
	while (file->open && ntd_sftp_may_call(sftp))
		if (file->sent)
			close_remote(sftp, file);
		else if (find_data(sftp, file))
			write_piece(sftp, file);
		else
			end_data(sftp, file);
}

void ntd_sftp_put_pump_files(struct ntd_sftp *sftp)
{
	ntd_list_each (struct sftp_put_file, file, &sftp_put_of(sftp)->files, link)
		pump_file(sftp, file);
}

/* ---- the beginning of a file */

static void opened(struct ntd_sftp *sftp, const struct ntd_sftp_call *call,
		   const struct ntd_sftp_answer *answer)
{
	struct sftp_put_file *file = call->item;

	if (answer->type != NTD_SFTP_HANDLE) {
		refused(sftp, file, answer, "write");
		return;
	}
	memcpy(file->handle, answer->text.bytes, answer->text.len);
	file->handle_len = answer->text.len;
	file->open = true;
}

static struct sftp_put_file *new_file(struct ntd_sftp *sftp, const struct stat *info,
				      const char *source, char *path, char *target)
{
	struct sftp_put *put = sftp_put_of(sftp);
	struct sftp_put_file *file = ntd_calloc(1, sizeof *file);

	file->fd = -1;
	file->info = *info;
	file->source = ntd_strdup(source);
	file->path = path;
	file->target = target;
	ntd_list_append(&put->files, &file->link);
	put->file_count++;
	return file;
}

/* Only its owner may look at the file until it is whole. */
void ntd_sftp_put_file(struct ntd_sftp *sftp, int fd, const struct stat *info, const char *source,
		       char *path, char *target)
{
	static const struct ntd_sftp_attrs own = {.flags = NTD_SFTP_HAS_MODE, .mode = 0600};
	struct sftp_put_file *file = new_file(sftp, info, source, path, target);

	file->fd = fd;
	sftp->progress.total += (uint64_t)info->st_size;
	ntd_sftp_call(sftp, NTD_SFTP_OPEN, opened, file);
	ntd_sftp_put_text(&sftp->output, path);
	ntd_sftp_put_u32(&sftp->output, NTD_SFTP_OPEN_WRITE | NTD_SFTP_OPEN_NEW);
	ntd_sftp_put_attrs(&sftp->output, &own);
	ntd_sftp_send(sftp);
}

static void linked(struct ntd_sftp *sftp, const struct ntd_sftp_call *call,
		   const struct ntd_sftp_answer *answer)
{
	struct sftp_put_file *file = call->item;

	if (!ntd_sftp_is_status(answer, NTD_SFTP_OK)) {
		refused(sftp, file, answer, "make the symbolic link");
		return;
	}
	file->sent = true;
	complete_if_over(sftp, file);
}

/* Servers have the two paths in the order that OpenSSH once took, which is not that of the draft.
 */
void ntd_sftp_put_link(struct ntd_sftp *sftp, const struct stat *info, const char *source,
		       char *path, char *target)
{
	char text[PATH_MAX];
	ssize_t len = readlink(source, text, sizeof text);
	struct sftp_put_file *file = new_file(sftp, info, source, path, target);

	if (len < 0) {
		ntd_sftp_fail_sys(sftp, "cannot read %s on this host", source);
		return;
	}
	ntd_sftp_call(sftp, NTD_SFTP_SYMLINK, linked, file);
	ntd_sftp_put_string(&sftp->output, text, (size_t)len);
	ntd_sftp_put_text(&sftp->output, path);
	ntd_sftp_send(sftp);
}
