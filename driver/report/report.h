/* One stream of structured events, and the sinks that write them down.
 *
 * Any thread emits, and none ever waits for a sink by that: events are queued in the order of
 * emission and written by the report's own thread, so that a slow terminal stops neither the loop
 * nor whoever holds a lock. A thread that is about to write to the same places itself, a script's,
 * settles first: it writes what is queued. Then its messages keep their place among its own output,
 * and what it can queue is bounded. Each sink sees every event once, in order, never from two
 * threads at a time. In a process that the script has forked (base/forked.h) events go nowhere.
 */
#pragma once

#include "base/clock.h"
#include "base/error.h"
#include "report/background.h"

#include <stdbool.h>

enum ntd_event_kind {
	NTD_EVENT_MESSAGE,
	NTD_EVENT_NEST_BEGIN,    /* a step that contains others; ends with the same text */
	NTD_EVENT_NEST_END,      /* seconds, failed */
	NTD_EVENT_SUBTEST_BEGIN, /* text is the bare title */
	NTD_EVENT_SUBTEST_END,   /* seconds, failed */
	NTD_EVENT_SERIAL,        /* one line of a machine's console */
	NTD_EVENT_TEST_ERROR,    /* one line of the report of a failed test */
	NTD_EVENT_RUN_END,       /* the exit status is known: seconds, failed */
	NTD_EVENT_STATE,         /* a machine's state has changed: from, to */
	NTD_EVENT_COMMAND_END,   /* a script's command in a guest: status, bytes, seconds */
	NTD_EVENT_KIND_COUNT
};

/* NTD_LEVEL_ALWAYS is a plain log line: shown whatever the log level is. */
enum ntd_level {
	NTD_LEVEL_DEBUG,
	NTD_LEVEL_INFO,
	NTD_LEVEL_WARNING,
	NTD_LEVEL_ERROR,
	NTD_LEVEL_ALWAYS,
	NTD_LEVEL_COUNT
};

/* What kind of step an event begins or ends. */
enum ntd_step {
	NTD_STEP_NONE,    /* of events that are no steps */
	NTD_STEP_RUN,     /* the test script, or all tests, as a whole */
	NTD_STEP_TEST,    /* a test in pytest style */
	NTD_STEP_SCRIPT,  /* what a script calls a step: nested(), subtest() */
	NTD_STEP_START,   /* networks, helpers and machines are started */
	NTD_STEP_BOOT,    /* a guest boots until commands can be run */
	NTD_STEP_COMMAND, /* a command that must succeed, or fail */
	NTD_STEP_CHECK,   /* what a guest is like is compared with what it must be */
	NTD_STEP_WAIT,    /* until something is so in a guest */
	NTD_STEP_FILE,    /* files are copied */
	NTD_STEP_SCREEN,  /* a picture of the screen is taken */
	NTD_STEP_KEYS,    /* keys are pressed */
	NTD_STEP_STOP,    /* until machines have ended */
	NTD_STEP_CLEANUP, /* what a run has started is ended and removed */
	NTD_STEP_COUNT
};

static inline bool ntd_event_begins_step(enum ntd_event_kind kind)
{
	return kind == NTD_EVENT_NEST_BEGIN || kind == NTD_EVENT_SUBTEST_BEGIN;
}

static inline bool ntd_event_ends_step(enum ntd_event_kind kind)
{
	return kind == NTD_EVENT_NEST_END || kind == NTD_EVENT_SUBTEST_END;
}

struct ntd_event {
	enum ntd_event_kind kind;
	enum ntd_step step; /* of a step's beginning and end */
	/* Filled in by the report. Ids count the events of a report in their order. The end of a
	 * step has the id of its beginning. The parent is the innermost step that the event's
	 * thread has begun and not ended; 0: none, as of all console lines. Threads are numbered in
	 * the order of their first events in the process. */
	uint64_t id, parent;
	unsigned thread;
	enum ntd_level level; /* of messages */
	int64_t monotonic;    /* when it happened, ns; see base/clock.h */
	int64_t wall;         /* the same moment, ns since 1970 */
	const char *machine;  /* NULL: of the run as a whole */
	const char *text;     /* NUL-terminated; console lines may hold NULs before the end */
	size_t text_len;
	/* name, value, ..., NULL; may be NULL itself. Of SUBTEST_END, "skipped" says why it did not
	 * run. */
	char **attributes;
	double seconds; /* of *_END */
	bool failed;    /* of *_END: an exception passed; of TEST_ERROR: a subtest has told it */
	const char *from, *to; /* of STATE: names of states; constants, which are not copied */
	int status;            /* of COMMAND_END: the exit status; < 0: not known */
	size_t bytes;          /* of COMMAND_END: how long the command's output was */
};

/* A sink is embedded in its implementation. Calls never overlap. */
struct ntd_sink {
	/* Wants the events that no log shows, STATE and COMMAND_END, too. They are not emitted
	 * while no sink wants them. */
	bool timeline;
	void (*event)(struct ntd_sink *sink, const struct ntd_event *event);
	void (*flush)(struct ntd_sink *sink); /* all queued events were delivered; may be NULL */
	void (*close)(struct ntd_sink *sink); /* writes the rest and frees the sink */
	struct ntd_sink *next;
};

struct ntd_report;

struct ntd_report *ntd_report_new(struct ntd_error **err);
/* Adds a sink, for the events that are written from now on; the report owns it. Waits for
 * nothing. */
void ntd_report_add(struct ntd_report *report, struct ntd_sink *sink);
/* Bounds what waits to be written; 256 MiB if never called. Console lines beyond are counted, not
 * kept. */
void ntd_report_limit(struct ntd_report *report, size_t bytes);
/* Writes what is queued, closes the sinks and frees the report. */
void ntd_report_free(struct ntd_report *report);
/* The files that are written beside it; they are flushed by all that flushes the report. */
struct ntd_background *ntd_report_background(struct ntd_report *report);
/* Has everything written that was queued so far, however long nobody reads it: never with a
 * lock. */
void ntd_report_settle(struct ntd_report *report);
/* Whether that would do nothing. */
bool ntd_report_is_settled(struct ntd_report *report);
/* Writes everything queued so far, waiting at most until `deadline` for a writer that is stuck.
 * Returns whether all of it was written. For the hard end of a run. */
bool ntd_report_flush(struct ntd_report *report, int64_t deadline);

/* The same, and closes the sinks, after which events go nowhere: whole files, though the process
 * may end at any moment. */
bool ntd_report_end(struct ntd_report *report, int64_t deadline);

/* Emits a copy of the event, without waiting, and returns its id. Of an end, `id` says which step
 * it ends. The clocks are filled in when `monotonic` is 0. */
uint64_t ntd_report_emit(struct ntd_report *report, const struct ntd_event *event);
/* A message. `machine` may be NULL. */
void ntd_log(struct ntd_report *report, enum ntd_level level, const char *machine, const char *fmt,
	     ...) ntd_printf(4, 5);
/* The run is to end with this exit status. Emitted once; messages of the end itself may follow. */
void ntd_report_run_end(struct ntd_report *report, int status);
/* Every line of `text` as a line of a failed test's report. */
void ntd_log_test_error(struct ntd_report *report, const char *text);
/* The same of an error that has left a subtest, which failed. */
void ntd_log_subtest_error(struct ntd_report *report, const char *text);

/* A step around others: begin, then end with how it went. The value owns its texts. */
struct ntd_nest {
	struct ntd_report *report;
	uint64_t id;
	char *machine, *text, **attributes;
	int64_t began;
	bool subtest;
};

struct ntd_nest ntd_nest_begin(struct ntd_report *report, enum ntd_step step, const char *machine,
			       const char *fmt, ...) ntd_printf(4, 5);
/* For texts with NULs or attributes, and subtests (text is the title). Takes `attributes`. */
struct ntd_nest ntd_nest_begin_full(struct ntd_report *report, enum ntd_step step,
				    const char *machine, const char *text, char **attributes,
				    bool subtest);
void ntd_nest_end(struct ntd_nest *nest, bool failed);

/* ---- names.c; constants, such as "nest-begin", "warning" and "boot" */
const char *ntd_event_kind_name(enum ntd_event_kind kind);
const char *ntd_level_name(enum ntd_level level);
const char *ntd_step_name(enum ntd_step step);
/* "debug", "info", "warning" or "error" as a level; -1 for anything else. */
int ntd_level_parse(const char *name);
/* A kind of step by its name; -1 when there is none. */
int ntd_step_parse(const char *name);
