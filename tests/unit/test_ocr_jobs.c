/* Tests of OCR's jobs: errors, waiters that give up, the end, and several workers. */
#include "ocr_fixture.h"

#include <dirent.h>
#include <pthread.h>

/* ---- jobs */

static void a_job_fails_with_its_own_error(void **state)
{
	struct ntd_buf picture = bytes_of("nothing of the kind");
	struct ntd_error *err = NULL;

	needs_library(state);
	assert_null(text_of(*state, &picture, NTD_PICTURE_RAW, &err));
	assert_error(err, NTD_E_MACHINE, "cannot be read");
	ntd_buf_free(&picture);
}

/* Returns a picture whose recognition takes a while. */
static struct ntd_buf long_work(void)
{
	struct canvas canvas = canvas_of(1000, 1000, 0xffffff);

	for (int y = 0; y < 48; y++)
		draw(&canvas, 10, 10 + 20 * y, 2, 0, "HELLO WORLD HELLO WORLD HELLO WORLD");
	return encoded(canvas);
}

static void a_waiter_may_give_up(void **state)
{
	struct ntd_buf picture = long_work();
	struct ntd_ocr_job *jobs[3];
	struct fixture *fixture = *state;
	int64_t began = ntd_now();

	needs_library(state);
	for (size_t i = 0; i < unit_count(jobs); i++) {
		jobs[i] = ntd_ocr_begin(fixture->ocr, &picture, NTD_PICTURE_RAW);
		assert_fails(wait_for(fixture, jobs[i], 10 * NTD_MS, &err), NTD_E_TIMEOUT,
			     "timed out");
		assert_false(ntd_ocr_has_ended(jobs[i]));
	}
	for (size_t i = 0; i < unit_count(jobs); i++)
		ntd_ocr_drop(jobs[i]); /* the first job is in work, the others are queued */
	assert_reads(fixture, picture_with("HELLO", 0, 0xffffff), NTD_PICTURE_RAW, "HELL");
	print_message("%.2f s until another job was done\n", ntd_seconds(ntd_now() - began));
	ntd_buf_free(&picture);
}

/* The engine stops between lines, so that the next picture need not wait for all of the work. */
static void work_that_nobody_wants_is_stopped(void **state)
{
	enum { TIMES = 4 };
	struct fixture *fixture = *state;
	struct ntd_buf picture = long_work();
	int64_t began = ntd_now(), whole;

	needs_library(state);
	free(text_of(fixture, &picture, NTD_PICTURE_RAW, NULL));
	whole = ntd_now() - began;
	began = ntd_now();
	for (size_t i = 0; i < TIMES; i++) {
		struct ntd_ocr_job *job = ntd_ocr_begin(fixture->ocr, &picture, NTD_PICTURE_RAW);

		assert_fails(wait_for(fixture, job, 20 * NTD_MS, &err), NTD_E_TIMEOUT, "timed out");
		ntd_ocr_drop(job);
		assert_reads(fixture, picture_with("HELLO", 0, 0xffffff), NTD_PICTURE_RAW, "HELL");
	}
	assert_true(ntd_now() - began < TIMES / 2 * whole);
	ntd_buf_free(&picture);
}

static void a_job_that_has_ended_tells_at_once(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_buf picture = bytes_of("nothing");
	struct ntd_ocr_job *job;

	needs_library(state);
	job = ntd_ocr_begin(fixture->ocr, &picture, NTD_PICTURE_RAW);
	assert_int_equal(wait_for(fixture, job, 60 * NTD_SECOND, NULL), 0);
	assert_true(ntd_ocr_has_ended(job));
	assert_int_equal(wait_for(fixture, job, 60 * NTD_SECOND, NULL), 0);
	ntd_ocr_drop(job);
	ntd_buf_free(&picture);
}

static void the_end_refuses_jobs_and_ends_those_that_are(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_buf picture = long_work();
	struct ntd_ocr_job *jobs[3];
	double seconds;

	needs_library(state);
	for (size_t i = 0; i < 2; i++)
		jobs[i] = ntd_ocr_begin(fixture->ocr, &picture, NTD_PICTURE_RAW);
	ntd_ocr_close(fixture->ocr);
	jobs[2] = ntd_ocr_begin(fixture->ocr, &picture, NTD_PICTURE_RAW);
	for (size_t i = 0; i < unit_count(jobs); i++) {
		struct ntd_error *err = NULL;

		assert_int_equal(wait_for(fixture, jobs[i], 10 * NTD_SECOND, NULL), 0);
		assert_null(ntd_ocr_text(jobs[i], &seconds, &err));
		ntd_error_free(err);
		ntd_ocr_drop(jobs[i]);
	}
	ntd_buf_free(&picture);
}

/* ---- several workers and waiters */

struct client {
	struct fixture *fixture;
	pthread_t thread;
	int failures;
};

static void *read_some(void *arg)
{
	struct client *client = arg;

	for (enum ntd_picture_variant i = 0; i < NTD_PICTURE_VARIANT_COUNT; i++) {
		struct ntd_buf picture = picture_with("HELLO WORLD", 0, 0xffffff);
		char *text = text_of(client->fixture, &picture, i, NULL);

		client->failures += !text || !strstr(text, "HELL");
		free(text);
		ntd_buf_free(&picture);
	}
	return NULL;
}

static void many_threads_use_many_workers(void **state)
{
	struct fixture *fixture = *state, many;
	struct client clients[6];

	needs_library(state);
	many = *fixture;
	many.ocr = ntd_ocr_new(fixture->loop, 3, NULL);
	assert_int_equal(ntd_ocr_workers(many.ocr), 3);
	for (size_t i = 0; i < unit_count(clients); i++) {
		clients[i] = (struct client){.fixture = &many};
		assert_int_equal(pthread_create(&clients[i].thread, NULL, read_some, &clients[i]),
				 0);
	}
	for (size_t i = 0; i < unit_count(clients); i++)
		pthread_join(clients[i].thread, NULL);
	ntd_ocr_close(many.ocr);
	ntd_ocr_unref(many.ocr);
	for (size_t i = 0; i < unit_count(clients); i++)
		assert_int_equal(clients[i].failures, 0);
}

static size_t threads_of_this_process(void)
{
	DIR *tasks = opendir("/proc/self/task");
	size_t count = 0;

	while (readdir(tasks))
		count++;
	closedir(tasks);
	return count;
}

/* The engine must not start threads by OpenMP, which would stay. */
static void an_engine_keeps_to_its_thread(void **state)
{
	size_t before = threads_of_this_process();

	needs_library(state);
	assert_reads(*state, picture_with("HELLO", 0, 0xffffff), NTD_PICTURE_RAW, "HELL");
	assert_int_equal(threads_of_this_process(), before + 1);
}

static void workers_are_limited_by_the_environment(void **state)
{
	const struct {
		const char *cores;
		size_t most;
	} cases[] = {{"1", 1}, {"2", 1}, {"3", 2}, {"0", 4096}, {"many", 4096}};

	for (size_t i = 0; i < unit_count(cases); i++) {
		setenv("NIX_BUILD_CORES", cases[i].cores, true);
		assert_in_range(ntd_ocr_default_workers(), 1, cases[i].most);
	}
	unsetenv("NIX_BUILD_CORES");
}

/* The error names the directory without data. */
static void data_that_is_missing_is_named(void **state)
{
	struct ntd_buf picture = picture_with("HELLO", 0, 0xffffff);
	struct ntd_error *err = NULL;
	struct fixture *fixture;

	needs_library(state);
	fixture = *state;
	ntd_ocr_close(fixture->ocr);
	ntd_ocr_unref(fixture->ocr);
	setenv("TESSDATA_PREFIX", "/nonexistent/tessdata", true);
	fixture->ocr = ntd_ocr_new(fixture->loop, 1, NULL);
	unsetenv("TESSDATA_PREFIX");
	assert_null(text_of(fixture, &picture, NTD_PICTURE_RAW, &err));
	assert_error(err, NTD_E_MACHINE,
		     "eng.traineddata that it can use in "
		     "TESSDATA_PREFIX=/nonexistent/tessdata");
	ntd_buf_free(&picture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_library(a_job_fails_with_its_own_error),
		with_library(a_waiter_may_give_up),
		with_library(work_that_nobody_wants_is_stopped),
		with_library(a_job_that_has_ended_tells_at_once),
		with_library(the_end_refuses_jobs_and_ends_those_that_are),
		with_library(many_threads_use_many_workers),
		with_library(an_engine_keeps_to_its_thread),
		cmocka_unit_test(workers_are_limited_by_the_environment),
		with_library(data_that_is_missing_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
