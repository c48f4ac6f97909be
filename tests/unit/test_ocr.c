/* Tests of OCR: recognition of drawn text, and the preparation of pictures. */
#include "ocr_fixture.h"

/* ---- recognition */

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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
