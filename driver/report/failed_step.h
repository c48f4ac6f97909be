/* Remembers which machine's step failed last, and which are open: for the end of a failed run. */
#pragma once

#include "base/vec.h"
#include "report/report.h"

#include <pthread.h>

/* A step that has begun and not ended. */
struct ntd_machine_step_open {
	uint64_t id;
	char *machine;
};

struct ntd_failed_step {
	pthread_mutex_t mutex; /* guards the members below */
	char *machine;         /* of the innermost step that has a machine; NULL: none */
	unsigned thread;
	uint64_t around; /* the step that the error passes through next; 0: none */
	ntd_vec(struct ntd_machine_step_open) open; /* steps of machines */
};

void ntd_failed_step_init(struct ntd_failed_step *failed);
void ntd_failed_step_free(struct ntd_failed_step *failed);
/* A sink that keeps it up to date; `failed` must outlive the report. */
struct ntd_sink *ntd_failed_step_sink(struct ntd_failed_step *failed);
/* Any thread: the machine of the step that has failed, unless its thread has gone on since then; a
 * new string, NULL: none. */
char *ntd_failed_step_machine(struct ntd_failed_step *failed);
/* The same for the step that has begun last and has not ended. */
char *ntd_open_step_machine(struct ntd_failed_step *failed);
