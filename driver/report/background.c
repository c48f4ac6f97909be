/* The background thread starts with the first file. It writes one file after the other, the one
 * that has waited longest first: for one file there may come more and more while it is being
 * written. `mutex` guards everything here, is held for a few instructions only, and never while
 * writing.
 */
#include "report/background.h"

#include "base/fd.h"
#include "base/list.h"
#include "base/thread.h"

#define PATIENCE (1 * NTD_SECOND)

struct ntd_background_file {
	struct ntd_background *background;
	struct ntd_list_link link;
	int fd;
	bool closing;
	size_t dropped; /* how many bytes found no room, since `pending` was last taken */
	struct ntd_buf pending;
	/* How many bytes had been queued for all files before the first of those that are pending,
	 * and of those that are being written. NOTHING: there are none. */
	uint64_t pending_since, writing_since;
};

#define NOTHING UINT64_MAX

struct ntd_background {
	pthread_mutex_t mutex;
	pthread_cond_t queued, written;
	size_t limit; /* the most bytes that are pending for a file */
	struct ntd_list files;
	uint64_t queued_count; /* of bytes for all files, since the beginning */
	bool started, closing;
	bool hangs; /* a thread that settled has waited for the disk in vain */
	pthread_t thread;
};

/* ---- the thread */

/* A write that fails closes the descriptor; later bytes are dropped. */
static void write_bytes(int *fd, const struct ntd_buf *bytes)
{
	if (*fd >= 0 && ntd_fd_write_all(*fd, ntd_buf_bytes(bytes), bytes->len) < 0)
		ntd_close_fd(fd);
}

/* The file that has waited longest, or one that is closed and written; NULL: there is no work. */
static struct ntd_background_file *find_work(struct ntd_background *background)
{
	struct ntd_background_file *found = NULL;

	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): forget() unlinks a file before it is freed */
	ntd_list_each (struct ntd_background_file, file, &background->files, link) {
		if (file->pending_since == NOTHING && !file->closing)
			continue;
		if (!found || file->pending_since < found->pending_since)
			found = file;
	}
	return found;
}

static void file_free(struct ntd_background_file *file)
{
	ntd_close_fd(&file->fd);
	ntd_buf_free(&file->pending);
	free(file);
}

static void forget(struct ntd_background_file *file)
{
	ntd_list_unlink(&file->link);
	file_free(file);
}

/* Writes what is pending for the file, or removes a file that is closed and written. The caller
 * holds the mutex, which is released while writing; the file stays, because only this thread
 * removes files. */
static void work(struct ntd_background_file *file)
{
	struct ntd_background *background = file->background;
	struct ntd_buf bytes = file->pending;

	if (file->pending_since == NOTHING) {
		forget(file);
		return;
	}
	if (file->dropped)
		ntd_buf_printf(&bytes,
			       "\n[%zu bytes are missing here: the file was not written fast "
			       "enough]\n",
			       file->dropped);
	file->pending = (struct ntd_buf){0};
	file->dropped = 0;
	file->writing_since = file->pending_since;
	file->pending_since = NOTHING;
	pthread_mutex_unlock(&background->mutex);
	write_bytes(&file->fd, &bytes);
	ntd_buf_free(&bytes);
	pthread_mutex_lock(&background->mutex);
	file->writing_since = NOTHING;
	background->hangs = false;
	pthread_cond_broadcast(&background->written);
}

static void *background_main(void *arg)
{
	struct ntd_background *background = arg;
	struct ntd_background_file *file;

	pthread_mutex_lock(&background->mutex);
	for (;;) {
		file = find_work(background);
		if (file)
			work(file);
		else if (background->closing)
			break;
		else
			pthread_cond_wait(&background->queued, &background->mutex);
	}
	pthread_mutex_unlock(&background->mutex);
	return NULL;
}

/* Starts the thread unless it runs. The caller holds the mutex. */
static int start(struct ntd_background *background, struct ntd_error **err)
{
	if (background->started)
		return 0;
	if (ntd_thread_start(&background->thread, "files", background_main, background, err) < 0)
		return -1;
	background->started = true;
	return 0;
}

/* ---- public */

struct ntd_background *ntd_background_new(size_t limit)
{
	struct ntd_background *background = ntd_calloc(1, sizeof *background);

	background->limit = limit;
	pthread_mutex_init(&background->mutex, NULL);
	pthread_cond_init(&background->queued, NULL);
	pthread_cond_init(&background->written, NULL);
	return background;
}

void ntd_background_free(struct ntd_background *background, int64_t deadline)
{
	struct ntd_background_file *file;

	if (!ntd_background_flush(background, deadline))
		return; /* the thread may never come back, and goes on using the memory */
	pthread_mutex_lock(&background->mutex);
	background->closing = true;
	pthread_cond_signal(&background->queued);
	pthread_mutex_unlock(&background->mutex);
	if (background->started)
		pthread_join(background->thread, NULL);
	while ((file = ntd_list_take(&background->files, struct ntd_background_file, link)))
		file_free(file);
	pthread_cond_destroy(&background->queued);
	pthread_cond_destroy(&background->written);
	pthread_mutex_destroy(&background->mutex);
	free(background);
}

struct ntd_background_file *ntd_background_open(struct ntd_background *background, int fd,
						struct ntd_error **err)
{
	struct ntd_background_file *file = NULL;

	pthread_mutex_lock(&background->mutex);
	if (start(background, err) == 0) {
		file = ntd_calloc(1, sizeof *file);
		*file = (struct ntd_background_file){.background = background,
						     .fd = fd,
						     .pending_since = NOTHING,
						     .writing_since = NOTHING};
		ntd_list_prepend(&background->files, &file->link);
	}
	pthread_mutex_unlock(&background->mutex);
	if (!file)
		close(fd);
	return file;
}

void ntd_background_write(struct ntd_background_file *file, const char *bytes, size_t len)
{
	struct ntd_background *background = file->background;

	if (!len)
		return;
	pthread_mutex_lock(&background->mutex);
	if (file->pending_since == NOTHING)
		file->pending_since = background->queued_count;
	background->queued_count += len;
	if (file->dropped || file->pending.len + len > background->limit)
		file->dropped += len; /* even bytes that would fit again: there is one gap */
	else
		ntd_buf_append(&file->pending, bytes, len);
	pthread_cond_signal(&background->queued);
	pthread_mutex_unlock(&background->mutex);
}

void ntd_background_close(struct ntd_background_file *file)
{
	struct ntd_background *background;

	if (!file)
		return;
	background = file->background;
	pthread_mutex_lock(&background->mutex);
	file->closing = true;
	pthread_cond_signal(&background->queued);
	pthread_mutex_unlock(&background->mutex);
}

/* Whether the first `count` bytes that were queued are written. The caller holds the mutex. */
static bool are_written(struct ntd_background *background, uint64_t count)
{
	ntd_list_each (struct ntd_background_file, file, &background->files, link)
		if (file->pending_since < count || file->writing_since < count)
			return false;
	return true;
}

/* The caller holds the mutex. */
static bool wait_for(struct ntd_background *background, uint64_t count, int64_t deadline)
{
	struct timespec at = {.tv_sec = deadline / NTD_SECOND, .tv_nsec = deadline % NTD_SECOND};
	int late = 0;

	while (!are_written(background, count) && !late)
		late = pthread_cond_clockwait(&background->written, &background->mutex,
					      CLOCK_MONOTONIC, &at);
	return are_written(background, count);
}

bool ntd_background_flush(struct ntd_background *background, int64_t deadline)
{
	bool done;

	pthread_mutex_lock(&background->mutex);
	done = wait_for(background, background->queued_count, deadline);
	pthread_mutex_unlock(&background->mutex);
	return done;
}

void ntd_background_settle(struct ntd_background *background)
{
	pthread_mutex_lock(&background->mutex);
	if (!background->hangs)
		background->hangs =
			!wait_for(background, background->queued_count, ntd_after(PATIENCE));
	pthread_mutex_unlock(&background->mutex);
}
