/* The last line of a terminal, which says what the run waits for (report/status.h), below a log
 * that goes on above it. For the terminal's sink (report/terminal.c) only.
 *
 * The line is there only while the terminal belongs to the log: not while another program of the
 * user is in the foreground, not while somebody edits a line or sits at a prompt, not while the
 * script prints, and not behind text whose line has not ended.
 */
#pragma once

#include "report/status.h"

#include <pthread.h>
#include <stdatomic.h>

struct ntd_live_line {
	struct ntd_status status; /* the sink's */
	int64_t drawn;            /* the sink's: when the line was drawn last */
	bool enabled;             /* constant once there are events */

	pthread_mutex_t mutex; /* held while anything is written to the terminal */
	atomic_bool visible;   /* changed with the mutex */
	atomic_bool off;       /* somebody has it hidden until further notice */
	atomic_bool mid_line;  /* the script has written a line without its end */
	_Atomic int64_t away;  /* the script writes until then, a time of ntd_now() */
};

/* Makes the line ready; it is enabled if the descriptor is a terminal that can move its cursor. */
void ntd_live_line_init(struct ntd_live_line *line, int fd);
void ntd_live_line_free(struct ntd_live_line *line);

/* The sink: takes what is to be written to the log, in whole lines, and makes of it what the
 * terminal is to get: the line's removal, the log, and the line if it belongs there. Returns when
 * to call it again though there is nothing to write, a time of ntd_now(); 0: not. The caller holds
 * the mutex until the bytes are written. `console`: see ntd_status_line(). */
int64_t ntd_live_line_compose(struct ntd_live_line *line, int fd, bool console,
			      struct ntd_buf *bytes);
/* The same, and the line is gone afterwards. */
void ntd_live_line_remove(struct ntd_live_line *line, struct ntd_buf *bytes);

/* Any thread, before it writes to the terminal itself: removes the line, which stays away for a
 * moment, or until what is written has an end of line. */
void ntd_live_line_make_way(struct ntd_live_line *line, int fd, bool ends_line);
/* Any thread: hides the line until this is called with false. Returns what it was. */
bool ntd_live_line_hide(struct ntd_live_line *line, int fd, bool hidden);
