/* The line about a copy that takes long. Any thread. */
#include "channel/progress.h"

#include <string.h>

void ntd_log_progress(struct ntd_report *report, const char *machine, const char *source,
		      const char *target, const struct ntd_sftp_progress *progress)
{
	enum { MIB = 1 << 20 };

	_cleanup_free_ char *text =
		ntd_asprintf("copying %s to %s: %.1f of %.1f MiB, %llu files are done", source,
			     target, (double)progress->bytes / MIB, (double)progress->total / MIB,
			     (unsigned long long)progress->files);

	ntd_report_emit(report, &(struct ntd_event){.kind = NTD_EVENT_MESSAGE,
						    .level = NTD_LEVEL_ALWAYS,
						    .machine = machine,
						    .text = text,
						    .text_len = strlen(text),
						    .done = progress->bytes,
						    .total = progress->total});
}
