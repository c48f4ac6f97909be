/* A page made later, of the events of an old run: reads the file line by line and hands the events
 * to the sink. The last line needs no end. Lines that are none are skipped, so that a file whose
 * end is missing, or that a newer driver has written, still makes a page. On the thread of the
 * caller.
 */
#include "report/event_json.h"
#include "report/page_sink.h"
#include "report/sinks.h"

#include "base/buf.h"
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <string.h>
#include <sys/stat.h>

enum { READ_SIZE = 256 << 10, LINE_MOST = 16 << 20 };

struct reader {
	const char *events, *path;
	int fd;
	struct ntd_buf bytes;
	bool skipping; /* the present line is too long */
	struct ntd_sink *sink;
};

/* ---- lines */

/* Whether the page would be written over the events. */
static bool is_file_itself(const struct reader *reader)
{
	struct stat events, page;

	return fstat(reader->fd, &events) == 0 && stat(reader->path, &page) == 0 &&
	       events.st_dev == page.st_dev && events.st_ino == page.st_ino;
}

/* Makes the page, whose first line is that of the file. */
static int begin(struct reader *reader, const char *line, size_t len, struct ntd_error **err)
{
	_cleanup_free_ char *copy = ntd_strdup(reader->events);

	if (ntd_event_check_format(line, len, err) < 0)
		return -1;
	if (is_file_itself(reader))
		return ntd_error_set(err, NTD_E_USAGE, "the page would be written over it");
	reader->sink = ntd_page_sink_new(reader->path, cJSON_ParseWithLength(line, len),
					 dirname(copy), err);
	return reader->sink ? 0 : -1;
}

static int take_line(struct reader *reader, const char *line, size_t len, struct ntd_error **err)
{
	struct ntd_parsed_event parsed;

	if (!reader->sink)
		return begin(reader, line, len, err);
	if (ntd_event_parse(&parsed, line, len))
		reader->sink->event(reader->sink, &parsed.event);
	ntd_parsed_event_free(&parsed);
	return 0;
}

/* Takes the whole lines in `bytes`. */
static int take_lines(struct reader *reader, struct ntd_error **err)
{
	struct ntd_buf *bytes = &reader->bytes;
	char *end;

	while ((end = memchr(ntd_buf_bytes(bytes), '\n', bytes->len))) {
		size_t len = (size_t)(end - ntd_buf_bytes(bytes));

		if (!reader->skipping && take_line(reader, ntd_buf_bytes(bytes), len, err) < 0)
			return -1;
		reader->skipping = false;
		ntd_buf_consume(bytes, len + 1);
	}
	if (bytes->len > LINE_MOST) {
		reader->skipping = true;
		ntd_buf_clear(bytes);
	}
	return 0;
}

static int read_all(struct reader *reader, struct ntd_error **err)
{
	ssize_t count;

	do {
		char *room = ntd_buf_reserve(&reader->bytes, READ_SIZE);

		count = ntd_fd_read(reader->fd, room, READ_SIZE);
		if (count < 0)
			return ntd_error_sys(err, errno, "cannot read it");
		ntd_buf_added(&reader->bytes, (size_t)count);
		if (take_lines(reader, err) < 0)
			return -1;
		if (reader->sink)
			reader->sink->flush(reader->sink);
	} while (count);
	if (!reader->skipping && reader->bytes.len &&
	    take_line(reader, ntd_buf_bytes(&reader->bytes), reader->bytes.len, err) < 0)
		return -1;
	return reader->sink ? 0 : ntd_error_set(err, NTD_E_USAGE, "it has no line");
}

int ntd_page_from_events(const char *events, const char *path, struct ntd_error **err)
{
	_cleanup_fd_ int fd = open(events, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	struct reader reader = {.events = events, .path = path, .fd = fd};
	_cleanup_error_ struct ntd_error *unwritten = NULL;
	int result;

	if (fd < 0)
		return ntd_error_sys(err, errno, "cannot read %s", events);
	result = read_all(&reader, err);
	if (result < 0)
		ntd_error_wrap(err, "%s", events);
	if (reader.sink && ntd_page_sink_end(reader.sink, &unwritten) < 0 && result >= 0)
		result = ntd_error_move(err, ntd_steal(&unwritten));
	ntd_buf_free(&reader.bytes);
	return result;
}
