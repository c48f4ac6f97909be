/* Files that a thread writes in the background, so that a thread with bytes for one never waits for
 * the disk. */
#pragma once

#include "base/clock.h"
#include "base/error.h"

#include <stdbool.h>

struct ntd_background;
struct ntd_background_file;

/* `limit` bounds the bytes that wait to be written to a file. */
struct ntd_background *ntd_background_new(size_t limit);
/* Waits for the disk as long as until `deadline`, then leaves its thread with what is not
 * written. */
void ntd_background_free(struct ntd_background *background, int64_t deadline);

/* Any thread. Takes the descriptor; NULL when there can be no thread. */
struct ntd_background_file *ntd_background_open(struct ntd_background *background, int fd,
						struct ntd_error **err);
/* Any thread: queues a copy of the bytes. Bytes beyond the limit are dropped, and the file then has
 * a note of how many are missing. After a write that failed (the disk is full), the file stays as
 * it is. */
void ntd_background_write(struct ntd_background_file *file, const char *bytes, size_t len);
/* Any thread: nothing more will come. No-op when the file is NULL. */
void ntd_background_close(struct ntd_background_file *file);

/* Waits until all that was queued before is written; false at the deadline. */
bool ntd_background_flush(struct ntd_background *background, int64_t deadline);
/* The same for a second at most, and not at all while the disk is known to hang, from a wait like
 * this one. */
void ntd_background_settle(struct ntd_background *background);
