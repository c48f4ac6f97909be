/* The inside of the JUnit report (report/junit.c): its cases and its document. All of it is for one
 * thread at a time, unless it says otherwise.
 */
#pragma once

#include "report/outfile.h"
#include "report/report.h"

#include "base/buf.h"
#include "base/list.h"
#include "base/vec.h"

#include <stdatomic.h>

/* The last bytes of some output, from the start of a line. */
struct ntd_junit_output {
	struct ntd_buf text;
	size_t cut; /* how many bytes before `text` were left out */
};

struct ntd_junit_case {
	struct ntd_list_link link;
	char *title;
	double seconds; /* the time of its subtests that have ended */
	size_t open;    /* how many of its subtests have begun and not ended */
	int64_t since;  /* when the last of its subtests began */
	bool failed;
	char *skipped;     /* why the test did not run; NULL: it ran */
	char **properties; /* name, value, ..., NULL; NULL: none */
	struct ntd_junit_output out, err;
};

/* A subtest that has begun and not ended. */
struct ntd_junit_subtest {
	uint64_t id;
	struct ntd_junit_case *test_case;
};

/* All that is in the report. */
struct ntd_junit_cases {
	struct ntd_list list; /* the cases of subtests */
	struct ntd_junit_case main;
	struct ntd_junit_output out, err;       /* of the suite */
	char **properties;                      /* the same: name, value, ..., NULL */
	atomic_bool tests_only;                 /* any thread: see ntd_junit_tests_only() */
	ntd_vec(struct ntd_junit_subtest) open; /* in the order of their beginnings */
	int64_t began;
	int64_t outside_since; /* when the time of `main` last went on: no subtest was open */
};

/* ---- junit_cases.c */

/* Adds a line of the log, made of an event's text, to the suite and to the open subtest. */
void ntd_junit_log_line(struct ntd_junit_cases *cases, const char *separator, const char *before,
			const struct ntd_event *event, const char *after);
/* What the events of these names do. */
void ntd_junit_begin_subtest(struct ntd_junit_cases *cases, const struct ntd_event *event);
void ntd_junit_end_subtest(struct ntd_junit_cases *cases, const struct ntd_event *event);
void ntd_junit_step_end(struct ntd_junit_cases *cases, const struct ntd_event *event);
void ntd_junit_test_error(struct ntd_junit_cases *cases, const struct ntd_event *event);
void ntd_junit_run_end(struct ntd_junit_cases *cases, const struct ntd_event *event);

/* Whether the case is a failure if the run ends now. */
bool ntd_junit_is_failure(const struct ntd_junit_case *test_case);
/* Whether the report has the case `main`. */
bool ntd_junit_has_main(const struct ntd_junit_cases *cases);
/* The time of `main`, and of another case. */
double ntd_junit_main_seconds(const struct ntd_junit_cases *cases, int64_t now);
double ntd_junit_case_seconds(const struct ntd_junit_case *test_case, int64_t now);

void ntd_junit_cases_clear(struct ntd_junit_cases *cases);

/* ---- junit_document.c */

void ntd_junit_write(const struct ntd_junit_cases *cases, struct ntd_outfile *file);
