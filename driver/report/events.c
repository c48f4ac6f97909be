/* The sink that writes every event as one JSON object a line, for programs; event_json.c describes
 * the lines.
 *
 * Each write() is of whole lines. A signal that kills the driver within a write() may leave the
 * beginning of a line; the keeper cuts it off (loop/aftermath.h).
 */
#include "report/event_json.h"
#include "report/outfile.h"
#include "report/sinks.h"

#include "base/buf.h"

struct events {
	struct ntd_sink sink;
	struct ntd_outfile file;
	struct ntd_buf pending;
};

enum { WRITE_SIZE = 64 << 10 };

static void events_flush(struct ntd_sink *sink)
{
	struct events *events = ntd_container_of(sink, struct events, sink);

	ntd_outfile_write(&events->file, ntd_buf_bytes(&events->pending), events->pending.len);
	ntd_buf_clear(&events->pending);
}

/* Frees the object. */
static void put_line(struct events *events, cJSON *object)
{
	_cleanup_free_ char *line = cJSON_PrintUnformatted(object);

	cJSON_Delete(object);
	if (!line)
		abort(); /* out of memory */
	ntd_buf_puts(&events->pending, line);
	ntd_buf_puts(&events->pending, "\n");
}

static void events_event(struct ntd_sink *sink, const struct ntd_event *event)
{
	struct events *events = ntd_container_of(sink, struct events, sink);

	put_line(events, ntd_event_object(event));
	if (events->pending.len >= WRITE_SIZE)
		events_flush(sink);
}

static void events_close(struct ntd_sink *sink)
{
	struct events *events = ntd_container_of(sink, struct events, sink);
	struct ntd_error *error = NULL;

	events_flush(sink);
	ntd_outfile_close(&events->file, &error);
	ntd_outfile_complain(error);
	ntd_buf_free(&events->pending);
	free(events);
}

struct ntd_sink *ntd_events_sink(const char *path, struct ntd_error **err)
{
	struct events *events = ntd_calloc(1, sizeof *events);

	if (ntd_outfile_open(&events->file, path, err) < 0) {
		free(events);
		return NULL;
	}
	events->sink = (struct ntd_sink){.timeline = true,
					 .event = events_event,
					 .flush = events_flush,
					 .close = events_close};
	put_line(events, ntd_event_format());
	events_flush(&events->sink);
	return &events->sink;
}
