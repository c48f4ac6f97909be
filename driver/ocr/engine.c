/* Engines of libtesseract: how one is made, and how it reads one picture. It runs on the worker
 * threads of ocr.c.
 */
#include "ocr/engine.h"

/* Constants of tesseract/publictypes.h. */
enum { LSTM_ONLY = 1, LEGACY_AND_LSTM = 2, SPARSE_TEXT = 11 };

static struct TessBaseAPI *start_engine(const struct ntd_ocr_library *library, const char *data,
					int mode)
{
	struct TessBaseAPI *engine = library->TessBaseAPICreate();

	library->TessBaseAPISetVariable(engine, "debug_file", "/dev/null"); /* not our stderr */
	if (library->TessBaseAPIInit2(engine, data, "eng", mode)) {
		library->TessBaseAPIDelete(engine);
		return NULL;
	}
	library->TessBaseAPISetPageSegMode(engine, SPARSE_TEXT);
	return engine;
}

/* Tests were written for both kinds of recognition together, but not all data files have both. */
struct TessBaseAPI *ntd_ocr_engine_make(const struct ntd_ocr_library *library, const char *data,
					struct ntd_error **err)
{
	struct TessBaseAPI *engine = start_engine(library, data, LEGACY_AND_LSTM);

	if (!engine)
		engine = start_engine(library, data, LSTM_ONLY);
	if (!engine)
		ntd_error_set(err, NTD_E_MACHINE,
			      "OCR requested but `tesseract` has no data for English: it finds no "
			      "eng.traineddata that it can use%s%s",
			      data ? " in TESSDATA_PREFIX=" : "", data ? data : "");
	return engine;
}

static char *read_text(const struct ntd_ocr_library *library, struct TessBaseAPI *engine,
		       bool (*unwanted)(void *arg, int words), void *arg)
{
	struct ETEXT_DESC *monitor = library->TessMonitorCreate();
	char *text = NULL, *copy;

	library->TessMonitorSetCancelFunc(monitor, unwanted);
	library->TessMonitorSetCancelThis(monitor, arg);
	if (library->TessBaseAPIRecognize(engine, monitor) == 0)
		text = library->TessBaseAPIGetUTF8Text(engine);
	library->TessMonitorDelete(monitor);
	copy = text ? ntd_strdup(text) : NULL;
	library->TessDeleteText(text);
	return copy;
}

/* The same picture gives the same text, whatever the engine has seen before. */
char *ntd_ocr_engine_read(const struct ntd_ocr_library *library, struct TessBaseAPI *engine,
			  const struct ntd_buf *picture, enum ntd_picture_variant variant,
			  bool (*unwanted)(void *arg, int words), void *arg, struct ntd_error **err)
{
	struct Pix *pix =
		ntd_picture_variant(library, ntd_buf_bytes(picture), picture->len, variant, err);
	char *text;

	if (!pix)
		return NULL;
	library->TessBaseAPISetImage2(engine, pix);
	text = read_text(library, engine, unwanted, arg);
	library->TessBaseAPIClear(engine);
	library->TessBaseAPIClearAdaptiveClassifier(engine);
	library->pixDestroy(&pix);
	if (!text)
		ntd_error_set(err, NTD_E_MACHINE,
			      "`tesseract` cannot read the picture of the screen");
	return text;
}
