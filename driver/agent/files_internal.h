/* What the files of the agent's SFTP server share. In a process of its own for each copy
 * (agent/files.c), so that it may block.
 */
#pragma once

#include "agent/files.h"
#include "sftp/packet.h"

#include <dirent.h>
#include <sys/types.h>

enum {
	/* Open files and directories: the client has up to 129 directories in each other open, and
	 * 32 files. */
	FILES_HANDLES = 256,
	FILES_TEMPORARIES = 64,        /* names of what is half written */
	FILES_OUTPUT_SIZE = 128 << 10, /* no request is answered while so much waits */
	FILES_READ_SIZE = 255 << 10,   /* the most of a READ */
};

/* An open file or directory; of a directory, `fd` is that of `entries`. A number is used once. */
struct files_handle {
	uint32_t number; /* 0: the handle is free */
	int fd;
	DIR *entries;
};

struct ntd_files {
	bool greeted;
	mode_t mask;
	struct ntd_buf input, output;
	uint32_t numbers; /* of handles, so far */
	struct files_handle handles[FILES_HANDLES];
	char *temporaries[FILES_TEMPORARIES]; /* NULL: free */
};

/* Answers one request; `request` is behind its number. */
typedef void ntd_files_call(struct ntd_files *files, uint32_t id, struct ntd_sftp_reader *request);

/* NULL: the server does not know the request. */
ntd_files_call *ntd_files_call_of(uint8_t type);

/* ---- answers */

void ntd_files_say_status(struct ntd_files *files, uint32_t id, enum ntd_sftp_code code,
			  const char *words);
/* OK, or, if `result` is negative, the error of errno. */
void ntd_files_say(struct ntd_files *files, uint32_t id, int result);

/* ---- handles and names */

/* Takes the descriptor, or the directory; NULL with errno when there are too many. */
struct files_handle *ntd_files_open(struct ntd_files *files, int fd, DIR *entries);
void ntd_files_close(struct files_handle *handle);
/* The handle that the request names next; NULL, with errno: there is none such. */
struct files_handle *ntd_files_handle(struct ntd_files *files, struct ntd_sftp_reader *request);
/* The path that comes next in the request, a new string; NULL, with errno: it cannot be one. */
char *ntd_files_path(struct ntd_sftp_reader *request);
/* Whether the path may be made: if it is that of a temporary, there must be room to remember it. -1
 * with errno. */
int ntd_files_may_make(const struct ntd_files *files, const char *path);
/* The path has been made; or it is there no more under this name. */
void ntd_files_made(struct ntd_files *files, const char *path);
void ntd_files_forget(struct ntd_files *files, const char *path);
/* Closes all handles, and removes what is half written. */
void ntd_files_clean(struct ntd_files *files);
