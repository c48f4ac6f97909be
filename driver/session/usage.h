/* The parts of the help text that do not belong to one option; --help and the man page show them.
 * Within session/ only.
 */
#pragma once

#include <stddef.h>

struct ntd_usage_variable {
	const char *names; /* of variables that are explained together, joined by commas */
	const char *help;
};

struct ntd_usage_status {
	int status;
	const char *help;
};

/* Variables that concern the driver or the machines it starts, beside those of the options. */
extern const struct ntd_usage_variable ntd_usage_environment[];
extern const size_t ntd_usage_environment_count;
extern const struct ntd_usage_status ntd_usage_statuses[];
extern const size_t ntd_usage_status_count;

extern const char ntd_usage_summary[]; /* what the program does, one sentence */
extern const char ntd_usage_syntax[];  /* how options may be written */
