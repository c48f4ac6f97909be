/* The sinks that write the terminal and the files of a run, each in a file of its own. Those that
 * keep events for pytest are in recall.h and times.h. Functions that open a file return NULL with
 * an error when they cannot.
 */
#pragma once

#include "report/report.h"

/* The log on a terminal or in a CI system: lines with ANSI colours on `fd`, which stays the
 * caller's. Each write() is of whole lines. Messages below `level` are hidden. */
struct ntd_sink *ntd_terminal_sink(int fd, enum ntd_level level);
/* Shows steps, warnings and errors only. When a step fails, the sink shows the messages since the
 * last beginning or end of a step; when the run fails, the last console lines of every machine.
 * Before the first event only. */
void ntd_terminal_be_quiet(struct ntd_sink *sink);
/* Any thread, while the run goes on: shows console lines from now on, or hides them. Returns
 * whether they were shown. */
bool ntd_terminal_show_serial(struct ntd_sink *sink, bool shown);
/* Any thread: hides messages below another level from now on. */
void ntd_terminal_set_level(struct ntd_sink *sink, enum ntd_level level);
/* Any thread: makes a copy of the descriptor and writes there, so that the log stays where it is
 * when the script's process opens another file under the descriptor's number. */
void ntd_terminal_keep_output(struct ntd_sink *sink);

/* Whether a line below the log says what the run waits for: on a terminal that can move its cursor,
 * unless the sink is quiet. */
bool ntd_terminal_has_live_line(const struct ntd_sink *sink);
/* Any thread: hides that line, or no longer. Returns whether it was hidden. */
bool ntd_terminal_hide_live_line(struct ntd_sink *sink, bool hidden);
/* Any thread, before it writes to the terminal by itself: removes that line for a moment, or,
 * unless the text ends with a newline, until a line ends. May block as long as the terminal does.
 */
void ntd_terminal_make_way(struct ntd_sink *sink, bool ends_line);

/* The log as XML in the file `path`, for programs that read upstream's LOGFILE. */
struct ntd_sink *ntd_xml_sink(const char *path, struct ntd_error **err);
/* A JUnit report in the file `path`, which is a whole document at any moment, even when the driver
 * is killed. Cases that have not ended are failures in it. */
struct ntd_sink *ntd_junit_sink(const char *path, struct ntd_error **err);
/* Any thread: says that all tests of the run are subtests. Then the case `main`, which else stands
 * for a run without subtests, is in the report only when something outside of subtests failed. */
void ntd_junit_tests_only(struct ntd_sink *sink);
/* All events in the file `path`, one JSON object a line; report/events.c describes the keys. */
struct ntd_sink *ntd_events_sink(const char *path, struct ntd_error **err);
/* A page that people look at in a browser in the file `path`: one HTML file that needs no other.
 * What has been flushed is in it, also when the driver is killed; report/page.h has the format. */
struct ntd_sink *ntd_page_sink(const char *path, struct ntd_error **err);
/* What to add to such a page if the driver is gone and the page has no end: unless it ends with the
 * last line of this text. */
extern const char ntd_page_killed[];
/* Makes such a page of a file that ntd_events_sink() has written, on the calling thread. The
 * pictures that it names are looked for below the directory of `events`. NTD_E_USAGE when `events`
 * is no such file, or is `path`. */
int ntd_page_from_events(const char *events, const char *path, struct ntd_error **err);
