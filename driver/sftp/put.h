/* What the files of the sending side share. */
#pragma once

#include "sftp/internal.h"

#include <dirent.h>

/* A directory of the source, in the order in which they were found: parents before children. */
struct sftp_put_dir {
	char *source, *path;
	unsigned depth;
	struct stat info;
	bool ready;   /* it is there on the server */
	bool existed; /* and was there before: its mode stays */
};

/* A file or a symbolic link on its way. */
struct sftp_put_file {
	struct ntd_list_link link;
	int fd;              /* -1: a link */
	char *source, *path; /* `path` is where it is written */
	char *target;        /* what `path` is renamed to in the end; NULL: nothing */
	char handle[NTD_SFTP_HANDLE_LIMIT];
	size_t handle_len;
	struct stat info;
	uint64_t next, data_end; /* where to read on, and how far there is data from there */
	uint64_t written;        /* how far the file on the server reaches */
	uint64_t counted;        /* of its bytes, in the progress */
	unsigned pending;        /* calls without an answer */
	bool open, sent, renaming;
};

struct sftp_put {
	struct stat info;  /* of the source */
	char *target;      /* where the copy will be */
	char *top;         /* what is renamed to `target` in the end; NULL: nothing */
	bool merge;        /* into a directory that exists: each file is renamed by itself */
	size_t parent_end; /* how much of the parent's path is being made */
	struct ntd_error *parent_error;
	char *refusal; /* what the copy fails of, when it is known whether there is space */
	void (*found_target)(struct ntd_sftp *sftp); /* `target` and `merge` are known */
	ntd_vec(struct sftp_put_dir *) dirs;
	size_t listing; /* the directory that is being read */
	DIR *entries;   /* of it; NULL: not yet */
	struct ntd_list files;
	unsigned file_count, dirs_pending;
	bool began;        /* the target is known */
	bool walked;       /* all of the source has been found */
	size_t modes_left; /* directories that are still to get their modes */
	unsigned modes_pending;
	bool renaming;              /* the last rename has been asked for */
	ntd_vec(char *) made_files; /* the files in `top` that are complete */
	struct sftp_put_cleaning {
		bool begun, removed_files;
		size_t files, dirs; /* how many are still to be removed */
		size_t modes;       /* how many may be written again */
	} cleaning;
};

static inline struct sftp_put *sftp_put_of(struct ntd_sftp *sftp)
{
	return sftp->copy;
}

/* Begins to send a file, or to make a link. `path` and `target` are taken. Consumes `fd`. */
void ntd_sftp_put_file(struct ntd_sftp *sftp, int fd, const struct stat *info, const char *source,
		       char *path, char *target);
void ntd_sftp_put_link(struct ntd_sftp *sftp, const struct stat *info, const char *source,
		       char *path, char *target);
/* Makes calls for the files that have been begun. */
void ntd_sftp_put_pump_files(struct ntd_sftp *sftp);
void ntd_sftp_put_file_free(struct sftp_put_file *file);
/* Finds the target on the server, makes the directories above, and calls `found_target`. */
void ntd_sftp_put_find_target(struct ntd_sftp *sftp);
bool ntd_sftp_put_clean(struct ntd_sftp *sftp);
void ntd_sftp_put_left(struct ntd_sftp *sftp, struct ntd_buf *paths);
/* A path on the server for people, a new string: in a tree, the path that the file will have. */
char *ntd_sftp_put_shown(const struct ntd_sftp *sftp, const char *path);
/* Fails because something could not be made at `path`; `text` says what, with the words of the
 * server, and is taken. A server has no words for a lack of space, so it is asked for that. */
void ntd_sftp_put_fail_for_space(struct ntd_sftp *sftp, const char *path, char *text);
/* The attributes of a file of this host, for the server. */
struct ntd_sftp_attrs ntd_sftp_attrs_of(const struct stat *info);
