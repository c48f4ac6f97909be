/* Whole reads and writes. The functions go on after a short count and after a signal, so that no
 * caller has a loop of its own. They are for descriptors that may block the calling thread: files,
 * and pipes that a script or a person reads; the event loop's descriptors do not come here.
 *
 * As the system calls do, they return a negative number and set errno: only the caller can say
 * which file it is.
 */
#pragma once

#include "base/buf.h"

#include <dirent.h>
#include <sys/types.h>

/* Reads until `len` bytes are there or the file ends. Returns how many bytes there are, or -1. */
ssize_t ntd_fd_read(int fd, void *bytes, size_t len);
/* Appends everything up to the end of the file, at most `limit` bytes. Returns 0, or -1 with EFBIG
 * when the file has more, and `limit` + 1 bytes of it or more have been appended. */
int ntd_fd_read_all(int fd, struct ntd_buf *bytes, size_t limit);
/* Reads what has come on a socket, at most `len` bytes, without waiting. Returns how many bytes
 * there are; 0: none now; -1: the other end has closed the connection, or it has failed. */
ssize_t ntd_fd_receive(int fd, void *bytes, size_t len);
/* Returns 0, or -1 when only a part has been written. */
int ntd_fd_write_all(int fd, const void *bytes, size_t len);

/* The entries of the directory `fd`, which closedir() closes. The descriptor is consumed: when NULL
 * is returned, with errno set, it has been closed already. A negative `fd` gives NULL, so that the
 * result of open() can be passed as it is. */
DIR *ntd_fd_entries(int fd);
/* The next entry that is neither "." nor "..", valid until the next call; NULL at the end. */
struct dirent *ntd_fd_next_entry(DIR *entries);
