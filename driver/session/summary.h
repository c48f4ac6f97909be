/* The last five lines of a failed run, on standard error: what failed, where, the line of the
 * script, the machine, and where to look. Below everything else, so that nobody has to search for
 * them in the log.
 *
 * What is said is collected while the run fails, by whichever thread knows it, and printed when the
 * files of the run are complete. So the summary outlives the session.
 */
#pragma once

#include "report/failed_step.h"
#include "session/config.h"

#include <pthread.h>
#include <stdint.h>

struct ntd_session;

struct ntd_summary {
	const struct ntd_config *config;
	int64_t began;
	struct ntd_failed_step failed_step;
	pthread_mutex_t mutex;                  /* guards the members below */
	char *what, *place, *source, *machines; /* each is a line; NULL: not known */
	double seconds;                         /* how long the run had lasted when it failed */
};

void ntd_summary_init(struct ntd_summary *summary, const struct ntd_config *config);
void ntd_summary_free(struct ntd_summary *summary);

/* Any thread but the loop's: the run has failed, and why; the machines are looked at. The first
 * call counts. */
void ntd_summary_failure(struct ntd_session *session, const char *what);
/* Any thread: where it failed, such as "script.py:12", and the text of that line. The first call
 * counts. */
void ntd_summary_place(struct ntd_session *session, const char *place, const char *source);
/* Prints the lines if a failure is known and the exit status is that of one. Waits only briefly for
 * a reader. */
void ntd_summary_print(struct ntd_summary *summary, int status);
