/* QMP commands that begin a job, which QEMU carries out while it answers other commands: saving and
 * loading snapshots, making disk images. For script threads.
 *
 * https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html#background-jobs
 */
#pragma once

#include "qemu/qmp.h"

struct ntd_qmp_job;

/* Begins a job and does not wait for it. `command` is a string that lives as long as the job;
 * `arguments`, which the function takes, get a `job-id`. Every job is to be waited for. */
struct ntd_qmp_job *ntd_qmp_job_begin(struct ntd_qmp *qmp, const char *command, cJSON *arguments);
/* Waits until the job has ended, and frees it. Fails with NTD_E_MACHINE and QEMU's words, with
 * NTD_E_DEAD when the connection was closed, or with NTD_E_TIMEOUT or NTD_E_CANCELLED; then QEMU is
 * told to give the job up. */
int ntd_qmp_job_wait(struct ntd_qmp_job *job, int64_t deadline, struct ntd_waiter *waiter,
		     struct ntd_error **err);
/* Both. */
int ntd_qmp_job_run(struct ntd_qmp *qmp, const char *command, cJSON *arguments, int64_t deadline,
		    struct ntd_waiter *waiter, struct ntd_error **err);
