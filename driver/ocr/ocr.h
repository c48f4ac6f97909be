/* Recognition of text in pictures, on worker threads that keep their engines.
 *
 * A job is one variant of one picture. The thread that begins a job waits for it by a request of
 * its own, so that a signal, a deadline or anything else that completes the request ends the wait,
 * too. Any thread may call these functions.
 */
#pragma once

#include "base/buf.h"
#include "loop/request.h"
#include "ocr/picture.h"

struct ntd_ocr;
struct ntd_ocr_job;

/* The number of workers to make: one fewer than there are processors, or than NIX_BUILD_CORES in
 * the environment says if that is less, so that one core is left to the guests; at least 1. */
size_t ntd_ocr_default_workers(void);
/* Loads the library; NULL with NTD_E_MACHINE when that is not possible. Each of at most `workers`
 * threads starts when there is work for it. The caller gets a reference, and makes sure that no
 * thread changes the environment during the call. */
struct ntd_ocr *ntd_ocr_new(struct ntd_loop *loop, size_t workers, struct ntd_error **err);
/* Take a reference and give it back; the last one frees. */
void ntd_ocr_ref(struct ntd_ocr *ocr);
void ntd_ocr_unref(struct ntd_ocr *ocr);
/* Stops the workers, each at its next line of text, and frees their engines; jobs fail from now on
 * with NTD_E_CANCELLED. Then waits, for a second at most, until the other references have been
 * given back, since their threads may still use the loop. To be called before the loop is freed and
 * before the last ntd_ocr_unref(), not on the loop thread. */
void ntd_ocr_close(struct ntd_ocr *ocr);
/* How many jobs can be worked on at the same time. */
size_t ntd_ocr_workers(const struct ntd_ocr *ocr);

/* Begins a job on an encoded picture (PNG, PNM), which is copied. The caller frees the job with
 * ntd_ocr_drop(). */
struct ntd_ocr_job *ntd_ocr_begin(struct ntd_ocr *ocr, const struct ntd_buf *picture,
				  enum ntd_picture_variant variant);
/* Has `request`, which has begun, completed when the job has ended, unless the request has been
 * completed before. The caller takes this back, by NULL, before the request is freed. */
void ntd_ocr_tell(struct ntd_ocr_job *job, struct ntd_request *request);
/* Whether the job has ended; true is final. */
bool ntd_ocr_has_ended(const struct ntd_ocr_job *job);
/* The text of a job that has ended, in UTF-8, which belongs to the job; or NULL with the job's
 * error. *seconds becomes the time that the recognition took. */
const char *ntd_ocr_text(struct ntd_ocr_job *job, double *seconds, struct ntd_error **err);
/* Frees the job, and stops the work on it. NULL is allowed. */
void ntd_ocr_drop(struct ntd_ocr_job *job);
