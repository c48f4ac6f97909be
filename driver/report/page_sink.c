/* The sink that writes the report that people look at: events become lines of the page (page.h),
 * steps and messages also items of its plain list, and the files of pictures go into it.
 *
 * What the page takes from guests is limited. Beyond so many bytes of console lines, only the last
 * lines of the run go into the page, and it says how many are missing before them; and pictures are
 * left out. The raw files have all. Of output there is what the end of a command tells.
 */
#include "report/page_sink.h"

#include "base/fd.h"
#include "base/text.h"
#include "report/event_json.h"
#include "report/page.h"
#include "report/sinks.h"

#include <ctype.h>
#include <fcntl.h>
#include <string.h>

enum {
	CONSOLE_MOST = 48 << 20, /* bytes of the first console lines */
	LATE_MOST = 1 << 20,     /* bytes of the last ones, if there are more */
	PICTURE_MOST = 4 << 20,  /* bytes of one picture, and of all */
	PICTURES_MOST = 12 << 20,
	ITEMS_MOST = 4 << 20, /* bytes of the plain list */
	ITEM_MOST = 2000      /* bytes of one item */
};

#define LIST_ENDS "This list is full: what follows is only in the page with JavaScript"

struct page_sink {
	struct ntd_sink sink;
	struct ntd_page page;
	char *pictures_in; /* NULL: paths of pictures are right */
	size_t console, pictures, items;
	struct ntd_buf late; /* the last console lines, as lines of the page */
	size_t left_out;     /* how many before them are not in the page */
	int64_t began;       /* when the first event was; 0: there was none */
	char *error;         /* the first; NULL: none */
	bool is_failure;     /* `error` is an exception */
	bool ended;          /* the exit status is known */
};

const char ntd_page_killed[] =
	NTD_PAGE_BROKEN("killed", "The driver was killed before the end of the run");

/* ---- the plain list */

static const char *class_of(const struct ntd_event *event)
{
	if (event->kind == NTD_EVENT_MESSAGE)
		return event->level == NTD_LEVEL_WARNING || event->level == NTD_LEVEL_ERROR ? "bad"
											    : "log";
	if (event->kind == NTD_EVENT_TEST_ERROR || event->kind == NTD_EVENT_DETAIL)
		return "bad";
	return event->failed ? "bad" : "begin";
}

/* Whether the plain list has the event. */
static bool is_item(const struct ntd_event *event)
{
	if (ntd_event_begins_step(event->kind))
		return true;
	if (ntd_event_ends_step(event->kind))
		return event->failed;
	if (event->kind == NTD_EVENT_DETAIL)
		return event->detail == NTD_DETAIL_FAILURE ||
		       event->detail == NTD_DETAIL_STEP_ERROR;
	return event->kind == NTD_EVENT_MESSAGE || event->kind == NTD_EVENT_TEST_ERROR ||
	       event->kind == NTD_EVENT_RUN_END;
}

static void add_item(struct page_sink *self, const struct ntd_event *event)
{
	_cleanup_buf_ struct ntd_buf text = {0};
	size_t len = event->text_len < ITEM_MOST ? event->text_len : ITEM_MOST;

	if (self->items > ITEMS_MOST)
		return;
	ntd_buf_printf(&text, "[%9.3f] ", ntd_seconds(event->monotonic - self->began));
	if (event->machine)
		ntd_buf_printf(&text, "%s: ", event->machine);
	if (ntd_event_ends_step(event->kind))
		ntd_buf_printf(&text, "failed after %.2f s: ", event->seconds);
	ntd_buf_append(&text, event->text, len);
	if (len < event->text_len)
		ntd_buf_puts(&text, " ...");
	ntd_page_item(&self->page, class_of(event), ntd_buf_bytes(&text), text.len);
	self->items += text.len;
	if (self->items > ITEMS_MOST)
		ntd_page_item(&self->page, "bad", LIST_ENDS, strlen(LIST_ENDS));
}

/* ---- lines */

static void add_object(struct page_sink *self, cJSON *object)
{
	_cleanup_free_ char *line = cJSON_PrintUnformatted(object);

	cJSON_Delete(object);
	if (!line)
		abort(); /* out of memory */
	ntd_page_line(&self->page, line, strlen(line));
}

static void add_late(struct page_sink *self, const struct ntd_event *event)
{
	struct ntd_buf *late = &self->late;

	ntd_page_console(late, event->monotonic / 1000, event->machine ? event->machine : "",
			 event->text, event->text_len);
	while (late->len > LATE_MOST) {
		const char *bytes = ntd_buf_bytes(late);
		const char *end = memchr(bytes, '\n', late->len);

		ntd_buf_consume(late, (size_t)(end - bytes) + 1);
		self->left_out++;
	}
}

/* At the end of the run, which is what the last lines are about. */
static void tell_late(struct page_sink *self)
{
	_cleanup_free_ char *line = ntd_asprintf("[\"d\",%zu]", self->left_out);

	if (self->left_out)
		ntd_page_line(&self->page, line, strlen(line));
	ntd_buf_append(&self->page.lines, ntd_buf_bytes(&self->late), self->late.len);
	ntd_buf_clear(&self->late);
	self->left_out = 0;
}

static void add_console(struct page_sink *self, const struct ntd_event *event)
{
	self->console += event->text_len;
	if (self->console > CONSOLE_MOST)
		add_late(self, event);
	else
		ntd_page_console(&self->page.lines, event->monotonic / 1000,
				 event->machine ? event->machine : "", event->text,
				 event->text_len);
}

/* ---- pictures */

/* The end of a path with that many names in it; NULL: it has fewer, or one of them is "..". */
static const char *path_end(const char *path, size_t names)
{
	const char *at = path + strlen(path);

	while (names--) {
		const char *end = at;

		if (at == path)
			return NULL;
		for (at = end - 1; at > path && at[-1] != '/';)
			at--;
		if (end - at == 0 || !strncmp(at, "..", 2))
			return NULL;
		if (names && at > path)
			at--;
	}
	return at;
}

static int open_picture(const struct page_sink *self, const char *path)
{
	int fd = -1;

	if (!self->pictures_in)
		return open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	/* The evidence of a test in pytest style is in OUT/failure/TEST/MACHINE. */
	for (size_t names = 4; fd < 0 && names; names--) {
		const char *end = path_end(path, names);
		_cleanup_free_ char *below =
			end ? ntd_asprintf("%s/%s", self->pictures_in, end) : NULL;

		if (below)
			fd = open(below, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW);
	}
	return fd;
}

static void add_picture(struct page_sink *self, const char *path)
{
	static const char signature[] = "\x89PNG\r\n\x1a\n";
	_cleanup_fd_ int fd = open_picture(self, path);
	_cleanup_buf_ struct ntd_buf png = {0};

	if (fd < 0 || ntd_fd_read_all(fd, &png, PICTURE_MOST) < 0 || png.len < strlen(signature) ||
	    memcmp(ntd_buf_bytes(&png), signature, strlen(signature)) != 0)
		return;
	self->pictures += png.len;
	if (self->pictures <= PICTURES_MOST)
		ntd_page_picture(&self->page, path, &png);
}

/* ---- the sink */

/* The exception of a failure says more than the first line of a failed test's report. */
static void note_error(struct page_sink *self, const struct ntd_event *event)
{
	bool failure = event->kind == NTD_EVENT_DETAIL && event->detail == NTD_DETAIL_FAILURE;
	size_t len = event->text_len;

	while (len && isspace((unsigned char)event->text[len - 1]))
		len--;
	if (!len ||
	    !(failure ? !self->is_failure : event->kind == NTD_EVENT_TEST_ERROR && !self->error))
		return;
	free(self->error);
	self->error = ntd_strndup(event->text, len < ITEM_MOST ? len : ITEM_MOST);
	self->is_failure = failure;
}

static void note_end(struct page_sink *self, const struct ntd_event *event)
{
	const char *error = event->failed && self->error ? self->error : NULL;
	_cleanup_free_ char *text =
		ntd_asprintf("%s after %.2f seconds: %s%s%s", event->failed ? "Failed" : "Passed",
			     event->seconds, event->text, error ? "; " : "", error ? error : "");

	self->ended = true;
	ntd_page_verdict(&self->page, event->failed, text);
}

static void page_event(struct ntd_sink *sink, const struct ntd_event *event)
{
	struct page_sink *self = ntd_container_of(sink, struct page_sink, sink);

	if (!self->began)
		self->began = event->monotonic;
	if (event->kind == NTD_EVENT_SERIAL) {
		add_console(self, event);
		return;
	}
	if (event->kind == NTD_EVENT_OUTPUT) /* the page has what the end of a command tells */
		return;
	if (event->kind == NTD_EVENT_RUN_END)
		tell_late(self);
	add_object(self, ntd_event_object(event));
	note_error(self, event);
	if (is_item(event))
		add_item(self, event);
	if (event->kind == NTD_EVENT_DETAIL && event->detail == NTD_DETAIL_PICTURE)
		add_picture(self, event->text);
	if (event->kind == NTD_EVENT_RUN_END)
		note_end(self, event);
}

static void page_flush(struct ntd_sink *sink)
{
	ntd_page_flush(&ntd_container_of(sink, struct page_sink, sink)->page);
}

int ntd_page_sink_end(struct ntd_sink *sink, struct ntd_error **err)
{
	struct page_sink *self = ntd_container_of(sink, struct page_sink, sink);
	int result;

	tell_late(self);
	if (!self->ended)
		ntd_page_verdict(&self->page, true, "The end of the run is not known");
	result = ntd_page_close(&self->page, "{}", err);
	ntd_buf_free(&self->late);
	free(self->pictures_in);
	free(self->error);
	free(self);
	return result;
}

static void page_close(struct ntd_sink *sink)
{
	struct ntd_error *error = NULL;

	ntd_page_sink_end(sink, &error);
	ntd_outfile_complain(error);
}

struct ntd_sink *ntd_page_sink_new(const char *path, cJSON *format, const char *pictures,
				   struct ntd_error **err)
{
	struct page_sink *self = ntd_calloc(1, sizeof *self);

	if (ntd_page_open(&self->page, path, err) < 0) {
		cJSON_Delete(format);
		free(self);
		return NULL;
	}
	self->sink = (struct ntd_sink){
		.timeline = true, .event = page_event, .flush = page_flush, .close = page_close};
	self->pictures_in = pictures ? ntd_strdup(pictures) : NULL;
	add_object(self, format);
	page_flush(&self->sink);
	return &self->sink;
}

struct ntd_sink *ntd_page_sink(const char *path, struct ntd_error **err)
{
	return ntd_page_sink_new(path, ntd_event_format(), NULL, err);
}
