/* Receiving one file: OPEN, READ for each piece, many at a time, CLOSE. On the loop thread, which
 * writes a piece of the file at a time.
 *
 * Only as many bytes are asked for as the directory says that the file has. A file of no bytes is
 * read to its end all the same, one piece at a time, as files of /proc have no size. Pieces of
 * zeros become holes; a server that can say where holes are is asked for what is between them.
 */
#include "sftp/get.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum { BLOCK = 4096, UNSIZED_LIMIT = 64 << 20, SEEK_SIZE = 1 << 20 };

void ntd_sftp_get_file_free(struct sftp_get_file *file)
{
	ntd_close_fd(&file->fd);
	free(file->path);
	free(file);
}

static bool is_zero(const char *bytes, size_t len)
{
	return len == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0);
}

/* Writes what is not zeros; the file is empty before. */
static int write_data(int fd, const char *bytes, size_t len, uint64_t offset)
{
	while (len) {
		size_t run = 0;

		while (run < len && !is_zero(bytes + run, len - run < BLOCK ? len - run : BLOCK))
			run += len - run < BLOCK ? len - run : BLOCK;
		for (size_t done = 0; done < run;) {
			ssize_t put = pwrite(fd, bytes + done, run - done, (off_t)(offset + done));

			if (put < 0 && errno != EINTR)
				return -1;
			done += put < 0 ? 0 : (size_t)put;
		}
		if (run < len) /* a block of zeros */
			run += len - run < BLOCK ? len - run : BLOCK;
		bytes += run;
		len -= run;
		offset += run;
	}
	return 0;
}

/* ---- the end of a file */

static void finish(struct ntd_sftp *sftp, struct sftp_get_file *file)
{
	struct sftp_get *get = sftp_get_of(sftp);
	const struct ntd_sftp_attrs *attrs = &file->attrs;

	if (ftruncate(file->fd, (off_t)file->end) < 0 || fchmod(file->fd, attrs->mode & 0777) < 0) {
		ntd_sftp_fail_sys(sftp, "cannot write the copy of %s on this host", file->path);
		return;
	}
	if (attrs->flags & NTD_SFTP_HAS_TIMES)
		futimens(file->fd,
			 (struct timespec[]){{.tv_sec = attrs->atime}, {.tv_sec = attrs->mtime}});
	sftp->progress.files++;
	get->file_count--;
	ntd_list_unlink(&file->link);
	ntd_sftp_call_close(sftp, (struct ntd_sftp_string){file->handle, file->handle_len});
	ntd_sftp_get_file_free(file);
}

static void finish_if_over(struct ntd_sftp *sftp, struct sftp_get_file *file)
{
	if (file->open && !file->pending && file->sized && file->next >= file->end)
		finish(sftp, file);
}

/* ---- data */

static void received(struct ntd_sftp *sftp, const struct ntd_sftp_call *call,
		     const struct ntd_sftp_answer *answer);

static void ask(struct ntd_sftp *sftp, struct sftp_get_file *file, uint64_t offset, uint32_t len)
{
	struct ntd_sftp_call *call = ntd_sftp_call(sftp, NTD_SFTP_READ, received, file);

	call->offset = offset;
	call->len = len;
	file->pending++;
	sftp_get_of(sftp)->asked += len;
	ntd_sftp_put_string(&sftp->output, file->handle, file->handle_len);
	ntd_sftp_put_u64(&sftp->output, offset);
	ntd_sftp_put_u32(&sftp->output, len);
	ntd_sftp_send(sftp);
}

/* Writes a piece; asks for its rest if the server has sent a part, as it may. */
static void take_data(struct ntd_sftp *sftp, struct sftp_get_file *file,
		      const struct ntd_sftp_call *call, struct ntd_sftp_string data)
{
	if (data.len == 0 || data.len > call->len) {
		ntd_sftp_fail_protocol(sftp, "%zu bytes of %s where it was asked for %u", data.len,
				       file->path, call->len);
		return;
	}
	if (write_data(file->fd, data.bytes, data.len, call->offset) < 0) {
		ntd_sftp_fail_sys(sftp, "cannot write the copy of %s on this host", file->path);
		return;
	}
	sftp->progress.bytes += data.len;
	if (!file->sized)
		file->next = file->end = call->offset + data.len;
	else if (data.len < call->len && call->offset + data.len < file->end)
		ask(sftp, file, call->offset + data.len, call->len - (uint32_t)data.len);
	if (file->end > UNSIZED_LIMIT && !file->sized)
		ntd_sftp_fail(sftp, ntd_error_new(NTD_E_MACHINE,
						  "cannot copy %s from the guest: it has no end",
						  file->path));
}

/* A file that has become shorter ends where the server says. */
static void received(struct ntd_sftp *sftp, const struct ntd_sftp_call *call,
		     const struct ntd_sftp_answer *answer)
{
	struct sftp_get_file *file = call->item;

	file->pending--;
	sftp_get_of(sftp)->asked -= call->len;
	if (ntd_sftp_is_status(answer, NTD_SFTP_EOF)) {
		file->sized = true;
		if (file->end > call->offset)
			file->end = call->offset;
	} else if (ntd_sftp_expect(sftp, answer, NTD_SFTP_DATA, "cannot read %s in the guest",
				   file->path)) {
		take_data(sftp, file, call, answer->text);
	}
	if (ntd_sftp_copying(sftp))
		finish_if_over(sftp, file);
}

/* ---- holes */

/* Goes on where the server says that there is data, or at the end. */
static void skip_to(struct ntd_sftp *sftp, struct sftp_get_file *file, uint64_t begin, uint64_t end)
{
	if (begin < file->next || (begin < file->end && end <= begin)) {
		ntd_sftp_fail_protocol(sftp, "data of %s where there can be none", file->path);
		return;
	}
	if (begin > file->end)
		begin = file->end;
	sftp->progress.bytes += begin - file->next;
	file->next = begin;
	file->data_end = end;
}

/* A file system that knows of no holes says that all is data. A file that has become shorter ends
 * before `next`. */
static void sought(struct ntd_sftp *sftp, const struct ntd_sftp_call *call,
		   const struct ntd_sftp_answer *answer)
{
	struct sftp_get_file *file = call->item;
	struct ntd_sftp_reader rest = answer->rest;
	uint64_t begin, end;

	file->pending--;
	file->seeking = false;
	if (!ntd_sftp_expect(sftp, answer, NTD_SFTP_EXTENDED_REPLY, "cannot read %s in the guest",
			     file->path))
		return;
	begin = ntd_sftp_get_u64(&rest);
	end = ntd_sftp_get_u64(&rest);
	if (file->next < file->end)
		skip_to(sftp, file, begin, end);
	if (ntd_sftp_copying(sftp))
		finish_if_over(sftp, file);
}

static void seek(struct ntd_sftp *sftp, struct sftp_get_file *file)
{
	ntd_sftp_call(sftp, NTD_SFTP_EXTENDED, sought, file);
	file->pending++;
	file->seeking = true;
	ntd_sftp_put_text(&sftp->output, NTD_SFTP_SEEK);
	ntd_sftp_put_string(&sftp->output, file->handle, file->handle_len);
	ntd_sftp_put_u64(&sftp->output, file->next);
	ntd_sftp_send(sftp);
}

/* ---- what is asked for */

static bool may_ask(struct ntd_sftp *sftp, const struct sftp_get_file *file)
{
	return file->open && !file->seeking && ntd_sftp_may_call(sftp) &&
	       sftp_get_of(sftp)->asked < NTD_SFTP_READING_SIZE &&
	       (file->sized ? file->next < file->end : !file->pending);
}

static void pump_file(struct ntd_sftp *sftp, struct sftp_get_file *file)
{
	while (may_ask(sftp, file)) {
		uint64_t end = file->end < file->data_end ? file->end : file->data_end;
		uint64_t left = end - file->next;
		uint32_t len =
			file->sized && left < sftp->read_size ? (uint32_t)left : sftp->read_size;

		if (file->sized && file->next >= file->data_end) {
			seek(sftp, file);
			return;
		}
		ask(sftp, file, file->next, len);
		if (file->sized)
			file->next += len;
	}
}

void ntd_sftp_get_pump_files(struct ntd_sftp *sftp)
{
	ntd_list_each (struct sftp_get_file, file, &sftp_get_of(sftp)->files, link)
		pump_file(sftp, file);
}

/* ---- the beginning of a file */

static void opened(struct ntd_sftp *sftp, const struct ntd_sftp_call *call,
		   const struct ntd_sftp_answer *answer)
{
	struct sftp_get_file *file = call->item;

	if (!ntd_sftp_expect(sftp, answer, NTD_SFTP_HANDLE, "cannot read %s in the guest",
			     file->path))
		return;
	memcpy(file->handle, answer->text.bytes, answer->text.len);
	file->handle_len = answer->text.len;
	file->open = true;
}

void ntd_sftp_get_file(struct ntd_sftp *sftp, int fd, const char *path,
		       const struct ntd_sftp_attrs *attrs)
{
	static const struct ntd_sftp_attrs none = {0};
	struct sftp_get *get = sftp_get_of(sftp);
	struct sftp_get_file *file = ntd_calloc(1, sizeof *file);

	file->fd = fd;
	file->path = ntd_strdup(path);
	file->attrs = *attrs;
	file->end = attrs->size;
	file->sized = attrs->size > 0;
	file->data_end = sftp->offer.seek && attrs->size >= SEEK_SIZE ? 0 : UINT64_MAX;
	ntd_list_append(&get->files, &file->link);
	get->file_count++;
	sftp->progress.total += attrs->size;
	ntd_sftp_call(sftp, NTD_SFTP_OPEN, opened, file);
	ntd_sftp_put_text(&sftp->output, path);
	ntd_sftp_put_u32(&sftp->output, NTD_SFTP_OPEN_READ);
	ntd_sftp_put_attrs(&sftp->output, &none);
	ntd_sftp_send(sftp);
}
