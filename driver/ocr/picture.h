/* Pictures of a screen, made ready for the recognition of text. */
#pragma once

#include "ocr/library.h"

/* The ways to look at a picture; the first costs least and finds most texts. */
enum ntd_picture_variant {
	NTD_PICTURE_RAW,      /* as it is */
	NTD_PICTURE_CONTRAST, /* enlarged; the darkest pixels are black, all others white */
	NTD_PICTURE_NEGATED,  /* enlarged; the brightest pixels are black, all others white */
	NTD_PICTURE_VARIANT_COUNT
};

/* The name of a variant for the log, such as "raw". */
const char *ntd_picture_variant_name(enum ntd_picture_variant variant);

/* Makes a variant of an encoded picture (PNG, PNM) of `len` bytes, which the caller frees by
 * library->pixDestroy(). NULL with NTD_E_MACHINE when the picture cannot be read or is too large.
 */
struct Pix *ntd_picture_variant(const struct ntd_ocr_library *library, const void *bytes,
				size_t len, enum ntd_picture_variant variant,
				struct ntd_error **err);
