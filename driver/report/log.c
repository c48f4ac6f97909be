/* Messages, and the reports of failed tests, as events. Any thread calls these functions, and none
 * of them waits.
 */
#include "report/report.h"

#include <string.h>

void ntd_log(struct ntd_report *report, enum ntd_level level, const char *machine, const char *fmt,
	     ...)
{
	_cleanup_free_ char *text = ntd_formatted(fmt);

	ntd_report_emit(report, &(struct ntd_event){.kind = NTD_EVENT_MESSAGE,
						    .level = level,
						    .machine = machine,
						    .text = text,
						    .text_len = strlen(text)});
}

void ntd_log_busy(struct ntd_report *report, const char *machine, const char *text, size_t len,
		  double limit)
{
	ntd_report_emit(report, &(struct ntd_event){.kind = NTD_EVENT_BUSY,
						    .machine = machine,
						    .text = text,
						    .text_len = len,
						    .seconds = limit > 0 ? limit : 0});
}

void ntd_log_idle(struct ntd_report *report)
{
	ntd_report_emit(report, &(struct ntd_event){.kind = NTD_EVENT_IDLE, .text = ""});
}

static void emit_error(struct ntd_report *report, const char *text, bool failed)
{
	for (;;) {
		const char *end = strchrnul(text, '\n');
		_cleanup_free_ char *line = ntd_strndup(text, (size_t)(end - text));

		ntd_report_emit(report, &(struct ntd_event){.kind = NTD_EVENT_TEST_ERROR,
							    .level = NTD_LEVEL_ALWAYS,
							    .text = line,
							    .text_len = strlen(line),
							    .failed = failed});
		if (!*end)
			return;
		text = end + 1;
	}
}

void ntd_log_test_error(struct ntd_report *report, const char *text)
{
	emit_error(report, text, false);
}

void ntd_log_subtest_error(struct ntd_report *report, const char *text)
{
	emit_error(report, text, true);
}

void ntd_log_detail(struct ntd_report *report, enum ntd_detail detail, const char *machine,
		    const char *text, char **attributes)
{
	ntd_report_emit(report, &(struct ntd_event){.kind = NTD_EVENT_DETAIL,
						    .level = NTD_LEVEL_ALWAYS,
						    .machine = machine,
						    .text = text,
						    .text_len = strlen(text),
						    .attributes = attributes,
						    .detail = detail});
}

void ntd_log_seed(struct ntd_report *report, const char *what, const char *seed)
{
	char *attributes[] = {"seed", (char *)seed, NULL};

	ntd_log_detail(report, NTD_DETAIL_SEED, NULL, what, attributes);
}
