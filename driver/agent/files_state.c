/* What the requests of a copy use: answers, open files, and the names of what is half written. In a
 * process of its own for each copy.
 */
#include "agent/files_internal.h"

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* ---- answers */

void ntd_files_say_status(struct ntd_files *files, uint32_t id, enum ntd_sftp_code code,
			  const char *words)
{
	size_t begun = ntd_sftp_put_begin(&files->output, NTD_SFTP_STATUS, id);

	ntd_sftp_put_u32(&files->output, code);
	ntd_sftp_put_string(&files->output, words, strlen(words));
	ntd_sftp_put_string(&files->output, "", 0); /* the language */
	ntd_sftp_put_end(&files->output, begun);
}

static enum ntd_sftp_code code_of(int number)
{
	switch (number) {
	case ENOENT:
	case ENOTDIR:
	case ELOOP:
		return NTD_SFTP_NO_SUCH_FILE;
	case EACCES:
	case EPERM:
	case EROFS:
		return NTD_SFTP_PERMISSION_DENIED;
	default:
		return NTD_SFTP_FAILURE;
	}
}

void ntd_files_say(struct ntd_files *files, uint32_t id, int result)
{
	int number = errno;

	if (result >= 0)
		ntd_files_say_status(files, id, NTD_SFTP_OK, "");
	else
		ntd_files_say_status(files, id, code_of(number), strerror(number));
}

/* ---- handles */

struct files_handle *ntd_files_open(struct ntd_files *files, int fd, DIR *entries)
{
	for (size_t i = 0; i < FILES_HANDLES; i++) {
		struct files_handle *handle = &files->handles[i];

		if (handle->number)
			continue;
		*handle = (struct files_handle){++files->numbers, fd, entries};
		return handle;
	}
	errno = EMFILE;
	return NULL;
}

void ntd_files_close(struct files_handle *handle)
{
	if (handle->entries)
		closedir(handle->entries);
	else
		close(handle->fd);
	*handle = (struct files_handle){0};
}

struct files_handle *ntd_files_handle(struct ntd_files *files, struct ntd_sftp_reader *request)
{
	struct ntd_sftp_string text = ntd_sftp_get_string(request);
	struct ntd_sftp_reader reader = {(const unsigned char *)text.bytes, text.len, false};
	uint32_t number = ntd_sftp_get_u32(&reader);

	for (size_t i = 0; number && !reader.left && i < FILES_HANDLES; i++)
		if (files->handles[i].number == number)
			return &files->handles[i];
	errno = EBADF;
	return NULL;
}

/* ---- names */

char *ntd_files_path(struct ntd_sftp_reader *request)
{
	struct ntd_sftp_string text = ntd_sftp_get_string(request);

	if (request->bad || text.len == 0 || memchr(text.bytes, 0, text.len)) {
		errno = EINVAL;
		return NULL;
	}
	if (text.len >= PATH_MAX) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	return ntd_strndup(text.bytes, text.len);
}

static bool is_temporary(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;

	return strncmp(name, NTD_SFTP_TEMPORARY, strlen(NTD_SFTP_TEMPORARY)) == 0;
}

int ntd_files_may_make(const struct ntd_files *files, const char *path)
{
	for (size_t i = 0; i < FILES_TEMPORARIES; i++)
		if (!files->temporaries[i])
			return 0;
	if (!is_temporary(path))
		return 0;
	errno = EMFILE;
	return -1;
}

void ntd_files_made(struct ntd_files *files, const char *path)
{
	for (size_t i = 0; is_temporary(path) && i < FILES_TEMPORARIES; i++)
		if (!files->temporaries[i]) {
			files->temporaries[i] = ntd_strdup(path);
			return;
		}
}

void ntd_files_forget(struct ntd_files *files, const char *path)
{
	for (size_t i = 0; i < FILES_TEMPORARIES; i++)
		if (files->temporaries[i] && strcmp(files->temporaries[i], path) == 0)
			free(ntd_steal(&files->temporaries[i]));
}

/* Goes on past what cannot be removed. A directory may have a mode that forbids to write in it,
 * which does not matter to root. */
static int remove_one(const char *path, const struct stat *info, int type, struct FTW *at)
{
	remove(path);
	return 0;
}

void ntd_files_clean(struct ntd_files *files)
{
	for (size_t i = 0; i < FILES_HANDLES; i++)
		if (files->handles[i].number)
			ntd_files_close(&files->handles[i]);
	for (size_t i = 0; i < FILES_TEMPORARIES; i++) {
		_cleanup_free_ char *path = ntd_steal(&files->temporaries[i]);

		if (path)
			nftw(path, remove_one, FILES_HANDLES, FTW_DEPTH | FTW_PHYS);
	}
}
