/* Tests of OCR with the real library: recognition of drawn text, the preparation of pictures, jobs
 * that are given up, and several workers. Without the library or its data the tests are skipped.
 */
#include "unit.h"

#include "ocr/ocr.h"

#include <dirent.h>
#include <pthread.h>
#include <stdbool.h>

/* ---- pictures with text */

enum { GLYPH_WIDTH = 5, GLYPH_HEIGHT = 7, WIDTH = 360, HEIGHT = 120 };

/* A font: rows of five pixels. Tests look for HELL of HELLO, since round letters are hard to
 * recognise in a font this coarse. */
static const struct {
	char letter;
	const char *rows;
} font[] = {
	{'D', "####. #...# #...# #...# #...# #...# ####."},
	{'E', "##### #.... #.... ####. #.... #.... #####"},
	{'H', "#...# #...# #...# ##### #...# #...# #...#"},
	{'L', "#.... #.... #.... #.... #.... #.... #####"},
	{'O', ".###. #...# #...# #...# #...# #...# .###."},
	{'R', "####. #...# #...# ####. #.#.. #..#. #...#"},
	{'W', "#...# #...# #...# #.#.# #.#.# ##.## #...#"},
};

struct canvas {
	int width, height;
	uint8_t *pixels; /* RGB */
};

static struct canvas canvas_of(int width, int height, uint32_t colour)
{
	struct canvas canvas = {.width = width, .height = height};

	canvas.pixels = ntd_malloc((size_t)width * (size_t)height * 3);
	for (size_t i = 0; i < (size_t)width * (size_t)height * 3; i++)
		canvas.pixels[i] = (uint8_t)(colour >> (16 - 8 * (i % 3)));
	return canvas;
}

static void fill(const struct canvas *canvas, int left, int top, int size, uint32_t colour)
{
	for (int y = top; y < top + size; y++)
		for (int x = left; x < left + size; x++)
			for (int i = 0; i < 3; i++)
				canvas->pixels[(y * canvas->width + x) * 3 + i] =
					(uint8_t)(colour >> (16 - 8 * i));
}

static void draw_letter(const struct canvas *canvas, int left, int top, int size, uint32_t colour,
			char letter)
{
	for (size_t i = 0; i < unit_count(font); i++)
		for (int y = 0; font[i].letter == letter && y < GLYPH_HEIGHT; y++)
			for (int x = 0; x < GLYPH_WIDTH; x++)
				if (font[i].rows[y * (GLYPH_WIDTH + 1) + x] == '#')
					fill(canvas, left + x * size, top + y * size, size, colour);
}

/* Draws text; `size` is the width of a pixel of the font. */
static void draw(const struct canvas *canvas, int left, int top, int size, uint32_t colour,
		 const char *text)
{
	for (; *text; text++, left += (GLYPH_WIDTH + 1) * size)
		draw_letter(canvas, left, top, size, colour, *text);
}

/* Returns the canvas as a PPM picture and frees the canvas. */
static struct ntd_buf encoded(struct canvas canvas)
{
	struct ntd_buf picture = {0};

	ntd_buf_printf(&picture, "P6\n%d %d\n255\n", canvas.width, canvas.height);
	ntd_buf_append(&picture, canvas.pixels, (size_t)canvas.width * (size_t)canvas.height * 3);
	free(canvas.pixels);
	return picture;
}

static struct ntd_buf picture_with(const char *text, uint32_t paper, uint32_t ink)
{
	struct canvas canvas = canvas_of(WIDTH, HEIGHT, paper);

	draw(&canvas, 30, 40, 4, ink, text);
	return encoded(canvas);
}

/* ---- the library and the engines */

struct fixture {
	struct ntd_loop *loop;
	struct ntd_ocr_library library;
	struct ntd_ocr *ocr;
};

static int set_up(void **state)
{
	static struct fixture fixture;
	_cleanup_error_ struct ntd_error *err = NULL;

	fixture = (struct fixture){0};
	*state = NULL;
	if (ntd_ocr_library_load(&fixture.library, &err) < 0) {
		print_message("%s\n", err->message);
		return 0;
	}
	fixture.loop = ntd_loop_new(NULL);
	fixture.ocr = ntd_ocr_new(fixture.loop, 1, NULL);
	*state = &fixture;
	return fixture.ocr ? 0 : -1;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	if (fixture) {
		ntd_ocr_close(fixture->ocr);
		ntd_ocr_unref(fixture->ocr);
		ntd_loop_free(fixture->loop);
	}
	return 0;
}

/* A request that only a job or its waiter ends. */
struct wait {
	struct ntd_request request;
	bool begun, abandoned;
};

static void wait_begin(struct ntd_request *request)
{
	ntd_container_of(request, struct wait, request)->begun = true;
}

static void wait_abandon(struct ntd_request *request)
{
	ntd_container_of(request, struct wait, request)->abandoned = true;
}

/* Waits for a job as the driver's own waits do. */
static int wait_for(struct fixture *fixture, struct ntd_ocr_job *job, int64_t patience,
		    struct ntd_error **err)
{
	struct wait wait = {.request = {.begin = wait_begin, .abandon = wait_abandon}};
	int result;

	ntd_request_begin(fixture->loop, &wait.request);
	ntd_ocr_tell(job, &wait.request);
	result = ntd_request_wait(&wait.request, ntd_after(patience), NULL, err);
	ntd_ocr_tell(job, NULL);
	return result;
}

/* Returns the text of the picture, a new string. */
static char *text_of(struct fixture *fixture, const struct ntd_buf *picture,
		     enum ntd_picture_variant variant, struct ntd_error **err)
{
	struct ntd_ocr_job *job = ntd_ocr_begin(fixture->ocr, picture, variant);
	int result = wait_for(fixture, job, 60 * NTD_SECOND, err);
	char *copy = NULL;
	const char *text;
	double seconds;

	if (result == 0) {
		text = ntd_ocr_text(job, &seconds, err);
		copy = text ? ntd_strdup(text) : NULL;
	}
	ntd_ocr_drop(job);
	return copy;
}

#define needs_library(state)                                                                       \
	do {                                                                                       \
		if (!*(state))                                                                     \
			skip();                                                                    \
	} while (0)

/* ---- recognition */

static void assert_reads(struct fixture *fixture, struct ntd_buf picture,
			 enum ntd_picture_variant variant, const char *expected)
{
	struct ntd_error *err = NULL;
	char *text = text_of(fixture, &picture, variant, &err);

	assert_no_error(err);
	if (!strstr(text, expected))
		assert_string_equal(text, expected); /* shows both */
	free(text);
	ntd_buf_free(&picture);
}

static void every_variant_reads_plain_text(void **state)
{
	needs_library(state);
	for (enum ntd_picture_variant i = 0; i < NTD_PICTURE_VARIANT_COUNT; i++) {
		assert_reads(*state, picture_with("HELLO WORLD", 0xffffff, 0), i, "HELL");
		assert_reads(*state, picture_with("HELLO WORLD", 0, 0xaaaaaa), i, "HELL");
	}
}

/* Two variants exist because text in a middle colour is lost in one of them only. */
static void a_colour_between_is_with_the_paper_or_with_the_ink(void **state)
{
	struct canvas canvas;
	struct ntd_buf picture;
	char *dark, *bright;

	needs_library(state);
	canvas = canvas_of(WIDTH, 2 * HEIGHT, 0x808080);
	draw(&canvas, 30, 40, 4, 0, "HELLO");
	draw(&canvas, 30, HEIGHT + 40, 4, 0xffffff, "WHEEL");
	picture = encoded(canvas);
	dark = text_of(*state, &picture, NTD_PICTURE_CONTRAST, NULL);
	bright = text_of(*state, &picture, NTD_PICTURE_NEGATED, NULL);
	assert_true(strstr(dark, "HELL") && !strstr(dark, "HEEL"));
	assert_true(strstr(bright, "HEEL") && !strstr(bright, "HELL"));
	free(dark);
	free(bright);
	ntd_buf_free(&picture);
}

static void an_empty_screen_has_no_text(void **state)
{
	needs_library(state);
	for (enum ntd_picture_variant i = 0; i < NTD_PICTURE_VARIANT_COUNT; i++) {
		struct ntd_buf picture = encoded(canvas_of(WIDTH, HEIGHT, 0));
		char *text = text_of(*state, &picture, i, NULL);

		assert_string_equal(text, "");
		free(text);
		ntd_buf_free(&picture);
	}
}

/* ---- pictures */

static struct Pix *variant_of(struct fixture *fixture, struct ntd_buf picture,
			      enum ntd_picture_variant variant, struct ntd_error **err)
{
	struct Pix *pix = ntd_picture_variant(&fixture->library, ntd_buf_bytes(&picture),
					      picture.len, variant, err);

	ntd_buf_free(&picture);
	return pix;
}

static uint32_t pixel(struct fixture *fixture, struct Pix *pix, int x, int y)
{
	uint32_t value = 12345;

	assert_int_equal(fixture->library.pixGetPixel(pix, x, y, &value), 0);
	return value;
}

static void variants_are_enlarged_and_cut(void **state)
{
	const struct {
		enum ntd_picture_variant variant;
		uint32_t dark, between, bright;
	} expected[] = {
		{NTD_PICTURE_CONTRAST, 0, 255, 255},
		{NTD_PICTURE_NEGATED, 255, 255, 0},
	};
	struct fixture *fixture = *state;

	needs_library(state);
	for (size_t i = 0; i < unit_count(expected); i++) {
		struct canvas canvas = canvas_of(72, 36, 0x909090);
		struct Pix *pix;

		fill(&canvas, 0, 0, 20, 0x202020);
		fill(&canvas, 50, 0, 20, 0xd0d0d0);
		pix = variant_of(fixture, encoded(canvas), expected[i].variant, NULL);
		assert_int_equal(fixture->library.pixGetWidth(pix), 300);
		assert_int_equal(fixture->library.pixGetHeight(pix), 150);
		assert_int_equal(pixel(fixture, pix, 40, 40), expected[i].dark);
		assert_int_equal(pixel(fixture, pix, 150, 100), expected[i].between);
		assert_int_equal(pixel(fixture, pix, 250, 40), expected[i].bright);
		fixture->library.pixDestroy(&pix);
	}
}

static void large_screens_are_enlarged_less(void **state)
{
	struct fixture *fixture = *state;
	int64_t pixels;
	struct Pix *pix;

	needs_library(state);
	pix = variant_of(fixture, encoded(canvas_of(1920, 1080, 0)), NTD_PICTURE_CONTRAST, NULL);
	assert_in_range(fixture->library.pixGetWidth(pix), 4000, 5000);
	pixels = (int64_t)fixture->library.pixGetWidth(pix) * fixture->library.pixGetHeight(pix);
	assert_in_range(pixels, 11 << 20, 12 << 20);
	fixture->library.pixDestroy(&pix);
	pix = variant_of(fixture, encoded(canvas_of(5000, 4000, 0)), NTD_PICTURE_CONTRAST, NULL);
	assert_int_equal(fixture->library.pixGetWidth(pix), 5000);
	fixture->library.pixDestroy(&pix);
}

static struct ntd_buf bytes_of(const char *text)
{
	struct ntd_buf bytes = {0};

	ntd_buf_puts(&bytes, text);
	return bytes;
}

static void what_is_no_picture_is_refused(void **state)
{
	const char *const wrong[] = {"",
				     "P",
				     "no picture at all, nothing of the kind",
				     "\x89PNG\r\n\x1a\n",
				     "P6\n100 100\n255\nshort",
				     "P6\n-1 100\n255\n",
				     "P6\n0 0\n255\n"};

	needs_library(state);
	for (size_t i = 0; i < unit_count(wrong); i++) {
		struct ntd_error *err = NULL;

		assert_null(variant_of(*state, bytes_of(wrong[i]), NTD_PICTURE_RAW, &err));
		assert_error(err, NTD_E_MACHINE, "the picture of the screen");
	}
}

static void a_picture_too_large_is_not_even_read(void **state)
{
	struct ntd_error *err = NULL;

	needs_library(state);
	assert_null(variant_of(*state, bytes_of("P6\n40000 20000\n255\n...................."),
			       NTD_PICTURE_RAW, &err));
	assert_error(err, NTD_E_MACHINE, "40000 x 20000 pixels is too large");
}

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

#define with_library(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_library(every_variant_reads_plain_text),
		with_library(a_colour_between_is_with_the_paper_or_with_the_ink),
		with_library(an_empty_screen_has_no_text),
		with_library(variants_are_enlarged_and_cut),
		with_library(large_screens_are_enlarged_less),
		with_library(what_is_no_picture_is_refused),
		with_library(a_picture_too_large_is_not_even_read),
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
