/* The line about what a run waits for; see status.h.
 *
 * Each thread of a script waits for one thing at a time. What it is, the innermost open step says,
 * unless scripts make such steps themselves (a subtest, say); within it, BUSY tells of the limit. A
 * thread that is in no such step, as in machine.execute(), is busy with what its first open BUSY
 * says.
 */
#include "report/status.h"

#include "base/printable.h"
#include "base/text.h"

#include <assert.h>
#include <string.h>

/* A step or a BUSY that has begun and not ended. */
struct ntd_status_item {
	uint64_t id;
	unsigned thread;
	enum ntd_step step;  /* NTD_STEP_NONE: of a BUSY */
	int64_t began;       /* a time of ntd_now() */
	double limit;        /* seconds; 0: not known */
	char *machine;       /* NULL: none */
	char *text;          /* "": of a BUSY that only has a limit */
	char *console;       /* of a boot: the last line of the machine's console; NULL: none */
	uint64_t done, size; /* of a copy, in bytes; size 0: not known */
};

/* Bytes of an event's text that are kept. */
enum { TEXT_MOST = 400 };

/* Is in the place of the rest of a text that is too long. */
#define DOTS "..."

/* The least cells of a wait that is shown beside others. */
enum { LEAST_WIDTH = 26 };

/* Steps that say what is waited for; the others are made by scripts, and contain waits. */
static const bool tells[] = {
	[NTD_STEP_NONE] = false,    [NTD_STEP_RUN] = false,   [NTD_STEP_TEST] = false,
	[NTD_STEP_SCRIPT] = false,  [NTD_STEP_START] = true,  [NTD_STEP_BOOT] = true,
	[NTD_STEP_COMMAND] = true,  [NTD_STEP_CHECK] = true,  [NTD_STEP_WAIT] = true,
	[NTD_STEP_FILE] = true,     [NTD_STEP_SCREEN] = true, [NTD_STEP_KEYS] = true,
	[NTD_STEP_SNAPSHOT] = true, [NTD_STEP_STOP] = true,   [NTD_STEP_CLEANUP] = true,
};
static_assert(sizeof tells / sizeof *tells == NTD_STEP_COUNT, "every kind of step is judged");

/* ---- events */

static char *kept(const char *text, size_t len)
{
	return ntd_strndup(text, len < TEXT_MOST ? len : TEXT_MOST);
}

static void item_free(struct ntd_status_item *item)
{
	free(item->machine);
	free(item->text);
	free(item->console);
}

static void begin(struct ntd_status *status, const struct ntd_event *event)
{
	ntd_vec_push(&status->open,
		     (struct ntd_status_item){
			     .id = event->id,
			     .thread = event->thread,
			     .step = event->kind == NTD_EVENT_BUSY ? NTD_STEP_NONE : event->step,
			     .began = event->monotonic,
			     .limit = event->kind == NTD_EVENT_BUSY ? event->seconds : 0,
			     .machine = event->machine ? ntd_strdup(event->machine) : NULL,
			     .text = kept(event->text, event->text_len)});
}

static void forget(struct ntd_status *status, size_t index)
{
	item_free(&status->open.items[index]);
	ntd_vec_remove(&status->open, index);
}

/* A step ends with the id of its beginning, on whatever thread. */
static void end_step(struct ntd_status *status, uint64_t id)
{
	for (size_t i = status->open.count; i--;)
		if (status->open.items[i].id == id) {
			forget(status, i);
			return;
		}
}

static void end_busy(struct ntd_status *status, unsigned thread)
{
	for (size_t i = status->open.count; i--;)
		if (status->open.items[i].thread == thread &&
		    status->open.items[i].step == NTD_STEP_NONE) {
			forget(status, i);
			return;
		}
}

static bool is_of(const struct ntd_status_item *item, const char *machine)
{
	return item->machine && machine && !strcmp(item->machine, machine);
}

/* Lines with nothing to read in them, as firmware prints many, do not take the place of others. */
static void console_line(struct ntd_status *status, const struct ntd_event *event)
{
	for (size_t i = 0; i < status->open.count; i++) {
		struct ntd_status_item *item = &status->open.items[i];
		_cleanup_free_ char *text = NULL, *line = NULL;

		if (item->step != NTD_STEP_BOOT || !is_of(item, event->machine))
			continue;
		text = kept(event->text, event->text_len);
		line = ntd_printable_line(text, SIZE_MAX);
		if (!*line)
			continue;
		free(item->console);
		item->console = ntd_steal(&line);
	}
}

/* ---- what a thread waits for */

/* The index of the item that says what a thread waits for; the number of all items: none does. */
static size_t told_by(const struct ntd_status *status, unsigned thread)
{
	size_t found = status->open.count;

	for (size_t i = status->open.count; i--;) {
		const struct ntd_status_item *item = &status->open.items[i];

		if (item->thread != thread)
			continue;
		if (tells[item->step])
			return i;
		if (item->step == NTD_STEP_NONE && *item->text)
			found = i;
		else if (item->step != NTD_STEP_NONE && found < status->open.count)
			break; /* a script's step: what it contains has been seen */
	}
	return found;
}

static bool tells_of_its_thread(const struct ntd_status *status, size_t index)
{
	return told_by(status, status->open.items[index].thread) == index;
}

/* The limit of an item, or that of what the thread is busy with in it. */
static double limit_of(const struct ntd_status *status, size_t index)
{
	const struct ntd_status_item *item = &status->open.items[index];

	for (size_t i = index; i < status->open.count; i++) {
		const struct ntd_status_item *inner = &status->open.items[i];

		if (inner->thread == item->thread && inner->limit > 0)
			return inner->limit;
	}
	return 0;
}

/* A message about a copy, which the loop thread sends: the machine says whose. */
static bool copy_progress(struct ntd_status *status, const struct ntd_event *event)
{
	for (size_t i = status->open.count; i--;) {
		struct ntd_status_item *item = &status->open.items[i];

		if (!is_of(item, event->machine) || !tells_of_its_thread(status, i))
			continue;
		item->done = event->done;
		item->size = event->total;
		return true;
	}
	return false;
}

bool ntd_status_event(struct ntd_status *status, const struct ntd_event *event)
{
	if (ntd_event_begins_step(event->kind) || event->kind == NTD_EVENT_BUSY)
		begin(status, event);
	else if (ntd_event_ends_step(event->kind))
		end_step(status, event->id);
	else if (event->kind == NTD_EVENT_IDLE)
		end_busy(status, event->thread);
	else if (event->kind == NTD_EVENT_SERIAL)
		console_line(status, event);
	else if (event->kind == NTD_EVENT_MESSAGE && event->total)
		return copy_progress(status, event);
	return false;
}

int64_t ntd_status_due(const struct ntd_status *status)
{
	int64_t due = NTD_FOREVER;

	for (size_t i = 0; i < status->open.count; i++)
		if (tells_of_its_thread(status, i))
			due = ntd_earlier(due, status->open.items[i].began + NTD_STATUS_PATIENCE);
	return due;
}

/* ---- the line */

/* The cells that a character takes, or more: characters beyond ASCII may be wide. */
static size_t cells_of(size_t bytes)
{
	return bytes > 1 ? 2 : 1;
}

/* Appends text; with dots at its end if it takes more cells than `width`. Returns the cells that it
 * took, or more, but at most `width`. */
static size_t put(struct ntd_buf *out, const char *text, size_t width)
{
	_cleanup_free_ char *line = ntd_printable_line(text, SIZE_MAX);
	size_t len = strlen(line), used = 0, fits = 0;

	for (size_t at = 0; at < len && used <= width;) {
		size_t step = ntd_utf8_sequence(line + at, len - at);

		at += step;
		used += cells_of(step);
		if (used + strlen(DOTS) <= width)
			fits = at;
	}
	if (used <= width) {
		ntd_buf_puts(out, line);
		return used;
	}
	ntd_buf_append(out, line, fits);
	if (width >= strlen(DOTS))
		ntd_buf_puts(out, DOTS);
	return width;
}

/* "12s", "2m05s", "1h02m". */
static char *span_text(double seconds)
{
	long whole = seconds < 1e9 ? (long)seconds : 1000000000L;

	if (whole < 60)
		return ntd_asprintf("%lds", whole);
	if (whole < 3600)
		return whole % 60 ? ntd_asprintf("%ldm%02lds", whole / 60, whole % 60)
				  : ntd_asprintf("%ldm", whole / 60);
	return ntd_asprintf("%ldh%02ldm", whole / 3600, whole / 60 % 60);
}

static char *times_text(const struct ntd_status *status, size_t index, int64_t now)
{
	double limit = limit_of(status, index);
	_cleanup_free_ char *lasted = span_text(ntd_seconds(now - status->open.items[index].began));
	_cleanup_free_ char *most = limit > 0 ? span_text(limit) : NULL;

	return most ? ntd_asprintf(" (%s of %s)", lasted, most) : ntd_asprintf(" (%s)", lasted);
}

/* How far the thing is; "" when nothing is known. */
static char *progress_text(const struct ntd_status_item *item, bool console)
{
	enum { MIB = 1 << 20 };

	if (item->size)
		return ntd_asprintf(": %.0f%% of %.1f MiB",
				    100 * (double)item->done / (double)item->size,
				    (double)item->size / MIB);
	return item->console && console ? ntd_asprintf(": %s", item->console) : ntd_strdup("");
}

/* "MACHINE: TEXT: PROGRESS (TIMES)". The text is cut first, then the progress. */
static void put_item(const struct ntd_status *status, size_t index, int64_t now, size_t width,
		     bool console, struct ntd_buf *out)
{
	const struct ntd_status_item *item = &status->open.items[index];
	_cleanup_free_ char *times = times_text(status, index, now);
	_cleanup_free_ char *progress = progress_text(item, console);
	_cleanup_free_ char *what = ntd_asprintf("%s%s%s", item->machine ? item->machine : "",
						 item->machine ? ": " : "", item->text);
	size_t room = width > strlen(times) ? width - strlen(times) : 0;
	size_t most = item->size && room > strlen(progress) ? room - strlen(progress) : room;

	room -= put(out, what, most);
	put(out, progress, room);
	if (strlen(times) <= width)
		ntd_buf_puts(out, times);
}

static bool is_shown(const struct ntd_status *status, size_t index, int64_t now)
{
	return tells_of_its_thread(status, index) &&
	       now - status->open.items[index].began >= NTD_STATUS_PATIENCE;
}

static size_t count_shown(const struct ntd_status *status, int64_t now)
{
	size_t count = 0;

	for (size_t i = 0; i < status->open.count; i++)
		count += is_shown(status, i, now);
	return count;
}

bool ntd_status_line(const struct ntd_status *status, int64_t now, size_t width, bool console,
		     struct ntd_buf *out)
{
	size_t count = count_shown(status, now), fit = width / (LEAST_WIDTH + 3), shown = 0;
	_cleanup_free_ char *more = NULL;

	if (!count || width < 10)
		return false;
	fit = fit ? fit : 1;
	fit = fit < count ? fit : count;
	more = fit < count ? ntd_asprintf(" | +%zu", count - fit) : ntd_strdup("");
	width -= strlen(more) + 3 * (fit - 1);
	for (size_t i = 0; i < status->open.count && shown < fit; i++) {
		if (!is_shown(status, i, now))
			continue;
		ntd_buf_puts(out, shown ? " | " : "");
		put_item(status, i, now, width / fit, console, out);
		shown++;
	}
	ntd_buf_puts(out, more);
	return true;
}

void ntd_status_free(struct ntd_status *status)
{
	for (size_t i = 0; i < status->open.count; i++)
		item_free(&status->open.items[i]);
	ntd_vec_free(&status->open);
}
