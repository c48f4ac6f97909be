/* The names that events, levels and steps have in files and options. Pure. */
#include "report/report.h"

#include <assert.h>
#include <string.h>

static const char *const kinds[] = {
	[NTD_EVENT_MESSAGE] = "message",
	[NTD_EVENT_NEST_BEGIN] = "nest-begin",
	[NTD_EVENT_NEST_END] = "nest-end",
	[NTD_EVENT_SUBTEST_BEGIN] = "subtest-begin",
	[NTD_EVENT_SUBTEST_END] = "subtest-end",
	[NTD_EVENT_SERIAL] = "serial",
	[NTD_EVENT_TEST_ERROR] = "test-error",
	[NTD_EVENT_RUN_END] = "run-end",
	[NTD_EVENT_STATE] = "state",
	[NTD_EVENT_COMMAND_END] = "command-end",
	[NTD_EVENT_OUTPUT] = "output",
	[NTD_EVENT_BUSY] = "busy",
	[NTD_EVENT_IDLE] = "idle",
	[NTD_EVENT_DETAIL] = "detail",
};
static_assert(sizeof kinds / sizeof *kinds == NTD_EVENT_KIND_COUNT, "every kind has a name");

static const char *const levels[] = {
	[NTD_LEVEL_DEBUG] = "debug", [NTD_LEVEL_INFO] = "info",     [NTD_LEVEL_WARNING] = "warning",
	[NTD_LEVEL_ERROR] = "error", [NTD_LEVEL_ALWAYS] = "always",
};
static_assert(sizeof levels / sizeof *levels == NTD_LEVEL_COUNT, "every level has a name");

static const char *const steps[] = {
	[NTD_STEP_NONE] = "none",         [NTD_STEP_RUN] = "run",
	[NTD_STEP_TEST] = "test",         [NTD_STEP_SCRIPT] = "script",
	[NTD_STEP_START] = "start",       [NTD_STEP_BOOT] = "boot",
	[NTD_STEP_COMMAND] = "command",   [NTD_STEP_CHECK] = "check",
	[NTD_STEP_WAIT] = "wait",         [NTD_STEP_FILE] = "file",
	[NTD_STEP_SCREEN] = "screen",     [NTD_STEP_KEYS] = "keys",
	[NTD_STEP_SNAPSHOT] = "snapshot", [NTD_STEP_STOP] = "stop",
	[NTD_STEP_CLEANUP] = "cleanup",
};
static_assert(sizeof steps / sizeof *steps == NTD_STEP_COUNT, "every kind of step has a name");

static const char *const details[] = {
	[NTD_DETAIL_RUN] = "run",
	[NTD_DETAIL_SOURCE] = "source",
	[NTD_DETAIL_STEP_ERROR] = "step-error",
	[NTD_DETAIL_FAILURE] = "failure",
	[NTD_DETAIL_PICTURE] = "picture",
	[NTD_DETAIL_SCREEN_TEXT] = "screen-text",
	[NTD_DETAIL_NETWORK] = "network",
	[NTD_DETAIL_OBSERVATION] = "observation",
	[NTD_DETAIL_SEED] = "seed",
};
static_assert(sizeof details / sizeof *details == NTD_DETAIL_COUNT, "every detail has a name");

const char *ntd_event_kind_name(enum ntd_event_kind kind)
{
	return kinds[kind];
}

const char *ntd_level_name(enum ntd_level level)
{
	return levels[level];
}

const char *ntd_step_name(enum ntd_step step)
{
	return steps[step];
}

const char *ntd_detail_name(enum ntd_detail detail)
{
	return details[detail];
}

static int find(const char *const *names, int count, const char *name)
{
	for (int i = 0; i < count; i++)
		if (!strcmp(names[i], name))
			return i;
	return -1;
}

/* A level is chosen to hide messages, and those that are always shown cannot be chosen. */
int ntd_level_parse(const char *name)
{
	return find(levels, NTD_LEVEL_ALWAYS, name);
}

int ntd_step_parse(const char *name)
{
	return find(steps, NTD_STEP_COUNT, name);
}

int ntd_event_kind_parse(const char *name)
{
	return find(kinds, NTD_EVENT_KIND_COUNT, name);
}

int ntd_detail_parse(const char *name)
{
	return find(details, NTD_DETAIL_COUNT, name);
}

int ntd_event_level_parse(const char *name)
{
	return find(levels, NTD_LEVEL_COUNT, name);
}
