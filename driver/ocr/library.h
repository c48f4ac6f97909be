/* libtesseract with its leptonica, by their C interfaces. They are loaded when a script first needs
 * them, since most runs never do. The declarations restate those of tesseract/capi.h (4.1 and
 * later) and leptonica/allheaders.h (1.74 and later), where the functions are documented:
 * https://github.com/tesseract-ocr/tesseract and https://github.com/DanBloomberg/leptonica
 */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct TessBaseAPI; /* an engine */
struct ETEXT_DESC;  /* a monitor of one recognition */
struct Pix;         /* a picture; leptonica's functions return NULL when they fail */

/* FUNCTION(result, name, parameters) */
#define NTD_OCR_FUNCTIONS(FUNCTION)                                                                \
	FUNCTION(const char *, TessVersion, (void))                                                \
	FUNCTION(struct TessBaseAPI *, TessBaseAPICreate, (void))                                  \
	FUNCTION(void, TessBaseAPIDelete, (struct TessBaseAPI *))                                  \
	FUNCTION(int, TessBaseAPIInit2,                                                            \
		 (struct TessBaseAPI *, const char *directory, const char *language, int mode))    \
	FUNCTION(int, TessBaseAPISetVariable,                                                      \
		 (struct TessBaseAPI *, const char *name, const char *value))                      \
	FUNCTION(void, TessBaseAPISetPageSegMode, (struct TessBaseAPI *, int mode))                \
	FUNCTION(void, TessBaseAPISetImage2, (struct TessBaseAPI *, struct Pix *))                 \
	FUNCTION(int, TessBaseAPIRecognize, (struct TessBaseAPI *, struct ETEXT_DESC *))           \
	FUNCTION(char *, TessBaseAPIGetUTF8Text, (struct TessBaseAPI *))                           \
	FUNCTION(void, TessBaseAPIClear, (struct TessBaseAPI *))                                   \
	FUNCTION(void, TessBaseAPIClearAdaptiveClassifier, (struct TessBaseAPI *))                 \
	FUNCTION(void, TessDeleteText, (const char *))                                             \
	FUNCTION(struct ETEXT_DESC *, TessMonitorCreate, (void))                                   \
	FUNCTION(void, TessMonitorDelete, (struct ETEXT_DESC *))                                   \
	FUNCTION(void, TessMonitorSetCancelFunc,                                                   \
		 (struct ETEXT_DESC *, bool (*)(void *arg, int words)))                            \
	FUNCTION(void, TessMonitorSetCancelThis, (struct ETEXT_DESC *, void *arg))                 \
	FUNCTION(int, setMsgSeverity, (int))                                                       \
	FUNCTION(int, pixReadHeaderMem,                                                            \
		 (const uint8_t *, size_t, int *format, int *width, int *height, int *bits,        \
		  int *samples, int *has_map))                                                     \
	FUNCTION(struct Pix *, pixReadMem, (const uint8_t *, size_t))                              \
	FUNCTION(void, pixDestroy, (struct Pix **))                                                \
	FUNCTION(int, pixGetWidth, (const struct Pix *))                                           \
	FUNCTION(int, pixGetHeight, (const struct Pix *))                                          \
	FUNCTION(int, pixGetPixel, (struct Pix *, int x, int y, uint32_t *))                       \
	FUNCTION(int, pixSetResolution, (struct Pix *, int x, int y))                              \
	FUNCTION(struct Pix *, pixConvertTo8, (struct Pix *, int with_map))                        \
	FUNCTION(struct Pix *, pixScaleGrayLI, (struct Pix *, float x, float y))                   \
	FUNCTION(struct Pix *, pixContrastTRC, (struct Pix * to, struct Pix *, float factor))      \
	FUNCTION(int, pixGetRankValue, (struct Pix *, int step, float rank, uint32_t *))           \
	FUNCTION(struct Pix *, pixGammaTRC,                                                        \
		 (struct Pix * to, struct Pix *, float gamma, int black, int white))               \
	FUNCTION(struct Pix *, pixInvert, (struct Pix * to, struct Pix *))                         \
	FUNCTION(struct Pix *, pixThresholdToBinary, (struct Pix *, int threshold))                \
	FUNCTION(struct Pix *, pixBlockconvGray,                                                   \
		 (struct Pix *, struct Pix * sums, int half_width, int half_height))

struct ntd_ocr_library {
/* NOLINTNEXTLINE(bugprone-macro-parentheses): these are a type and a list of parameters */
#define DECLARE(result, name, parameters) result(*name) parameters;
	NTD_OCR_FUNCTIONS(DECLARE)
#undef DECLARE
	/* Of OpenMP; NULL when libtesseract was built without it. */
	void (*omp_set_dynamic)(int);
	void (*omp_set_num_threads)(int);
};

/* Fills in *library. Returns 0, or -1 with NTD_E_MACHINE when the library is not installed, lacks a
 * function or is too old. The library stays loaded until the process ends. */
int ntd_ocr_library_load(struct ntd_ocr_library *library, struct ntd_error **err);
