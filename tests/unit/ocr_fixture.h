/* OCR with the real library, and pictures with text that the test draws. Without the library or its
 * data the tests are skipped.
 */
#pragma once

#include "unit.h"

#include "ocr/ocr.h"

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

static inline struct canvas canvas_of(int width, int height, uint32_t colour)
{
	struct canvas canvas = {.width = width, .height = height};

	canvas.pixels = ntd_malloc((size_t)width * (size_t)height * 3);
	for (size_t i = 0; i < (size_t)width * (size_t)height * 3; i++)
		canvas.pixels[i] = (uint8_t)(colour >> (16 - 8 * (i % 3)));
	return canvas;
}

static inline void fill(const struct canvas *canvas, int left, int top, int size, uint32_t colour)
{
	for (int y = top; y < top + size; y++)
		for (int x = left; x < left + size; x++)
			for (int i = 0; i < 3; i++)
				canvas->pixels[(y * canvas->width + x) * 3 + i] =
					(uint8_t)(colour >> (16 - 8 * i));
}

static inline void draw_letter(const struct canvas *canvas, int left, int top, int size,
			       uint32_t colour, char letter)
{
	for (size_t i = 0; i < unit_count(font); i++)
		for (int y = 0; font[i].letter == letter && y < GLYPH_HEIGHT; y++)
			for (int x = 0; x < GLYPH_WIDTH; x++)
				if (font[i].rows[y * (GLYPH_WIDTH + 1) + x] == '#')
					fill(canvas, left + x * size, top + y * size, size, colour);
}

/* Draws text; `size` is the width of a pixel of the font. */
static inline void draw(const struct canvas *canvas, int left, int top, int size, uint32_t colour,
			const char *text)
{
	for (; *text; text++, left += (GLYPH_WIDTH + 1) * size)
		draw_letter(canvas, left, top, size, colour, *text);
}

/* Returns the canvas as a PPM picture and frees the canvas. */
static inline struct ntd_buf encoded(struct canvas canvas)
{
	struct ntd_buf picture = {0};

	ntd_buf_printf(&picture, "P6\n%d %d\n255\n", canvas.width, canvas.height);
	ntd_buf_append(&picture, canvas.pixels, (size_t)canvas.width * (size_t)canvas.height * 3);
	free(canvas.pixels);
	return picture;
}

static inline struct ntd_buf picture_with(const char *text, uint32_t paper, uint32_t ink)
{
	struct canvas canvas = canvas_of(WIDTH, HEIGHT, paper);

	draw(&canvas, 30, 40, 4, ink, text);
	return encoded(canvas);
}

static inline struct ntd_buf bytes_of(const char *text)
{
	struct ntd_buf bytes = {0};

	ntd_buf_puts(&bytes, text);
	return bytes;
}

/* ---- the library and the engines */

struct fixture {
	struct ntd_loop *loop;
	struct ntd_ocr_library library;
	struct ntd_ocr *ocr;
};

static inline int set_up(void **state)
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

static inline int tear_down(void **state)
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

static inline void wait_begin(struct ntd_request *request)
{
	ntd_container_of(request, struct wait, request)->begun = true;
}

static inline void wait_abandon(struct ntd_request *request)
{
	ntd_container_of(request, struct wait, request)->abandoned = true;
}

/* Waits for a job as the driver's own waits do. */
static inline int wait_for(struct fixture *fixture, struct ntd_ocr_job *job, int64_t patience,
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
static inline char *text_of(struct fixture *fixture, const struct ntd_buf *picture,
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

static inline void assert_reads(struct fixture *fixture, struct ntd_buf picture,
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

#define with_library(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
