/* Files that one thread, the background thread, writes, so that no other thread waits for the disk.
 * The raw consoles of machines are written this way. */
#pragma once

#include "base/clock.h"
#include "base/error.h"

#include <stdbool.h>

struct ntd_background;
struct ntd_background_file;

/* `limit`: the most bytes that may wait to be written to each file. */
struct ntd_background *ntd_background_new(size_t limit);
/* Writes what is queued, closes the files and frees the memory. When the disk is not ready until
 * `deadline`, the background thread keeps all of this. */
void ntd_background_free(struct ntd_background *background, int64_t deadline);

/* Any thread: makes a file of the descriptor, which the file owns from now on, also on failure.
 * NULL with an error when there can be no thread. */
struct ntd_background_file *ntd_background_open(struct ntd_background *background, int fd,
						struct ntd_error **err);
/* Any thread: queues a copy of the bytes. Bytes beyond the limit are dropped, and a note in the
 * file says how many are missing. After a write that failed (the disk is full), the file gets
 * nothing more. */
void ntd_background_write(struct ntd_background_file *file, const char *bytes, size_t len);
/* Any thread: closes the file when everything that is queued for it is written. The caller must not
 * use the file any more. No-op for NULL. */
void ntd_background_close(struct ntd_background_file *file);

/* Waits until everything that was queued before is written; false at the deadline. */
bool ntd_background_flush(struct ntd_background *background, int64_t deadline);
/* Does the same for a second at most. After a wait that took the whole second the disk is known to
 * hang, and until the next write ends, further calls return at once. */
void ntd_background_settle(struct ntd_background *background);
