/* The lines about a copy that takes long, and about one without some links. Any thread. */
#include "channel/progress.h"

#include "base/text.h"

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

void ntd_log_without(struct ntd_report *report, const char *machine, const char *source,
		     const char *links, size_t len)
{
	enum { SHOWN = 5 };

	_cleanup_buf_ struct ntd_buf names = {0};
	_cleanup_free_ char *shown = NULL;
	size_t count = 0;

	for (const char *at = links, *end; (end = memchr(at, '\n', len)); at = end + 1, count++) {
		len -= (size_t)(end + 1 - at);
		if (count >= SHOWN)
			continue;
		ntd_buf_puts(&names, count ? ", " : "");
		ntd_buf_append(&names, at, (size_t)(end - at));
	}
	if (!count)
		return;
	ntd_buf_puts(&names, count > SHOWN ? ", …" : "");
	shown = ntd_shown(ntd_buf_bytes(&names), names.len);
	ntd_log(report, NTD_LEVEL_WARNING, machine,
		"the copy of %s is without %zu link%s that lead%s to no file and no directory: %s",
		source, count, count == 1 ? "" : "s", count == 1 ? "s" : "", shown);
}
