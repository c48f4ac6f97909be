/* What the files of the receiving side share. */
#pragma once

#include "sftp/internal.h"

/* A directory that is being copied. It is held by its listing, and by each of its entries that
 * still needs the descriptor; with the last of them it gets its mode. */
struct sftp_get_dir {
	struct ntd_list_link link;  /* in the list of all */
	struct sftp_get_dir *above; /* held; NULL: the parent of the target */
	unsigned holds, depth;
	int fd;            /* -1: its turn has not come */
	char *path, *name; /* in the guest; below `above` on this host */
	char *real;        /* in the guest, without links; NULL: links are copied as they are */
	struct ntd_sftp_attrs attrs;
	char handle[NTD_SFTP_HANDLE_LIMIT];
	size_t handle_len;
	struct ntd_buf names; /* the last answer's, of which `rest` and `count` are left */
	struct ntd_sftp_reader rest;
	uint32_t count;
	unsigned seen; /* names so far */
	bool reading, ended;
};

/* A file on its way. */
struct sftp_get_file {
	struct ntd_list_link link;
	int fd;
	char *path;
	struct ntd_sftp_attrs attrs;
	char handle[NTD_SFTP_HANDLE_LIMIT];
	size_t handle_len;
	uint64_t next, end; /* what is asked for next; where the file ends, as far as is known */
	uint64_t received;  /* bytes, for the progress */
	uint64_t data_end; /* how far there is data from `next` on, where the server can say that */
	unsigned pending;
	bool open, sized; /* its size is known */
	bool seeking;     /* the server has been asked where there is data */
};

/* An entry of a directory about which the server has been asked. */
struct sftp_get_entry {
	struct ntd_list_link link;
	struct sftp_get_dir *dir; /* held; NULL: the target's */
	char *name, *path;
	struct ntd_sftp_attrs attrs;
};

struct sftp_get_shut {
	char *path;
	mode_t mode;
};

struct sftp_get {
	int parent;             /* the directory of the target; -1 */
	char *name, *temporary; /* in it: the target and what becomes it */
	char *target;           /* the path, for messages */
	bool made;              /* there is something at `temporary` */
	bool began, exists;     /* there was a file at `name` before */
	bool is_directory;
	/* Begins with a symbolic link. */
	void (*link)(struct ntd_sftp *sftp, struct sftp_get_dir *dir, const char *name,
		     const char *path, const struct ntd_sftp_attrs *attrs);
	struct ntd_sftp_attrs attrs; /* the directory's, until its path without links is known */
	struct ntd_list files, entries, dirs; /* what is on its way */
	unsigned file_count, entry_count;
	uint64_t asked;                       /* bytes of files */
	ntd_vec(struct sftp_get_dir *) stack; /* directories that are to be listed */
	/* Directories whose modes forbid to write: their paths below `temporary`, in the order in
	 * which they get their modes in the end. */
	ntd_vec(struct sftp_get_shut) shut;
};

static inline struct sftp_get *sftp_get_of(struct ntd_sftp *sftp)
{
	return sftp->copy;
}

/* Begins to receive a file whose name on this host has been made; takes the descriptor. */
void ntd_sftp_get_file(struct ntd_sftp *sftp, int fd, const char *path,
		       const struct ntd_sftp_attrs *attrs);
void ntd_sftp_get_pump_files(struct ntd_sftp *sftp);
void ntd_sftp_get_file_free(struct sftp_get_file *file);
/* Begins with an entry of a directory of this host, `dir` or, if it is NULL, the target's. `real`:
 * its path without links, if it is a directory and that is not its name in the directory; or
 * NULL. */
void ntd_sftp_get_entry(struct ntd_sftp *sftp, struct sftp_get_dir *dir, const char *name,
			const char *path, const struct ntd_sftp_attrs *attrs, const char *real);
/* An entry that waits for an answer; it holds the directory until it ends. */
struct sftp_get_entry *ntd_sftp_get_wait(struct ntd_sftp *sftp, struct sftp_get_dir *dir,
					 const char *name, const char *path,
					 const struct ntd_sftp_attrs *attrs);
void ntd_sftp_get_end(struct ntd_sftp *sftp, struct sftp_get_entry *entry);
/* The descriptor of the directory on this host. */
int ntd_sftp_get_fd(struct ntd_sftp *sftp, const struct sftp_get_dir *dir);
/* The copy on this host cannot be made; errno says why. */
void ntd_sftp_get_cannot_make(struct ntd_sftp *sftp, const char *path);
/* get_link.c: the `link` of each copy. */
void ntd_sftp_get_link(struct ntd_sftp *sftp, struct sftp_get_dir *dir, const char *name,
		       const char *path, const struct ntd_sftp_attrs *attrs);
/* Reads the path of an answer to REALPATH, a new string; NULL: the copy has failed, as that cannot
 * be the path of `path`. */
char *ntd_sftp_get_real(struct ntd_sftp *sftp, const struct ntd_sftp_answer *answer,
			const char *path);
/* Lists directories and begins with what is in them. */
void ntd_sftp_get_walk(struct ntd_sftp *sftp);
/* Sets the modes of directories that forbid to write; `top` is the tree. -1 with errno. */
int ntd_sftp_get_shut(struct sftp_get *get, int top);
/* Forgets all directories and entries. */
void ntd_sftp_get_free_tree(struct sftp_get *get);
