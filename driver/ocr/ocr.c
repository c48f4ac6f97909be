/* Text recognition. Scripts' threads begin, ask about and drop jobs; worker threads run them; the
 * loop thread tells the end of each.
 *
 * Workers take jobs from one queue. Each worker makes its engine at its first job, which costs 80
 * ms and 25 to 60 MB. An engine works on one core: libtesseract's own division of each line among
 * threads is slower than no division (720 x 400 text console, two processors: 4.1 s against 0.7 s),
 * while whole pictures divide well.
 *
 * A job has two owners, which may let go of it in any order: the thread that began it, and the
 * worker's side, which is the queue, then the worker, then a task on the loop that tells the end.
 * The request that waits for the job is touched on the loop thread only.
 */
#include "ocr/ocr.h"

#include "base/list.h"
#include "base/thread.h"
#include "ocr/engine.h"

#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#define AT_AN_END "text recognition has ended with the run"
#define USERS_PATIENCE (1 * NTD_SECOND)

struct ntd_ocr {
	struct ntd_loop *loop;
	struct ntd_ocr_library library;
	size_t worker_limit;
	/* TESSDATA_PREFIX as it was at the start, or NULL: workers do not read the environment,
	 * which scripts change. */
	char *data;
	pthread_mutex_t making; /* held to make an engine: all share the library's settings */

	pthread_mutex_t mutex; /* guards the rest */
	pthread_cond_t work, unreferenced;
	unsigned references;
	struct ntd_list queue; /* jobs that no worker has taken */
	size_t queued, idle;
	pthread_t *workers;
	size_t worker_count;
	atomic_bool closing; /* read without the mutex, too */
};

struct ntd_ocr_job {
	struct ntd_ocr *ocr; /* a reference */
	atomic_int references;
	enum ntd_picture_variant variant;
	struct ntd_buf picture;
	atomic_bool dropped, ended;
	char *text; /* once ended; NULL: there is `error` */
	struct ntd_error *error;
	int64_t took;
	struct ntd_request *request; /* of the loop thread; NULL: no thread waits */
	struct ntd_task tell;
	struct ntd_list_link link; /* in the queue, with the mutex */
};

/* ---- one job */

static void job_unref(struct ntd_ocr_job *job)
{
	if (atomic_fetch_sub(&job->references, 1) > 1)
		return;
	ntd_ocr_unref(job->ocr);
	ntd_buf_free(&job->picture);
	free(job->text);
	ntd_error_free(job->error);
	free(job);
}

/* Loop thread: completes the request that waits for the job, if both are that far. */
static void complete_request(struct ntd_ocr_job *job)
{
	if (!job->request || !job->ended)
		return;
	job->request->abandon(job->request); /* it may wait for something else as well */
	ntd_request_complete(job->request, NULL);
}

static void tell(struct ntd_task *task)
{
	struct ntd_ocr_job *job = ntd_container_of(task, struct ntd_ocr_job, tell);

	complete_request(job);
	job_unref(job);
}

/* Ends the worker's side of the job. */
static void finish(struct ntd_ocr_job *job)
{
	job->ended = true;
	job->tell.run = tell;
	if (job->dropped)
		job_unref(job);
	else
		ntd_loop_post(job->ocr->loop, &job->tell);
}

/* ---- workers */

/* Called by the engine between lines. */
static bool is_unwanted(void *arg, int words)
{
	const struct ntd_ocr_job *job = arg;

	return job->dropped || job->ocr->closing;
}

/* Makes the worker's engine first, if it has none. */
static void recognize(struct ntd_ocr *ocr, struct TessBaseAPI **engine, struct ntd_ocr_job *job)
{
	if (!*engine) {
		pthread_mutex_lock(&ocr->making);
		*engine = ntd_ocr_engine_make(&ocr->library, ocr->data, &job->error);
		pthread_mutex_unlock(&ocr->making);
	}
	if (*engine)
		job->text = ntd_ocr_engine_read(&ocr->library, *engine, &job->picture, job->variant,
						is_unwanted, job, &job->error);
}

/* With the mutex. */
static void enqueue(struct ntd_ocr *ocr, struct ntd_ocr_job *job)
{
	ntd_list_append(&ocr->queue, &job->link);
	ocr->queued++;
}

/* With the mutex: takes a job out of the queue; false when it was not there. */
static bool dequeue(struct ntd_ocr *ocr, struct ntd_ocr_job *job)
{
	if (!ntd_list_linked(&job->link))
		return false;
	ntd_list_unlink(&job->link);
	ocr->queued--;
	return true;
}

/* Waits for the next job and takes it; NULL at the end. */
static struct ntd_ocr_job *take(struct ntd_ocr *ocr)
{
	struct ntd_ocr_job *job;

	pthread_mutex_lock(&ocr->mutex);
	ocr->idle++;
	while (ntd_list_empty(&ocr->queue) && !ocr->closing)
		pthread_cond_wait(&ocr->work, &ocr->mutex);
	ocr->idle--;
	job = ocr->closing ? NULL : ntd_list_first(&ocr->queue, struct ntd_ocr_job, link);
	if (job)
		dequeue(ocr, job);
	pthread_mutex_unlock(&ocr->mutex);
	return job;
}

static void *work(void *arg)
{
	struct ntd_ocr *ocr = arg;
	struct TessBaseAPI *engine = NULL;
	struct ntd_ocr_job *job;

	/* Together they limit this thread's parallel regions to itself, even those that ask for
	 * more. */
	if (ocr->library.omp_set_dynamic && ocr->library.omp_set_num_threads) {
		ocr->library.omp_set_dynamic(true);
		ocr->library.omp_set_num_threads(1);
	}
	while ((job = take(ocr))) {
		int64_t began = ntd_now();

		recognize(ocr, &engine, job);
		job->took = ntd_now() - began;
		finish(job);
	}
	if (engine)
		ocr->library.TessBaseAPIDelete(engine);
	return NULL;
}

/* With the mutex. If the thread cannot be started, there is one worker less. */
static void start_worker(struct ntd_ocr *ocr)
{
	if (ntd_thread_start(&ocr->workers[ocr->worker_count], "ocr", work, ocr, NULL) == 0)
		ocr->worker_count++;
}

/* ---- all of it */

size_t ntd_ocr_default_workers(void)
{
	const char *text = getenv("NIX_BUILD_CORES"); /* 0: all */
	long wanted = text ? strtol(text, NULL, 10) : 0;
	cpu_set_t processors;
	long cores = 1;

	if (sched_getaffinity(0, sizeof processors, &processors) == 0)
		cores = CPU_COUNT(&processors);
	if (wanted > 0 && wanted < cores)
		cores = wanted;
	return cores > 1 ? (size_t)cores - 1 : 1;
}

struct ntd_ocr *ntd_ocr_new(struct ntd_loop *loop, size_t workers, struct ntd_error **err)
{
	struct ntd_ocr *ocr = ntd_calloc(1, sizeof *ocr);
	const char *data = getenv("TESSDATA_PREFIX");

	ocr->loop = loop;
	ocr->data = data ? ntd_strdup(data) : NULL;
	ocr->references = 1;
	ocr->worker_limit = workers;
	ocr->workers = ntd_calloc(ocr->worker_limit, sizeof *ocr->workers);
	pthread_mutex_init(&ocr->making, NULL);
	pthread_mutex_init(&ocr->mutex, NULL);
	pthread_cond_init(&ocr->work, NULL);
	pthread_cond_init(&ocr->unreferenced, NULL);
	if (ntd_ocr_library_load(&ocr->library, err) == 0)
		return ocr;
	ntd_ocr_unref(ocr);
	return NULL;
}

void ntd_ocr_ref(struct ntd_ocr *ocr)
{
	pthread_mutex_lock(&ocr->mutex);
	ocr->references++;
	pthread_mutex_unlock(&ocr->mutex);
}

void ntd_ocr_unref(struct ntd_ocr *ocr)
{
	bool last;

	pthread_mutex_lock(&ocr->mutex);
	last = --ocr->references == 0;
	pthread_cond_broadcast(&ocr->unreferenced);
	pthread_mutex_unlock(&ocr->mutex);
	if (!last)
		return;
	pthread_mutex_destroy(&ocr->making);
	pthread_mutex_destroy(&ocr->mutex);
	pthread_cond_destroy(&ocr->work);
	pthread_cond_destroy(&ocr->unreferenced);
	free(ocr->workers);
	free(ocr->data);
	free(ocr);
}

static void refuse(struct ntd_ocr_job *job, enum ntd_errc code, const char *why)
{
	ntd_error_set(&job->error, code, "%s", why);
	finish(job);
}

/* From now on no job is put into the queue, and no worker takes one from there. */
static void stop(struct ntd_ocr *ocr)
{
	pthread_mutex_lock(&ocr->mutex);
	ocr->closing = true;
	pthread_cond_broadcast(&ocr->work);
	pthread_mutex_unlock(&ocr->mutex);
}

/* Takes a job that no worker has taken from the queue; NULL when there is none. */
static struct ntd_ocr_job *take_back(struct ntd_ocr *ocr)
{
	struct ntd_ocr_job *job;

	pthread_mutex_lock(&ocr->mutex);
	job = ntd_list_first(&ocr->queue, struct ntd_ocr_job, link);
	if (job)
		dequeue(ocr, job);
	pthread_mutex_unlock(&ocr->mutex);
	return job;
}

static void wait_for_users(struct ntd_ocr *ocr, int64_t deadline)
{
	struct timespec until = {.tv_sec = deadline / NTD_SECOND, .tv_nsec = deadline % NTD_SECOND};

	pthread_mutex_lock(&ocr->mutex);
	while (ocr->references > 1 && pthread_cond_clockwait(&ocr->unreferenced, &ocr->mutex,
							     CLOCK_MONOTONIC, &until) == 0)
		;
	pthread_mutex_unlock(&ocr->mutex);
}

void ntd_ocr_close(struct ntd_ocr *ocr)
{
	struct ntd_ocr_job *job;

	stop(ocr);
	while ((job = take_back(ocr)))
		refuse(job, NTD_E_CANCELLED, AT_AN_END);
	while (ocr->worker_count)
		pthread_join(ocr->workers[--ocr->worker_count], NULL);
	wait_for_users(ocr, ntd_after(USERS_PATIENCE));
}

size_t ntd_ocr_workers(const struct ntd_ocr *ocr)
{
	return ocr->worker_limit;
}

/* ---- the thread that begins a job */

/* With the mutex: hands the worker's side of the job to the queue, or ends the job with an error.
 */
static void submit(struct ntd_ocr *ocr, struct ntd_ocr_job *job)
{
	if (ocr->closing) {
		refuse(job, NTD_E_CANCELLED, AT_AN_END);
		return;
	}
	if (ocr->queued >= ocr->idle && ocr->worker_count < ocr->worker_limit)
		start_worker(ocr);
	if (!ocr->worker_count) {
		refuse(job, NTD_E_MACHINE, "OCR requested but no thread can be started for it");
		return;
	}
	enqueue(ocr, job);
	pthread_cond_signal(&ocr->work);
}

struct ntd_ocr_job *ntd_ocr_begin(struct ntd_ocr *ocr, const struct ntd_buf *picture,
				  enum ntd_picture_variant variant)
{
	struct ntd_ocr_job *job = ntd_calloc(1, sizeof *job);

	ntd_ocr_ref(ocr);
	job->ocr = ocr;
	job->references = 2;
	job->variant = variant;
	ntd_buf_append(&job->picture, ntd_buf_bytes(picture), picture->len);
	pthread_mutex_lock(&ocr->mutex);
	submit(ocr, job);
	pthread_mutex_unlock(&ocr->mutex);
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): counted; this reference still holds it */
	return job;
}

struct attachment {
	struct ntd_ocr_job *job;
	struct ntd_request *request;
};

static void attach(void *arg)
{
	struct attachment *attachment = arg;

	attachment->job->request = attachment->request;
	complete_request(attachment->job);
}

void ntd_ocr_tell(struct ntd_ocr_job *job, struct ntd_request *request)
{
	ntd_loop_call(job->ocr->loop, attach, &(struct attachment){.job = job, .request = request});
}

bool ntd_ocr_has_ended(const struct ntd_ocr_job *job)
{
	return job->ended;
}

const char *ntd_ocr_text(struct ntd_ocr_job *job, double *seconds, struct ntd_error **err)
{
	*seconds = ntd_seconds(job->took);
	if (job->error)
		ntd_error_move(err, ntd_error_copy(job->error));
	return job->text;
}

void ntd_ocr_drop(struct ntd_ocr_job *job)
{
	struct ntd_ocr *ocr = job ? job->ocr : NULL;
	bool was_queued;

	if (!job)
		return;
	job->dropped = true;
	pthread_mutex_lock(&ocr->mutex);
	was_queued = dequeue(ocr, job);
	pthread_mutex_unlock(&ocr->mutex);
	if (was_queued)
		job_unref(job);
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): counted; this reference still holds it */
	job_unref(job);
}
