/* Steps around others, as pairs of events. Any thread calls these functions, and none of them
 * waits.
 */
#include "report/report.h"

#include <string.h>

/* `step` is needed at the beginning only: the report keeps it until the end. */
static uint64_t emit_nest(const struct ntd_nest *nest, enum ntd_step step, bool end, bool failed)
{
	enum ntd_event_kind kind = nest->subtest ? NTD_EVENT_SUBTEST_BEGIN : NTD_EVENT_NEST_BEGIN;

	return ntd_report_emit(
		nest->report,
		&(struct ntd_event){.kind = kind + end,
				    .step = step,
				    .id = nest->id,
				    .level = NTD_LEVEL_ALWAYS,
				    .machine = nest->machine,
				    .text = nest->text,
				    .text_len = strlen(nest->text),
				    .attributes = nest->attributes,
				    .seconds = end ? ntd_seconds(ntd_now() - nest->began) : 0,
				    .failed = failed});
}

struct ntd_nest ntd_nest_begin_full(struct ntd_report *report, enum ntd_step step,
				    const char *machine, const char *text, char **attributes,
				    bool subtest)
{
	struct ntd_nest nest = {.report = report,
				.machine = machine ? ntd_strdup(machine) : NULL,
				.text = ntd_strdup(text),
				.attributes = attributes,
				.began = ntd_now(),
				.subtest = subtest};

	nest.id = emit_nest(&nest, step, false, false);
	return nest;
}

struct ntd_nest ntd_nest_begin(struct ntd_report *report, enum ntd_step step, const char *machine,
			       const char *fmt, ...)
{
	_cleanup_free_ char *text = ntd_formatted(fmt);

	return ntd_nest_begin_full(report, step, machine, text, NULL, false);
}

void ntd_nest_end(struct ntd_nest *nest, bool failed)
{
	if (!nest->report)
		return;
	emit_nest(nest, NTD_STEP_NONE, true, failed);
	free(nest->machine);
	free(nest->text);
	ntd_strv_free(nest->attributes);
	*nest = (struct ntd_nest){0};
}
