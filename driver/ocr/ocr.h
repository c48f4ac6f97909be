/* Recognition of text in pictures, on worker threads that keep their engines.
 *
 * A job is one variant of one picture. A thread that begins a job waits for it by a request of its
 * own, so that a signal, a deadline or whatever else completes that request ends the wait as well.
 */
#pragma once

#include "base/buf.h"
#include "loop/request.h"
#include "ocr/picture.h"

struct ntd_ocr;
struct ntd_ocr_job;

/* As many workers as there are processors, or as NIX_BUILD_CORES in the environment says if that is
 * less; but one core is left to the guests. */
size_t ntd_ocr_default_workers(void);
/* Loads the library: NTD_E_MACHINE when that is not possible. A worker, of at most so many, starts
 * when there is work for it. The caller has a reference, and sees to it that nobody changes the
 * environment meanwhile. */
struct ntd_ocr *ntd_ocr_new(struct ntd_loop *loop, size_t workers, struct ntd_error **err);
void ntd_ocr_ref(struct ntd_ocr *ocr);
void ntd_ocr_unref(struct ntd_ocr *ocr);
/* Stops the workers, at the next line of text, and frees their engines; jobs fail from now on. Then
 * waits a second at most for others to give their references back, for they may still use the loop.
 * To be called before the loop is freed and before the last ntd_ocr_unref(). */
void ntd_ocr_close(struct ntd_ocr *ocr);
/* How many jobs can be worked on at the same time. */
size_t ntd_ocr_workers(const struct ntd_ocr *ocr);

/* Begins a job on an encoded picture, which is copied. */
struct ntd_ocr_job *ntd_ocr_begin(struct ntd_ocr *ocr, const struct ntd_buf *picture,
				  enum ntd_picture_variant variant);
/* When the job has ended, `request`, which has begun, is completed, unless something else has done
 * so before. NULL takes this back; it is due before the request's end. */
void ntd_ocr_tell(struct ntd_ocr_job *job, struct ntd_request *request);
/* Whether it has ended; true is final. */
bool ntd_ocr_has_ended(const struct ntd_ocr_job *job);
/* The text (UTF-8, the job's) of a job that has ended, or NULL with its error; *seconds is what the
 * work took. */
const char *ntd_ocr_text(struct ntd_ocr_job *job, double *seconds, struct ntd_error **err);
/* Frees the job; work on it is stopped. NULL is allowed. */
void ntd_ocr_drop(struct ntd_ocr_job *job);
