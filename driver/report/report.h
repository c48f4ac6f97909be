/* A report: one stream of structured events, and the sinks that write it to the terminal and to
 * files.
 *
 * Any thread emits events and waits for nothing: the report queues the events in the order of their
 * emission, and its own thread, the writer, hands them to the sinks. So a slow terminal stops
 * neither the loop thread nor a thread that holds a lock.
 *
 * A script's thread may write to the same terminal itself, so it settles the report first: it hands
 * the queued events to the sinks on its own. Then its messages keep their place among its output,
 * and the queue cannot grow without bounds.
 *
 * Each sink gets every event once, in order, and never from two threads at a time. In a process
 * that the script has forked (base/forked.h) all of these functions do nothing.
 */
#pragma once

#include "base/clock.h"
#include "base/error.h"
#include "report/background.h"

#include <stdbool.h>

/* What has happened, and which members of struct ntd_event tell more of it. A step or a subtest
 * ends with the text, the machine and the attributes of its beginning. */
enum ntd_event_kind {
	NTD_EVENT_MESSAGE,       /* level */
	NTD_EVENT_NEST_BEGIN,    /* step */
	NTD_EVENT_NEST_END,      /* step, seconds, failed */
	NTD_EVENT_SUBTEST_BEGIN, /* step; the text is the bare title */
	NTD_EVENT_SUBTEST_END,   /* step, seconds, failed */
	NTD_EVENT_SERIAL,        /* the text is one line of a machine's console */
	NTD_EVENT_TEST_ERROR,    /* the text is one line of the report of a failed test; failed */
	NTD_EVENT_RUN_END,       /* the exit status of the run is known: seconds, failed */
	NTD_EVENT_STATE,         /* a machine has another state: from, to */
	NTD_EVENT_COMMAND_END,   /* a script's command has ended: status, bytes, seconds */
	NTD_EVENT_OUTPUT,        /* the text is a piece of output of a command that runs */
	/* The thread begins something that takes time, of which the text says what; "": what its
	 * step says. seconds: how long it may take; 0: not known. */
	NTD_EVENT_BUSY,
	NTD_EVENT_IDLE,   /* what the thread's last BUSY has begun is over */
	NTD_EVENT_DETAIL, /* more about the run: detail, which says what the text is */
	NTD_EVENT_KIND_COUNT
};

/* What a DETAIL tells. Its attributes are in brackets. */
enum ntd_detail {
	NTD_DETAIL_RUN,        /* how the driver was called: the text is the command line (facts) */
	NTD_DETAIL_SOURCE,     /* the text is that of a source file of the test (name) */
	NTD_DETAIL_STEP_ERROR, /* the text is the error that ends the step around it */
	NTD_DETAIL_FAILURE,    /* the exception that failed a test or the run (traceback) */
	NTD_DETAIL_PICTURE,    /* the text is the path of a picture of a machine's screen */
	NTD_DETAIL_SCREEN_TEXT, /* read from a screen, so long after its picture (seconds) */
	NTD_DETAIL_NETWORK,     /* what a network has carried in a second (frames, dropped, pids) */
	NTD_DETAIL_OBSERVATION, /* the text is what the wait around it saw when it ended well */
	NTD_DETAIL_SEED,        /* the text says what the number was drawn for (seed) */
	NTD_DETAIL_COUNT
};

/* How important a message is. NTD_LEVEL_ALWAYS is a plain line of the log, which no log level
 * hides. */
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
	NTD_STEP_NONE,     /* of events that are no steps */
	NTD_STEP_RUN,      /* the whole test script, or all tests in pytest style */
	NTD_STEP_TEST,     /* one test in pytest style */
	NTD_STEP_SCRIPT,   /* a step that the script names itself: nested(), subtest() */
	NTD_STEP_START,    /* the driver starts networks, helpers or machines */
	NTD_STEP_BOOT,     /* a guest boots until it can run commands */
	NTD_STEP_COMMAND,  /* a command must succeed, or must fail */
	NTD_STEP_CHECK,    /* the state of a guest is compared with the required one */
	NTD_STEP_WAIT,     /* the script waits for a condition in a guest */
	NTD_STEP_FILE,     /* the driver copies a file */
	NTD_STEP_SCREEN,   /* the driver takes a picture of the screen */
	NTD_STEP_KEYS,     /* the driver presses keys */
	NTD_STEP_SNAPSHOT, /* the driver saves or restores the state of machines */
	NTD_STEP_STOP,     /* the script waits until machines have ended */
	NTD_STEP_CLEANUP,  /* the driver ends and removes what the run has started */
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

/* One event. Sinks may keep nothing of it beyond the call that hands it to them. */
struct ntd_event {
	enum ntd_event_kind kind;
	enum ntd_step step; /* of a step's beginning and end */
	/* The report fills in these three. Ids count the events of a report in their order, and the
	 * end of a step has the id of its beginning. The parent is the id of the innermost step
	 * that the same thread has begun and not ended; 0: none. Console lines have no parent.
	 * Threads have numbers in the order of their first events in the process. */
	uint64_t id, parent;
	unsigned thread;
	enum ntd_level level; /* of MESSAGE */
	int64_t monotonic;    /* the moment of the event, ns; see base/clock.h */
	int64_t wall;         /* the same moment, ns since 1970 */
	const char *machine;  /* the machine's name; NULL: the event is about the whole run */
	const char *text;     /* NUL-terminated; console lines may hold NULs before the end */
	size_t text_len;
	/* Name, value, ..., NULL; NULL: there are none. The attribute "skipped" of a SUBTEST_END
	 * says why the test did not run. */
	char **attributes;
	double seconds; /* how long the step, the run or the command took; see BUSY, too */
	/* Of a step's end: an exception ended the step. Of RUN_END: the exit status is not 0. Of
	 * TEST_ERROR: a subtest has reported the error before. */
	bool failed;
	/* Which of the test's sources the emitting thread was in, and in which line, as
	 * ntd_report_at() has said; 0: unknown. Of a SOURCE: its number. */
	uint16_t source;
	uint32_t line;
	union {
		struct {
			const char *from, *to; /* of STATE: names of states, which are constants */
		};
		struct {
			int status;   /* of COMMAND_END: the exit status; < 0: unknown */
			size_t bytes; /* of COMMAND_END: how long the command's output was */
		};
		struct {
			uint64_t done, total; /* of a MESSAGE about a copy: bytes; total 0: none */
		};
		enum ntd_detail detail; /* of DETAIL */
	};
};

/* Writes events somewhere. Implementations embed the struct and fill in all members but `next`. The
 * report calls the functions on the writer or on a thread that settles, one at a time. */
struct ntd_sink {
	/* Whether the sink also gets STATE, COMMAND_END, OUTPUT and DETAIL, which no log shows.
	 * Without such a sink the report drops these events at once. */
	bool timeline;
	/* Whether the sink also gets BUSY and IDLE, which are for people who look at the run. */
	bool live;
	/* When the report is to call `flush` next though no event has come, a time of ntd_now(); 0:
	 * then not. The sink may change it whenever it is called. */
	int64_t wake;
	void (*event)(struct ntd_sink *sink, const struct ntd_event *event);
	/* The sink has got all events that were queued; may be NULL. */
	void (*flush)(struct ntd_sink *sink);
	/* Writes the rest and frees the sink. */
	void (*close)(struct ntd_sink *sink);
	struct ntd_sink *next;
};

struct ntd_report;

/* Starts the writer; NULL with an error when there can be no thread. */
struct ntd_report *ntd_report_new(struct ntd_error **err);
/* Any thread, without waiting: adds a sink, which the report owns. The sink gets the events that
 * are delivered from now on. */
void ntd_report_add(struct ntd_report *report, struct ntd_sink *sink);
/* Bounds the memory of the queue, which is 256 MiB at first. When the queue is full, console lines
 * are dropped and a message says how many; the machine's raw console file has them. */
void ntd_report_limit(struct ntd_report *report, size_t bytes);
/* Delivers the queued events, closes the sinks and frees the report. No-op for NULL. */
void ntd_report_free(struct ntd_report *report);
/* Files that are written beside the report, such as raw consoles. Settling and ending the report
 * waits for them, too. */
struct ntd_background *ntd_report_background(struct ntd_report *report);
/* Delivers all events that are queued so far on the calling thread. A terminal that nobody reads
 * blocks the call without a limit, so the caller must hold no lock. */
void ntd_report_settle(struct ntd_report *report);
/* Whether ntd_report_settle() would have nothing to deliver. */
bool ntd_report_is_settled(struct ntd_report *report);
/* Waits until the writer has delivered all events that are queued so far; false at the deadline. */
bool ntd_report_flush(struct ntd_report *report, int64_t deadline);
/* Waits until the writer has delivered all events and has closed the sinks; false at the deadline.
 * Later events go nowhere. So files are whole though the process may end at any moment. */
bool ntd_report_end(struct ntd_report *report, int64_t deadline);

/* Any thread: queues a copy of the event, and returns its id; 0: the event was dropped. `id` is
 * input of a step's end only, and says which step ends. When `monotonic` is 0, the moment of the
 * event is now. `text` needs no NUL here: only `text_len` bytes of it are read. */
uint64_t ntd_report_emit(struct ntd_report *report, const struct ntd_event *event);
/* Any thread: whether a sink wants the events of the timeline. */
bool ntd_report_has_timeline(struct ntd_report *report);
/* Where in the test's sources the calling thread is: its later events tell it. `source` is the
 * number of a SOURCE, `line` counts from 1; 0 and 0: nowhere. */
void ntd_report_at(uint16_t source, uint32_t line);
/* Emits the end of the run with its exit status: once, but messages about the end may follow. */
void ntd_report_run_end(struct ntd_report *report, int status);

/* ---- log.c; any thread */
/* Emits a message about a machine, or (NULL) about the run. */
void ntd_log(struct ntd_report *report, enum ntd_level level, const char *machine, const char *fmt,
	     ...) ntd_printf(4, 5);
/* Says, for sinks that are `live`, what the calling thread begins inside of its step: a text of so
 * many bytes, none if the step says it, and how many seconds it may take; 0 or less: not known. */
void ntd_log_busy(struct ntd_report *report, const char *machine, const char *text, size_t len,
		  double limit);
/* Ends what the last call on this thread has begun. */
void ntd_log_idle(struct ntd_report *report);
/* Emits each line of `text` as a line of a failed test's report. */
void ntd_log_test_error(struct ntd_report *report, const char *text);
/* The same for an error that has passed a subtest, which has failed and reported it. */
void ntd_log_subtest_error(struct ntd_report *report, const char *text);

/* Emits a DETAIL of a machine, or (NULL) of the run, if a sink wants it. */
void ntd_log_detail(struct ntd_report *report, enum ntd_detail detail, const char *machine,
		    const char *text, char **attributes);
/* Emits a DETAIL about a seed: what it was drawn for. */
void ntd_log_seed(struct ntd_report *report, const char *what, const char *seed);

/* ---- nest.c; any thread */
/* A step that has begun and may contain others. The value owns its texts until it ends. */
struct ntd_nest {
	struct ntd_report *report;
	uint64_t id;
	char *machine, *text, **attributes;
	int64_t began;
	bool subtest;
};

/* Begins a step about a machine, or (NULL) about the run. */
struct ntd_nest ntd_nest_begin(struct ntd_report *report, enum ntd_step step, const char *machine,
			       const char *fmt, ...) ntd_printf(4, 5);
/* The same with attributes, which the step owns from now on, or as a subtest with a title. */
struct ntd_nest ntd_nest_begin_full(struct ntd_report *report, enum ntd_step step,
				    const char *machine, const char *text, char **attributes,
				    bool subtest);
/* Ends the step; `failed`: by an exception or an error. No-op for a value of zeros, and for a step
 * that has ended. */
void ntd_nest_end(struct ntd_nest *nest, bool failed);

/* ---- names.c; constants such as "nest-begin", "warning" and "boot" */
const char *ntd_event_kind_name(enum ntd_event_kind kind);
const char *ntd_level_name(enum ntd_level level);
const char *ntd_detail_name(enum ntd_detail detail);
const char *ntd_step_name(enum ntd_step step);
/* The level with that name, which is debug, info, warning or error; -1: none. */
int ntd_level_parse(const char *name);
/* The kind of step, of event or of detail with that name, and any level; -1: none. */
int ntd_step_parse(const char *name);
int ntd_event_kind_parse(const char *name);
int ntd_detail_parse(const char *name);
int ntd_event_level_parse(const char *name);
