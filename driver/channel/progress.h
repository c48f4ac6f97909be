/* How far a copy has come, and what it is without, for people. Any thread. */
#pragma once

#include "report/report.h"
#include "sftp/sftp.h"

/* A copy that takes longer says how far it is, as often. */
#define NTD_PROGRESS_PAUSE (2 * NTD_SECOND)

/* Logs which links are not in a copy of a tree of the guest: the path of each, and a new line. */
void ntd_log_without(struct ntd_report *report, const char *machine, const char *source,
		     const char *links, size_t len);
/* Logs how far the copy of `source` to `target` has come. */
void ntd_log_progress(struct ntd_report *report, const char *machine, const char *source,
		      const char *target, const struct ntd_sftp_progress *progress);
