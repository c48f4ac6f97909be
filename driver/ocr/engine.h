/* Engines of libtesseract. Any thread, but an engine is for one thread at a time. */
#pragma once

#include "base/buf.h"
#include "ocr/picture.h"

/* Makes an engine with the data in the directory `data`, or in libtesseract's own if that is NULL.
 * The caller makes one at a time, since all share the library's settings, and frees it by
 * library->TessBaseAPIDelete(). NULL with NTD_E_MACHINE when no data can be used. */
struct TessBaseAPI *ntd_ocr_engine_make(const struct ntd_ocr_library *library, const char *data,
					struct ntd_error **err);
/* Reads a variant of an encoded picture (PNG, PNM); returns the text, a new string in UTF-8, or
 * NULL with NTD_E_MACHINE. The engine calls `unwanted` between lines, and stops when that returns
 * true. */
char *ntd_ocr_engine_read(const struct ntd_ocr_library *library, struct TessBaseAPI *engine,
			  const struct ntd_buf *picture, enum ntd_picture_variant variant,
			  bool (*unwanted)(void *arg, int words), void *arg,
			  struct ntd_error **err);
