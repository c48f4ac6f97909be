/* Preparing pictures for engines. Any thread, each with pictures of its own.
 *
 * Engines are made for scanned paper: letters of 20 pixels and more, black on white. Screens have
 * letters half as high, in all colours, so a picture is also read enlarged from a screen's 72 dpi
 *to 300 and cut into black and white. The upstream driver has ImageMagick do the following for
 *this; here leptonica does it:
 *
 *	resample 300            linear interpolation, of grey levels
 *	contrast, normalize     the same, with the same tails cut off
 *	posterize 3, gamma 100  together leave the darkest quarter black and make all else white:
 *	                        a threshold
 *	blur 1x65535            a box of 3 x 3
 *
 * Despeckling and sharpening are left out. On a text console and on a desktop with small, grey and
 * coloured texts they changed the number of words found by at most 2 %, either way. Of the words,
 * 98 % and 96 % are found in one variant or another (by ImageMagick's pictures: 95 % and 90 %).
 */
#include "ocr/picture.h"

#include <assert.h>

enum {
	PIXEL_LIMIT = 64 << 20,    /* of a screen; 8K has 33 million */
	ENLARGED_LIMIT = 12 << 20, /* larger pictures take longer, and yield fewer words */
	DPI = 300,
	SCREEN_DPI = 72,
	DARK = 256 / 4
};

#define CONTRAST 0.3F      /* leptonica's scale, 0 to 1 */
#define BLACK_TAIL 0.0015F /* part of the pixels that become quite black */
#define WHITE_TAIL 0.0005F

static const char *const names[] = {
	[NTD_PICTURE_RAW] = "raw",
	[NTD_PICTURE_CONTRAST] = "high-contrast",
	[NTD_PICTURE_NEGATED] = "negated high-contrast",
};
static_assert(sizeof names / sizeof *names == NTD_PICTURE_VARIANT_COUNT,
	      "every variant has a name");

const char *ntd_picture_variant_name(enum ntd_picture_variant variant)
{
	return names[variant];
}

/* Puts `next`, the result of a step, in the place of the picture that it was made from; false when
 * the step has failed (NULL). */
static bool replace(const struct ntd_ocr_library *library, struct Pix **pix, struct Pix *next)
{
	library->pixDestroy(pix);
	*pix = next;
	return next;
}

static bool enlarge(const struct ntd_ocr_library *library, struct Pix **pix)
{
	float pixels = (float)library->pixGetWidth(*pix) * (float)library->pixGetHeight(*pix);
	float factor = (float)DPI / SCREEN_DPI;

	while (factor > 1 && pixels * factor * factor > ENLARGED_LIMIT)
		factor *= 0.95F;
	if (factor < 1)
		factor = 1;
	return replace(library, pix, library->pixScaleGrayLI(*pix, factor, factor));
}

/* Spreads the levels of grey from black to white. */
static bool normalize(const struct ntd_ocr_library *library, struct Pix **pix)
{
	uint32_t black, white;

	if (!replace(library, pix, library->pixContrastTRC(NULL, *pix, CONTRAST)) ||
	    library->pixGetRankValue(*pix, 4, BLACK_TAIL, &black) ||
	    library->pixGetRankValue(*pix, 4, 1 - WHITE_TAIL, &white))
		return false;
	return black >= white || /* a picture of one colour */
	       replace(library, pix, library->pixGammaTRC(NULL, *pix, 1, (int)black, (int)white));
}

static bool cut(const struct ntd_ocr_library *library, struct Pix **pix)
{
	return replace(library, pix, library->pixThresholdToBinary(*pix, DARK)) &&
	       replace(library, pix, library->pixConvertTo8(*pix, false)) &&
	       replace(library, pix, library->pixBlockconvGray(*pix, NULL, 1, 1)) &&
	       library->pixSetResolution(*pix, DPI, DPI) == 0;
}

static bool enhance(const struct ntd_ocr_library *library, struct Pix **pix, bool negated)
{
	return replace(library, pix, library->pixConvertTo8(*pix, false)) &&
	       enlarge(library, pix) && normalize(library, pix) &&
	       (!negated || replace(library, pix, library->pixInvert(NULL, *pix))) &&
	       cut(library, pix);
}

static struct Pix *decode(const struct ntd_ocr_library *library, const void *bytes, size_t len,
			  struct ntd_error **err)
{
	int width = 0, height = 0;
	struct Pix *pix = NULL;

	if (library->pixReadHeaderMem(bytes, len, NULL, &width, &height, NULL, NULL, NULL)) {
		ntd_error_set(err, NTD_E_MACHINE, "the picture of the screen cannot be read");
	} else if ((int64_t)width * height > PIXEL_LIMIT) {
		ntd_error_set(err, NTD_E_MACHINE, "a screen of %d x %d pixels is too large for OCR",
			      width, height);
	} else {
		pix = library->pixReadMem(bytes, len);
		if (!pix)
			ntd_error_set(err, NTD_E_MACHINE, "the picture of the screen is damaged");
	}
	return pix;
}

struct Pix *ntd_picture_variant(const struct ntd_ocr_library *library, const void *bytes,
				size_t len, enum ntd_picture_variant variant,
				struct ntd_error **err)
{
	struct Pix *pix = decode(library, bytes, len, err);

	if (pix && variant != NTD_PICTURE_RAW &&
	    !enhance(library, &pix, variant == NTD_PICTURE_NEGATED)) {
		library->pixDestroy(&pix);
		ntd_error_set(err, NTD_E_MACHINE, "the picture of the screen cannot be prepared");
	}
	return pix;
}
