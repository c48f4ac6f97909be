/* The sinks that exist; one file each. */
#pragma once

#include "report/report.h"

/* The log on a terminal or a CI log: lines with ANSI colours on `fd`, one write() a batch of whole
 * lines. `level` hides debug, info and warning messages below it. The descriptor stays the
 * caller's. */
struct ntd_sink *ntd_terminal_sink(int fd, enum ntd_level level);
/* Console lines shown or not (returns whether they were), and the level, changed while running;
 * `sink` came from above. */
bool ntd_terminal_show_serial(struct ntd_sink *sink, bool shown);
void ntd_terminal_set_level(struct ntd_sink *sink, enum ntd_level level);
/* From now on steps, warnings and errors only. When a step fails, what was logged since the last
 * step began or ended follows; when the run fails, the last console lines of every machine. */
void ntd_terminal_be_quiet(struct ntd_sink *sink);
/* From now on writes to where the descriptor leads now, whatever becomes of it. */
void ntd_terminal_keep_output(struct ntd_sink *sink);

/* The log as XML in the file `path`, for tools that read upstream's LOGFILE. */
struct ntd_sink *ntd_xml_sink(const char *path, struct ntd_error **err);
/* A JUnit report in the file `path`. Whenever the driver ends, however it ends, the file is a whole
 * document; cases that had not ended by then are failed in it. */
struct ntd_sink *ntd_junit_sink(const char *path, struct ntd_error **err);
/* The tests are all subtests: without any there is no case `main` either, unless something
 * failed. */
void ntd_junit_tests_only(struct ntd_sink *sink);
/* One JSON object a line in the file `path`; the keys are described in report/events.c. */
struct ntd_sink *ntd_events_sink(const char *path, struct ntd_error **err);
